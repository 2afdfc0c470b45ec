/** Counts what is under way, and resolves promises when the count is zero. Host's thread only. */
export class InFlightCount {
  #count = 0
  #waiting: (() => void)[] = []

  get count(): number {
    return this.#count
  }

  enter(): void {
    this.#count += 1
  }

  leave(): void {
    this.#count -= 1
    if (this.#count > 0 || this.#waiting.length === 0) return
    const told = this.#waiting
    this.#waiting = []
    for (const tell of told) tell()
  }

  /** Resolves when the count is zero; at once if it is. */
  whenZero(): Promise<void> {
    if (this.#count === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}
