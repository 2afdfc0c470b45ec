/** A token bucket of bytes: a free burst, then so many bytes a second. Time is an argument. One thread. */
export interface ByteBudgetOptions {
  readonly bytesPerSecond: number
  /** Bytes that may be taken at the start, and the most that gathers while nothing is taken. */
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

  /** Bytes that may be taken now without going into debt. */
  left(nowMs: number): number {
    const gained = (Math.max(0, nowMs - this.#atMs) / 1000) * this.#bytesPerSecond
    this.#leftBytes = Math.min(this.#burstBytes, this.#leftBytes + gained)
    this.#atMs = nowMs
    return Math.floor(this.#leftBytes)
  }

  /** Takes `bytes`, even into debt. @returns milliseconds until the debt is paid; 0: there is none */
  take(bytes: number, nowMs: number): number {
    this.left(nowMs)
    this.#leftBytes -= bytes
    return Math.max(0, Math.ceil((-this.#leftBytes / this.#bytesPerSecond) * 1000))
  }
}
