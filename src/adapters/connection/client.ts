/**
 * The client of a connection server. For any program; it needs no engine.
 */
import { EventEmitter } from 'node:events'
import { HookringError } from '../../contracts/index.js'
import { bindMethods } from '../../primitives/bind-methods.js'
import { encodeBody, readBody } from './body.js'
import { type ClientSettings, type ConnectOptions, resolveClientOptions } from './client-options.js'
import { type ClientWire, openWire } from './client-wire.js'
import { FRAME, type Frame, frameOf, numberedFrameOf, readNumbered } from './frames.js'
import { messageOf, readError, type Welcome } from './handshake.js'

export interface RequestOptions {
  /** Gives the request up, here and at the server. */
  signal?: AbortSignal | undefined
  /** Milliseconds until the request is given up, REQUEST_TIMEOUT. Default: the client's `requestTimeoutMs`. */
  timeoutMs?: number | undefined
}

/** `message`: the server has sent a message that answers no request. */
export interface ClientEvents {
  message: [message: unknown]
}

export interface ConnectionClient
  extends AsyncDisposable,
    Pick<EventEmitter<ClientEvents>, 'on' | 'once' | 'off' | 'addListener' | 'removeListener'> {
  /** The number by which the server knows the connection. */
  readonly handle: number
  readonly restricted: boolean
  readonly isOpen: boolean
  /** Messages of the server that came while nobody listened for `message` and found no room, or could not be read. */
  readonly lostMessages: number
  /**
   * The response. A request that is given up (signal, timeout) is cancelled at the server.
   *
   * @throws HookringError REQUEST_FAILED and the other codes that a server answers with, its own words in `cause`;
   * REQUEST_TIMEOUT, CALL_ABORTED, REQUEST_OVERLOAD, CONNECTION_CLOSED, BODY_INVALID, FRAME_TOO_LARGE
   */
  sync(message: unknown, options?: RequestOptions): Promise<unknown>
  /** Resolves when the message is on its way, so that a loop which awaits it cannot outrun the server. @throws HookringError */
  async(message: unknown): Promise<void>
  /** Resolves when the server has handled all that was sent before. @throws HookringError as `sync` does */
  flush(options?: RequestOptions): Promise<void>
  /**
   * Ends the connection: requests under way reject with CONNECTION_CLOSED and are cancelled, messages that were sent are
   * handled. Resolves when they have been. Again: the same promise.
   *
   * @throws HookringError CONNECTION_CLOSED, CONNECTION_TIMEOUT: messages that were sent may not have been handled
   */
  close(): Promise<void>
  /** Why the connection ended: null when this side closed it. Never rejects. */
  readonly closed: Promise<HookringError | null>
}

/** What may wait for a server that reads slowly. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024
/** Messages that are kept until somebody listens. */
const MAX_HELD_MESSAGES = 1024
const EMPTY = new Uint8Array(0)

/** @throws HookringError CONNECTION_FAILED, CONNECTION_TIMEOUT, CONNECTION_LIMIT, HANDSHAKE_INVALID, CREDENTIALS_REFUSED, OPTIONS_INVALID */
export async function connect(options: ConnectOptions): Promise<ConnectionClient> {
  const settings = resolveClientOptions(options)
  const { wire, welcome } = await openWire(settings)
  return bindMethods(new Client(wire, welcome, settings))
}

interface Pending {
  resolve(value: unknown): void
  reject(error: HookringError): void
}

class Client extends EventEmitter<ClientEvents> implements ConnectionClient {
  readonly closed: Promise<HookringError | null>
  readonly #wire: ClientWire
  readonly #welcome: Welcome
  readonly #settings: ClientSettings
  readonly #pending = new Map<number, Pending>()
  #tellClosed: (error: HookringError | null) => void = () => {}
  #lastId = 0
  #goodbye: HookringError | null = null
  #isOver = false
  #closing: Promise<void> | null = null
  /** Async messages that no flush has confirmed. */
  #unconfirmed = 0
  #held: unknown[] = []
  #lostMessages = 0

