/**
 * What lane and guest say to each other: words of one small piece of the guest's memory, which both read and write, and
 * texts. The lane's side imports this file; the guest's code is given PROTOCOL as a value, since it can import nothing.
 * Everything that the guest writes is checked where the lane reads it.
 *
 *   word 0    STATUS       what a call came to; 0 before it, so that a call that was cut off is known by it
 *   word 1    OP           which hookpoint, operation or service is meant
 *   word 2    CALL         the call concerned; ids below 0 are stages of the plugin's life
 *   word 3    EVENT_BYTES  of the event, which stands at the start of the input
 *   word 4    TRACE_BYTES  of the trace id, behind the event
 *   word 5    CODE         of a reject; -1: none
 *   word 6    OUT_BYTES    of the bytes that the verdict refers to
 *   word 7, 8 A, B         arguments of operations and services
 *   word 10   DEADLINE     a double: Unix milliseconds
 */
export const PROTOCOL = {
  HEADER_BYTES: 64,
  STATUS: 0,
  OP: 1,
  CALL: 2,
  EVENT_BYTES: 3,
  TRACE_BYTES: 4,
  CODE: 5,
  OUT_BYTES: 6,
  A: 7,
  B: 8,
  /** Counted in doubles. */
  DEADLINE: 5,

  // STATUS
  UNSET: 0,
  CONTINUE: 1,
  REJECT: 2,
  REPLACE: 3,
  VALUE: 4,
  /** No verdict of this kind of hookpoint: its mark and the outside of its parts, so that the lane can say why. */
  ODD: 5,
  INVALID: 6,
  ERROR: 7,
  PENDING: 8,
  DONE: 9,

  // OP of what the lane asks
  DEFINE: 0,
  SET_UP: 1,
  SHUT_DOWN: 2,
  DESTROY: 3,
  ABORT: 4,
  TIMERS: 5,
  KEEP: 6,
  PROBE: 7,
  SEED: 8,
  DESCRIBE: 9,
  INPUT: 10,

  // OP of what the guest asks
  TEXT: 0,
  ROOM: 1,
  LOG: 2,
  SETTLED: 3,
  TIMER: 4,

  // CALL
  SETUP_ID: -1,
  SHUTDOWN_ID: -2,
  DESTROY_ID: -3,

  // A of ABORT
  BY_DEADLINE: 0,
  BY_CALLER: 1,

  MAX_DEPTH: 120,
  MAX_REASON_CHARS: 16_384,
  MAX_ERROR_CHARS: 4_096,
  MAX_MESSAGE_CHARS: 8_192,
  MAX_FIELDS_CHARS: 16_384,
  MAX_TIMERS: 256,
  /** Characters and bytes of a verdict, on top of four times its event's. */
  MAX_VERDICT_BYTES: 1024 * 1024,
  /** What must be left to a plugin that has run out of memory once. */
  PROBE_BYTES: 256 * 1024,
} as const

export type Protocol = typeof PROTOCOL

/**
 * Texts are JSON in which every array begins with a mark, so that values which JSON does not know have a place:
 *
 *   [0, ...items]   an array        [1, "123"]      a bigint       [2, at, length]   bytes, which stand apart
 *   [3, ms]         a Date          [4]             undefined      [5, "NaN"]        a number that JSON has no word for
 *   [6, "function"] something that does not cross
 */
export const MARK = { array: 0, bigint: 1, bytes: 2, date: 3, undefined: 4, number: 5, other: 6 } as const
