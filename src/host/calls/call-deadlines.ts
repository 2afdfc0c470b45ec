/**
 * When calls are late. A call that waits has an entry of its own in the wheel; the calls in a lane share one, which stands
 * at the earliest of their deadlines. So a call that is answered in time, as nearly all are, costs a comparison. Host's
 * thread only.
 */
import type { Call } from '../model/call.js'
import type { Lane, LaneDeadline } from '../model/lane.js'

export interface CallDeadlines {
  /** From here on the call is late at `call.dueMs`. Again after each change of it, and when the call begins to wait. */
  watch(call: Call, nowMs: number): void
  /** From here on the lane has calls of which the first is late at `earliestMs`. */
  watchLane(lane: Lane, earliestMs: number, nowMs: number): void
  /** The call has settled. */
  forget(call: Call): void
  /** The wheel's callback for a lane. */
  sweep(entry: LaneDeadline, nowMs: number): void
}

export interface CallDeadlinesOptions {
  readonly wheel: () => {
    add(entry: Call | LaneDeadline, nowMs: number): void
    cancel(entry: Call | LaneDeadline): void
  }
  /** Told of each call that is late. */
  expire(call: Call, nowMs: number): void
}

export function createCallDeadlines({ wheel, expire }: CallDeadlinesOptions): CallDeadlines {
  function arm(entry: LaneDeadline, dueMs: number, nowMs: number): void {
    wheel().cancel(entry)
    entry.dueMs = dueMs
    wheel().add(entry, nowMs)
  }

  function watchLane({ deadline }: Lane, earliestMs: number, nowMs: number): void {
    if (earliestMs < deadline.dueMs) arm(deadline, earliestMs, nowMs)
  }

  return {
    watch(call, nowMs) {
      const { lane } = call
      if (call.isWaiting || lane === null) wheel().add(call, nowMs)
      else watchLane(lane, call.dueMs, nowMs)
    },
    watchLane,
    forget(call) {
      if (call.wheelPrev !== null) wheel().cancel(call)
    },
    sweep(entry, nowMs) {
      const { lane } = entry
      entry.dueMs = Number.POSITIVE_INFINITY
      if (lane.state === 'dead' || lane.inFlight === 0) return
      for (const call of [...lane.calls()]) if (call.dueMs <= nowMs && call.lane === lane) expire(call, nowMs)
      let earliestMs: number = entry.dueMs
      for (const call of lane.calls()) if (call.dueMs < earliestMs) earliestMs = call.dueMs
      if (earliestMs < entry.dueMs) arm(entry, earliestMs, nowMs)
    },
  }
}
