/**
 * Notices that the process stood still: it was stopped (SIGSTOP), its container was frozen, or the machine slept. From
 * inside, this shows as a timer that fires much later than it was set for. Nothing in the process ran during that time, so
 * code that judges how long something took asks here how much of that time was lost.
 *
 * A thread that was merely busy looks the same. The cost: a hang is then found later, by as long as the thread was busy.
 */

/** On every busy machine timers are a few milliseconds late. A timer that is later than this means a standstill. */
const LATE_MS = 50
/** Only the last standstills are kept: what is judged began a short time ago. */
const MOST = 16

export class Standstills {
  readonly #fromMs = new Float64Array(MOST)
  readonly #untilMs = new Float64Array(MOST)
  #count = 0
  #lastUntilMs = Number.NEGATIVE_INFINITY

  /** A timer that was set at `setMs` for `dueMs` fires at `nowMs`. Returns whether the process stood still meanwhile. */
  notice(setMs: number, dueMs: number, nowMs: number): boolean {
    const lateMs = nowMs - dueMs
    if (!(lateMs >= LATE_MS)) return false
    // It may have stopped at any moment since the timer was set: the earliest of those counts.
    this.add(nowMs - lateMs - Math.min(dueMs - setMs, lateMs), nowMs)
    return true
  }

  /** The process stood still from `fromMs` until `untilMs`. What overlaps an earlier standstill is not counted twice. */
  add(fromMs: number, untilMs: number): void {
    if (untilMs <= this.#lastUntilMs) return
    const at = this.#count % MOST
    this.#fromMs[at] = Math.max(fromMs, this.#lastUntilMs)
    this.#untilMs[at] = untilMs
    this.#lastUntilMs = untilMs
    this.#count += 1
  }

  /** How many milliseconds the process stood still since `sinceMs`. */
  lostMsSince(sinceMs: number): number {
    let lostMs = 0
    for (let at = Math.min(this.#count, MOST) - 1; at >= 0; at -= 1) {
      lostMs += Math.max(0, (this.#untilMs[at] as number) - Math.max(this.#fromMs[at] as number, sinceMs))
    }
    return lostMs
  }
}
