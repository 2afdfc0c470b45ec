/**
 * Notices that the process stood still: it was stopped (SIGSTOP), its container was frozen, the machine slept. From inside
 * this shows as a timer that fires much later than it was set for. What ran in the process at that time had none of it, so
 * whoever judges how long something took asks here how much of it was lost.
 *
 * A thread that was merely busy looks the same. Then what hangs is found later, by as much as the thread was busy.
 */

/** Timers are late by some milliseconds on every busy machine; this late they are when a process has stood still. */
const LATE_MS = 50
/** The last few count: whatever is judged has begun not long ago. */
const MOST = 16

export class Standstills {
  readonly #fromMs = new Float64Array(MOST)
  readonly #untilMs = new Float64Array(MOST)
  #count = 0
  #lastUntilMs = Number.NEGATIVE_INFINITY

  /** A timer that was set at `setMs` for `dueMs` fires at `nowMs`. Whether the process stood still meanwhile. */
  notice(setMs: number, dueMs: number, nowMs: number): boolean {
    const lateMs = nowMs - dueMs
    if (!(lateMs >= LATE_MS)) return false
    // It may have stopped at any moment since the timer was set.
    this.add(nowMs - lateMs - Math.min(dueMs - setMs, lateMs), nowMs)
    return true
  }

  /** The process stood still from `fromMs` until `untilMs`. What of it is known already does not count again. */
  add(fromMs: number, untilMs: number): void {
    if (untilMs <= this.#lastUntilMs) return
    const at = this.#count % MOST
    this.#fromMs[at] = Math.max(fromMs, this.#lastUntilMs)
    this.#untilMs[at] = untilMs
    this.#lastUntilMs = untilMs
    this.#count += 1
  }

  /** How many of the milliseconds since then the process stood still. */
  lostMsSince(sinceMs: number): number {
    let lostMs = 0
    for (let at = Math.min(this.#count, MOST) - 1; at >= 0; at -= 1) {
      lostMs += Math.max(0, (this.#untilMs[at] as number) - Math.max(this.#fromMs[at] as number, sinceMs))
    }
    return lostMs
  }
}
