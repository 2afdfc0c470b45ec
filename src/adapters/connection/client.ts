/**
 * The client of a connection server. For any program; it needs no engine.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import { HookringError } from '../../contracts/index.js'
import { encodeBody, readBody } from './body.js'
import { type ClientSettings, type ConnectOptions, resolveClientOptions } from './client-options.js'
import { createFrameReader, FRAME, type Frame, frameOf, numberedFrameOf, readNumbered } from './frames.js'
import { messageOf, readError, readWelcome, type Welcome } from './handshake.js'

export interface RequestOptions {
  signal?: AbortSignal | undefined
  timeoutMs?: number | undefined
}

export interface ConnectionClient extends AsyncDisposable {
  /** The number by which the server knows the connection. */
  readonly handle: number
  readonly restricted: boolean
  readonly isOpen: boolean
  /**
   * The response. A request that is given up (signal, timeout) goes on at the server; its answer is thrown away.
   *
   * @throws HookringError REQUEST_FAILED and the other codes that a server answers with, its own words in `cause`;
   * REQUEST_TIMEOUT, CALL_ABORTED, REQUEST_OVERLOAD, CONNECTION_CLOSED, BODY_INVALID, FRAME_TOO_LARGE
   */
  sync(message: unknown, options?: RequestOptions): Promise<unknown>
  /** Resolves when the message is on its way, so that a loop which awaits it cannot outrun the server. @throws HookringError */
  async(message: unknown): Promise<void>
  /** Requests under way reject with CONNECTION_CLOSED; messages that were sent arrive. */
  close(): Promise<void>
  /** Why the connection ended: null when this side closed it. Never rejects. */
  readonly closed: Promise<HookringError | null>
}