  constructor(wire: ClientWire, welcome: Welcome, settings: ClientSettings) {
    super()
    this.#wire = wire
    this.#welcome = welcome
    this.#settings = settings
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve
    })
    const emitter: EventEmitter = this as never
    // The listener is added when this has returned.
    emitter.on('newListener', (name) => name === 'message' && process.nextTick(() => this.#release()))
    wire.onFrame((frame) => this.#receive(frame))
    wire.onEnd((error) => this.#end(error))
  }

  get handle(): number {
    return this.#welcome.handle
  }

  get restricted(): boolean {
    return this.#welcome.restricted
  }

  get isOpen(): boolean {
    return !this.#isOver && this.#closing === null
  }

  get lostMessages(): number {
    return this.#lostMessages
  }

  async sync(message: unknown, options: RequestOptions = {}): Promise<unknown> {
    refuseAborted(options)
    const body = this.#bodyOf(message)
    return this.#ask(FRAME.sync, body, options)
  }

  async async(message: unknown): Promise<void> {
    const frame = frameOf(FRAME.async, this.#bodyOf(message))
    this.#unconfirmed += 1
    await new Promise<void>((resolve, reject) => {
      this.#wire.send(frame, (cause) => {
        if (cause) reject(new HookringError('CONNECTION_CLOSED', messageOf(cause), { cause }))
        else resolve()
      })
    })
  }

  async flush(options: RequestOptions = {}): Promise<void> {
    refuseAborted(options)
    this.#refuseUnsendable()
    const sent = this.#unconfirmed
    await this.#ask(FRAME.flush, EMPTY, options)
    this.#unconfirmed -= sent
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    if (this.#isOver) return
    for (const [id, { reject }] of [...this.#pending]) {
      this.#wire.send(numberedFrameOf(FRAME.cancel, id, EMPTY))
      reject(closedError('the connection was closed'))
    }
    const error = await this.#wire.end(this.#settings.closeTimeoutMs)
    await this.closed
    const why = this.#goodbye ?? error
    // What nobody had sent cannot be lost, whatever ended the connection.
    if (why === null || this.#unconfirmed === 0) return
    const code = why.code === 'CONNECTION_TIMEOUT' ? why.code : 'CONNECTION_CLOSED'
    const message = `${this.#unconfirmed} messages that were sent may not have been handled: ${why.message}`
    throw new HookringError(code, message, { cause: why })
  }

  /** Once: nothing comes any more. */
  #end(error: HookringError | null): void {
    if (this.#isOver) return
    this.#isOver = true
    const isOurs = this.#closing !== null
    const why = isOurs ? null : (this.#goodbye ?? error ?? closedError('the server ended the connection'))
    const each = isOurs ? closedError('the connection was closed') : closedError(why?.message ?? '', why)
    for (const { reject } of [...this.#pending.values()]) reject(each)
    this.#tellClosed(why)
  }

  #receive(frame: Frame): void {
    switch (frame.type) {
      case FRAME.goodbye:
        this.#goodbye = readError(frame.payload)
        this.#end(this.#goodbye)
        return
      case FRAME.message:
        this.#deliver(frame.payload)
        return
      case FRAME.response:
      case FRAME.error:
      case FRAME.flushed:
        this.#settle(frame)
        return
      default:
        throw new HookringError('FRAME_INVALID', `a server sends no frames of type ${frame.type}`)
    }
  }

  #settle(frame: Frame): void {
    const { id, rest } = readNumbered(frame)
    const waiting = this.#pending.get(id)
    // Given up meanwhile.
    if (waiting === undefined) return
    if (frame.type === FRAME.error) waiting.reject(readError(rest))
    else if (frame.type === FRAME.flushed) waiting.resolve(undefined)
    else {
      try {
        waiting.resolve(readBody(this.#settings.codec, rest))
      } catch (error) {
        waiting.reject(error as HookringError)
      }
    }
  }

  #deliver(body: Uint8Array): void {
    let message: unknown
    try {
      message = readBody(this.#settings.codec, body)
    } catch {
      this.#lostMessages += 1
      return
    }
    if (this.listenerCount('message') > 0 && this.#held.length === 0) this.#tell(message)
    else if (this.#held.length < MAX_HELD_MESSAGES) this.#held.push(message)
    else this.#lostMessages += 1
  }

  /** What came before anybody listened, in its order. */
  #release(): void {
    while (this.#held.length > 0 && this.listenerCount('message') > 0) this.#tell(this.#held.shift())
  }

  #tell(message: unknown): void {
    try {
      this.emit('message', message)
    } catch (error) {
      // A listener's error is its program's, and no reason to end the connection.
      process.nextTick(() => {
        throw error
      })
    }
  }

  #ask(type: number, body: Uint8Array, options: RequestOptions): Promise<unknown> {
    const { requestTimeoutMs, maxPending } = this.#settings
    const { signal, timeoutMs = requestTimeoutMs } = options
    if (this.#pending.size >= maxPending) {
      throw new HookringError('REQUEST_OVERLOAD', `${maxPending} requests are under way; await some of them`)
    }
    const id = this.#takeId()
    return new Promise((resolve, reject) => {
      const done = (settle: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#pending.delete(id)
        settle()
      }
      const giveUp = (error: HookringError) => {
        if (type === FRAME.sync) this.#wire.send(numberedFrameOf(FRAME.cancel, id, EMPTY))
        done(() => reject(error))
      }
      const abort = () => giveUp(aborted(signal as AbortSignal))
      const timer = setTimeout(
        () => giveUp(new HookringError('REQUEST_TIMEOUT', `no answer within ${timeoutMs} ms`)),
        timeoutMs,
      )
      signal?.addEventListener('abort', abort)
      this.#pending.set(id, {
        resolve: (value) => done(() => resolve(value)),
        reject: (error) => done(() => reject(error)),
      })
      this.#wire.send(numberedFrameOf(type, id, body))
    })
  }

  #takeId(): number {
    do this.#lastId = (this.#lastId + 1) >>> 0
    while (this.#pending.has(this.#lastId))
    return this.#lastId
  }

  #bodyOf(message: unknown): Uint8Array {
    this.#refuseUnsendable()
    const body = encodeBody(this.#settings.codec, message)
    const bytes = body.byteLength + 5
    if (bytes <= this.#welcome.maxFrameBytes) return body
    throw new HookringError(
      'FRAME_TOO_LARGE',
      `the message takes ${bytes} bytes; the server takes ${this.#welcome.maxFrameBytes} at most`,
    )
  }

  #refuseUnsendable(): void {
    if (!this.isOpen) throw closedError('the connection is closed', this.#goodbye)
    if (this.#wire.unsentBytes > MAX_UNSENT_BYTES) {
      throw new HookringError('REQUEST_OVERLOAD', 'the server does not take what is sent; await what was sent before')
    }
  }
}

function closedError(message: string, cause?: unknown): HookringError {
  return new HookringError('CONNECTION_CLOSED', message, { cause: cause ?? undefined })
}

function refuseAborted({ signal }: RequestOptions): void {
  if (signal?.aborted) throw aborted(signal)
}

function aborted(signal: AbortSignal): HookringError {
  return new HookringError('CALL_ABORTED', 'the request was given up', { cause: signal.reason })
}
