/** A client that leaves while it is waited for: its leaving aborts what is done for it. Host's thread only. */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** Made once: an error of its own for each request would cost more than the rest of the abort. */
const LEFT = new Error('the client has left')

interface Response extends EventEmitter {
  readonly writableFinished?: boolean
}

/** Of HTTP/1: who leaves closes the connection, and one signal is enough for all requests of it. */
const connections = new WeakMap<Socket, AbortSignal>()

export class GoneClient {
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal
  readonly #release: (() => void) | null

  /** @param response closes when the connection does, or when it has been sent. */
  constructor(message: IncomingMessage, response: Response) {
    const { socket } = message
    if (message.httpVersionMajor < 2 && socket?.destroyed === false) {
      this.signal = connections.get(socket) ?? followConnection(socket)
      this.#release = null
      return
    }
    // A stream of HTTP/2, or a request of a test without a connection.
    const leaving = new AbortController()
    const onClose = () => {
      if (response.writableFinished !== true || message.aborted) leaving.abort(LEFT)
    }
    if (GoneClient.isGone(message)) leaving.abort(LEFT)
    response.on('close', onClose)
    this.signal = leaving.signal
    this.#release = () => response.off('close', onClose)
  }

  /** Nobody asks any more. */
  release(): void {
    this.#release?.()
  }

  /** A request closes when it has been read, too. Of HTTP/2 the socket is one of the stream's, which closes with it. */
  static isGone({ aborted, socket, httpVersionMajor }: IncomingMessage): boolean {
    return aborted || (httpVersionMajor < 2 && socket?.destroyed === true)
  }
}

function followConnection(socket: Socket): AbortSignal {
  const leaving = new AbortController()
  socket.once('close', () => leaving.abort(LEFT))
  connections.set(socket, leaving.signal)
  return leaving.signal
}
