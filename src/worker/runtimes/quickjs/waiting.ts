/** The calls of a plugin, and the stages of its life, that have yet to settle, by their ids. The lane's thread only. */
import type { Settled } from './verdict.js'

export interface Waiting {
  /** Monotonic. */
  readonly deadlineMs: number
  settle(settled: Settled): void
  fail(error: Error): void
}

export class WaitingCalls {
  readonly #byId = new Map<number, Waiting>()

  add(id: number, waiting: Waiting): void {
    this.#byId.set(id, waiting)
  }

  has(id: number): boolean {
    return this.#byId.has(id)
  }

  settle(id: number, settled: Settled): void {
    this.#take(id)?.settle(settled)
  }

  fail(id: number, error: Error): void {
    this.#take(id)?.fail(error)
  }

  failAll(error: Error): void {
    for (const id of [...this.#byId.keys()]) this.fail(id, error)
  }

  /** The earliest deadline after `fromMs`; `latestMs` when there is none before it. */
  earliestDeadlineMs(fromMs: number, latestMs: number): number {
    let earliestMs = latestMs
    for (const { deadlineMs } of this.#byId.values()) {
      if (deadlineMs > fromMs && deadlineMs < earliestMs) earliestMs = deadlineMs
    }
    return earliestMs
  }

  #take(id: number): Waiting | undefined {
    const found = this.#byId.get(id)
    this.#byId.delete(id)
    return found
  }
}
