/**
 * What a hook has come to, in the slot: outcome, reason, replacement or answer, all of it in place before the slot is given
 * back; and where the event stands that the next plugin sees. The lane's thread only.
 */
import type { Encoder } from '../../contracts/codec/encode.js'
import type { CodecMemory } from '../../contracts/codec/memory.js'
import { HookringError } from '../../contracts/errors.js'
import { readResult, tooLargeMessage } from '../../plugin/result.js'
import { describe } from '../../plugin/setup.js'
import {
  EVENT_BYTES_WORD,
  EXTENT_AT_WORD,
  MESSAGE_BYTES,
  OUTCOME_ABANDONED,
  OUTCOME_CONTINUE,
  OUTCOME_ERROR,
  OUTCOME_INVALID,
  OUTCOME_REJECT,
  OUTCOME_RESPOND,
  REPLACED_AREA_WORD,
  REPLACED_BYTES_WORD,
  REPLY_ROOM_WORD,
  repliesAt,
  replyAt,
  TRACE_BYTES_WORD,
} from '../../ring/layout.js'
import type { WorkerRing } from '../../ring/worker-ring.js'
import { EncodedReply, StoppedAtDeadline } from '../runtimes/runtime.js'
import type { RunPoint } from './run-point.js'

/** What a hookpoint takes for a verdict. */
export interface Outcomes {
  /** Turns what a hook returned into an outcome; its bytes are in place when this returns. */
  accept(slot: number, point: RunPoint, index: number, result: unknown): number
  /** The same for what a hook threw. */
  fail(slot: number, index: number, error: unknown): number
}

export function createOutcomes(ring: WorkerRing, memory: CodecMemory): Outcomes {
  function accept(slot: number, point: RunPoint, index: number, result: unknown): number {
    if (result instanceof EncodedReply) return encoded(slot, point, index, result)
    const read = readResult(point.kind, result)
    switch (read.kind) {
      case 'continue':
        return OUTCOME_CONTINUE
      case 'reject':
        ring.setOutcome(slot, OUTCOME_REJECT, index)
        ring.setMessageBytes(slot, writeMessage(slot, read.reason))
        if (read.code !== undefined) ring.setCode(slot, read.code)
        return OUTCOME_REJECT
      case 'replace':
        return replaced(slot, point, index, read.event)
      case 'respond':
        return answered(slot, point, index, read.value)
      case 'invalid':
        return invalid(slot, index, read.message)
    }
  }

  function replaced(slot: number, point: RunPoint, index: number, event: unknown): number {
    const area = ring.word(slot, REPLACED_AREA_WORD) === 1 ? 2 : 1
    const room = ring.word(slot, REPLY_ROOM_WORD)
    const at = replyAt(repliesAtOf(ring, slot), room, area - 1)
    const bytes = (point.replyEncoder as Encoder).encode(memory, at, at + room, event)
    if (bytes < 0) return invalid(slot, index, tooLargeMessage('replacement', -bytes, room))
    ring.replaced(slot, area, bytes, index)
    return OUTCOME_CONTINUE
  }

  function answered(slot: number, point: RunPoint, index: number, value: unknown): number {
    const room = ring.word(slot, REPLY_ROOM_WORD)
    const at = replyAt(repliesAtOf(ring, slot), room, 0)
    const bytes = (point.replyEncoder as Encoder).encode(memory, at, at + room, value)
    if (bytes < 0) return invalid(slot, index, tooLargeMessage('answer', -bytes, room))
    ring.setOutcome(slot, OUTCOME_RESPOND, index)
    ring.setAnswerBytes(slot, bytes)
    return OUTCOME_RESPOND
  }

  /** Its bytes are the host's to check, as those of any reply. */
  function encoded(
    slot: number,
    point: RunPoint,
    index: number,
    { kind, bytes: { length }, bytes }: EncodedReply,
  ): number {
    const room = ring.word(slot, REPLY_ROOM_WORD)
    const area = kind === 'replace' && ring.word(slot, REPLACED_AREA_WORD) === 1 ? 2 : 1
    if (point.replyEncoder === null || kind !== (point.kind === 'transform' ? 'replace' : 'respond')) {
      return invalid(slot, index, `a ${point.kind} hook cannot ${kind}`)
    }
    if (length > room) {
      return invalid(slot, index, tooLargeMessage(kind === 'replace' ? 'replacement' : 'answer', length, room))
    }
    memory.u8.set(bytes, replyAt(repliesAtOf(ring, slot), room, area - 1))
    if (kind === 'replace') {
      ring.replaced(slot, area, length, index)
      return OUTCOME_CONTINUE
    }
    ring.setOutcome(slot, OUTCOME_RESPOND, index)
    ring.setAnswerBytes(slot, length)
    return OUTCOME_RESPOND
  }

  function fail(slot: number, index: number, error: unknown): number {
    if (error instanceof StoppedAtDeadline) {
      ring.setOutcome(slot, OUTCOME_ABANDONED, index)
      return OUTCOME_ABANDONED
    }
    // A value that does not fit its schema is a bad verdict, not a broken plugin.
    if (error instanceof HookringError && error.code === 'EVENT_INVALID') return invalid(slot, index, error.message)
    ring.setOutcome(slot, OUTCOME_ERROR, index)
    ring.setMessageBytes(slot, writeMessage(slot, describe(error)))
    return OUTCOME_ERROR
  }

  function invalid(slot: number, index: number, message: string): number {
    ring.setOutcome(slot, OUTCOME_INVALID, index)
    ring.setMessageBytes(slot, writeMessage(slot, message))
    return OUTCOME_INVALID
  }

  function writeMessage(slot: number, text: string): number {
    const at = ring.messageAt(slot)
    const bytes = memory.buffer.write(text, at, MESSAGE_BYTES, 'utf8')
    if (text.length <= MESSAGE_BYTES / 4) return bytes
    const whole = Buffer.byteLength(text)
    if (whole <= MESSAGE_BYTES) return bytes
    const note = `… (${whole} bytes)`
    const noteBytes = Buffer.byteLength(note)
    const kept = memory.buffer.write(text, at, MESSAGE_BYTES - noteBytes, 'utf8')
    return kept + memory.buffer.write(note, at + kept, noteBytes, 'utf8')
  }

  return { accept, fail }
}

/** The event as the host wrote it, or as the last plugin replaced it. */
export function eventAt(ring: WorkerRing, slot: number): number {
  const area = ring.word(slot, REPLACED_AREA_WORD)
  if (area === 0) return ring.word(slot, EXTENT_AT_WORD)
  return replyAt(repliesAtOf(ring, slot), ring.word(slot, REPLY_ROOM_WORD), area - 1)
}

export function eventBytes(ring: WorkerRing, slot: number): number {
  const area = ring.word(slot, REPLACED_AREA_WORD)
  return ring.word(slot, area === 0 ? EVENT_BYTES_WORD : REPLACED_BYTES_WORD + area - 1)
}

function repliesAtOf(ring: WorkerRing, slot: number): number {
  return repliesAt(
    ring.word(slot, EXTENT_AT_WORD),
    ring.word(slot, EVENT_BYTES_WORD),
    ring.word(slot, TRACE_BYTES_WORD),
  )
}
