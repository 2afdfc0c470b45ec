/**
 * One connection of a server: its handshake, its messages, its end. On the host's thread.
 *
 *   handshake -> admitting -> open -> ending -> closed
 *        \___________\___________________/
 *
 * `open` is told on the way into open, `close` on the way out of it: so once for each, whatever ends the connection. A
 * client that ends its side has sent all that it will: what has arrived is handled first, and its requests are answered.
 */
import { setMaxListeners } from 'node:events'
import type { Socket } from 'node:net'
import { HookringError } from '../../contracts/index.js'
import { type AdmissionParts, admit } from './admission.js'
import { encodeBody } from './body.js'
import type { ConnectionRegistry } from './connection-registry.js'
import type { Flow } from './flow.js'
import { FRAME, type Frame, FrameReader, frameOf, MAX_HANDSHAKE_BYTES } from './frames.js'
import { foreignGreeting } from './greeting.js'
import { errorPayload, messageOf, type RemoteError, readHello, welcomePayload } from './handshake.js'
import type { Lines } from './lines.js'
import { Messages } from './messages.js'
import type { CloseReason, Peer, Requests } from './requests.js'
import { createSender } from './sender.js'
import type { ConnectionRefusal, ServerCounts } from './server-counts.js'
import type { Client } from './server-options.js'

export interface ConnectionParts extends AdmissionParts {
  readonly socket: Socket
  readonly client: Omit<Client, 'user'>
  readonly requests: Requests
  readonly registry: ConnectionRegistry
  readonly flow: Flow
  readonly lines: Lines
  readonly counts: ServerCounts
  now(): number
  /** The socket is closed. */
  gone(): void
}

/** How long a peer that was refused may keep its side open. */
const REFUSED_LINGER_MS = 1_000

export class ServerConnection {
  readonly #parts: ConnectionParts
  readonly #socket: Socket
  readonly #reader = new FrameReader(MAX_HANDSHAKE_BYTES)
  readonly #send: (frame: Buffer) => void
  readonly #controller = new AbortController()
  #state: 'handshake' | 'admitting' | 'open' | 'ending' | 'closed' = 'handshake'
  #peer: Peer | null = null
  #messages: Messages | null = null
  #isGreeted = false
  #isLeaving = false
  #isWaitingForRoom = false
  /** The client sends nothing more: what has come is handled, and then the connection ends. */
  #endedBy: CloseReason | null = null
  #isSocketClosed = false
  #sinceMs: number
  #stalledSinceMs = Number.POSITIVE_INFINITY
  #lingerMs: number
  #whenIdle: (() => void) | null = null
  #whenClosed: (() => void)[] = []

