/**
 * The memory of one lane: a single SharedArrayBuffer, drawn here once. Words are 32 bits and named by index into one
 * Int32Array over the whole buffer; times are doubles (monotonic milliseconds, see clock.ts), named by the word at which
 * they start, always even.
 *
 *   header      HEADER_WORDS words
 *   submit ring    slotCount words: slot indexes, in the order of submission
 *   complete ring  slotCount words: slot indexes, in the order of completion
 *   slots       slotCount x SLOT_WORDS words
 *   messages    slotCount x MESSAGE_BYTES bytes: text from the worker, a reject's reason or an error's text
 *   arena       extents: event | trace id | replies; the first slotCount ones belong to the slots (host/model/lane-bytes.ts)
 *
 * Slot states, in the low bits of the slot's state word; the bits above count the slot's uses, so that a state of an
 * earlier use is never taken for one of this use:
 *
 *   FREE -> SUBMITTED -> CLAIMED -> COMPLETED -> FREE
 *                \-> RECALLED -> (the worker skips it) -> COMPLETED -> FREE
 *
 * SUBMITTED -> CLAIMED (worker) and SUBMITTED -> RECALLED (host) race and are compare-exchanges; every other transition
 * has one writer.
 */

/* Header. Each word that one side polls stands 128 bytes from its neighbours: no false sharing. */

/** Host writes once, before the worker starts; the worker compares it with its own LAYOUT_VERSION. */
export const LAYOUT_VERSION_WORD = 0
/** Host writes once: number of slots, a power of two. */
export const SLOT_COUNT_WORD = 1
/** Host writes, worker reads: submissions published so far (wraps). */
export const SUBMIT_TAIL_WORD = 32
/** Worker writes, host reads: completions published so far (wraps). */
export const COMPLETE_TAIL_WORD = 64
/** Worker stores PARKED before it sleeps; whoever wakes it first exchanges the word to AWAKE. */
export const WORKER_PARK_WORD = 96
/** Host stores PARKED before it sleeps; the worker exchanges the word to AWAKE before it notifies. */
export const HOST_PARK_WORD = 128
/** Host increments, worker reads: control messages sent so far (wraps). */
export const CONTROL_SEQUENCE_WORD = 160
/** Host increments, worker reads: calls given up by their callers so far (wraps). */
export const CANCEL_SEQUENCE_WORD = 161
/** Worker writes, host reads: one more than the slot whose hook runs synchronously at this moment; 0 for none. */
export const RUNNING_SLOT_WORD = 192
/** Worker writes, host reads: one more than the index of the plugin whose import or setup runs at this moment; 0 for none. */
export const LOADING_PLUGIN_WORD = 193
export const HEADER_WORDS = 224

export const LAYOUT_VERSION = 2
export const AWAKE = 0
export const PARKED = 1

/*
 * Slot: two cache lines. The host writes the first, and the worker reads it. The second has what the worker gives back and
 * the state word, so that the host reads one line to take a completion.
 */

/** Host: index of the hookpoint in the lane's load message. */
export const HOOKPOINT_WORD = 1
/** Host: plugins to run, one bit for each index. */
export const MASK_WORD = 2
/** Host: byte offset of the slot's extent. */
export const EXTENT_AT_WORD = 3
/** Host: bytes of the encoded event. */
export const EVENT_BYTES_WORD = 4
/** Host: bytes of the trace id (UTF-8) behind the event; 0 for none. */
export const TRACE_BYTES_WORD = 5
/** Host: bytes of one reply area. A transform's slot has two, which are written in turns. */
export const REPLY_ROOM_WORD = 6
/** Host: 1 once the caller has given up. */
export const CANCELLED_WORD = 9
/** Host: when the first plugin's time ends (double); Infinity for observations. */
export const DEADLINE_WORD = 10

/**
 * Both: plugins that have finished and let the hop go on, one bit for each index. The worker adds a bit by compare-exchange
 * before it enters the next plugin; the host sets STOPPED_BIT when it takes the rest of the hop elsewhere. So no plugin runs
 * twice for one call.
 */
