/**
 * The conformance suite of runtimes: every failure, at every kind of hookpoint, under every policy, forced for real. A
 * runtime passes it whose plugins follow the acts of fixtures/lab/actor.mjs; what it cannot be made to do it leaves out.
 *
 * The chain is before, faulty, after, beyond: the first three in one bulkhead or each in its own, the last always apart.
 */
import type { FailureAction, FailureKind, FailurePolicy, PluginOptions } from 'hookring'
import { createHookEngine } from 'hookring'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lab } from '../fixtures/lab/contract.mjs'
import { type Lab, scrape, until, watch } from './lab.js'
import { recordingLogger } from './recording-logger.js'

export type AskedKind = 'gate' | 'transform' | 'respond'

export interface RuntimeUnderTest {
  readonly name: string
  /** A plugin that follows the acts addressed to `name`. */
  plugin(name: string): PluginOptions
  /** Acts that come to the failure, each tried by itself; none: the runtime cannot be brought to it. */
  readonly acts: {
    /** Never comes back by itself. */
    readonly timeout: readonly string[]
    /** Comes back after the deadline of FAULTY_TIMEOUT_MS: too late for a call, late for an observation. */
    readonly late: readonly string[]
    readonly crash: readonly string[]
    readonly error: readonly string[]
    readonly invalid: Readonly<Record<AskedKind, readonly string[]>>
  }
  /** Why a lane is said to have been replaced after a crash. */
  readonly crashReason: string
}

const HOOKPOINTS = { gate: 'onGate', transform: 'onTransform', respond: 'onRespond' } as const
const KINDS = ['gate', 'transform', 'respond'] as const
export const FAULTY_TIMEOUT_MS = 60

type Policy = readonly [name: string, policy: FailurePolicy | undefined]

const POLICIES: readonly Policy[] = [
  ['nothing is said', undefined],
  ['deny', 'deny'],
  ['allow', 'allow'],
  ['raise', 'raise'],
  [
    'timeouts, overload and bad verdicts are allowed, the rest is denied',
    { timeout: 'allow', crash: 'deny', error: 'deny', overload: 'allow', quarantined: 'deny', invalid: 'allow' },
  ],
  ['crashes, errors and quarantine are allowed, nothing is said of the rest', { crash: 'allow', error: 'allow', quarantined: 'allow' }],
]

/** What the documentation says that a failure becomes. */
function actionOf(kind: AskedKind, policy: FailurePolicy | undefined, failure: FailureKind): FailureAction {
  const said = typeof policy === 'string' ? policy : policy?.[failure]
  if (kind === 'respond') return said ?? 'raise'
  return said === 'allow' ? 'allow' : 'deny'
}

type Layout = 'one bulkhead' | 'bulkheads of their own'

interface Stage extends Lab {
  readonly layout: Layout
}

interface Forced {
  readonly failure: FailureKind
  readonly act: string
  /** What the failure's message must say besides the plugin's and the hookpoint's names. */
  readonly says: RegExp
}

export function describeConformance(runtime: RuntimeUnderTest): void {
  describe(`runtime ${runtime.name}`, () => {
    for (const layout of ['one bulkhead', 'bulkheads of their own'] as const) {
      for (const [policyName, policy] of POLICIES) {
        describe(`in ${layout}, policy: ${policyName}`, () => {
          const stage = useStage(runtime, layout, policy)
          for (const kind of KINDS) {
            for (const forced of forcedAt(runtime, kind)) {
              const action = actionOf(kind, policy, forced.failure)
              it(`${a(kind)} whose plugin ${forced.act}: ${forced.failure}, ${OUTCOME[action]}`, () =>
                askAndJudge(stage(), runtime, kind, forced, action))
            }
            const action = actionOf(kind, policy, 'quarantined')
            it(`${a(kind)} whose plugin is quarantined: quarantined, ${OUTCOME[action]}`, () =>
              askQuarantined(stage(), runtime, kind, action))
          }
          for (const forced of forcedAt(runtime, 'observe')) {
            it(`an observation whose plugin ${forced.act}: ${forced.failure} is counted, the others are told`, () =>
              tellAndJudge(stage(), runtime, forced))
          }
          for (const act of runtime.acts.late) {
            it(`an observation whose plugin ${act}: it is delivered, late`, () => tellAndWait(stage(), runtime, act))
          }
          it('an observation whose plugin is quarantined: it is counted, the others are told', () => tellQuarantined(stage(), runtime))
          it('an observation whose plugin returns something: that is nobody’s business', () => tellAndIgnore(stage(), runtime))
        })
      }
    }

    for (const [policyName, policy] of POLICIES) {
      describe(`with a bulkhead that is full, policy: ${policyName}`, () => {
        const stage = useStage(runtime, 'bulkheads of their own', policy, { slots: 1, queue: 0 })
        for (const kind of KINDS) {
          const action = actionOf(kind, policy, 'overload')
          it(`${a(kind)} that finds it full: overload, ${OUTCOME[action]}`, () => askOverloaded(stage(), runtime, kind, action))
        }
        it('an observation that finds it full: it is counted, dropped and reported, the others are told', () => tellOverloaded(stage(), runtime))
      })
    }
  })
}