  constructor(parts: ConnectionParts) {
    this.#parts = parts
    this.#socket = parts.socket
    this.#send = createSender(parts.socket)
    this.#sinceMs = parts.now()
    this.#lingerMs = parts.options.stallTimeoutMs
    // What the host is told of and goes on with listens.
    setMaxListeners(0, this.#controller.signal)
    parts.socket
      .on('data', (chunk: Buffer) => this.#feed(chunk))
      .on('drain', () => {
        this.#noteStall()
        this.#pump()
      })
      .on('end', () => this.#ended('client'))
      // 'close' follows.
      .on('error', () => {})
      .on('close', () => this.#socketClosed())
  }

  /** Null until it is open. */
  get peer(): Peer | null {
    return this.#state === 'open' ? this.#peer : null
  }

  /** Nobody has been let in yet. */
  get isAdmitting(): boolean {
    return this.#state === 'handshake' || this.#state === 'admitting'
  }

  get #underWay(): number {
    return this.#messages?.underWay ?? 0
  }

  /** Ends what takes too long. */
  check(nowMs: number): void {
    const { handshakeTimeoutMs } = this.#parts.options
    const waitedMs = nowMs - this.#sinceMs
    if (this.isAdmitting) {
      if (waitedMs < handshakeTimeoutMs) return
      this.#refuse('timeout', { code: 'CONNECTION_TIMEOUT', message: `no handshake within ${handshakeTimeoutMs} ms` })
    } else if (this.#state === 'ending') {
      if (waitedMs >= this.#lingerMs) this.#socket.destroy()
    } else if (this.#state === 'open') this.#checkOpen(nowMs)
  }

  /** Takes no more messages, finishes those under way within the time, and ends. Resolves when the socket is closed. */
  async close(graceMs: number): Promise<void> {
    if (this.#state === 'closed') return
    const closed = new Promise<void>((resolve) => this.#whenClosed.push(resolve))
    this.#isLeaving = true
    this.#socket.pause()
    if (this.#state === 'open' && this.#underWay > 0) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
        timer = setTimeout(resolve, graceMs)
      })
      clearTimeout(timer)
    }
    this.#finish('server', { code: 'CONNECTION_CLOSED', message: 'the server is shutting down' })
    // The peer's own end is awaited for a moment, and then no longer.
    const timer = setTimeout(() => this.#socket.destroy(), Math.max(graceMs, 1))
    await closed
    clearTimeout(timer)
  }

  /** Ends now. */
  end(reason: CloseReason, message: string): void {
    this.#finish(reason, { code: 'CONNECTION_CLOSED', message })
  }

  /** Sends the client a message that answers none of its own. @throws HookringError BODY_INVALID, FRAME_TOO_LARGE, REQUEST_OVERLOAD */
  post(message: unknown): void {
    this.#post(encodeBody((this.#peer as Peer).codec, message))
  }

  #post(body: Uint8Array): void {
    this.#messages?.post(body)
    this.#noteStall()
  }

  #checkOpen(nowMs: number): void {
    const { stallTimeoutMs, idleTimeoutMs } = this.#parts.options
    if (nowMs - this.#stalledSinceMs >= stallTimeoutMs) {
      const message = `a frame was not finished, or not taken, within ${stallTimeoutMs} ms`
      this.#finish('stalled', { code: 'CONNECTION_TIMEOUT', message })
      // It does not take what it is sent: nothing is gained by waiting again.
      if (this.#socket.writableNeedDrain) this.#socket.destroy()
    } else if (idleTimeoutMs > 0 && this.#underWay === 0 && nowMs - this.#sinceMs >= idleTimeoutMs) {
      this.#finish('idle', { code: 'CONNECTION_TIMEOUT', message: `no message within ${idleTimeoutMs} ms` })
    }
  }

  #feed(chunk: Buffer): void {
    if (!this.isAdmitting && this.#state !== 'open') return
    if (!this.#isGreeted) {
      this.#isGreeted = true
      if (this.#isForeign(chunk)) return
    }
    this.#reader.feed(chunk)
    this.#pump()
  }

  #isForeign(chunk: Buffer): boolean {
    const foreign = foreignGreeting(chunk)
    if (foreign === null) return false
    const message = `this is not hookring's protocol: the first bytes are those of ${foreign.protocol}`
    this.#parts.lines.warn({ remoteAddress: this.#parts.client.remoteAddress }, message)
    this.#refuse('handshake', { code: 'HANDSHAKE_INVALID', message }, foreign.reply)
    return true
  }

  /** Reads on as far as it may. */
  #pump(): void {
    while (this.#state === 'handshake' || (this.#state === 'open' && !this.#isLeaving)) {
      if (this.#isBlocked()) {
        this.#socket.pause()
        this.#waitForRoom()
        this.#noteStall()
        return
      }
      try {
        const frame = this.#reader.next()
        if (frame === null) {
          this.#ranDry()
          return
        }
        this.#stalledSinceMs = Number.POSITIVE_INFINITY
        this.#take(frame)
      } catch (error) {
        this.#violate(error)
        return
      }
    }
  }

  /** All that has come is handled. */
  #ranDry(): void {
    this.#noteStall()
    if (this.#endedBy === null) this.#socket.resume()
    else if (this.#underWay === 0) this.#finish(this.#endedBy, null)
  }

  #isBlocked(): boolean {
    const { flow, options } = this.#parts
    const isUntaken = this.#socket.writableNeedDrain && !this.#isSocketClosed
    return this.#underWay >= options.maxOutstanding || flow.isFull || isUntaken
  }

  #waitForRoom(): void {
    const { flow } = this.#parts
    if (!flow.isFull || this.#isWaitingForRoom) return
    this.#isWaitingForRoom = true
    flow.whenRoom(() => {
      this.#isWaitingForRoom = false
      this.#pump()
    })
  }

  /** Whether it is the client who keeps things waiting, and since when. */
  #noteStall(): void {
    const isUnfinished = this.#reader.isWithin && this.#endedBy === null && !this.#isBlocked()
    if (!this.#socket.writableNeedDrain && !isUnfinished) this.#stalledSinceMs = Number.POSITIVE_INFINITY
    else if (this.#stalledSinceMs === Number.POSITIVE_INFINITY) this.#stalledSinceMs = this.#parts.now()
  }

  #take(frame: Frame): void {
    if (this.#messages === null) this.#greet(frame)
    else {
      this.#sinceMs = this.#parts.now()
      this.#messages.take(frame)
    }
  }

  #greet(frame: Frame): void {
    if (frame.type !== FRAME.hello) {
      throw new HookringError('HANDSHAKE_INVALID', `the first frame must be a hello, it is of type ${frame.type}`)
    }
    const applicant = { hello: readHello(frame), client: this.#parts.client, signal: this.#controller.signal }
    this.#state = 'admitting'
    // What is sent ahead waits in the kernel.
    this.#socket.pause()
    void admit(applicant, this.#parts).then((admitted) => {
      if (this.#state !== 'admitting') return
      if (admitted !== null) this.#open(admitted)
      else this.#refuse('credentials', { code: 'CREDENTIALS_REFUSED', message: 'user and password were not accepted' })
    })
  }

  #violate(error: unknown): void {
    const { code, message } =
      error instanceof HookringError ? error : { code: 'FRAME_INVALID', message: messageOf(error) }
    if (this.#state === 'open') this.#finish('protocol', { code, message })
    else this.#refuse('handshake', { code, message })
  }

  #open(peer: Peer): void {
    const { options, requests, registry, counts, now } = this.#parts
    const { maxFrameBytes, maxOutstanding } = options
    const { handle, restricted, ticket, codec } = peer
    this.#state = 'open'
    this.#peer = peer
    this.#sinceMs = now()
    this.#reader.maxBytes = maxFrameBytes
    const messages = new Messages({ ...this.#parts, peer, send: this.#send, settled: () => this.#settled() })
    this.#messages = messages
    registry.register(ticket, {
      handle,
      restricted,
      codec,
      evaluate: (body) => requests.evaluate(peer, body),
      post: (body) => this.#post(body),
      disconnect: () => this.end('server', 'the server closed the connection'),
    })
    counts.opened += 1
    this.#send(frameOf(FRAME.welcome, welcomePayload({ handle, restricted, maxFrameBytes, maxOutstanding })))
    requests.opened(peer)
    this.#pump()
  }

  #settled(): void {
    this.#sinceMs = this.#parts.now()
    if (this.#underWay === 0) this.#whenIdle?.()
    if (this.#socket.isPaused() || this.#endedBy !== null) this.#pump()
    else this.#noteStall()
  }

  #refuse(kind: ConnectionRefusal, error: RemoteError, reply: Buffer | null = null): void {
    if (!this.isAdmitting) return
    this.#parts.counts.refused[kind] += 1
    this.#lingerMs = REFUSED_LINGER_MS
    if (kind === 'gone') this.#endSocket(null)
    else this.#endSocket(reply ?? frameOf(FRAME.refused, errorPayload(error)))
  }

  #ended(reason: CloseReason): void {
    if (this.#state === 'open') {
      this.#endedBy ??= reason
      this.#pump()
    } else this.#finish(reason, null)
  }

  #socketClosed(): void {
    this.#isSocketClosed = true
    this.#messages?.abandonAnswers()
    if (this.#state === 'open' && !this.#isLeaving) this.#ended('broken')
    else this.#finish('broken', null)
    // Else what has arrived is still being handled, and the end follows.
    if (this.#state !== 'open') this.#closed()
  }

  #closed(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    for (const told of this.#whenClosed) told()
    this.#whenClosed = []
    this.#parts.gone()
  }

  #finish(reason: CloseReason, goodbye: RemoteError | null): void {
    if (this.#state !== 'open') {
      const error = goodbye ?? { code: 'CONNECTION_CLOSED', message: 'gone' }
      this.#refuse(reason === 'server' ? 'limit' : 'gone', error)
      return
    }
    const { counts, requests, registry } = this.#parts
    const peer = this.#peer as Peer
    counts.closed[reason] += 1
    this.#state = 'ending'
    // What is under way ends first, so that nothing of the connection comes after its close.
    this.#messages?.cancelAll()
    this.#controller.abort()
    requests.closed(peer, reason)
    registry.retire(peer.ticket)
    this.#endSocket(goodbye === null ? null : frameOf(FRAME.goodbye, errorPayload(goodbye)))
    if (this.#isSocketClosed) this.#closed()
  }

  #endSocket(last: Buffer | null): void {
    if (last !== null) this.#send(last)
    this.#state = 'ending'
    this.#sinceMs = this.#parts.now()
    this.#controller.abort()
    this.#socket.end()
    // What still comes is thrown away: a socket closed with bytes unread takes the last frame with it.
    this.#socket.resume()
  }
}
