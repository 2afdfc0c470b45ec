/**
 * What is measured, and the result of a round. Types only, shared by the process that measures and the one that asks it
 * to.
 */
import type { HistogramCounts } from './histogram.js'

/** The events that a subject is asked about, in turn, so that none of them is special. */
export interface Events<E = unknown> {
  readonly events: readonly E[]
  /** For each event, whether the right verdict is a reject, if that is known. It finds subjects that skip the work. */
  readonly rejects?: readonly boolean[]
}

export interface Answer {
  readonly kind: string
  readonly failure?: { readonly kind: string; readonly message: string }
}

/** Filled in by subjects that can separate waiting from running. */
export interface AnswerTimes {
  waitedMs: number
  ranMs: number
}

/** One contender, engine or setup that is measured. */
export interface Subject<E = unknown> extends Events<E> {
  /** If it rejects, the error's `code`, or its cause's `kind`, is the kind of the failure. */
  ask(event: E, times?: AnswerTimes): PromiseLike<Answer>
  /** Whether `ask` fills in `times`. */
  readonly hasTimes?: boolean
  /** Failures so far that no answer reports (those of observations), by kind. */
  unseenFailures?(): Promise<Readonly<Record<string, number>>>
  /** Called before every round; may choose settings for this many calls in flight. Returns a note for the report. */
  prepare?(inFlight: number): Promise<string | undefined>
  /** What whoever opened it wants to know about it; plain data. */
  readonly about?: unknown
  close(): Promise<void>
}

/** What a subject's module exports. */
export interface SubjectModule {
  open(options: unknown): Promise<Subject>
}

/** `closed`: each call is followed by the next one. `open`: calls begin by the clock, whatever happened to earlier ones. */
export type Load =
  | { readonly kind: 'closed'; readonly inFlight: number }
  | { readonly kind: 'open'; readonly ratePerSecond: number }

export interface Round {
  readonly calls: number
  readonly elapsedMs: number
  /** Latencies, those of failed calls included. In a closed loop of 64 calls or more, only one chain of calls in 8 counts. */
  readonly total: HistogramCounts
  /** Of subjects that can separate it. */
  readonly waiting: HistogramCounts | undefined
  readonly running: HistogramCounts | undefined
  /** Calls that got a verdict from a plugin. */
  readonly verdicts: Readonly<Record<string, number>>
  readonly failures: Readonly<Record<string, number>>
  readonly firstFailure: string | undefined
  /** Calls whose verdict was not the right one. */
  readonly wrong: number
  readonly hostBusyMs: number
  /** CPU time of all threads of the process. */
  readonly processCpuMs: number
  /** Open loop: how late the latest call began. */
  readonly latestStartMs: number
  /**
   * The share of the machine's CPU time that its neighbours took meanwhile, 0 to 1; undefined where the system does not
   * tell.
   */
  readonly stolenShare: number | undefined
}

/** Memory of the subject's process, in MiB. */
export interface MemorySample {
  readonly rssMb: number
  readonly heapMb: number
  /** ArrayBuffers, shared ones included: rings and their mirrors among them. */
  readonly buffersMb: number
  /** Growth of the process since just before it opened the subject: threads, their heaps, plugins, rings. */
  readonly grownMb: number
}

export function loadText(load: Load): string {
  return load.kind === 'closed' ? `${load.inFlight} in flight` : `${load.ratePerSecond} per second`
}
