/**
 * A hookpoint in a test without threads: events and results take the codec's way to a lane and back, in private memory.
 */
import { createEncoder, type Encoder } from '../../contracts/codec/encode.js'
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import type { LayoutPlan } from '../../contracts/codec/plan.js'
import { createReader } from '../../contracts/codec/read.js'
import type { Hookpoint, HookpointKind } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import { DEFAULTS } from '../../contracts/options.js'
import { createReplyRoom, misfitMessage } from '../../contracts/reply.js'
import { CONTINUE, type Verdict } from '../../contracts/verdict.js'
import { readResult, tooLargeMessage } from '../../plugin/result.js'

export interface InlinePoint {
  readonly name: string
  readonly kind: HookpointKind
  /** The event as the hook sees it. @throws HookringError EVENT_INVALID, EVENT_TOO_LARGE */
  open(event: unknown): OpenedEvent
  /** What a result comes to. @throws HookringError PLUGIN_FAILED when it is no verdict; what reading it throws */
  judge(result: unknown, opened: OpenedEvent, plugin: string): Verdict
}

export interface OpenedEvent {
  readonly event: unknown
  readonly bytes: number
  close(): void
}

export function createInlinePoint(name: string, hookpoint: Hookpoint): InlinePoint {
  const { kind } = hookpoint
  const encoder = createEncoder(hookpoint.plan, { label: name })
  const reader = createReader(asInLane(hookpoint.plan))
  const replyRoom = createReplyRoom(hookpoint, DEFAULTS.maxReplyBytes)
  const replacement = kind === 'transform' ? createReturn('replacement', name, hookpoint.plan) : null
  const answer = hookpoint.replyPlan === null ? null : createReturn('answer', name, hookpoint.replyPlan)

  return {
    name,
    kind,
    open(event) {
      const { memory, bytes } = encodeWhole(name, encoder, event)
      const opened = reader.open(memory, 0, bytes)
      return { event: opened, bytes, close: () => reader.close(opened) }
    },
    judge(result, { bytes }, plugin) {
      const invalid = (message: string, cause?: unknown) =>
        new HookringError('PLUGIN_FAILED', message, { plugin, hookpoint: name, cause })
      const read = readResult(kind, result)
      switch (read.kind) {
        case 'continue':
          return CONTINUE
        case 'reject':
          return {
            kind: 'reject',
            reason: read.reason,
            ...(read.code === undefined ? {} : { code: read.code }),
            plugin,
          }
        case 'replace':
          return { kind: 'replace', event: (replacement as Return)(read.event, replyRoom(bytes), invalid), plugin }
        case 'respond':
          return { kind: 'respond', value: (answer as Return)(read.value, replyRoom(bytes), invalid), plugin }
        case 'invalid':
          throw invalid(read.message)
      }
    },
  }
}

/** The way of a replacement or an answer: encoded by the lane, decoded and checked by the host. */
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

/** Room for most events at the first try. */
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
