/** One timer for the deadlines of all pending hops. The lane's thread only. */
import { monotonicMs } from '../../ring/clock.js'
import type { Chain } from './chain.js'

export class DeadlineSweep {
  readonly #chain: Chain
  #timer: NodeJS.Timeout | null = null
  #dueMs = Number.POSITIVE_INFINITY

  constructor(chain: Chain) {
    this.#chain = chain
  }

  /** Detaches what is late, and sees to it that this happens again at the next deadline. */
  arm(): void {
    const nowMs = monotonicMs()
    const nextMs = this.#chain.expire(nowMs)
    if (nextMs === null || nextMs >= this.#dueMs) return
    this.disarm()
    this.#dueMs = nextMs
    this.#timer = setTimeout(() => this.#sweep(), Math.max(1, Math.ceil(nextMs - nowMs)))
  }

  disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#dueMs = Number.POSITIVE_INFINITY
  }

  #sweep(): void {
    this.disarm()
    this.arm()
  }
}
