/** So many bytes a second, after a burst that is free. Time is an argument. Pure but for its own state. */
export interface ByteBudgetOptions {
  readonly bytesPerSecond: number
  /** What is there at the start, and the most that gathers while nothing is taken. */
  readonly burstBytes: number
}

export class ByteBudget {
  readonly #bytesPerSecond: number
  readonly #burstBytes: number
  #leftBytes: number
  #atMs: number

  constructor({ bytesPerSecond, burstBytes }: ByteBudgetOptions, nowMs: number) {
    this.#bytesPerSecond = bytesPerSecond
    this.#burstBytes = burstBytes
    this.#leftBytes = burstBytes
    this.#atMs = nowMs
  }

  /** Bytes that may be taken now without a debt. */
  left(nowMs: number): number {
    const gained = (Math.max(0, nowMs - this.#atMs) / 1000) * this.#bytesPerSecond
    this.#leftBytes = Math.min(this.#burstBytes, this.#leftBytes + gained)
    this.#atMs = nowMs
    return Math.floor(this.#leftBytes)
  }

  /** Takes them in any case. @returns milliseconds until what was taken is paid for; 0: it is */
  take(bytes: number, nowMs: number): number {
    this.left(nowMs)
    this.#leftBytes -= bytes
    return Math.max(0, Math.ceil((-this.#leftBytes / this.#bytesPerSecond) * 1000))
  }
}
