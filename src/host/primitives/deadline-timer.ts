/**
 * The one timer that drives a timing wheel: armed for the earliest entry. setTimeout rounds, and counts from the start of
 * the event loop's turn, so it may fire before the time asked for: then nothing expires, and the timer is armed for the
 * rest. One thread's.
 */
import type { Deadline, DeadlineHandler, TimingWheel } from './timing-wheel.js'

/** Longer delays overflow setTimeout, which then fires at once. */
const MAX_DELAY_MS = 2_147_483_647
/** Entries that expire in one turn of the event loop, at a few microseconds each; the rest comes in the next. */
const MOST_IN_A_TURN = 1024

export interface DeadlineTimerOptions<Entry extends Deadline> {
  readonly wheel: TimingWheel<Entry>
  /** The clock of the wheel's times. */
  now(): number
  /** Told of each entry that is due. */
  readonly expire: DeadlineHandler<Entry>
  /** Called when entries are due, before they expire: what has already come in is taken first. */
  beforeExpire?(): void
  /** The timer that was set at `setMs` for `dueMs` has fired, or should have. */
  onDue?(setMs: number, dueMs: number, nowMs: number): void
  /** Default: setTimeout and clearTimeout. */
  setTimer?(fire: () => void, delayMs: number): TimerHandle
  clearTimer?(handle: TimerHandle): void
}

/** What setTimeout returns, as far as it is needed here. */
export interface TimerHandle {
  ref(): unknown
  unref(): unknown
}

export class DeadlineTimer<Entry extends Deadline> {
  readonly #options: DeadlineTimerOptions<Entry>
  readonly #wheel: TimingWheel<Entry>
  #handle: TimerHandle | null = null
  // Infinity: not armed. -Infinity: firing or closed, so that add does not arm.
  #armedForMs = Number.POSITIVE_INFINITY
  #setMs = 0
  #isClosed = false

  constructor(options: DeadlineTimerOptions<Entry>) {
    this.#options = options
    this.#wheel = options.wheel
  }

  /** Adds to the wheel and, when nothing earlier is waited for, arms the timer. */
  add(entry: Entry, nowMs: number): void {
    this.#wheel.add(entry, nowMs)
    if (entry.dueMs < this.#armedForMs) this.#arm(entry.dueMs, nowMs)
    else if (this.#wheel.size === 1) this.#handle?.ref()
  }

  /** Cancels in the wheel. A timer that waits for nothing does not keep the process alive, and is not renewed. */
  cancel(entry: Entry): void {
    this.#wheel.cancel(entry)
    // Left to run out, not cleared: with one call at a time, every call would arm it anew.
    if (this.#wheel.size === 0) this.#handle?.unref()
  }

  /** When the timer fires next; null when it is not armed. */
  get armedForMs(): number | null {
    return this.#handle === null ? null : this.#armedForMs
  }

  /** Tells onDue of a timer that should have fired by now: other things may be taken before it is. */
  look(nowMs: number): void {
    if (this.#handle === null || nowMs <= this.#armedForMs) return
    this.#options.onDue?.(this.#setMs, Math.max(this.#armedForMs, this.#setMs), nowMs)
  }

  /** Disarms the timer for good. Entries stay in the wheel. */
  close(): void {
    this.#isClosed = true
    this.#armedForMs = Number.NEGATIVE_INFINITY
    this.#disarm()
  }

  #arm(dueMs: number, nowMs: number): void {
    this.#disarm()
    this.#armedForMs = dueMs
    this.#setMs = nowMs
    const delayMs = Math.min(Math.max(Math.ceil(dueMs - nowMs), 1), MAX_DELAY_MS)
    const { setTimer } = this.#options
    this.#handle = setTimer === undefined ? setTimeout(this.#fireSoon, delayMs) : setTimer(this.#fireSoon, delayMs)
  }

  #disarm(): void {
    const handle = this.#handle
    this.#handle = null
    if (handle === null) return
    const { clearTimer } = this.#options
    if (clearTimer === undefined) clearTimeout(handle as NodeJS.Timeout)
    else clearTimer(handle)
  }

  readonly #fireSoon = () => this.#fire()

  #fire(): void {
    const { now, onDue, beforeExpire, expire } = this.#options
    const wheel = this.#wheel
    this.#handle = null
    const setForMs = this.#armedForMs
    this.#armedForMs = Number.NEGATIVE_INFINITY
    try {
      const nowMs = now()
      onDue?.(this.#setMs, Math.max(setForMs, this.#setMs), nowMs)
      if ((wheel.nextDueMs() ?? Number.POSITIVE_INFINITY) <= nowMs) {
        beforeExpire?.()
        wheel.poll(now(), expire, MOST_IN_A_TURN)
      }
    } finally {
      if (!this.#isClosed) {
        this.#armedForMs = Number.POSITIVE_INFINITY
        const nextMs = wheel.nextDueMs()
        if (nextMs !== null && nextMs < Number.POSITIVE_INFINITY) this.#arm(nextMs, now())
      }
    }
  }
}
