/**
 * Asks a plugin in an engine, as a server would: one event after the other, so that what goes wrong has a place. In the
 * process that checks it.
 */
import type { Contract } from '../../contracts/index.js'
import { createHookEngine, type HookEngine, type PluginOptions } from '../../index.js'
import { Histogram } from '../measure/histogram.js'
import type { HookEvents } from './events.js'

export interface AskOptions {
  readonly plugin: PluginOptions
  readonly contract: Contract
  readonly timeoutMs: number
  readonly setupTimeoutMs: number
  /** Told, before any is asked, what the plugin subscribes to. */
  eventsOf(name: string, hookpoints: readonly string[]): Promise<readonly HookEvents[]>
  /** Told of each hookpoint that is begun. */
  onStep(hookpoint: string): void
}

/** Something that went wrong, and where. */
export interface Incident {
  /** `blocked`: the thread did not come back, and its lane was replaced. */
  readonly kind: 'timeout' | 'blocked' | 'crash' | 'error' | 'invalid'
  readonly hookpoint: string
  readonly index: number
  readonly message: string
  /** It went well when it was asked again: the machine may have been busy. */
  readonly isOnce: boolean
}

interface AskedHook {
  readonly hookpoint: string
  readonly events: number
  readonly verdicts: Readonly<Record<string, number>>
  readonly failures: Readonly<Record<string, number>>
  readonly runUs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** Why it was not asked about all. */
  readonly note: string | null
}

export interface Asked {
  readonly hooks: readonly AskedHook[]
  readonly incidents: readonly Incident[]
  /** Lines in which the lane tells of errors outside calls. */
  readonly uncaught: readonly string[]
  readonly shutdownFailure: string | null
  readonly destroyFailure: string | null
  readonly hadZombie: boolean
}

/** So many of a kind at one hookpoint say enough: each of these costs time, or a lane. */
const ENOUGH: Readonly<Partial<Record<Incident['kind'], number>>> = { timeout: 5, blocked: 2, crash: 3 }
/** For one hookpoint. */
const TIME_MS = 10_000
const HANG_MS = 100
/** For the lane to be replaced, once it should be. */
const REPLACE_MS = 1_500
const CLOSE_MS = 3_000
const GRACE_MS = 1_000
/** A call that its lane had no room for says nothing of the plugin. */
const RETRIES = 3

interface Settled {
  readonly kind: string
  readonly failure?: { readonly kind: string; readonly message: string }
}
type Hook = (event: unknown, options: { times: { waitedMs: number; ranMs: number } }) => Promise<Settled>

/** @throws HookringError when the engine does not start with the plugin */
export async function askInEngine(options: AskOptions): Promise<Asked> {
  const { plugin, timeoutMs } = options
  const lines: string[] = []
  const keep = (_: object, message: string) => void lines.push(message)
  const engine = await createHookEngine({
    contract: asGates(options.contract),
    plugins: [{ ...plugin, timeoutMs, onFailure: 'allow' }],
    quarantine: false,
    hangMs: HANG_MS,
    // Import and setup together.
    setupTimeoutMs: 2 * options.setupTimeoutMs,
    terminateGraceMs: GRACE_MS,
    shutdownTimeoutMs: CLOSE_MS,
    closeTimeoutMs: CLOSE_MS,
    logger: { debug() {}, info() {}, warn() {}, error: keep },
  })
  let hadZombie = false
  engine.on('zombie', () => {
    hadZombie = true
  })
  // What cannot be told to a caller is told here; without a listener it would be logged.
  engine.on('error', ({ message }) => keep({}, message))
  const incidents: Incident[] = []
  const hooks: AskedHook[] = []
  try {
    const [status] = engine.plugins
    for (const each of await options.eventsOf(status?.name ?? '', status?.hooks ?? [])) {
      if (each.events.length === 0) continue
      options.onStep(each.hookpoint)
      hooks.push(await askHook(engine, each, incidents))
    }
  } finally {
    await engine.close()
  }
  // close() does not wait for what does not end; a thread that has not gone by now is not going to.
  if (!hadZombie && incidents.some(({ kind }) => kind === 'blocked')) hadZombie = await becomesZombie(engine)
  return {
    hooks,
    incidents,
    uncaught: lines.filter((line) => /^(?:uncaught exception|unhandled rejection): /.test(line)),
    shutdownFailure: lineBehind(lines, 'onShutdown failed: '),
    destroyFailure: lineBehind(lines, 'destroy failed: '),
    hadZombie,
  }
}

