/**
 * The conformance suite of runtimes: every failure, at every kind of hookpoint, under every policy, forced for real. A
 * runtime passes it whose plugins follow the acts of fixtures/lab/actor.mjs; what it cannot be made to do it leaves out.
 */
import type { FailureAction, FailureKind, FailurePolicy } from 'hookring'
import { describe, it } from 'vitest'
import {
  askAndJudge,
  askOverloaded,
  askQuarantined,
  type Forced,
  tellAndIgnore,
  tellAndJudge,
  tellAndWait,
  tellOverloaded,
  tellQuarantined,
} from './conformance-judge.js'
import { type AskedKind, HASTY_MS, type RuntimeUnderTest, useStage } from './conformance-stage.js'

export type { RuntimeUnderTest } from './conformance-stage.js'

/** What every plugin of JavaScript can be made to do wrong. */
export const SPOILED = {
  error: ['throws spoiled', 'later throws spoiled'],
  invalid: {
    gate: ['returns a number', 'later returns an empty object'],
    transform: ['returns an array', 'returns a replace with a wrong type', 'returns a replace that the schema refuses'],
    respond: ['returns an answer of a wrong type', 'later returns an answer that the schema refuses'],
  },
} satisfies Partial<RuntimeUnderTest['acts']>

const KINDS = ['gate', 'transform', 'respond'] as const
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
  [
    'crashes, errors and quarantine are allowed, nothing is said of the rest',
    { crash: 'allow', error: 'allow', quarantined: 'allow' },
  ],
]

const ACROSS_BULKHEADS = POLICIES.filter(([, policy]) => policy !== 'deny' && policy !== 'raise')

/** What the documentation says that a failure becomes. */
function actionOf(kind: AskedKind, policy: FailurePolicy | undefined, failure: FailureKind): FailureAction {
  const said = typeof policy === 'string' ? policy : policy?.[failure]
  return said ?? (kind === 'respond' ? 'raise' : 'deny')
}

export function describeConformance(runtime: RuntimeUnderTest): void {
  describe(`runtime ${runtime.name}`, () => {
    for (const layout of ['one bulkhead', 'bulkheads of their own'] as const) {
      // Where the plugin stands makes no difference to what its policy says: some policies will do across bulkheads.
      for (const [policyName, policy] of layout === 'one bulkhead' ? POLICIES : ACROSS_BULKHEADS) {
        describe(`in ${layout}, policy: ${policyName}`, () => {
          const hasty = useStage(runtime, { layout, policy, isHasty: true })
          const patient = useStage(runtime, { layout, policy })
          const stageFor = ({ failure }: Forced) => (failure === 'timeout' ? hasty() : patient())
          for (const kind of KINDS) {
            for (const forced of forcedAt(runtime, kind)) {
              const action = actionOf(kind, policy, forced.failure)
              it(`${a(kind)} whose plugin ${forced.act}: ${forced.failure}, ${OUTCOME[action]}`, () =>
                askAndJudge(stageFor(forced), runtime, kind, forced, action))
            }
            const action = actionOf(kind, policy, 'quarantined')
            it(`${a(kind)} whose plugin is quarantined: quarantined, ${OUTCOME[action]}`, () =>
              askQuarantined(patient(), kind, action))
          }
          for (const forced of forcedAt(runtime, 'observe')) {
            it(`an observation whose plugin ${forced.act}: ${forced.failure} is counted, the others are told`, () =>
              tellAndJudge(stageFor(forced), runtime, forced))
          }
          for (const act of runtime.acts.late) {
            it(`an observation whose plugin ${act}: it is delivered, late`, () => tellAndWait(hasty(), runtime, act))
          }
          it('an observation whose plugin is quarantined: it is counted, the others are told', () =>
            tellQuarantined(patient()))
          it('an observation whose plugin returns something: that is nobody’s business', () =>
            tellAndIgnore(patient(), runtime))
        })
      }
    }

    for (const [policyName, policy] of POLICIES) {
      describe(`with a bulkhead that is full, policy: ${policyName}`, () => {
        const stage = useStage(runtime, { layout: 'bulkheads of their own', policy, limits: { slots: 1, queue: 0 } })
        for (const kind of KINDS) {
          const action = actionOf(kind, policy, 'overload')
          it(`${a(kind)} that finds it full: overload, ${OUTCOME[action]}`, () =>
            askOverloaded(stage(), runtime, kind, action))
        }
        it('an observation that finds it full: it is counted, dropped and reported, the others are told', () =>
          tellOverloaded(stage(), runtime))
      })
    }
  })
}

const OUTCOME = {
  deny: 'the call is rejected',
  allow: 'the chain goes on',
  raise: 'the caller gets PLUGIN_FAILED',
} as const

const a = (kind: string) => `a ${kind}`

function forcedAt(runtime: RuntimeUnderTest, kind: AskedKind | 'observe'): Forced[] {
  const { acts } = runtime
  const late = kind === 'observe' ? [] : acts.late
  return [
    ...[...acts.timeout, ...late].map((act) => ({
      failure: 'timeout' as const,
      act,
      says: new RegExp(`timed out after ${HASTY_MS} ms`),
    })),
    ...acts.crash.map((act) => ({ failure: 'crash' as const, act, says: /crashed/ })),
    ...acts.error.map((act) => ({ failure: 'error' as const, act, says: /threw.*spoiled/ })),
    ...(kind === 'observe' ? [] : acts.invalid[kind]).map((act) => ({
      failure: 'invalid' as const,
      act,
      says: /gave no valid verdict/,
    })),
  ]
}
