/** Counts what is under way and tells when nothing is. Host's thread only. */
export interface Tally {
  enter(): void
  leave(): void
  readonly count: number
  /** Resolves when the count is zero; at once if it is. */
  whenZero(): Promise<void>
}

export function createTally(): Tally {
  let count = 0
  let waiting: (() => void)[] = []
  return {
    enter() {
      count += 1
    },
    leave() {
      count -= 1
      if (count > 0 || waiting.length === 0) return
      const told = waiting
      waiting = []
      for (const tell of told) tell()
    },
    get count() {
      return count
    },
    whenZero() {
      if (count === 0) return Promise.resolve()
      return new Promise((resolve) => waiting.push(resolve))
    },
  }
}
