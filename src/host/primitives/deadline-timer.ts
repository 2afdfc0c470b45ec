/**
 * The one timer that drives a timing wheel, armed for the earliest entry. setTimeout rounds, and counts from the start of
 * the event loop's turn, so it may fire too early. Then nothing expires, and the timer is armed for the rest. One thread.
 */
import type { Deadline, DeadlineHandler, TimingWheel } from './timing-wheel.js'

/** A longer delay overflows setTimeout, which then fires at once. */
const MAX_DELAY_MS = 2_147_483_647
/** Entries that expire in one turn of the event loop, at a few microseconds each; the rest expire in the next. */
const MOST_IN_A_TURN = 1024

export interface DeadlineTimerOptions<Entry extends Deadline> {
  readonly wheel: TimingWheel<Entry>
  /** The clock of the wheel's times, in milliseconds. */
  now(): number
  /** Called for each entry that is due. */
  readonly expire: DeadlineHandler<Entry>
  /** Called when entries are due, before any expires: what has arrived by then can be taken first. */
  beforeExpire?(): void
  /** Called when a timer that was set at `setMs` for `dueMs` has fired, or should have by now. */
  onDue?(setMs: number, dueMs: number, nowMs: number): void
  /** Default: setTimeout and clearTimeout. */
  setTimer?(fire: () => void, delayMs: number): TimerHandle
  clearTimer?(handle: TimerHandle): void
}

/** What is needed of setTimeout's return value. */
export interface TimerHandle {
  ref(): unknown
  unref(): unknown
}

export class DeadlineTimer<Entry extends Deadline> {
  readonly #options: DeadlineTimerOptions<Entry>
  readonly #wheel: TimingWheel<Entry>
  #handle: TimerHandle | null = null
  // Infinity: not armed. -Infinity: firing or closed, which keeps add from arming it.
  #armedForMs = Number.POSITIVE_INFINITY
  #setMs = 0
  #isClosed = false

  constructor(options: DeadlineTimerOptions<Entry>) {
    this.#options = options
    this.#wheel = options.wheel
  }

  /** Adds an entry to the wheel, and arms the timer if the entry is the earliest. */
  add(entry: Entry, nowMs: number): void {
    this.#wheel.add(entry, nowMs)
    if (entry.dueMs < this.#armedForMs) this.#arm(entry.dueMs, nowMs)
    else if (this.#wheel.size === 1) this.#handle?.ref()
  }

  /** Takes an entry out of the wheel. With an empty wheel, the timer does not keep the process alive. */
  cancel(entry: Entry): void {
    this.#wheel.cancel(entry)
    // The timer is left to run out. If it were cleared, a server with one call at a time would arm it for every call.
    if (this.#wheel.size === 0) this.#handle?.unref()
  }

  /** When the timer fires next; null when it is not armed. */
  get armedForMs(): number | null {
    return this.#handle === null ? null : this.#armedForMs
  }

  /** Calls onDue if the timer should have fired by now. Other callbacks may run before a late timer does. */
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
