/**
 * A hookpoint in a test without threads: events and results pass the codec as on their way to a lane and back, in private
 * memory.
 */
import { createEncoder, type Encoder } from '../../contracts/codec/encode.js'
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import type { LayoutPlan } from '../../contracts/codec/plan.js'
import { createReader, type EventReader } from '../../contracts/codec/read.js'
import type { Hookpoint, HookpointKind } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import { DEFAULTS } from '../../contracts/options.js'
import { createReplyRoom, misfitMessage } from '../../contracts/reply.js'
import { CONTINUE, type Verdict } from '../../contracts/verdict.js'
import { readResult, tooLargeMessage } from '../../plugin/result.js'

export interface OpenedEvent {
  readonly event: unknown
  readonly bytes: number
  close(): void
}

export class InlinePoint {
  readonly name: string
  readonly kind: HookpointKind
  readonly #encoder: Encoder
  readonly #reader: EventReader
  readonly #replyRoom: (eventBytes: number) => number
  readonly #replacement: Return | null
  readonly #answer: Return | null

  constructor(name: string, hookpoint: Hookpoint) {
    this.name = name
    this.kind = hookpoint.kind
    this.#encoder = createEncoder(hookpoint.plan, { label: name })
    this.#reader = createReader(asInLane(hookpoint.plan))
    this.#replyRoom = createReplyRoom(hookpoint, DEFAULTS.maxReplyBytes)
    this.#replacement = hookpoint.kind === 'transform' ? createReturn('replacement', name, hookpoint.plan) : null
    this.#answer = hookpoint.replyPlan === null ? null : createReturn('answer', name, hookpoint.replyPlan)
  }

  /** The event as the hook sees it. @throws HookringError EVENT_INVALID, EVENT_TOO_LARGE */
  open(event: unknown): OpenedEvent {
    const { memory, bytes } = encodeWhole(this.name, this.#encoder, event)
    const opened = this.#reader.open(memory, 0, bytes)
    return { event: opened, bytes, close: () => this.#reader.close(opened) }
  }

  /** The verdict in a hook's result. @throws HookringError PLUGIN_FAILED if there is none; what reading the result throws */
  judge(result: unknown, { bytes }: OpenedEvent, plugin: string): Verdict {
    const invalid = (message: string, cause?: unknown) =>
      new HookringError('PLUGIN_FAILED', message, { plugin, hookpoint: this.name, cause })
    const roomBytes = this.#replyRoom(bytes)
    const read = readResult(this.kind, result)
    switch (read.kind) {
      case 'continue':
        return CONTINUE
      case 'reject':
        return { kind: 'reject', reason: read.reason, ...(read.code === undefined ? {} : { code: read.code }), plugin }
      case 'replace':
        return { kind: 'replace', event: (this.#replacement as Return)(read.event, roomBytes, invalid), plugin }
      case 'respond':
        return { kind: 'respond', value: (this.#answer as Return)(read.value, roomBytes, invalid), plugin }
      case 'invalid':
        throw invalid(read.message)
    }
  }
}

/** The way of a replacement or an answer: the lane encodes it, the host decodes and checks it. */
type Return = (value: unknown, roomBytes: number, invalid: (message: string, cause?: unknown) => Error) => unknown

function createReturn(what: 'replacement' | 'answer', hookpoint: string, plan: LayoutPlan): Return {
  const encoder = createEncoder(asInLane(plan), { label: `${hookpoint}: ${what}` })
  const reader = createReader(plan)
  return (value, roomBytes, invalid) => {
    const memory = codecMemory(new ArrayBuffer(roomBytes))
    let bytes: number
    try {
      bytes = encoder.encode(memory, 0, roomBytes, value)
    } catch (error) {
      if (error instanceof HookringError && error.code === 'EVENT_INVALID') throw invalid(error.message, error)
      throw error
    }
    if (bytes < 0) throw invalid(tooLargeMessage(what, -bytes, roomBytes))
    const checked = reader.parse(memory, 0, bytes)
    if (checked.ok) return checked.value
    throw invalid(misfitMessage(what, checked))
  }
}

/** A lane gets its plans as clones, which have lost what only the schema can check. */
function asInLane(plan: LayoutPlan): LayoutPlan {
  return structuredClone(plan)
}

/** Enough for most events at the first try. */
const FIRST_BYTES = 1024

function encodeWhole(name: string, encoder: Encoder, event: unknown): { memory: CodecMemory; bytes: number } {
  for (let room = FIRST_BYTES; ; room = Math.min(room * 2, DEFAULTS.maxEventBytes)) {
    const memory = codecMemory(new ArrayBuffer(room))
    const bytes = encoder.encode(memory, 0, room, event)
    if (bytes >= 0) return { memory, bytes }
    if (-bytes > DEFAULTS.maxEventBytes || room >= DEFAULTS.maxEventBytes) {
      throw new HookringError(
        'EVENT_TOO_LARGE',
        `${name}: the event takes at least ${-bytes} bytes encoded, maxEventBytes is ${DEFAULTS.maxEventBytes}`,
        { hookpoint: name },
      )
    }
  }
}