/** The same contract with gates for observations: an observation has nobody to tell what went wrong with it. */
function asGates(contract: Contract): Contract {
  const hookpoints = Object.entries(contract.hookpoints).map(([name, point]) => [
    name,
    point.kind === 'observe' ? { ...point, kind: 'gate' } : point,
  ])
  return { ...contract, hookpoints: Object.fromEntries(hookpoints) }
}

async function askHook(
  engine: HookEngine,
  { hookpoint, events }: HookEvents,
  incidents: Incident[],
): Promise<AskedHook> {
  const hook = (engine.hooks as unknown as Record<string, Hook>)[hookpoint] as Hook
  const verdicts: Record<string, number> = {}
  const failures: Record<string, number> = {}
  const counts: Partial<Record<Incident['kind'], number>> = {}
  const ran = new Histogram()
  const until = performance.now() + TIME_MS
  let asked = 0
  let note: string | null = null
  for (const [index, event] of events.entries()) {
    const times = { waitedMs: 0, ranMs: 0 }
    const lost = nextLaneLost(engine)
    const verdict = await askOnce(hook, event, times)
    asked += 1
    ran.record(times.ranMs * 1000)
    const { failure } = verdict
    if (failure === undefined) {
      verdicts[verdict.kind] = (verdicts[verdict.kind] ?? 0) + 1
      lost.forget()
    } else {
      const kind = await kindOf(failure, lost)
      failures[kind] = (failures[kind] ?? 0) + 1
      counts[kind] = (counts[kind] ?? 0) + 1
      const isOnce = kind === 'timeout' && (await askOnce(hook, event, { ...times })).failure === undefined
      incidents.push({ kind, hookpoint, index, message: essenceOf(failure.message), isOnce })
      if ((counts[kind] as number) >= (ENOUGH[kind] ?? Number.POSITIVE_INFINITY)) {
        note = `stopped at event ${index}: it had failed often enough`
        break
      }
    }
    if (performance.now() > until) {
      note = `stopped at event ${index}: ${TIME_MS / 1000} s had passed`
      break
    }
  }
  const runUs = { p50: ran.percentile(0.5), p99: ran.percentile(0.99), max: ran.max }
  return { hookpoint, events: asked, verdicts, failures, runUs, note }
}

async function askOnce(hook: Hook, event: unknown, times: { waitedMs: number; ranMs: number }): Promise<Settled> {
  for (let tries = 0; ; tries++) {
    const verdict = await hook(event, { times })
    if (tries >= RETRIES || !/: (?:no lane had room|its lane was busy)/.test(verdict.failure?.message ?? ''))
      return verdict
  }
}

interface LaneLost {
  /** Resolves with whether it came to that within the time. */
  within(ms: number): Promise<boolean>
  forget(): void
}

function nextLaneLost(engine: HookEngine): LaneLost {
  let isLost = false
  let tell = () => {}
  const hear = () => {
    isLost = true
    tell()
  }
  engine.once('laneReplaced', hear)
  return {
    async within(ms) {
      if (!isLost) {
        await new Promise<void>((resolve) => {
          tell = resolve
          setTimeout(resolve, ms)
        })
      }
      engine.off('laneReplaced', hear)
      return isLost
    },
    forget: () => void engine.off('laneReplaced', hear),
  }
}

async function kindOf({ kind, message }: { kind: string; message: string }, lost: LaneLost): Promise<Incident['kind']> {
  if (kind === 'timeout') {
    // A promise that is pending costs no lane.
    if (message.includes('its promise was pending')) lost.forget()
    else if (await lost.within(REPLACE_MS)) return 'blocked'
    return 'timeout'
  }
  if (kind === 'crash') {
    await lost.within(REPLACE_MS)
    return 'crash'
  }
  lost.forget()
  return kind === 'invalid' ? 'invalid' : 'error'
}

/** `plugin x threw at onY: TypeError: z (waited 1 ms, ran 2 ms)`: the part that is not said elsewhere. */
function essenceOf(message: string): string {
  return message.replace(/^plugin \S+ .*? at \w+: /s, '').replace(/ \(waited [\d.]+ ms, ran [\d.]+ ms\)$/, '')
}

function lineBehind(lines: readonly string[], prefix: string): string | null {
  const line = lines.find((text) => text.startsWith(prefix))
  return line === undefined ? null : line.slice(prefix.length)
}

function becomesZombie(engine: HookEngine): Promise<boolean> {
  return new Promise((resolve) => {
    engine.once('zombie', () => resolve(true))
    setTimeout(() => resolve(false), GRACE_MS + 250)
  })
}
