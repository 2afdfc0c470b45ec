/**
 * Pauses of the server's thread: times at which nothing in it ran. A reply that comes 20 ms after its deadline is in time all
 * the same when it is there before the thread gets to look at its timers; otherwise it never is. Pure.
 */

/** Late replies come 20 ms too late: a pause that lets one be in time is longer. */
const PAUSE_MS = 20
const MOST = 256

export class Pauses {
  readonly #pauses: { readonly fromMs: number; readonly untilMs: number }[] = []
  #lastMs: number

  constructor(nowMs: number) {
    this.#lastMs = nowMs
  }

  /** The thread runs: called every few milliseconds. */
  tick(nowMs: number): void {
    if (nowMs - this.#lastMs >= PAUSE_MS) this.#pauses.push({ fromMs: this.#lastMs, untilMs: nowMs })
    if (this.#pauses.length > MOST) this.#pauses.shift()
    this.#lastMs = nowMs
  }

  /** Whether there was one that was not over at `sinceMs`, the present one included. */
  any(sinceMs: number, nowMs: number): boolean {
    return nowMs - this.#lastMs >= PAUSE_MS || this.#pauses.some(({ untilMs }) => untilMs > sinceMs)
  }
}
