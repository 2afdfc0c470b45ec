/**
 * The messages of an open connection, both ways: requests and their answers, messages that nobody answers, flushes, and
 * what the server sends by itself. One for a connection; on the host's thread.
 */
import { HookringError } from '../../contracts/index.js'
import { FRAME, type Frame, frameOf, numberedFrameOf, readNumbered } from './frames.js'
import { errorPayload } from './handshake.js'
import type { Peer, Requests } from './requests.js'
import type { ServerCounts } from './server-counts.js'
import type { ResolvedServerOptions } from './server-options.js'
import { type BegunRequest, UnderWay } from './under-way.js'

export interface MessagesParts {
  readonly peer: Peer
  readonly socket: { readonly writableLength: number }
  readonly options: Pick<ResolvedServerOptions, 'maxFrameBytes' | 'maxUnsentBytes'>
  readonly requests: Requests
  readonly counts: ServerCounts
  send(frame: Buffer): void
  /** Something that was under way is not any more. */
  settled(): void
}

const EMPTY = new Uint8Array(0)

export class Messages {
  readonly #parts: MessagesParts
  readonly #underWay = new UnderWay()
  #isUnheard = false

  constructor(parts: MessagesParts) {
    this.#parts = parts
  }

  get underWay(): number {
    return this.#underWay.count
  }

  /** @throws HookringError FRAME_INVALID */
  take(frame: Frame): void {
    switch (frame.type) {
      case FRAME.sync:
        this.#request(frame)
        return
      case FRAME.async:
        this.#tell(frame.payload)
        return
      case FRAME.cancel:
        this.#underWay.cancel(readNumbered(frame).id)
        return
      case FRAME.flush:
        void this.#flush(readNumbered(frame).id)
        return
      default:
        throw new HookringError('FRAME_INVALID', `a client sends no frames of type ${frame.type}`)
    }
  }

  /** With a body of the connection's codec. @throws HookringError FRAME_TOO_LARGE, REQUEST_OVERLOAD */
  post(body: Uint8Array): void {
    const { peer, socket, options, counts, send } = this.#parts
    const bytes = body.byteLength + 1
    if (bytes > options.maxFrameBytes) {
      const message = `the message takes ${bytes} bytes; at most ${options.maxFrameBytes} are sent`
      throw new HookringError('FRAME_TOO_LARGE', message)
    }
    if (socket.writableLength + bytes > options.maxUnsentBytes) {
      counts.unposted += 1
      const message = `connection ${peer.handle} does not take what it is sent: more than ${options.maxUnsentBytes} bytes wait`
      throw new HookringError('REQUEST_OVERLOAD', message)
    }
    counts.posted += 1
    send(frameOf(FRAME.message, body))
  }

  /** Nobody is left to be answered; messages that need no answer go on. */
  abandonAnswers(): void {
    this.#isUnheard = true
    this.cancelAll()
  }

  cancelAll(): void {
    this.#underWay.cancelAll()
  }

  #request(frame: Frame): void {
    const { id, rest } = readNumbered(frame)
    const { counts } = this.#parts
    counts.sync += 1
    if (this.#isUnheard) counts.abandoned += 1
    else void this.#answer(this.#underWay.beginRequest(id), rest)
  }

  async #answer(request: BegunRequest, body: Buffer): Promise<void> {
    const { peer, requests, counts, send } = this.#parts
    const { id, controller } = request
    const answer = await requests.answer(peer, body, controller.signal)
    if (controller.signal.aborted) counts.abandoned += 1
    else if (answer.kind === 'value') {
      counts.answered += 1
      send(numberedFrameOf(FRAME.response, id, answer.body))
    } else {
      counts.failed += 1
      send(numberedFrameOf(FRAME.error, id, errorPayload(answer.error)))
    }
    this.#underWay.settleRequest(request)
    this.#parts.settled()
  }

  #tell(body: Buffer): void {
    const { peer, requests, counts, settled } = this.#parts
    counts.async += 1
    const told = requests.tell(peer, body)
    if (told === false) counts.unreadable += 1
    if (typeof told === 'boolean') return
    const begun = this.#underWay.begin()
    void told.then(() => {
      this.#underWay.settle(begun)
      settled()
    })
  }

  async #flush(id: number): Promise<void> {
    const { requests, send, settled } = this.#parts
    const begun = await this.#underWay.flush()
    await requests.delivered()
    send(numberedFrameOf(FRAME.flushed, id, EMPTY))
    this.#underWay.settle(begun)
    settled()
  }
}
