/**
 * The socket of a client: connects, shakes hands, and cuts what comes into frames. On the client's thread.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { HookringError } from '../../contracts/index.js'
import type { ClientSettings } from './client-options.js'
import { FRAME, type Frame, FrameReader, frameOf } from './frames.js'
import { foreignGreeting } from './greeting.js'
import { messageOf, readError, readWelcome, type Welcome } from './handshake.js'

export interface OpenWire {
  readonly wire: ClientWire
  readonly welcome: Welcome
}

/** @throws HookringError CONNECTION_FAILED, CONNECTION_TIMEOUT, CONNECTION_LIMIT, HANDSHAKE_INVALID, CREDENTIALS_REFUSED */
export async function openWire(settings: ClientSettings): Promise<OpenWire> {
  const { signal, connectTimeoutMs } = settings
  if (signal?.aborted) throw givenUp(signal)
  const wire = new ClientWire(socketOf(settings), settings.maxFrameBytes)
  const welcome = await new Promise<Welcome>((resolve, reject) => {
    const timer = setTimeout(
      () => stop(new HookringError('CONNECTION_TIMEOUT', `no handshake within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    )
    const abort = () => stop(givenUp(signal as AbortSignal))
    const settle = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    const stop = (error: HookringError) => {
      settle()
      wire.destroy()
      reject(error)
    }
    signal?.addEventListener('abort', abort)
    wire.onEnd((error) => stop(error ?? new HookringError('CONNECTION_FAILED', UNSAID)))
    wire.onFrame((frame) => {
      if (frame.type === FRAME.refused) stop(readError(frame.payload))
      else if (frame.type === FRAME.welcome) {
        const welcomed = readWelcome(frame)
        settle()
        // What follows waits for the client that is made now.
        wire.onFrame(null)
        resolve(welcomed)
      } else throw new HookringError('HANDSHAKE_INVALID', `the server began with a frame of type ${frame.type}`)
    })
    wire.greet(frameOf(FRAME.hello, settings.hello))
  })
  return { wire, welcome }
}

const UNSAID = "the server ended the connection without a word; it may not speak hookring's protocol"

function socketOf({ path, host, port, tls }: ClientSettings): Socket {
  const where = path === undefined ? { host, port } : { path }
  if (tls === null) return connectSocket(where)
  try {
    const { serverName, ...secure } = tls
    return connectTls({ ...secure, ...where, ...(serverName === undefined ? {} : { servername: serverName }) })
  } catch (cause) {
    throw new HookringError('OPTIONS_INVALID', `connect: tls: ${messageOf(cause)}`, { path: ['tls'], cause })
  }
}

/** A stream of frames, each way. */
export class ClientWire {
  readonly #socket: Socket
  readonly #reader: FrameReader
  #onFrame: ((frame: Frame) => void) | null = null
  #onEnd: ((error: HookringError | null) => void) | null = null
  #isGreeted = false
  #isPumping = false
  #isBroken = false
  /** Undefined: it has not ended. */
  #ending: HookringError | null | undefined

  constructor(socket: Socket, maxFrameBytes: number) {
    this.#socket = socket
    this.#reader = new FrameReader(maxFrameBytes)
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#feed(chunk))
    socket.on('error', (cause) => this.#end(new HookringError('CONNECTION_FAILED', messageOf(cause), { cause })))
    socket.on('end', () => socket.end())
    socket.on('close', () => this.#end(null))
  }

  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  /** Who takes frames from here on. Null: they wait. */
  onFrame(receive: ((frame: Frame) => void) | null): void {
    this.#onFrame = receive
    this.#pump()
  }

  /** Called once, with what went wrong, or null when the other side ended. At once, if that has happened. */
  onEnd(ended: (error: HookringError | null) => void): void {
    this.#onEnd = ended
    if (this.#ending !== undefined) ended(this.#ending)
  }

  /** When the socket is connected. */
  greet(hello: Buffer): void {
    // TLS sends it when its own handshake is done.
    this.#socket.once('connect', () => this.#socket.write(hello))
  }

  send(frame: Buffer, sent?: (error?: Error | null) => void): void {
    if (this.#socket.writableEnded || this.#socket.destroyed) sent?.(new Error('the connection has ended'))
    else this.#socket.write(frame, sent)
  }

  /** Ends this side, and waits for the other to end its own. What went wrong, or null: it has ended in order. */
  async end(timeoutMs: number): Promise<HookringError | null> {
    if (this.#ending !== undefined) return this.#ending
    const before = this.#onEnd
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        const message = `the server has not ended its side within ${timeoutMs} ms`
        this.#end(new HookringError('CONNECTION_TIMEOUT', message))
        this.#socket.destroy()
      }, timeoutMs)
      this.#onEnd = (error) => {
        clearTimeout(timer)
        before?.(error)
        resolve(error)
      }
      if (!this.#socket.writableEnded) this.#socket.end()
    })
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #feed(chunk: Buffer): void {
    if (this.#isBroken) return
    const foreign = this.#isGreeted ? null : foreignGreeting(chunk)
    this.#isGreeted = true
    if (foreign !== null) {
      const message = `the server does not speak hookring's protocol: its first bytes are those of ${foreign.protocol}`
      this.#fail(new HookringError('HANDSHAKE_INVALID', message))
      return
    }
    this.#reader.feed(chunk)
    this.#pump()
  }

  #pump(): void {
    // A frame may lead to a new taker of frames.
    if (this.#isPumping) return
    this.#isPumping = true
    try {
      while (this.#onFrame !== null && !this.#isBroken) {
        const frame = this.#reader.next()
        if (frame === null) return
        this.#onFrame(frame)
      }
    } catch (error) {
      this.#fail(error instanceof HookringError ? error : new HookringError('FRAME_INVALID', messageOf(error)))
    } finally {
      this.#isPumping = false
    }
  }

  #fail(error: HookringError): void {
    this.#isBroken = true
    this.#end(error)
    this.#socket.destroy()
  }

  #end(error: HookringError | null): void {
    if (this.#ending !== undefined) return
    this.#ending = error
    this.#onEnd?.(error)
  }
}

function givenUp(signal: AbortSignal): HookringError {
  return new HookringError('CALL_ABORTED', 'the request was given up', { cause: signal.reason })
}
