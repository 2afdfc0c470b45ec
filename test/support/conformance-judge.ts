/**
 * What the conformance suite asks and tells on its stage, and how it judges what comes of it: verdict, failure, who was
 * asked besides, and what was counted.
 */
import type { CutShortBy, FailureAction, FailureKind } from 'hookring'
import { expect } from 'vitest'
import {
  type AskedKind,
  counts,
  difference,
  HASTY_MS,
  occupied,
  type RuntimeUnderTest,
  recovered,
  type Stage,
} from './conformance-stage.js'
import { until } from './lab.js'

const HOOKPOINTS = { gate: 'onGate', transform: 'onTransform', respond: 'onRespond' } as const

export interface Forced {
  readonly failure: FailureKind
  readonly act: string
  /** What the failure's message must say besides the plugin's and the hookpoint's names. */
  readonly says: RegExp
}

/** What the plugins besides the faulty one do, so that the outcome tells who was asked, and with what event. */
const OTHERS: Readonly<Record<AskedKind, Readonly<Record<string, string>>>> = {
  gate: { beyond: 'shows' },
  transform: { before: 'marks', after: 'marks', beyond: 'marks' },
  respond: { beyond: 'shows' },
}

let lastId = 0

export async function askAndJudge(
  stage: Stage,
  runtime: RuntimeUnderTest,
  kind: AskedKind,
  forced: Forced,
  action: FailureAction,
): Promise<void> {
  const { failure, act, says } = forced
  const judged = await judge(stage, kind, failure, action, () => ask(stage, kind, act))
  expect(judged.message).toMatch(says)
  expect(judged.message).toMatch(/\(waited \d+\.\d ms, ran \d+\.\d ms\)$/)
  expect(judged.waitedMs).toBeGreaterThanOrEqual(0)
  expect(judged.ranMs).toBeGreaterThanOrEqual(0)
  if (failure === 'timeout') expect(judged.waitedMs + judged.ranMs).toBeGreaterThan(HASTY_MS - 5)
  await recovered(stage, runtime, failure)
  expect(stage.said.deadLetter).toEqual([])
}

export async function askQuarantined(stage: Stage, kind: AskedKind, action: FailureAction): Promise<void> {
  stage.engine.quarantine('faulty')
  try {
    const judged = await judge(stage, kind, 'quarantined', action, () =>
      ask(stage, kind, 'throws: it must not be asked'),
    )
    expect(judged.message).toMatch(/is quarantined/)
    expect([judged.waitedMs, judged.ranMs]).toEqual([0, 0])
  } finally {
    stage.engine.release('faulty')
  }
}

export async function askOverloaded(
  stage: Stage,
  runtime: RuntimeUnderTest,
  kind: AskedKind,
  action: FailureAction,
): Promise<void> {
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
  readonly cutShortBy?: CutShortBy
}

/** Makes the call and checks what it comes to, and what is counted for it. */
async function judge(
  stage: Stage,
  kind: AskedKind,
  failure: FailureKind,
  action: FailureAction,
  call: () => Promise<unknown>,
): Promise<Judged> {
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
    expect(outcome.error).toMatchObject({
      name: 'HookringError',
      code: 'PLUGIN_FAILED',
      plugin: 'faulty',
      hookpoint,
      cause: failed,
    })
  } else if (action === 'deny') {
    expect(outcome.error).toBeUndefined()
    expect(outcome.verdict).toMatchObject({
      ...{ kind: 'reject', plugin: 'faulty', reason: expect.any(String), failure: failed },
      resume: { startAt: 'faulty' },
    })
    expect(outcome.verdict).toMatchObject({ reason: 'the operation could not be checked' })
  } else {
    expect(outcome.error).toBeUndefined()
    const verdicts = {
      gate: { kind: 'reject', plugin: 'beyond', reason: 'beyond saw "e"', failure: failed },
      transform: {
        kind: 'replace',
        plugin: 'beyond',
        event: expect.objectContaining({ id: lastId, text: 'e+before+after+beyond' }),
        failure: failed,
      },
      respond: { kind: 'respond', plugin: 'beyond', value: { text: 'beyond saw "e"' }, failure: failed },
    }
    expect(outcome.verdict).toEqual(verdicts[kind])
  }
  const judged = seen as unknown as Judged
  expect(judged, judged.message).toMatchObject({
    kind: failure,
    plugin: 'faulty',
    hookpoint,
    waitedMs: expect.any(Number),
    ranMs: expect.any(Number),
    ...(judged.cutShortBy === undefined ? {} : { cutShortBy: 'waiting' }),
  })
  if (failure !== 'overload') expect(judged.message).toContain('plugin faulty')

  const later = await count()
  const goesOn = action === 'allow' ? 1 : 0
  // One whose time ran out before its lane began was not asked.
  const wasAsked = failure !== 'quarantined' && failure !== 'overload' && judged.ranMs > 0
  expect(difference(later, earlier)).toEqual({
    calls: 1,
    // A busy machine may take a plugin's time from it: then the failure is not the plugin's own.
    ...(judged.cutShortBy === undefined ? { [`faulty ${failure}`]: 1 } : {}),
    before: 1,
    ...(wasAsked ? { faulty: 1 } : {}),
    ...(goesOn ? { after: 1, beyond: 1 } : {}),
    ...(action === 'raise'
      ? {}
      : { [action === 'deny' || kind === 'gate' ? 'reject' : kind === 'transform' ? 'replace' : 'respond']: 1 }),
  })
  return judged
}

