/**
 * Finds lanes that do not come back. Late: a hook has used a good part of its time, so the calls behind it move to another
 * lane. Hang: a hook runs past its time and hangMs. Stall: a worker neither runs a hook nor completes anything. Each busy
 * lane has one entry in the timing wheel, set to the earliest time at which there may be something to see. So a hang is found
 * to the tick, and a healthy lane costs one look every few milliseconds at most. Host's thread only.
 */
import { blameOf, marksOf, progressOf } from '../calls/marks.js'
import { OrphanedSlot } from '../model/call.js'
import type { Lane } from '../model/lane.js'
import type { Deadline } from '../primitives/timing-wheel.js'

/**
 * When a hook has used this share of its time, the calls behind it do better in another lane: they have most of theirs
 * left.
 */
const LATE_SHARE = 0.25
/** A lane is stalled when it completes nothing for its plugins' own time and this much more. */
const STALL_MS = 250
/** The longest time between two looks, however long the plugins' timeouts are. */
const MAX_LOOK_AWAY_MS = 50

export class Watch implements Deadline {
  wheelPrev: Deadline | null = null
  wheelNext: Deadline | null = null
  dueMs = 0
  readonly lane: Lane
  completionsSeen = 0
  /** When the lane last gave something back, or got its first call. */
  progressMs = 0
  isArmed = false

  constructor(lane: Lane) {
    this.lane = lane
  }
}

interface Hang {
  readonly reason: 'hang' | 'stall'
  readonly plugin: string | undefined
  readonly hookpoint: string | undefined
  readonly message: string
}

export interface WatchdogOptions {
  /** How long a hook may run past its plugin's time before its lane counts as hung, in milliseconds. */
  readonly hangMs: number
  readonly deadlines: () => { add(watch: Watch, nowMs: number): void; cancel(watch: Watch): void }
  readonly now: () => number
  /** How long the process stood still since `sinceMs`, in milliseconds. No lane had that time. */
  lostMsSince(sinceMs: number, nowMs: number): number
  onHang(lane: Lane, hang: Hang): void
  /** The running hook has taken LATE_SHARE of its time. */
  onLate(lane: Lane): void
}

export class Watchdog {
  readonly #options: WatchdogOptions
  readonly #watches = new Map<Lane, Watch>()

  constructor(options: WatchdogOptions) {
    this.#options = options
  }

  /** The lane has calls in flight. Cheap for a lane that is already watched. */
  busy(lane: Lane): void {
    let watch = this.#watches.get(lane)
    if (watch === undefined) {
      watch = new Watch(lane)
      this.#watches.set(lane, watch)
    }
    if (watch.isArmed) return
    const nowMs = this.#options.now()
    watch.completionsSeen = lane.completions
    watch.progressMs = nowMs
    this.#arm(watch, nowMs + lookAwayMs(lane), nowMs)
  }

  /** Stops watching a lane that is given up. */
  forget(lane: Lane): void {
    const watch = this.#watches.get(lane)
    if (watch === undefined) return
    this.#watches.delete(lane)
    this.#options.deadlines().cancel(watch)
  }

  /** The lane's entry in the timing wheel is due. */
  check(watch: Watch, nowMs: number): void {
    const { lane } = watch
    watch.isArmed = false
    // The next submission arms it again.
    if (lane.inFlight === 0 || lane.state === 'dead') return
    if (lane.completions !== watch.completionsSeen) {
      watch.completionsSeen = lane.completions
      watch.progressMs = nowMs
    }
    const slot = lane.ring.runningSlot()
    const occupant = slot === -1 ? null : lane.occupantOf(slot)
    if (occupant === null) this.#checkIdle(watch, nowMs)
    else this.#checkRunning(watch, slot, occupant instanceof OrphanedSlot ? 0 : occupant.tripMs, nowMs)
  }

