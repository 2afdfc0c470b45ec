/** One timer for the deadlines of all pending hops. The lane's thread only. */
import { monotonicMs } from '../../ring/clock.js'
import { Standstills } from '../../ring/standstill.js'
import type { Chain } from './chain.js'

/** The longest time between two looks: a process that stood still is noticed by a look that comes late. */
const MAX_LOOK_AWAY_MS = 50

export class DeadlineSweep {
  readonly #chain: Chain
  readonly #standstills = new Standstills()
  #timer: NodeJS.Timeout | null = null
  #setMs = 0
  #dueMs = Number.POSITIVE_INFINITY

  constructor(chain: Chain) {
    this.#chain = chain
  }

  /** Detaches what is late, and sees to it that this happens again at the next deadline. */
  arm(): void {
    const nowMs = monotonicMs()
    // Something else may call for a look before the timer that is due has fired.
    this.#notice(nowMs)
    const nextMs = this.#chain.expire(nowMs, this.#standstills)
    if (nextMs === null || nextMs >= this.#dueMs) return
    this.disarm()
    this.#setMs = nowMs
    this.#dueMs = Math.min(nextMs, nowMs + MAX_LOOK_AWAY_MS)
    this.#timer = setTimeout(() => this.#sweep(), Math.max(1, Math.ceil(this.#dueMs - nowMs)))
  }

  disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#dueMs = Number.POSITIVE_INFINITY
  }

  #sweep(): void {
    this.#notice(monotonicMs())
    this.disarm()
    this.arm()
  }

  #notice(nowMs: number): void {
    if (this.#timer !== null) this.#standstills.notice(this.#setMs, this.#dueMs, nowMs)
  }
}
