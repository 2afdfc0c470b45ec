/** A client that leaves while it is waited for: its leaving aborts what is done for it. Host's thread only. */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'

/** Made once: an error of its own for each request would cost more than the rest of the abort. */
const LEFT = new Error('the client has left')

export class GoneClient {
  readonly #leaving = new AbortController()
  readonly #message: IncomingMessage
  readonly #response: EventEmitter & { readonly writableFinished?: boolean }

  /** @param response closes when the connection does, or when it has been sent. */
  constructor(message: IncomingMessage, response: EventEmitter & { readonly writableFinished?: boolean }) {
    this.#message = message
    this.#response = response
    response.on('close', this.#onResponseClose)
    message.on('close', this.#onMessageClose)
  }

  /** Aborted when the client leaves. */
  get signal(): AbortSignal {
    return this.#leaving.signal
  }

  /** Nobody asks any more. */
  release(): void {
    this.#response.off('close', this.#onResponseClose)
    this.#message.off('close', this.#onMessageClose)
  }

  /** A request closes when it has been read, too. */
  static isGone({ aborted, socket }: IncomingMessage): boolean {
    return aborted || socket?.destroyed === true
  }

  readonly #onResponseClose = (): void => {
    if (this.#response.writableFinished !== true) this.#leaving.abort(LEFT)
  }

  readonly #onMessageClose = (): void => {
    if (GoneClient.isGone(this.#message)) this.#leaving.abort(LEFT)
  }
}