const CLOSE_TIMEOUT_MS = 5_000
/** What may wait for a server that reads slowly. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024

interface Pending {
  resolve(value: unknown): void
  reject(error: HookringError): void
}

/** @throws HookringError CONNECTION_FAILED, CONNECTION_TIMEOUT, CONNECTION_LIMIT, HANDSHAKE_INVALID, CREDENTIALS_REFUSED, OPTIONS_INVALID */
export async function connect(options: ConnectOptions): Promise<ConnectionClient> {
  const settings = resolveClientOptions(options)
  const { signal, connectTimeoutMs, maxFrameBytes } = settings
  if (signal?.aborted) throw aborted(signal)
  const socket = connectSocket(
    settings.path === undefined ? { host: settings.host, port: settings.port } : { path: settings.path },
  )
  socket.setNoDelay(true)
  const reader = createFrameReader(maxFrameBytes)
  const wire: Wire = { socket, reader, receive: () => {}, ended: () => {} }
  listen(wire)
  const welcome = await new Promise<Welcome>((resolve, reject) => {
    const timer = setTimeout(
      () => stop(new HookringError('CONNECTION_TIMEOUT', `no handshake within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    )
    const abort = () => stop(aborted(signal as AbortSignal))
    const stop = (error: HookringError | null, welcomed?: Welcome) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      if (error === null) resolve(welcomed as Welcome)
      else {
        socket.destroy()
        reject(error)
      }
    }
    signal?.addEventListener('abort', abort)
    wire.receive = (frame) => {
      if (frame.type === FRAME.refused) stop(readError(frame.payload))
      else if (frame.type === FRAME.welcome) stop(null, readWelcome(frame))
      else throw new HookringError('HANDSHAKE_INVALID', `the server began with a frame of type ${frame.type}`)
    }
    wire.ended = (error) =>
      stop(error ?? new HookringError('CONNECTION_FAILED', 'the server ended the connection without a word'))
    socket.once('connect', () => socket.write(frameOf(FRAME.hello, settings.hello)))
  })
  return openClient(wire, welcome, settings)
}

interface Wire {
  readonly socket: Socket
  readonly reader: ReturnType<typeof createFrameReader>
  receive(frame: Frame): void
  /** Once. */
  ended(error: HookringError | null): void
}

function listen(wire: Wire): void {
  const { socket, reader } = wire
  let isEnded = false
  const end = (error: HookringError | null) => {
    if (isEnded) return
    isEnded = true
    wire.ended(error)
  }
  socket.on('data', (chunk: Buffer) => {
    try {
      reader.feed(chunk)
      for (let frame = reader.next(); frame !== null && !isEnded; frame = reader.next()) wire.receive(frame)
    } catch (error) {
      end(error instanceof HookringError ? error : new HookringError('FRAME_INVALID', messageOf(error)))
      socket.destroy()
    }
  })
  socket.on('error', (cause) => end(new HookringError('CONNECTION_FAILED', messageOf(cause), { cause })))
  socket.on('end', () => socket.end())
  socket.on('close', () => end(null))
}

function openClient(wire: Wire, welcome: Welcome, settings: ClientSettings): ConnectionClient {
  const { socket } = wire
  const { codec, requestTimeoutMs, maxPending } = settings
  const pending = new Map<number, Pending>()
  let lastId = 0
  let goodbye: HookringError | null = null
  let isOpen = true
  let isOurs = false
  let tellClosed: (error: HookringError | null) => void = () => {}
  const closed = new Promise<HookringError | null>((resolve) => {
    tellClosed = resolve
  })

  function end(error: HookringError | null): void {
    if (!isOpen) return
    isOpen = false
    const why = isOurs ? null : (goodbye ?? error ?? closedError('the server ended the connection'))
    const each = isOurs ? closedError('the connection was closed') : closedError(why?.message ?? '', why)
    for (const { reject } of pending.values()) reject(each)
    pending.clear()
    tellClosed(why)
  }

  wire.ended = (error) => {
    end(error)
    socket.destroy()
  }
  wire.receive = (frame) => {
    if (frame.type === FRAME.goodbye) {
      goodbye = readError(frame.payload)
      end(goodbye)
      return
    }
    if (frame.type !== FRAME.response && frame.type !== FRAME.error) {
      throw new HookringError('FRAME_INVALID', `a server sends no frames of type ${frame.type}`)
    }
    const { id, rest } = readNumbered(frame)
    const waiting = pending.get(id)
    // Given up meanwhile.
    if (waiting === undefined) return
    pending.delete(id)
    if (frame.type === FRAME.error) {
      waiting.reject(readError(rest))
      return
    }
    try {
      waiting.resolve(readBody(codec, rest))
    } catch (error) {
      waiting.reject(error as HookringError)
    }
  }

  function takeId(): number {
    do lastId = (lastId + 1) >>> 0
    while (pending.has(lastId))
    return lastId
  }

  function bodyOf(message: unknown): Uint8Array {
    if (!isOpen || isOurs) throw closedError('the connection is closed', goodbye)
    if (socket.writableLength > MAX_UNSENT_BYTES) {
      throw new HookringError('REQUEST_OVERLOAD', 'the server does not take what is sent; await what was sent before')
    }
    const body = encodeBody(codec, message)
    const bytes = body.byteLength + 5
    if (bytes <= welcome.maxFrameBytes) return body
    throw new HookringError(
      'FRAME_TOO_LARGE',
      `the message takes ${bytes} bytes; the server takes ${welcome.maxFrameBytes} at most`,
    )
  }

  async function sync(
    message: unknown,
    { signal, timeoutMs = requestTimeoutMs }: RequestOptions = {},
  ): Promise<unknown> {
    if (signal?.aborted) throw aborted(signal)
    const body = bodyOf(message)
    if (pending.size >= maxPending) {
      throw new HookringError('REQUEST_OVERLOAD', `${maxPending} requests are under way; await some of them`)
    }
    const id = takeId()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => done(() => reject(new HookringError('REQUEST_TIMEOUT', `no answer within ${timeoutMs} ms`))),
        timeoutMs,
      )
      const abort = () => done(() => reject(aborted(signal as AbortSignal)))
      const done = (settle: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        pending.delete(id)
        settle()
      }
      signal?.addEventListener('abort', abort)
      pending.set(id, {
        resolve: (value) => done(() => resolve(value)),
        reject: (error) => done(() => reject(error)),
      })
      socket.write(numberedFrameOf(FRAME.sync, id, body))
    })
  }

  const client: ConnectionClient = {
    handle: welcome.handle,
    restricted: welcome.restricted,
    closed,
    get isOpen() {
      return isOpen && !isOurs
    },
    sync,
    async async(message) {
      const frame = frameOf(FRAME.async, bodyOf(message))
      await new Promise<void>((resolve, reject) => {
        socket.write(frame, (cause) => {
          if (cause) reject(new HookringError('CONNECTION_CLOSED', messageOf(cause), { cause }))
          else resolve()
        })
      })
    },
    async close() {
      isOurs = true
      if (!socket.writableEnded) socket.end()
      for (const { reject } of [...pending.values()]) reject(closedError('the connection was closed'))
      // A server that does not end its side is not waited for.
      const timer = setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS)
      await closed
      clearTimeout(timer)
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
  return client
}

function closedError(message: string, cause?: unknown): HookringError {
  return new HookringError('CONNECTION_CLOSED', message, { cause: cause ?? undefined })
}

function aborted(signal: AbortSignal): HookringError {
  return new HookringError('CALL_ABORTED', 'the request was given up', { cause: signal.reason })
}
