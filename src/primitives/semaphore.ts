/** Entries that were let in are cut off when there are this many. */
const TRIM_AT = 256

/** A counting semaphore, first come, first served. The caller bounds how many wait. One thread. */
export class Semaphore {
  #free: number
  #waiting: (() => void)[] = []
  /** Index of the first that still waits. */
  #next = 0

  /** @param permits how many at once, 1 or more. */
  constructor(permits: number) {
    this.#free = permits
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length - this.#next
  }

  /** False: there is no permit now; `acquire` waits for one. */
  tryAcquire(): boolean {
    if (this.#free === 0) return false
    this.#free -= 1
    return true
  }

  acquire(): Promise<void> {
    return this.tryAcquire() ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Gives a permit back; whoever has waited longest gets it. */
  release(): void {
    const enter = this.#waiting[this.#next]
    if (enter === undefined) {
      this.#free += 1
      return
    }
    this.#next += 1
    this.#trim()
    enter()
  }

  /** Runs the task with a permit of its own. */
  async run<Value>(task: () => Promise<Value>): Promise<Value> {
    if (!this.tryAcquire()) await this.acquire()
    try {
      return await task()
    } finally {
      this.release()
    }
  }

  #trim(): void {
    if (this.#next === this.#waiting.length) {
      this.#waiting = []
      this.#next = 0
    } else if (this.#next >= TRIM_AT && this.#next * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
  }
}
