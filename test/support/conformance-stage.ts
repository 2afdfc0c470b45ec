/**
 * The stage of the conformance suite: the engine with its chain of before, faulty, after and beyond, the first three in one
 * bulkhead or each in its own, the last always apart; and what is counted there.
 */
import { createHookEngine, type FailureKind, type FailurePolicy, type PluginOptions } from 'hookring'
import { afterAll, beforeAll, expect } from 'vitest'
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
    /** Comes back after the faulty plugin's deadline: too late for a call, late for an observation. */
    readonly late: readonly string[]
    readonly crash: readonly string[]
    readonly error: readonly string[]
    readonly invalid: Readonly<Record<AskedKind, readonly string[]>>
  }
  /** Why a lane is said to have been replaced after a crash. */
  readonly crashReason: string
}

/** The short deadline of the faulty plugin. */
export const HASTY_MS = 60

export type Layout = 'one bulkhead' | 'bulkheads of their own'

export interface Setting {
  readonly layout: Layout
  readonly policy: FailurePolicy | undefined
  /** The faulty plugin has its short deadline. Else as much time as the others: what is no timeout shall not become one. */
  readonly isHasty?: boolean
  readonly limits?: PluginOptions['limits']
}

const PATIENT_MS = 5_000

export interface Stage extends Lab {
  readonly layout: Layout
}

export function useStage(runtime: RuntimeUnderTest, setting: Setting): () => Stage {
  const { layout, policy, isHasty = false, limits } = setting
  let stage: Stage | undefined
  beforeAll(async () => {
    const logger = recordingLogger()
    const bulkhead = (name: string) => (layout === 'one bulkhead' ? 'shared' : name)
    const patient = { timeoutMs: PATIENT_MS }
    const engine = await createHookEngine({
      contract: lab,
      quarantine: false,
      hangMs: 2_000,
      logger,
      plugins: [
        { ...runtime.plugin('before'), ...patient, priority: 3, bulkhead: bulkhead('before') },
        {
          ...runtime.plugin('faulty'),
          timeoutMs: isHasty ? HASTY_MS : PATIENT_MS,
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

/** Keeps the faulty plugin's only slot occupied while `body` runs. */
export async function occupied(stage: Stage, body: () => Promise<void>): Promise<void> {
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
export async function recovered(stage: Stage, runtime: RuntimeUnderTest, failure: FailureKind): Promise<void> {
  await until('the lanes to be idle', async () => (await stage.metric('in_flight')) === 0)
  if (failure !== 'crash') return
  await stage.heard('laneReplaced')
  const [replaced, ...others] = stage.said.laneReplaced.splice(0)
  expect(others).toEqual([])
  expect(replaced).toMatchObject({
    reason: runtime.crashReason,
    plugin: 'faulty',
    bulkhead: stage.layout === 'one bulkhead' ? 'shared' : 'faulty',
  })
}

export type Counts = Record<string, number>

export async function counts({ engine }: Stage, hookpoint: string): Promise<Counts> {
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
export function difference(later: Counts, earlier: Counts): Counts {
  const changed = Object.keys(later).map((key) => [key, (later[key] as number) - (earlier[key] as number)] as const)
  return Object.fromEntries(changed.filter(([, by]) => by !== 0))
}