const OUTCOME = { deny: 'the call is rejected', allow: 'the chain goes on', raise: 'the caller gets PLUGIN_FAILED' } as const

const a = (kind: string) => `a ${kind}`

function forcedAt({ acts }: RuntimeUnderTest, kind: AskedKind | 'observe'): Forced[] {
  const late = kind === 'observe' ? [] : acts.late
  return [
    ...[...acts.timeout, ...late].map((act) => ({ failure: 'timeout' as const, act, says: new RegExp(`timed out after ${FAULTY_TIMEOUT_MS} ms`) })),
    ...acts.crash.map((act) => ({ failure: 'crash' as const, act, says: /crashed/ })),
    ...acts.error.map((act) => ({ failure: 'error' as const, act, says: /threw.*spoiled/ })),
    ...(kind === 'observe' ? [] : acts.invalid[kind]).map((act) => ({ failure: 'invalid' as const, act, says: /gave no valid verdict/ })),
  ]
}

function useStage(runtime: RuntimeUnderTest, layout: Layout, policy: FailurePolicy | undefined, limits: PluginOptions['limits'] = undefined): () => Stage {
  let stage: Stage | undefined
  beforeAll(async () => {
    const logger = recordingLogger()
    const bulkhead = (name: string) => (layout === 'one bulkhead' ? 'shared' : name)
    const patient = { timeoutMs: 5_000 }
    const engine = await createHookEngine({
      contract: lab,
      quarantine: false,
      hangMs: 2_000,
      logger,
      plugins: [
        { ...runtime.plugin('before'), ...patient, priority: 3, bulkhead: bulkhead('before') },
        {
          ...runtime.plugin('faulty'),
          timeoutMs: limits === undefined ? FAULTY_TIMEOUT_MS : patient.timeoutMs,
          priority: 2,
          bulkhead: bulkhead('faulty'),
          onFailure: policy,
          ...(limits === undefined ? {} : { limits }),
        },
        { ...runtime.plugin('after'), ...patient, priority: 1, bulkhead: bulkhead('after') },
        { ...runtime.plugin('beyond'), ...patient, bulkhead: 'beyond' },
      ],
    })
    stage = { ...watch(engine, logger.lines), layout }
  })
  afterAll(() => stage?.engine.close())
  return () => stage as Stage
}

/** What the plugins besides the faulty one do, so that the outcome tells who was asked, and with what event. */
const OTHERS: Readonly<Record<AskedKind, Readonly<Record<string, string>>>> = {
  gate: { beyond: 'shows' },
  transform: { before: 'marks', after: 'marks', beyond: 'marks' },
  respond: { beyond: 'shows' },
}

let lastId = 0

async function askAndJudge(stage: Stage, runtime: RuntimeUnderTest, kind: AskedKind, forced: Forced, action: FailureAction): Promise<void> {
  const { failure, act, says } = forced
  const judged = await judge(stage, kind, failure, action, () => ask(stage, kind, act))
  expect(judged.message).toMatch(says)
  expect(judged.message).toMatch(/\(waited \d+\.\d ms, ran \d+\.\d ms\)$/)
  expect(judged.waitedMs).toBeGreaterThanOrEqual(0)
  expect(judged.ranMs).toBeGreaterThanOrEqual(0)
  if (failure === 'timeout') expect(judged.waitedMs + judged.ranMs).toBeGreaterThan(FAULTY_TIMEOUT_MS - 5)
  await recovered(stage, runtime, failure)
  expect(stage.said.deadLetter).toEqual([])
}

async function askQuarantined(stage: Stage, runtime: RuntimeUnderTest, kind: AskedKind, action: FailureAction): Promise<void> {
  stage.engine.quarantine('faulty')
  try {
    const judged = await judge(stage, kind, 'quarantined', action, () => ask(stage, kind, 'throws: it must not be asked'))
    expect(judged.message).toMatch(/is quarantined/)
    expect([judged.waitedMs, judged.ranMs]).toEqual([0, 0])
  } finally {
    stage.engine.release('faulty')
  }
  expect(runtime.name).toBeTruthy()
}

