/**
 * Writes verdicts into slots: outcome, reason, replacement or answer, all of it in place before the slot is given back. Knows
 * too where the event stands that the next plugin sees. The lane's thread only.
 */
import type { Encoder } from '../../contracts/codec/encode.js'
import type { CodecMemory } from '../../contracts/codec/memory.js'
import { tooLargeMessage } from '../../plugin/result.js'
import * as layout from '../../ring/layout.js'
import type { WorkerRing } from '../../ring/worker-ring.js'
import type { EncodedReply } from '../runtimes/runtime.js'
import type { RunPoint } from './run-point.js'
import type { ReplyKind, VerdictWriter } from './verdicts.js'

// A module's own constants are compiled in; another's are loaded and checked at each use.
const {
  EVENT_BYTES_WORD,
  EXTENT_AT_WORD,
  MESSAGE_BYTES,
  OUTCOME_ABANDONED,
  OUTCOME_CONTINUE,
  OUTCOME_ERROR,
  OUTCOME_INVALID,
  OUTCOME_REJECT,
  OUTCOME_RESPOND,
  REASON_BYTES,
  REPLACED_AREA_WORD,
  REPLACED_BYTES_WORD,
  REPLY_ROOM_WORD,
  TRACE_BYTES_WORD,
} = layout

const NAMES: Readonly<Record<ReplyKind, 'replacement' | 'answer'>> = { replace: 'replacement', respond: 'answer' }

export class SlotVerdicts implements VerdictWriter {
  readonly #ring: WorkerRing
  readonly #memory: CodecMemory

  constructor(ring: WorkerRing, memory: CodecMemory) {
    this.#ring = ring
    this.#memory = memory
  }

  /** Nothing is written: the plugins after it may still decide. */
  continues(): number {
    return OUTCOME_CONTINUE
  }

  rejects(slot: number, plugin: number, reason: string, code: number | undefined): number {
    const ring = this.#ring
    ring.setOutcome(slot, OUTCOME_REJECT, plugin)
    ring.setMessageBytes(slot, this.#writeMessage(slot, reason))
    if (code !== undefined) ring.setCode(slot, code)
    return OUTCOME_REJECT
  }

  replies(slot: number, plugin: number, { replyEncoder }: RunPoint, kind: ReplyKind, value: unknown): number {
    const room = this.#ring.word(slot, REPLY_ROOM_WORD)
    const at = this.#replyAt(slot, kind)
    const bytes = (replyEncoder as Encoder).encode(this.#memory, at, at + room, value)
    if (bytes < 0) return this.isInvalid(slot, plugin, tooLargeMessage(NAMES[kind], -bytes, room))
    return this.#hasReplied(slot, plugin, kind, bytes)
  }

  /** Its bytes are the host's to check, as those of any reply. */
  repliesEncoded(slot: number, plugin: number, point: RunPoint, { kind, bytes }: EncodedReply): number {
    if (point.replyEncoder === null || kind !== (point.kind === 'transform' ? 'replace' : 'respond')) {
      return this.isInvalid(slot, plugin, `a ${point.kind} hook cannot ${kind}`)
    }
    const room = this.#ring.word(slot, REPLY_ROOM_WORD)
    if (bytes.length > room) {
      return this.isInvalid(slot, plugin, tooLargeMessage(NAMES[kind], bytes.length, room))
    }
    this.#memory.u8.set(bytes, this.#replyAt(slot, kind))
    return this.#hasReplied(slot, plugin, kind, bytes.length)
  }

  isInvalid(slot: number, plugin: number, message: string): number {
    return this.#says(slot, plugin, OUTCOME_INVALID, message)
  }

  wasStopped(slot: number, plugin: number): number {
    this.#ring.setOutcome(slot, OUTCOME_ABANDONED, plugin)
    return OUTCOME_ABANDONED
  }

  fails(slot: number, plugin: number, message: string, stack: string): number {
    const ring = this.#ring
    ring.setOutcome(slot, OUTCOME_ERROR, plugin)
    // A zero separates the two.
    const said = this.#writeMessage(slot, message.replaceAll('\0', '\ufffd'))
    ring.setMessageBytes(slot, stack === '' ? said : said + this.#writeStack(slot, said, stack))
    return OUTCOME_ERROR
  }

  #says(slot: number, plugin: number, outcome: number, message: string): number {
    this.#ring.setOutcome(slot, outcome, plugin)
    this.#ring.setMessageBytes(slot, this.#writeMessage(slot, message))
    return outcome
  }

  /** Replacements take turns in two areas: a plugin reads the last one while it writes the next. */
  #nextArea(slot: number): 1 | 2 {
    return this.#ring.word(slot, REPLACED_AREA_WORD) === 1 ? 2 : 1
  }

  #replyAt(slot: number, kind: ReplyKind): number {
    const area = kind === 'replace' ? this.#nextArea(slot) : 1
    return layout.replyAt(repliesAtOf(this.#ring, slot), this.#ring.word(slot, REPLY_ROOM_WORD), area - 1)
  }

  #hasReplied(slot: number, plugin: number, kind: ReplyKind, bytes: number): number {
    if (kind === 'replace') {
      this.#ring.replaced(slot, this.#nextArea(slot), bytes, plugin)
      return OUTCOME_CONTINUE
    }
    this.#ring.setOutcome(slot, OUTCOME_RESPOND, plugin)
    this.#ring.setAnswerBytes(slot, bytes)
    return OUTCOME_RESPOND
  }

  #writeMessage(slot: number, text: string): number {
    const { buffer } = this.#memory
    const at = this.#ring.messageAt(slot)
    const bytes = buffer.write(text, at, REASON_BYTES, 'utf8')
    if (text.length <= REASON_BYTES / 4) return bytes
    const whole = Buffer.byteLength(text)
    if (whole <= REASON_BYTES) return bytes
    const note = `… (${whole} bytes)`
    const noteBytes = Buffer.byteLength(note)
    const kept = buffer.write(text, at, REASON_BYTES - noteBytes, 'utf8')
    return kept + buffer.write(note, at + kept, noteBytes, 'utf8')
  }

  #writeStack(slot: number, behind: number, stack: string): number {
    const { buffer } = this.#memory
    const at = this.#ring.messageAt(slot) + behind
    return buffer.write(`\0${stack.replaceAll('\0', '\ufffd')}`, at, MESSAGE_BYTES - behind, 'utf8')
  }
}

/** The event as the host wrote it, or as the last plugin replaced it. */
export function eventAt(ring: WorkerRing, slot: number): number {
  const area = ring.word(slot, REPLACED_AREA_WORD)
  if (area === 0) return ring.word(slot, EXTENT_AT_WORD)
  return layout.replyAt(repliesAtOf(ring, slot), ring.word(slot, REPLY_ROOM_WORD), area - 1)
}

export function eventBytes(ring: WorkerRing, slot: number): number {
  const area = ring.word(slot, REPLACED_AREA_WORD)
  return ring.word(slot, area === 0 ? EVENT_BYTES_WORD : REPLACED_BYTES_WORD + area - 1)
}

function repliesAtOf(ring: WorkerRing, slot: number): number {
  return layout.repliesAt(
    ring.word(slot, EXTENT_AT_WORD),
    ring.word(slot, EVENT_BYTES_WORD),
    ring.word(slot, TRACE_BYTES_WORD),
  )
}
