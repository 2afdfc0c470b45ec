/**
 * Backpressure of messages that nobody answers: so many may wait for the lanes, then connections are read no further until
 * those have been delivered. On the host's thread.
 */
export interface Flow {
  readonly isFull: boolean
  /** A message has been handed to the engine. */
  told(): void
  /** Calls back once, when there is room again. */
  whenRoom(resume: () => void): void
}

export function createFlow(flush: () => Promise<void>, limit: number): Flow {
  let told = 0
  let waiting: (() => void)[] = []

  function reopen(): void {
    told = 0
    const resumed = waiting
    waiting = []
    for (const resume of resumed) resume()
  }

  return {
    get isFull() {
      return told >= limit
    },
    told() {
      told += 1
      if (told === limit) flush().then(reopen, reopen)
    },
    whenRoom(resume) {
      waiting.push(resume)
    },
  }
}
