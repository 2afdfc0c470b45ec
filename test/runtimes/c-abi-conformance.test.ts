/**
 * The conformance suite of runtimes (test/support/conformance.ts), for those behind the C ABI: every failure that a plugin
 * can be brought to, at both kinds of hookpoint that the ABI has, under every policy. What differs from a module:
 *
 *   timeout   nothing is async, so a hook blocks its lane: one that comes back keeps it, one that does not costs it
 *   error     a trap, as WebAssembly; a shared library cannot throw
 *   invalid   a reason outside of the memory, as WebAssembly; that of a shared library is where it says
 *   crash     a shared library's crash is the process's; test/runtimes has the process boundary apart. WebAssembly has none
 */
import {
  createHookEngine,
  type FailureAction,
  type FailureKind,
  type FailurePolicy,
  type HookEngine,
  type PluginOptions,
} from 'hookring'
import { delivery } from 'hookring/contracts'
import { loginAuditor, noop, payloadLimiter } from 'hookring/hooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { metricOf, until } from '../support/lab.js'
import { recordingLogger } from '../support/recording-logger.js'
import { ACTS, type Act, because, compileLibrary, message, missing } from './c-abi-plugins.js'

const HASTY_MS = 60
const PATIENT_MS = 5_000
/** The argument of every act, so that the plugin behind the faulty one rejects all messages; milliseconds of blocksMs. */
const ARGUMENT = 400

const POLICIES: readonly (readonly [string, FailurePolicy | undefined])[] = [
  ['nothing is said', undefined],
  ['deny', 'deny'],
  ['allow', 'allow'],
  ['timeouts and bad verdicts are allowed', { timeout: 'allow', invalid: 'allow', error: 'deny' }],
  ['errors and overload are allowed', { error: 'allow', overload: 'allow', quarantined: 'allow' }],
]

interface Forced {
  readonly failure: FailureKind
  readonly act: Act
  readonly says: RegExp
  /** Its lane does not survive it. */
  readonly isHang?: boolean
}

const LATE: Forced = { failure: 'timeout', act: 'blocksMs', says: /timed out after 60 ms/ }
const RUNTIMES = [
  {
    runtime: 'wasm',
    reason: null,
    gate: [
      LATE,
      { failure: 'timeout', act: 'loops', says: /timed out after 60 ms/, isHang: true },
      { failure: 'error', act: 'traps', says: /threw.*trap in on_message_enqueue: unreachable/ },
      { failure: 'invalid', act: 'reasonOutside', says: /gave no valid verdict/ },
    ],
    observe: true,
  },
  { runtime: 'native', reason: missing('cc', 'koffi'), gate: [LATE], observe: false },
] as const

const LAYOUTS = ['one bulkhead', 'bulkheads of their own'] as const

for (const { runtime, reason, gate, observe } of RUNTIMES) {
  describe.skipIf(reason !== null)(because(`runtime ${runtime}`, reason), () => {
    let from = ''
    beforeAll(() => {
      from = runtime === 'wasm' ? ACTS.wasm : compileLibrary({ source: ACTS.source })
    })

    for (const layout of LAYOUTS) {
      for (const [policyName, policy] of POLICIES) {
        describe(`in ${layout}, policy: ${policyName}`, () => {
          // What is no timeout has the time not to become one.
          const hasty = useStage(() => from, { layout, policy, timeoutMs: HASTY_MS })
          const patient = useStage(() => from, { layout, policy })
          for (const forced of gate as readonly Forced[]) {
            const action = actionOf(policy, forced.failure)
            it(`a gate whose plugin ${forced.act}: ${forced.failure}, ${OUTCOME[action]}`, () =>
              askAndJudge(forced.failure === 'timeout' ? hasty() : patient(), forced, action))
          }
          const action = actionOf(policy, 'quarantined')
          it(`a gate whose plugin is quarantined: ${OUTCOME[action]}`, () => askQuarantined(patient(), action))
          if (observe)
            it('an observation whose plugin traps: it is counted, the others are told', () =>
              tellAndJudge(patient(), 'trap', 'error'))
          it('an observation: all are told', () => tellAndJudge(patient(), 'ada', null))
        })
      }
    }

    for (const [policyName, policy] of POLICIES) {
      describe(`with a bulkhead that is full, policy: ${policyName}`, () => {
        const stage = useStage(() => from, { layout: 'bulkheads of their own', policy, limits: { slots: 1, queue: 0 } })
        const action = actionOf(policy, 'overload')
        it(`a gate that finds it full: overload, ${OUTCOME[action]}`, () => askOverloaded(stage(), action))
      })
    }
  })
}

const OUTCOME = {
  deny: 'the call is rejected',
  allow: 'the chain goes on',
  raise: 'the caller gets PLUGIN_FAILED',
} as const

function actionOf(policy: FailurePolicy | undefined, failure: FailureKind): FailureAction {
  const said = typeof policy === 'string' ? policy : policy?.[failure]
  return said === 'allow' ? 'allow' : 'deny'
}

interface Stage {
  readonly engine: HookEngine<typeof delivery.hookpoints>
  readonly replaced: { reason: string; plugin: string | undefined }[]
  readonly lines: readonly { message: string; fields: Record<string, unknown> }[]
}

interface Setting {
  readonly layout: (typeof LAYOUTS)[number]
  readonly policy: FailurePolicy | undefined
  /** The faulty plugin's deadline, PATIENT_MS if left out. */
  readonly timeoutMs?: number
  readonly limits?: PluginOptions['limits']
}