async function askOverloaded(stage: Stage, runtime: RuntimeUnderTest, kind: AskedKind, action: FailureAction): Promise<void> {
  await occupied(stage, async () => {
    const judged = await judge(stage, kind, 'overload', action, () => ask(stage, kind, 'throws: it must not be asked'))
    expect(judged.message).toMatch(/bulkhead faulty is full: 1 calls in flight, 0 waiting/)
  })
  await recovered(stage, runtime, 'overload')
}

function ask({ hooks }: Stage, kind: AskedKind, act: string): Promise<unknown> {
  lastId += 1
  return hooks[HOOKPOINTS[kind]]({ id: lastId, text: 'e', acts: { ...OTHERS[kind], faulty: act } })
}

interface Judged {
  readonly message: string
  readonly waitedMs: number
  readonly ranMs: number
}

/** Makes the call and checks what it comes to, and what is counted for it. */
async function judge(stage: Stage, kind: AskedKind, failure: FailureKind, action: FailureAction, call: () => Promise<unknown>): Promise<Judged> {
  const hookpoint = HOOKPOINTS[kind]
  const count = () => counts(stage, hookpoint)
  const earlier = await count()
  let seen: Judged | undefined
  const failed = expect.toSatisfy((value: unknown) => {
    seen = value as Judged
    return true
  }, 'failure')
  const outcome = await call().then(
    (verdict) => ({ verdict, error: undefined }),
    (error: unknown) => ({ verdict: undefined, error: error as object }),
  )
  if (action === 'raise') {
    expect(outcome.error).toMatchObject({ name: 'HookringError', code: 'PLUGIN_FAILED', plugin: 'faulty', hookpoint, cause: failed })
  } else if (action === 'deny') {
    expect(outcome.error).toBeUndefined()
    expect(outcome.verdict).toEqual({ kind: 'reject', plugin: 'faulty', reason: expect.any(String), failure: failed })
    expect(outcome.verdict).toMatchObject({ reason: seen?.message })
  } else {
    expect(outcome.error).toBeUndefined()
    const verdicts = {
      gate: { kind: 'reject', plugin: 'beyond', reason: 'beyond saw "e"', failure: failed },
      transform: { kind: 'replace', plugin: 'beyond', event: expect.objectContaining({ id: lastId, text: 'e+before+after+beyond' }), failure: failed },
      respond: { kind: 'respond', plugin: 'beyond', value: { text: 'beyond saw "e"' }, failure: failed },
    }
    expect(outcome.verdict).toEqual(verdicts[kind])
  }
  const judged = seen as unknown as Judged
  expect(judged, judged.message).toMatchObject({ kind: failure, plugin: 'faulty', hookpoint, waitedMs: expect.any(Number), ranMs: expect.any(Number) })
  if (failure !== 'overload') expect(judged.message).toContain('plugin faulty')

  const later = await count()
  const goesOn = action === 'allow' ? 1 : 0
  const wasAsked = failure === 'quarantined' || failure === 'overload' ? 0 : 1
  expect(difference(later, earlier)).toEqual({
    calls: 1,
    [`faulty ${failure}`]: 1,
    before: 1,
    ...(wasAsked ? { faulty: 1 } : {}),
    ...(goesOn ? { after: 1, beyond: 1 } : {}),
    ...(action === 'raise' ? {} : { [action === 'deny' || kind === 'gate' ? 'reject' : kind === 'transform' ? 'replace' : 'respond']: 1 }),
  })
  return judged
}

async function tellAndJudge(stage: Stage, runtime: RuntimeUnderTest, { failure, act }: Forced): Promise<void> {
  await tellAnd(stage, act, { failure, isTold: true, before: failure !== 'crash' })
  await recovered(stage, runtime, failure)
  const letters = stage.said.deadLetter.splice(0)
  if (failure !== 'crash') expect(letters).toEqual([])
  else {
    const event = expect.objectContaining({ id: lastId, text: 'e' })
    expect(letters).toEqual([{ hookpoint: 'onObserve', plugin: 'faulty', event, reason: 'crash' }])
  }
}

async function tellAndWait(stage: Stage, runtime: RuntimeUnderTest, act: string): Promise<void> {
  await tellAnd(stage, act, { failure: null, isTold: true, before: true })
  await recovered(stage, runtime, 'timeout')
}

