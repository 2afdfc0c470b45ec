/**
 * Finds lanes that do not come back: a hook that has taken a good part of its time (late: what waits behind it is moved
 * elsewhere), one that runs on past its time (hang), or a worker that neither runs a hook nor gives anything back (stall).
 * One wheel entry per busy lane, re-armed for the earliest moment at which there could be something to see; so a hang is
 * found to the tick, and a healthy lane costs a look every few milliseconds at most. Host's thread only.
 */

import { marksOf } from '../calls/completion.js'
import { blameOf, progressOf } from '../calls/expiry.js'
import { OrphanedSlot } from '../model/call.js'
import type { Lane } from '../model/lane.js'
import type { Deadline } from '../primitives/timing-wheel.js'

/** Calls behind a hook that has taken this share of its time do better elsewhere, with most of theirs left. */
const LATE_SHARE = 0.25
/** A lane that has nothing to show for this long besides its plugins' own time is stalled. */
const STALL_MS = 250
/** Plugins with long timeouts get no finer look than this. */
const MAX_LOOK_AWAY_MS = 50

export class Watch implements Deadline {
  wheelPrev: Deadline | null = null
  wheelNext: Deadline | null = null
  dueMs = 0
  readonly lane: Lane
  completionsSeen = 0
  /** When the lane last gave something back, or began to have something to give. */
  progressMs = 0
  isArmed = false

  constructor(lane: Lane) {
    this.lane = lane
  }
}

export interface Hang {
  readonly reason: 'hang' | 'stall'
  readonly plugin: string | undefined
  readonly hookpoint: string | undefined
  readonly message: string
}

export interface Watchdog {
  /** The lane has calls in flight. Cheap when it is watched already. */
  busy(lane: Lane): void
  /** The lane is given up. */
  forget(lane: Lane): void
  /** The wheel's callback. */
  check(watch: Watch, nowMs: number): void
}

export interface WatchdogOptions {
  readonly hangMs: number
  readonly deadlines: () => { add(watch: Watch, nowMs: number): void; cancel(watch: Watch): void }
  readonly now: () => number
  onHang(lane: Lane, hang: Hang): void
  /** The running hook has taken LATE_SHARE of its time. */
  onLate(lane: Lane): void
}

export function createWatchdog({ hangMs, deadlines, now, onHang, onLate }: WatchdogOptions): Watchdog {
  const watches = new Map<Lane, Watch>()

  function arm(watch: Watch, dueMs: number, nowMs: number): void {
    watch.dueMs = dueMs
    watch.isArmed = true
    deadlines().add(watch, nowMs)
  }

  /** How long to look away from a lane in which no hook is late. */
  function lookAwayMs(lane: Lane): number {
    let shortestMs = Number.POSITIVE_INFINITY
    for (const { timeoutMs } of lane.bulkhead.plugins) shortestMs = Math.min(shortestMs, timeoutMs)
    return Math.max(1, Math.min(shortestMs * LATE_SHARE, MAX_LOOK_AWAY_MS))
  }

  /** A lane in which every plugin takes all its time gives something back after this long. */
  function mostQuietMs(lane: Lane): number {
    let allMs = 0
    for (const { timeoutMs } of lane.bulkhead.plugins) allMs += timeoutMs
    return allMs + hangMs + STALL_MS
  }

  function check(watch: Watch, nowMs: number): void {
    const { lane } = watch
    watch.isArmed = false
    // Armed again with the next submission.
    if (lane.inFlight === 0 || lane.state === 'dead') return
    if (lane.completions !== watch.completionsSeen) {
      watch.completionsSeen = lane.completions
      watch.progressMs = nowMs
    }
    const slot = lane.ring.runningSlot()
    const occupant = slot === -1 ? null : lane.occupantOf(slot)
    if (occupant === null) {
      const quietMs = nowMs - watch.progressMs
      const longestMs = Math.max(...lane.bulkhead.plugins.map((plugin) => plugin.timeoutMs))
      if (quietMs > longestMs + hangMs + STALL_MS) {
        onHang(lane, stallOf(lane, quietMs, nowMs))
        return
      }
      arm(watch, nowMs + lookAwayMs(lane), nowMs)
      return
    }
    const sinceMs = marksOf(lane, slot, occupant instanceof OrphanedSlot ? 0 : occupant.tripMs, nowMs).markMs
    const blame = blameOf(lane, slot, nowMs)
    const timeoutMs = blame?.plugin?.timeoutMs ?? lookAwayMs(lane) / LATE_SHARE
    // The marks are the worker's word: one that moves them on for ever is held to what it gives back.
    const limitMs = Math.min(sinceMs + timeoutMs + hangMs, watch.progressMs + mostQuietMs(lane))
    if (limitMs > nowMs) {
      const lateMs = sinceMs + timeoutMs * LATE_SHARE
      if (lateMs <= nowMs && !lane.isLate) onLate(lane)
      // A hook that is late is looked at again when it hangs; the next one may be late before that.
      arm(watch, lateMs > nowMs ? Math.min(lateMs, limitMs) : Math.min(limitMs, nowMs + lookAwayMs(lane)), nowMs)
      return
    }
    const ranMs = (nowMs - sinceMs).toFixed(1)
    onHang(lane, {
      reason: 'hang',
      plugin: blame?.plugin?.name,
      hookpoint: blame?.hookpoint,
      message: `plugin ${blame?.plugin?.name ?? '(unknown)'} had been running for ${ranMs} ms at ${blame?.hookpoint}`,
    })
  }

  return {
    busy(lane) {
      let watch = watches.get(lane)
      if (watch === undefined) {
        watch = new Watch(lane)
        watches.set(lane, watch)
      }
      if (watch.isArmed) return
      const nowMs = now()
      watch.completionsSeen = lane.completions
      watch.progressMs = nowMs
      arm(watch, nowMs + lookAwayMs(lane), nowMs)
    },
    forget(lane) {
      const watch = watches.get(lane)
      if (watch === undefined) return
      watches.delete(lane)
      deadlines().cancel(watch)
    },
    check,
  }
}

/** Nobody runs a hook by the worker's account: the blame is on whoever is alone in the lane, or alone in having claimed calls. */
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
