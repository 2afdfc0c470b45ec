/** Writes verdicts as frames: the child's counterpart of slots. The child's main thread. */
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import { tooLargeMessage } from '../../plugin/result.js'
import type { RunPoint } from '../calls/run-point.js'
import type { ReplyKind, VerdictWriter } from '../calls/verdicts.js'
import type { EncodedReply } from '../runtimes/runtime.js'
import type { ChildPipe } from './child-pipe.js'
import { FROM_CHILD, HEAD_BYTES, MAX_TEXT_BYTES } from './frames.js'

/** Outcomes are for the lane to decide: here each method returns this. */
const SENT = 0

export class FrameVerdicts implements VerdictWriter {
  readonly #pipe: ChildPipe
  /** Of a replacement or an answer. */
  readonly #maxReplyBytes: number
  #memory: CodecMemory = codecMemory(new ArrayBuffer(0))

  constructor(pipe: ChildPipe, { maxReplyBytes }: { maxReplyBytes: number }) {
    this.#pipe = pipe
    this.#maxReplyBytes = maxReplyBytes
  }

  continues(id: number): number {
    this.#pipe.sendRoom({ what: FROM_CHILD.continues, bytes: HEAD_BYTES, id })
    return SENT
  }

  rejects(id: number, _plugin: number, reason: string, code: number | undefined): number {
    return this.#sendText(FROM_CHILD.rejects, id, reason, code)
  }

  replies(id: number, plugin: number, { replyEncoder }: RunPoint, kind: ReplyKind, value: unknown): number {
    if (replyEncoder === null) throw new Error('this hookpoint has no reply')
    const most = this.#maxReplyBytes
    let limit = this.#pipe.room(HEAD_BYTES).length
    for (;;) {
      const room = this.#pipe.room(limit)
      if (this.#memory.buffer.buffer !== room.buffer) this.#memory = codecMemory(room.buffer)
      const end = Math.min(room.length, HEAD_BYTES + most)
      const bytes = replyEncoder.encode(this.#memory, HEAD_BYTES, end, value)
      if (bytes >= 0) {
        this.#pipe.sendRoom({ what: whatOf(kind), bytes: HEAD_BYTES + bytes, id })
        return SENT
      }
      if (-bytes > most) {
        const name = kind === 'replace' ? 'replacement' : 'answer'
        return this.isInvalid(id, plugin, tooLargeMessage(name, -bytes, most))
      }
      limit = HEAD_BYTES + Math.max(-bytes, 2 * room.length)
    }
  }

  repliesEncoded(id: number, _plugin: number, _point: RunPoint, { kind, bytes }: EncodedReply): number {
    this.#pipe.send(whatOf(kind), { id, payload: bytes })
    return SENT
  }

  isInvalid(id: number, _plugin: number, message: string): number {
    return this.#sendText(FROM_CHILD.invalid, id, message)
  }

  wasStopped(id: number): number {
    this.#pipe.send(FROM_CHILD.stopped, { id })
    return SENT
  }

  /** A zero separates the two. */
  fails(id: number, _plugin: number, message: string, stack: string): number {
    return this.#sendText(FROM_CHILD.fails, id, `${message.replaceAll('\0', '\ufffd')}\0${stack}`)
  }

  #sendText(what: number, id: number, text: string, code?: number): number {
    const room = this.#pipe.room(HEAD_BYTES + MAX_TEXT_BYTES)
    const written = room.write(text, HEAD_BYTES, MAX_TEXT_BYTES, 'utf8')
    const coded = code === undefined ? {} : { index: 1, extra: code }
    this.#pipe.sendRoom({ what, bytes: HEAD_BYTES + written, id, ...coded })
    return SENT
  }
}

function whatOf(kind: ReplyKind): number {
  return kind === 'replace' ? FROM_CHILD.replaces : FROM_CHILD.responds
}
