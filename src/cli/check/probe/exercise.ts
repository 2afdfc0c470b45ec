/**
 * Runs a plugin's hooks over events in the probe's own thread, for what a lane does not tell: whether a hook returns
 * promises, what stays in memory, whether it heeds its signal.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { InlineRun } from '../../../testing/index.js'
import type { HookSeen } from './probe-protocol.js'
import { usedBytes } from './residue.js'
import type { WatchedPlugin } from './watched-plugin.js'

export interface Exercise {
  readonly events: Readonly<Record<string, readonly unknown[]>>
  readonly usualMs: Readonly<Record<string, number>>
  readonly run: InlineRun<Readonly<Record<string, never>>>
  readonly watched: WatchedPlugin
  collectGarbage(): void
}

/** The first warms up. What a compiler leaves behind comes and goes with the rounds, what leaks comes with each. */
const ROUNDS = 6
/** Fewer events say nothing about memory. */
const LEAST_EVENTS = 200
/** For one hookpoint, memory. */
const TIME_MS = 3000
/** A hook that settles sooner has no use for the signal. */
const SIGNAL_FROM_MS = 25
const SIGNAL_TRIES = 3
const SIGNAL_WAIT_MS = 1000

type Hooks = Readonly<Record<string, (event: unknown, options?: { signal?: AbortSignal }) => Promise<unknown>>>

export async function exerciseHooks(exercise: Exercise): Promise<HookSeen[]> {
  const seen: HookSeen[] = []
  for (const [hookpoint, events] of Object.entries(exercise.events)) {
    if (events.length === 0) continue
    const usualMs = exercise.usualMs[hookpoint] ?? 0
    const growth = await weigh(exercise, hookpoint, events, usualMs)
    const isAsync = exercise.watched.isAsync(hookpoint)
    seen.push({
      hookpoint,
      isAsync,
      ...growth,
      ignoredSignalMs:
        isAsync && usualMs >= SIGNAL_FROM_MS ? await tryToAbort(exercise, hookpoint, events, usualMs) : null,
    })
  }
  return seen
}

async function weigh(
  { run, watched, collectGarbage }: Exercise,
  hookpoint: string,
  events: readonly unknown[],
  usualMs: number,
): Promise<{ bytesPerEvent: number | null; firstVerdict: number | null }> {
  const hook = (run.hooks as unknown as Hooks)[hookpoint] as Hooks[string]
  const affordable = Math.min(events.length, Math.floor(TIME_MS / ROUNDS / Math.max(usualMs, 0.001)))
  const isWeighed = affordable >= LEAST_EVENTS
  const count = isWeighed ? affordable : Math.min(events.length, Math.max(affordable, 1))
  let firstVerdict: number | null = null
  const grown: number[] = []
  let before = 0
  for (let round = 0; round < (isWeighed ? ROUNDS : 1); round++) {
    for (let index = 0; index < count; index++) {
      // What it throws was seen in the lane already.
      await hook(events[index]).catch(() => {})
      if (round === 0 && firstVerdict === null && watched.saidVerdict(hookpoint)) firstVerdict = index
    }
    const after = usedBytes(collectGarbage)
    if (round > 0) grown.push((after - before) / count)
    before = after
  }
  // What grows once is a cache that fills; what leaks grows each time.
  return { bytesPerEvent: isWeighed ? Math.max(0, Math.min(...grown)) : null, firstVerdict }
}

async function tryToAbort(
  { run, watched }: Exercise,
  hookpoint: string,
  events: readonly unknown[],
  usualMs: number,
): Promise<number | null> {
  const hook = (run.hooks as unknown as Hooks)[hookpoint] as Hooks[string]
  const pendings: number[] = []
  for (let index = 0; index < Math.min(SIGNAL_TRIES, events.length); index++) {
    const controller = new AbortController()
    hook(events[index], { signal: controller.signal }).catch(() => {})
    const promise = watched.lastPromise(hookpoint)
    if (promise === null) return null
    // Whatever it waits for has begun by then.
    await sleep(1)
    const aborted = performance.now()
    controller.abort()
    await Promise.race([Promise.resolve(promise).catch(() => {}), sleep(Math.min(2 * usualMs, SIGNAL_WAIT_MS))])
    pendings.push(performance.now() - aborted)
  }
  const pendingMs = Math.min(...pendings)
  return pendingMs > usualMs / 2 ? pendingMs : null
}