export const DONE_MASK_WORD = 16
export const STOPPED_BIT = 1 << 31
/** Worker: one of the OUTCOME_ values. */
export const OUTCOME_WORD = 17
/** Worker: index of the plugin that the outcome is about. */
export const OUTCOME_PLUGIN_WORD = 18
/** Worker: bytes of the message (a reject's reason; an error's text, a zero, its stack). */
export const MESSAGE_BYTES_WORD = 19
/** Worker: bytes of the answer in the first reply area. */
export const ANSWER_BYTES_WORD = 20
/** Worker: a reject's code, valid when HAS_CODE_WORD is 1. */
export const CODE_WORD = 21
export const HAS_CODE_WORD = 22
/** Worker: which reply area holds the replaced event: 0 none, 1 first, 2 second. Stored after the bytes are in place. */
export const REPLACED_AREA_WORD = 23
/** Worker: bytes of the replaced event in the first and the second area. */
export const REPLACED_BYTES_WORD = 24 // and 25
/** Worker: index of the plugin that replaced the event last. */
export const REPLACED_BY_WORD = 26
/** Both: state and use count, see above. */
export const STATE_WORD = 27
/** Worker: when the first plugin was entered (double). */
export const STARTED_AT_WORD = 28
/** Worker: when the current plugin was entered, and at completion when the last one returned (double). */
export const MARK_AT_WORD = 30
export const SLOT_WORDS = 32

export const FREE = 0
export const SUBMITTED = 1
export const CLAIMED = 2
export const RECALLED = 3
export const COMPLETED = 4
export const STATE_BITS = 3
export const STATE_MASK = 7

export const OUTCOME_CONTINUE = 0
export const OUTCOME_REJECT = 1
export const OUTCOME_RESPOND = 2
/** The plugin threw or rejected its promise; the message says what. */
export const OUTCOME_ERROR = 3
/** The plugin returned something that is no verdict, or one that does not fit; the message says what. */
export const OUTCOME_INVALID = 4
/** The call had been recalled before any plugin ran. */
export const OUTCOME_SKIPPED = 5
/** An async hook was still pending at the deadline, and the worker detached it. */
export const OUTCOME_ABANDONED = 6

/** A slot's message area holds a reject's reason, or an error's text, a zero byte and the error's stack. */
export const MESSAGE_BYTES = 2048
/** At most this much of it is a reason, or an error's text without its stack. */
export const REASON_BYTES = 384

export interface Geometry {
  /** A power of two. */
  readonly slotCount: number
  /** Bytes for all extents together. */
  readonly arenaBytes: number
}

export interface LayoutOffsets {
  readonly submitRingWord: number
  readonly completeRingWord: number
  readonly slotsWord: number
  readonly messagesByte: number
  readonly arenaByte: number
  readonly totalBytes: number
}

export function layoutOf({ slotCount, arenaBytes }: Geometry): LayoutOffsets {
  if (slotCount < 1 || (slotCount & (slotCount - 1)) !== 0) {
    throw new RangeError(`slotCount must be a power of two, got ${slotCount}`)
  }
  const submitRingWord = HEADER_WORDS
  const completeRingWord = submitRingWord + alignWords(slotCount)
  const slotsWord = completeRingWord + alignWords(slotCount)
  const messagesByte = (slotsWord + slotCount * SLOT_WORDS) * 4
  const arenaByte = messagesByte + slotCount * MESSAGE_BYTES
  return { submitRingWord, completeRingWord, slotsWord, messagesByte, arenaByte, totalBytes: arenaByte + arenaBytes }
}

/** Where the reply areas begin: the bytes behind the event and its trace id, in the same extent. */
export function repliesAt(extentAt: number, eventBytes: number, traceBytes: number): number {
  return align8(extentAt + eventBytes + traceBytes)
}

/** Where a reply area begins (the first is 0). */
export function replyAt(repliesAtByte: number, replyRoom: number, area: number): number {
  return repliesAtByte + area * replyRoom
}

/** Bytes of a slot's extent: event, trace id, then `replyAreas` areas of `replyRoom` bytes. */
export function extentBytes(eventBytes: number, traceBytes: number, replyRoom: number, replyAreas: number): number {
  return align8(eventBytes + traceBytes) + replyRoom * replyAreas
}

export function align8(bytes: number): number {
  return (bytes + 7) & ~7
}

function alignWords(words: number): number {
  return (words + 31) & ~31
}
