/**
 * The memory through which the threads of a stage are scheduled: who may run, the schedule, the trace, and the faults
 * that were seen. One SharedArrayBuffer, separate from the rings under test. All threads of the stage.
 *
 * One thread runs at a time: the one that has the token. Only it reads and writes the plain words. Handing the token on
 * is an Atomics operation, which orders them.
 */

/** The host's thread is 0, lanes' threads are 1 and 2. */
export const HOST = 0
export const MOST_THREADS = 3
export const THREAD_NAMES = ['h', 'w', 'v'] as const

/* Each thread's token is on a line of its own: the others spin on theirs. */
/** 1: the thread may run. */
export const goWord = (thread: number) => thread * 64
/** 1: the thread sleeps until it gets the token. */
export const asleepWord = (thread: number) => thread * 64 + 32

/** Points passed so far in this schedule. */
export const POINT_WORD = 256
/** One of the MODE_ values. */
export const MODE_WORD = 257
/** One of the FAILURE_ values. */
export const FAILURE_WORD = 258
/** The next switch of the schedule: its point, and its place among SWITCHES. -1: no switch is left. */
export const NEXT_SWITCH_AT_WORD = 259
export const NEXT_SWITCH_WORD = 260
export const SWITCH_COUNT_WORD = 261
/** Index of the scenario. */
export const SCENARIO_WORD = 262
/** Rings made so far in this schedule. */
export const RING_COUNT_WORD = 263
/** The thread that waits for the lane which is being loaded. */
export const CALLER_WORD = 264
/** Per thread: one of the STATE_ values. */
export const stateWord = (thread: number) => 272 + thread
/** Per thread: which ring its lane serves. */
export const ringWord = (thread: number) => 280 + thread

/** Switches of the schedule: point, thread. */
export const SWITCHES_AT = 320
export const MOST_SWITCHES = 64
/** Sleepers in Atomics.wait and waitAsync: WAITER_WORDS each. */
export const WAITERS_AT = 512
export const MOST_WAITERS = 16
export const WAITER_WORDS = 5
/** Latches of the scenario: 1 once it is open. */
export const LATCHES_AT = 600
export const MOST_LATCHES = 8
/** Messages under way, per thread: a count, then their numbers. */
export const mailAt = (thread: number) => 640 + thread * 16
/** How often each plugin was entered for each call. */
export const RUNS_AT = 704
export const MOST_CALLS = 16
export const MOST_PLUGINS = 4
/** What went wrong: a count, then a FAULT_ value and a detail each. */
export const FAULTS_AT = 800
export const MOST_FAULTS = 8
/** Per ring and slot: the use that was last claimed and the one that was last recalled, plus one. */
export const USES_AT = 832
export const MOST_SLOTS = 8
/** Doubles (index into them): the virtual time in milliseconds, what a reading of the clock adds, each thread's next timer. */
export const TIME_DOUBLE = 480
export const TICK_DOUBLE = 481
export const dueDouble = (thread: number) => 482 + thread
/** The trace: TRACE_WORDS for each point. */
export const TRACE_AT = 1024
export const TRACE_WORDS = 4
/** A schedule that takes more is reported as endless. */
export const MOST_POINTS = 4000
export const BOARD_BYTES = (TRACE_AT + MOST_POINTS * TRACE_WORDS) * 4

/** Operations are not points: a stage is being set up, or a lane loaded. */
export const MODE_FREE = 0
export const MODE_EXPLORING = 1
/** The schedule is over: lanes' threads leave whatever they are in. */
export const MODE_ENDING = 2

export const FAILURE_NONE = 0
/** No thread can run, and something is still to be done. */
export const FAILURE_STUCK = 1
export const FAILURE_ENDLESS = 2
/** The schedule names a switch that is not possible there: it belongs to another program. */
export const FAILURE_MISFIT = 3

/** The thread has no lane. */
export const STATE_OVER = 0
export const STATE_RUNNABLE = 1
export const STATE_BLOCKED = 2
/** The thread runs when no other can. */
export const STATE_LAST = 3

export const MAIL_SHUTDOWN = 1
export const MAIL_STOP = 2
export const MAIL_ANSWER = 3

/** What a point is. */
export const PHASE_BEFORE = 0
export const PHASE_AFTER = 1
/** The thread cannot go on; another must. */
export const PHASE_BLOCKED = 2

export const OPERATIONS = [
  'load',
  'store',
  'exchange',
  'compareExchange',
  'add',
  'or',
  'notify',
  'wait',
  'waitAsync',
  'note',
] as const
export type Operation = (typeof OPERATIONS)[number]
export const OP_LOAD = 0
export const OP_STORE = 1
export const OP_EXCHANGE = 2
export const OP_COMPARE_EXCHANGE = 3
export const OP_ADD = 4
export const OP_OR = 5
export const OP_NOTIFY = 6
export const OP_WAIT = 7
export const OP_WAIT_ASYNC = 8
/** A mark of the scenario's own: a hook is entered, or time passes. */
export const OP_NOTE = 9

/** Faults that threads see themselves. The host's checks at the end of a schedule are in forbidden.ts. */
export const FAULT_CLAIMED_TWICE = 1
export const FAULT_CLAIMED_AND_RECALLED = 2
export const FAULT_RUN_TWICE = 3
/** An event does not have what its call was made with. */
export const FAULT_EVENT = 4

export interface Board {
  readonly buffer: SharedArrayBuffer
  readonly words: Int32Array
  readonly doubles: Float64Array
}

export function boardOf(buffer: SharedArrayBuffer): Board {
  return { buffer, words: new Int32Array(buffer), doubles: new Float64Array(buffer) }
}

/** Records a fault. Only the first few are kept. */
export function fault({ words }: Board, kind: number, detail: number): void {
  const count = words[FAULTS_AT] as number
  if (count >= MOST_FAULTS) return
  words[FAULTS_AT] = count + 1
  words[FAULTS_AT + 1 + count * 2] = kind
  words[FAULTS_AT + 2 + count * 2] = detail
}
