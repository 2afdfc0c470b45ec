/**
 * Engines of the lab contract for tests: opened with actors for plugins, closed when the test is over, with everything
 * kept that the engine says of itself.
 */
import { createHookEngine, type EngineOptions, type HookEngine, type HookringError, type PluginOptions } from 'hookring'
import { onTestFinished } from 'vitest'
import { type LabPoints, lab } from '../fixtures/lab/contract.mjs'
import { createTrail, readTrail } from '../fixtures/lab/trail.mjs'
import { type LoggedLine, recordingLogger } from './recording-logger.js'
import { until } from './until.js'

export { until } from './until.js'
export { createTrail, readTrail }

export type LabEngine = HookEngine<LabPoints>
export type LabOptions = Omit<EngineOptions<LabPoints>, 'contract' | 'logger'>

/** A logger that says nothing. */
export const silent = { debug() {}, info() {}, warn() {}, error() {} }

export const fixture = (name: string) => new URL(`../fixtures/${name}`, import.meta.url)

/** A plugin of the name that does what events tell it. */
export function actor(name: string, options: Partial<PluginOptions> = {}): PluginOptions {
  return { from: fixture('lab/actor.mjs'), name, ...options }
}

export interface Lab {
  readonly engine: LabEngine
  readonly hooks: LabEngine['hooks']
  readonly lines: readonly LoggedLine[]
  readonly said: {
    readonly deadLetter: { hookpoint: string; plugin: string; event: unknown; reason: string }[]
    readonly laneReplaced: {
      bulkhead: string
      lane: string
      reason: string
      plugin: string | undefined
      message: string
      tookMs: number
      hookpoint: string | undefined
    }[]
    readonly pluginQuarantined: { plugin: string; by: string }[]
    readonly pluginReleased: { plugin: string }[]
    readonly zombie: { bulkhead: string; plugin: string | undefined }[]
    readonly error: HookringError[]
  }
  /** Resolves when the engine has said that often what is named. */
  heard(name: keyof Lab['said'], count?: number): Promise<void>
  /** Resolves with the first line for which `test` holds. */
  line(test: (line: LoggedLine) => boolean): Promise<LoggedLine>
  /** The value of a metric, rows added up that have the labels. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
}

/** Without spares, which take time to boot: most tests lose no lane. @param keep the test closes it. */
export async function openLab(options: LabOptions = {}, { keep = false } = {}): Promise<Lab> {
  const logger = recordingLogger()
  // Ample: where time is to run out, a test says so. On a busy machine the engine's own default may run out by itself.
  const ample = { quarantine: false, spares: 0, timeoutMs: 1_000 } as const
  const engine = await createHookEngine({ ...ample, ...options, contract: lab, logger })
  if (!keep) onTestFinished(() => engine.close())
  return watch(engine, logger.lines)
}

const NAMES = ['deadLetter', 'laneReplaced', 'pluginQuarantined', 'pluginReleased', 'zombie', 'error'] as const

export function watch(engine: LabEngine, lines: readonly LoggedLine[]): Lab {
  const said = Object.fromEntries(NAMES.map((name) => [name, [] as unknown[]])) as unknown as Lab['said']
  for (const name of NAMES) engine.on(name, (event: unknown) => (said[name] as unknown[]).push(event))
  return {
    engine,
    hooks: engine.hooks,
    lines,
    said,
    heard: (name, count = 1) => until(`${count} of ${name}`, () => said[name].length >= count),
    async line(test) {
      await until('a line', () => lines.some(test))
      return lines.find(test) as LoggedLine
    },
    metric: (name, labels = {}) => metricOf(engine, name, labels),
  }
}

export interface Sample {
  /** Without the prefix. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

type Scraped = { readonly registry: { metrics(): Promise<string> } }

/** Every sample of the engine's metrics, read from what a scrape gets. */
export async function scrape(engine: Scraped): Promise<Sample[]> {
  const samples: Sample[] = []
  for (const line of (await engine.registry.metrics()).split('\n')) {
    const [, name, text = '', value] = /^hookring_(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) continue
    const labels = Object.fromEntries([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]))
    samples.push({ name, labels, value: Number(value) })
  }
  return samples
}

export async function metricOf(engine: Scraped, name: string, labels: Sample['labels'] = {}): Promise<number> {
  const rows = (await scrape(engine)).filter((sample) => sample.name === name)
  const wanted = rows.filter((row) => Object.entries(labels).every(([key, value]) => row.labels[key] === value))
  return wanted.reduce((sum, { value }) => sum + value, 0)
}

/** The error that a promise is rejected with. */
export async function refusalOf(promise: Promise<unknown>): Promise<HookringError> {
  try {
    await promise
  } catch (error) {
    return error as HookringError
  }
  throw new Error('it was not refused')
}

/** The runs of hooks in a trail: `NAME ID`, and what acts noted behind it. */
export function runsIn(trail: SharedArrayBuffer): string[] {
  return readTrail(trail).filter((line) => / \d/.test(line))
}

/** The ends of plugins' lives in a trail: `NAME setup|onShutdown|destroy`. */
export function stagesIn(trail: SharedArrayBuffer): string[] {
  return readTrail(trail).filter((line) => !/ \d/.test(line))
}