async function tellQuarantined(stage: Stage, runtime: RuntimeUnderTest): Promise<void> {
  stage.engine.quarantine('faulty')
  await tellAnd(stage, 'throws: it must not be told', { failure: 'quarantined', isTold: false, before: true })
  stage.engine.release('faulty')
  expect(runtime.name).toBeTruthy()
}

async function tellAndIgnore(stage: Stage, runtime: RuntimeUnderTest): Promise<void> {
  const act = runtime.acts.invalid.gate[0]
  if (act !== undefined) await tellAnd(stage, act, { failure: null, isTold: true, before: true })
}

async function tellOverloaded(stage: Stage, runtime: RuntimeUnderTest): Promise<void> {
  await occupied(stage, async () => {
    const dropped = await stage.metric('observations_dropped_total', { bulkhead: 'faulty' })
    await tellAnd(stage, 'throws: it must not be told', { failure: 'overload', isTold: false, before: true })
    expect(await stage.metric('observations_dropped_total', { bulkhead: 'faulty' })).toBe(dropped + 1)
    await stage.heard('deadLetter')
    const event = expect.objectContaining({ id: lastId, text: 'e' })
    expect(stage.said.deadLetter.splice(0)).toEqual([{ hookpoint: 'onObserve', plugin: 'faulty', event, reason: 'overload' }])
  })
  await recovered(stage, runtime, 'overload')
}

async function tellAnd(
  stage: Stage,
  act: string,
  { failure, isTold, before }: { failure: FailureKind | null; isTold: boolean; before: boolean },
): Promise<void> {
  lastId += 1
  const id = lastId
  const earlier = await counts(stage, 'onObserve')
  const acts = { before: 'tells', faulty: act, after: 'tells', beyond: 'tells' }
  expect(stage.hooks.onObserve({ id, text: 'e', acts })).toBeUndefined()
  await stage.engine.flush()
  const told = () => stage.lines.filter(({ message, fields }) => message === 'told' && fields.id === id).map(({ fields }) => fields.plugin)
  // Not a line that a lane wrote just before it ended: it may be lost.
  const expected = before ? ['after', 'before', 'beyond'] : ['after', 'beyond']
  await until('the others to be told', () => expected.every((plugin) => told().includes(plugin)))
  expect(told().filter((plugin) => before || plugin !== 'before').sort()).toEqual(expected)
  expect(difference(await counts(stage, 'onObserve'), earlier)).toEqual({
    calls: 1,
    ...(failure === null ? {} : { [`faulty ${failure}`]: 1 }),
    before: 1,
    ...(isTold ? { faulty: 1 } : {}),
    after: 1,
    beyond: 1,
  })
}

/** Keeps the faulty plugin's only slot occupied while `body` runs. */
async function occupied(stage: Stage, body: () => Promise<void>): Promise<void> {
  // Another hookpoint than those that tests count at.
  const { signal, abort } = abortable()
  const occupying = stage.hooks.onParallel({ acts: { faulty: 'listens' } }, { signal }).catch(() => {})
  await until('the slot to be taken', async () => (await stage.metric('in_flight', { bulkhead: 'faulty' })) === 1)
  await body()
  abort()
  await occupying
}

function abortable(): { signal: AbortSignal; abort(): void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

/** The lanes are what they were, for the next test. */
async function recovered(stage: Stage, runtime: RuntimeUnderTest, failure: FailureKind): Promise<void> {
  await until('the lanes to be idle', async () => (await stage.metric('in_flight')) === 0)
  if (failure !== 'crash') return
  await stage.heard('laneReplaced')
  const [replaced, ...others] = stage.said.laneReplaced.splice(0)
  expect(others).toEqual([])
  expect(replaced).toMatchObject({ reason: runtime.crashReason, plugin: 'faulty', bulkhead: stage.layout === 'one bulkhead' ? 'shared' : 'faulty' })
}

type Counts = Record<string, number>

async function counts({ engine }: Stage, hookpoint: string): Promise<Counts> {
  const found: Counts = {}
  for (const { name, labels, value } of await scrape(engine)) {
    if (labels.hookpoint !== hookpoint) continue
    const { plugin = '', failure = '', verdict = '' } = labels
    if (name === 'calls_total') found.calls = value
    else if (name === 'verdicts_total') found[verdict] = value
    else if (name === 'plugin_calls_total') found[plugin] = value
    else if (name === 'plugin_failures_total') found[`${plugin} ${failure}`] = value
  }
  return found
}

/** What has changed. */
function difference(later: Counts, earlier: Counts): Counts {
  const changed = Object.keys(later).map((key) => [key, (later[key] as number) - (earlier[key] as number)] as const)
  return Object.fromEntries(changed.filter(([, by]) => by !== 0))
}