  /** Checks a lane whose worker says that no hook runs. */
  #checkIdle(watch: Watch, nowMs: number): void {
    const { lane } = watch
    const quietMs = nowMs - watch.progressMs - this.#options.lostMsSince(watch.progressMs, nowMs)
    const longestMs = Math.max(...lane.bulkhead.plugins.map((plugin) => plugin.timeoutMs))
    if (quietMs > longestMs + this.#options.hangMs + STALL_MS) {
      this.#options.onHang(lane, stallOf(lane, quietMs, nowMs))
      return
    }
    this.#arm(watch, nowMs + lookAwayMs(lane), nowMs)
  }

  #checkRunning(watch: Watch, slot: number, tripMs: number, nowMs: number): void {
    const { lane } = watch
    const { hangMs, onHang, onLate, lostMsSince } = this.#options
    const { markMs } = marksOf(lane, slot, tripMs, nowMs)
    const sinceMs = markMs + lostMsSince(markMs, nowMs)
    const progressMs = watch.progressMs + lostMsSince(watch.progressMs, nowMs)
    const blame = blameOf(lane, slot, nowMs)
    const timeoutMs = blame?.plugin?.timeoutMs ?? lookAwayMs(lane) / LATE_SHARE
    // The marks are the worker's word. If it moves them on for ever, what it gives back is the limit.
    const limitMs = Math.min(sinceMs + timeoutMs + hangMs, progressMs + this.#mostQuietMs(lane))
    if (limitMs > nowMs) {
      const lateMs = sinceMs + timeoutMs * LATE_SHARE
      if (lateMs <= nowMs && !lane.isLate) onLate(lane)
      // A late hook is looked at again when it would hang. The next hook may be late before that.
      const nextMs = lateMs > nowMs ? lateMs : nowMs + lookAwayMs(lane)
      this.#arm(watch, Math.min(nextMs, limitMs), nowMs)
      return
    }
    const who = blame?.plugin?.name
    const ranMs = (nowMs - sinceMs).toFixed(1)
    onHang(lane, {
      reason: 'hang',
      plugin: who,
      hookpoint: blame?.hookpoint,
      message: `plugin ${who ?? '(unknown)'} had been running for ${ranMs} ms at ${blame?.hookpoint}`,
    })
  }

  #arm(watch: Watch, dueMs: number, nowMs: number): void {
    watch.dueMs = dueMs
    watch.isArmed = true
    this.#options.deadlines().add(watch, nowMs)
  }

  /** The longest time without a completion when every plugin of the lane uses all of its time. */
  #mostQuietMs({ bulkhead }: Lane): number {
    let allMs = 0
    for (const { timeoutMs } of bulkhead.plugins) allMs += timeoutMs
    return allMs + this.#options.hangMs + STALL_MS
  }
}

/** How long to look away from a lane in which no hook is late. */
function lookAwayMs({ bulkhead }: Lane): number {
  let shortestMs = Number.POSITIVE_INFINITY
  for (const { timeoutMs } of bulkhead.plugins) shortestMs = Math.min(shortestMs, timeoutMs)
  return Math.max(1, Math.min(shortestMs * LATE_SHARE, MAX_LOOK_AWAY_MS))
}

/**
 * The worker says that no hook runs, so the plugin to blame is the only one in the lane, or the only one with claimed
 * calls.
 */
function stallOf(lane: Lane, quietMs: number, nowMs: number): Hang {
  const claimed = [...lane.calls()].filter((call) => lane.ring.isClaimed(call.slot))
  const suspects = new Set(claimed.map((call) => progressOf(lane, call, nowMs).current.name))
  const { plugins } = lane.bulkhead
  const plugin = plugins.length === 1 ? plugins[0]?.name : suspects.size === 1 ? [...suspects][0] : undefined
  return {
    reason: 'stall',
    plugin,
    hookpoint: claimed.length === 1 ? claimed[0]?.hookpoint.name : undefined,
    message: `it gave nothing back for ${quietMs.toFixed(0)} ms with ${lane.inFlight} calls in flight and no hook running`,
  }
}