export async function tellAndJudge(stage: Stage, runtime: RuntimeUnderTest, { failure, act }: Forced): Promise<void> {
  await tellAnd(stage, act, { failure, isTold: true, before: failure !== 'crash' })
  await recovered(stage, runtime, failure)
  const letters = stage.said.deadLetter.splice(0)
  if (failure !== 'crash') expect(letters).toEqual([])
  else {
    const event = expect.objectContaining({ id: lastId, text: 'e' })
    expect(letters).toEqual([{ hookpoint: 'onObserve', plugin: 'faulty', event, reason: 'crash' }])
  }
}

export async function tellAndWait(stage: Stage, runtime: RuntimeUnderTest, act: string): Promise<void> {
  await tellAnd(stage, act, { failure: null, isTold: true, before: true })
  await recovered(stage, runtime, 'timeout')
}

export async function tellQuarantined(stage: Stage): Promise<void> {
  stage.engine.quarantine('faulty')
  await tellAnd(stage, 'throws: it must not be told', { failure: 'quarantined', isTold: false, before: true })
  stage.engine.release('faulty')
}

export async function tellAndIgnore(stage: Stage, runtime: RuntimeUnderTest): Promise<void> {
  const act = runtime.acts.invalid.gate[0]
  if (act !== undefined) await tellAnd(stage, act, { failure: null, isTold: true, before: true })
}

export async function tellOverloaded(stage: Stage, runtime: RuntimeUnderTest): Promise<void> {
  await occupied(stage, async () => {
    const dropped = await stage.metric('observations_dropped_total', { bulkhead: 'faulty' })
    await tellAnd(stage, 'throws: it must not be told', { failure: 'overload', isTold: false, before: true })
    expect(await stage.metric('observations_dropped_total', { bulkhead: 'faulty' })).toBe(dropped + 1)
    await stage.heard('deadLetter')
    const event = expect.objectContaining({ id: lastId, text: 'e' })
    expect(stage.said.deadLetter.splice(0)).toEqual([
      { hookpoint: 'onObserve', plugin: 'faulty', event, reason: 'overload' },
    ])
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
  const told = () =>
    stage.lines
      .filter(({ message, fields }) => message === 'told' && fields.id === id)
      .map(({ fields }) => fields.plugin)
  // Not a line that a lane wrote just before it ended: it may be lost.
  const expected = before ? ['after', 'before', 'beyond'] : ['after', 'beyond']
  await until('the others to be told', () => expected.every((plugin) => told().includes(plugin)))
  expect(
    told()
      .filter((plugin) => before || plugin !== 'before')
      .sort(),
  ).toEqual(expected)
  expect(difference(await counts(stage, 'onObserve'), earlier)).toEqual({
    calls: 1,
    ...(failure === null ? {} : { [`faulty ${failure}`]: 1 }),
    before: 1,
    ...(isTold ? { faulty: 1 } : {}),
    after: 1,
    beyond: 1,
  })
}