/** A plugin before the faulty one, one behind it that rejects every message of these tests, and one that notes logins. */
function useStage(from: () => string, { layout, policy, timeoutMs = PATIENT_MS, limits }: Setting): () => Stage {
  let stage: Stage | undefined
  beforeAll(async () => {
    const logger = recordingLogger()
    const bulkhead = (name: string) => (layout === 'one bulkhead' ? 'shared' : name)
    const patient = { timeoutMs: PATIENT_MS }
    const engine = await createHookEngine({
      contract: delivery,
      quarantine: false,
      hangMs: 600,
      logger,
      plugins: [
        noop({ ...patient, name: 'before', priority: 3, bulkhead: bulkhead('before') }),
        {
          from: from(),
          name: 'faulty',
          timeoutMs,
          priority: 2,
          bulkhead: bulkhead('faulty'),
          onFailure: policy,
          ...(limits === undefined ? {} : { limits }),
        },
        payloadLimiter({ maxBytes: 1 }, { ...patient, name: 'after', priority: 1, bulkhead: bulkhead('after') }),
        loginAuditor({}, { ...patient, name: 'auditor', bulkhead: 'beyond' }),
      ],
    })
    const replaced: Stage['replaced'] = []
    engine.on('laneReplaced', (event) => replaced.push(event))
    stage = { engine, replaced, lines: logger.lines }
  })
  afterAll(() => stage?.engine.close())
  return () => stage as Stage
}

async function counts({ engine }: Stage, hookpoint: string): Promise<Record<string, number>> {
  const of = (name: string, labels: Record<string, string>) => metricOf(engine, name, { hookpoint, ...labels })
  return {
    calls: await of('calls_total', {}),
    before: await of('plugin_calls_total', { plugin: 'before' }),
    after: await of('plugin_calls_total', { plugin: 'after' }),
    failures: await of('plugin_failures_total', { plugin: 'faulty' }),
  }
}

async function judge(stage: Stage, { failure, act, says }: Forced, action: FailureAction): Promise<void> {
  const earlier = await counts(stage, 'onMessageEnqueue')
  const kind = await metricOf(stage.engine, 'plugin_failures_total', { plugin: 'faulty', failure })
  const verdict = await stage.engine.hooks.onMessageEnqueue(message(act, ARGUMENT))
  const failed = {
    kind: failure,
    plugin: 'faulty',
    hookpoint: 'onMessageEnqueue',
    message: expect.stringMatching(says),
    waitedMs: expect.any(Number),
    ranMs: expect.any(Number),
    ...(failure === 'error'
      ? { error: { name: 'Error', message: expect.any(String), stack: expect.any(String) } }
      : {}),
  }
  if (action === 'deny') {
    expect(verdict).toEqual({
      kind: 'reject',
      plugin: 'faulty',
      reason: 'the operation could not be checked',
      failure: failed,
      resume: { startAt: 'faulty' },
    })
  } else {
    const reason = `payload too large: ${ARGUMENT} > 1 bytes`
    expect(verdict).toEqual({ kind: 'reject', plugin: 'after', reason, failure: failed })
  }
  const later = await counts(stage, 'onMessageEnqueue')
  expect(later).toEqual({
    calls: (earlier.calls as number) + 1,
    before: (earlier.before as number) + 1,
    after: (earlier.after as number) + (action === 'allow' ? 1 : 0),
    failures: (earlier.failures as number) + 1,
  })
  expect(await metricOf(stage.engine, 'plugin_failures_total', { plugin: 'faulty', failure })).toBe(kind + 1)
}

async function askAndJudge(stage: Stage, forced: Forced, action: FailureAction): Promise<void> {
  await judge(stage, forced, action)
  await until('the lanes to be idle', async () => (await metricOf(stage.engine, 'in_flight')) === 0)
  if (forced.isHang) await until('the lane to be replaced', () => stage.replaced.length > 0)
  const replaced = stage.replaced.splice(0)
  expect(replaced.map(({ reason, plugin }) => [reason, plugin])).toEqual(forced.isHang ? [['hang', 'faulty']] : [])
  // It serves again.
  expect(await stage.engine.hooks.onMessageEnqueue(message('rejects', ARGUMENT))).toMatchObject({
    plugin: 'faulty',
    reason: 'acts: rejected',
  })
}

async function askQuarantined(stage: Stage, action: FailureAction): Promise<void> {
  stage.engine.quarantine('faulty')
  try {
    await judge(stage, { failure: 'quarantined', act: 'traps', says: /is quarantined/ }, action)
  } finally {
    stage.engine.release('faulty')
  }
}

async function askOverloaded(stage: Stage, action: FailureAction): Promise<void> {
  const occupying = stage.engine.hooks.onMessageEnqueue(message('blocksMs', 800))
  await until(
    'the slot to be taken',
    async () => (await metricOf(stage.engine, 'in_flight', { bulkhead: 'faulty' })) === 1,
  )
  await judge(stage, { failure: 'overload', act: 'traps', says: /bulkhead faulty is full: 1 calls/ }, action)
  expect(await occupying).toMatchObject({ kind: 'reject', plugin: 'after' })
}

let logins = 0
async function tellAndJudge(stage: Stage, username: string, failure: FailureKind | null): Promise<void> {
  logins += 1
  const earlier = await counts(stage, 'onAuth')
  const name = `${username}-${logins}`
  stage.engine.hooks.onAuth({ username: name, success: false, failureReason: 'no' })
  await stage.engine.flush()
  await until('the auditor to be told', () => stage.lines.some((line) => line.message.includes(`'${name}'`)))
  const later = await counts(stage, 'onAuth')
  expect(later).toEqual({
    calls: (earlier.calls as number) + 1,
    before: (earlier.before as number) + 1,
    after: 0,
    failures: (earlier.failures as number) + (failure === null ? 0 : 1),
  })
  expect(stage.replaced).toEqual([])
}
