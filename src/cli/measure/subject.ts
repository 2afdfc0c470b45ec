/**
 * What is measured, and what a round of measuring gives. Types alone, shared by the process that measures and the one
 * that asks it to.
 */
import type { HistogramCounts } from './histogram.js'

/** The events that a subject is asked about, in turn, so that none is special. */
export interface Events<E = unknown> {
  readonly events: readonly E[]
  /** For each event, whether the right verdict is a reject, where that is known: a subject that skips the work is found out by this. */
  readonly rejects?: readonly boolean[]
}

export interface Answer {
  readonly kind: string
  readonly failure?: { readonly kind: string; readonly message: string }
}

/** Filled in by subjects that can tell waiting from running. */
export interface AnswerTimes {
  waitedMs: number
  ranMs: number
}

/** One contender, engine or arrangement under measurement. */
export interface Subject<E = unknown> extends Events<E> {
  /** What a rejection's `code` or its cause's `kind` names is the kind of the failure. */
  ask(event: E, times?: AnswerTimes): PromiseLike<Answer>
  /** Whether `ask` fills in `times`. */
  readonly hasTimes?: boolean
  /** Failures so far that no answer tells of, by kind: those of observations. */
  unseenFailures?(): Promise<Readonly<Record<string, number>>>
  /** Called before every round; may choose settings for this many calls in flight. Returns a note for the report. */
  prepare?(inFlight: number): Promise<string | undefined>
  /** What the one who opened it wants to know; plain data. */
  readonly about?: unknown
  close(): Promise<void>
}

/** What a subject's module exports. */
export interface SubjectModule {
  open(options: unknown): Promise<Subject>
}

/** `closed`: each call is followed by the next one. `open`: calls begin by the clock, whatever became of the others. */
export type Load =
  | { readonly kind: 'closed'; readonly inFlight: number }
  | { readonly kind: 'open'; readonly ratePerSecond: number }

export interface Round {
  readonly calls: number
  readonly elapsedMs: number
  /** Latencies, failed calls included; in a closed loop of 64 calls or more, of one chain of calls in 8. */
  readonly total: HistogramCounts
  /** Of subjects that can tell. */
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
  /** The share of the machine's CPU time that went to its neighbours meanwhile, 0 to 1, where the system tells. */
  readonly stolenShare: number | undefined
}

/** Memory of the subject's process, in MiB. */
export interface MemorySample {
  readonly rssMb: number
  readonly heapMb: number
  /** ArrayBuffers, shared ones included: rings and their mirrors among them. */
  readonly buffersMb: number
  /** What the process has grown by since it was about to open the subject: threads, their heaps, plugins, rings. */
  readonly grownMb: number
}

export function loadText(load: Load): string {
  return load.kind === 'closed' ? `${load.inFlight} in flight` : `${load.ratePerSecond} per second`
}
