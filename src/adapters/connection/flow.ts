/**
 * Backpressure of messages that nobody answers: so many may wait for the lanes, then connections are read no further until
 * those have been delivered. On the host's thread.
 */
export class Flow {
  readonly #flush: () => Promise<void>
  readonly #limit: number
  #told = 0
  #waiting: (() => void)[] = []

  constructor({ flush, limit }: { flush(): Promise<void>; limit: number }) {
    this.#flush = flush
    this.#limit = limit
  }

  get isFull(): boolean {
    return this.#told >= this.#limit
  }

  /** A message has been handed to the engine. */
  told(): void {
    this.#told += 1
    if (this.#told !== this.#limit) return
    const reopen = () => this.#reopen()
    this.#flush().then(reopen, reopen)
  }

  /** Calls back once, when there is room again. */
  whenRoom(resume: () => void): void {
    this.#waiting.push(resume)
  }

  #reopen(): void {
    this.#told = 0
    const resumed = this.#waiting
    this.#waiting = []
    for (const resume of resumed) resume()
  }
}
