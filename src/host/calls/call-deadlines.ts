/**
 * When calls are late. A call that waits has its own entry in the timing wheel. The calls in a lane share one entry, due
 * at the earliest of their deadlines, so a call that is answered in time, as nearly all are, costs one comparison. Host's
 * thread only.
 */
import type { Call } from '../model/call.js'
import type { Lane, LaneDeadline } from '../model/lane.js'

export interface CallDeadlinesOptions {
  readonly timer: {
    add(entry: Call | LaneDeadline, nowMs: number): void
    cancel(entry: Call | LaneDeadline): void
  }
}

export class CallDeadlines {
  readonly #timer: CallDeadlinesOptions['timer']

  constructor({ timer }: CallDeadlinesOptions) {
    this.#timer = timer
  }

  /** The call is late at `call.dueMs`. Call it again after each change of `dueMs`, and when the call begins to wait. */
  watch(call: Call, nowMs: number): void {
    const { lane } = call
    if (call.isWaiting || lane === null) this.#timer.add(call, nowMs)
    else this.watchLane(lane, call.dueMs, nowMs)
  }

  /** The lane has new calls; the first of them is late at `earliestMs`. */
  watchLane({ deadline }: Lane, earliestMs: number, nowMs: number): void {
    if (earliestMs < deadline.dueMs) this.#arm(deadline, earliestMs, nowMs)
  }

  /** The call has settled. */
  forget(call: Call): void {
    if (call.wheelPrev !== null) this.#timer.cancel(call)
  }

  /** A lane's entry is due: calls `expire` for each of its calls that is late. */
  sweep(entry: LaneDeadline, nowMs: number, expire: (call: Call, nowMs: number) => void): void {
    const { lane } = entry
    entry.dueMs = Number.POSITIVE_INFINITY
    if (lane.state === 'dead' || lane.inFlight === 0) return
    for (const call of [...lane.calls()]) if (call.dueMs <= nowMs && call.lane === lane) expire(call, nowMs)
    let earliestMs: number = entry.dueMs
    for (const call of lane.calls()) if (call.dueMs < earliestMs) earliestMs = call.dueMs
    if (earliestMs < entry.dueMs) this.#arm(entry, earliestMs, nowMs)
  }

  #arm(entry: LaneDeadline, dueMs: number, nowMs: number): void {
    this.#timer.cancel(entry)
    entry.dueMs = dueMs
    this.#timer.add(entry, nowMs)
  }
}
