/**
 * What the calls of a round come to: verdicts, failures, and how long they took. On the thread whose cost is measured, so
 * counting a call does as little as possible.
 */
import { Histogram } from './histogram.js'
import type { Answer, AnswerTimes, Subject } from './subject.js'

export class Tally {
  calls = 0
  /** Rejects where none was expected, and the reverse. */
  wrong = 0
  firstFailure: string | undefined
  readonly failures: Record<string, number> = {}
  readonly total = new Histogram()
  readonly waiting: Histogram | undefined
  readonly running: Histogram | undefined
  readonly #rejects: Subject['rejects']
  #continued = 0
  readonly #others: Record<string, number> = {}

  constructor({ rejects, hasTimes }: Subject) {
    this.#rejects = rejects
    this.waiting = hasTimes ? new Histogram() : undefined
    this.running = hasTimes ? new Histogram() : undefined
  }

  /** By kind. */
  get verdicts(): Record<string, number> {
    return this.#continued === 0 ? this.#others : { continue: this.#continued, ...this.#others }
  }

  /** Counts the answer to the event at `index`. */
  take(index: number, { kind, failure }: Answer): void {
    this.calls += 1
    if (failure !== undefined) this.fail(failure.kind, failure.message)
    else if (kind === 'continue') this.#continued += 1
    else this.#others[kind] = (this.#others[kind] ?? 0) + 1
    if (this.#rejects !== undefined && (kind === 'reject') !== this.#rejects[index]) this.wrong += 1
  }

  /** Counts a call that threw. */
  refuse(error: unknown): void {
    this.calls += 1
    const { code, cause, message } = (error ?? {}) as {
      code?: unknown
      cause?: { kind?: unknown }
      message?: unknown
    }
    const kind = typeof cause?.kind === 'string' ? cause.kind : typeof code === 'string' ? code : 'error'
    this.fail(kind, typeof message === 'string' ? message : String(error))
  }

  /** Counts failures. Some have no call: a call that could not be sent, an error that the subject did not see. */
  fail(kind: string, message: string | undefined, count = 1): void {
    this.failures[kind] = (this.failures[kind] ?? 0) + count
    this.firstFailure ??= message
  }

  time(us: number, times: AnswerTimes | undefined): void {
    this.total.record(us)
    if (times === undefined) return
    this.waiting?.record(times.waitedMs * 1000)
    this.running?.record(times.ranMs * 1000)
  }
}
