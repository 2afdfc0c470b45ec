/**
 * Reads the body of a request of Node's before its handler does, and puts it back: the handler reads what it would have read.
 * Bounded in bytes and time. Host's thread only.
 *
 * A stream that has said `end` takes nothing back. So the last bytes are read and put back in one turn, before it says so;
 * and a stream without bytes is not read at all.
 */
import { Buffer } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { HookringError } from '../../contracts/index.js'
import { LATE, within } from '../../primitives/within.js'
import type { BodyBounds, BodyReading } from './bodies.js'

/** What parsers leave behind: `rawBody` is what most call the bytes that they were given. */
interface Parsed {
  readonly rawBody?: unknown
  readonly body?: unknown
}

const EMPTY = Buffer.alloc(0)

export function readNodeBody(message: IncomingMessage, bounds: BodyBounds): Promise<BodyReading> | BodyReading {
  if (!hasBody(message)) return { kind: 'read', body: EMPTY }
  if (message.readableEnded || message.readableDidRead) return parsedBody(message as Parsed, bounds)
  const declared = Number(message.headers['content-length'])
  if (declared > bounds.maxBytes) return { kind: 'too-large' }
  return new BodyReader(message, bounds).read()
}

export type StreamReading =
  | { readonly kind: 'read'; readonly body: Buffer<ArrayBuffer>; readonly again: Readable }
  | Exclude<BodyReading, { readonly kind: 'read' }>

/** The same for a stream that has taken a request's place: `again` is read in its place. */
export async function readStreamBody(stream: Readable, { maxBytes, timeoutMs }: BodyBounds): Promise<StreamReading> {
  const reading = await within(readAll(stream, maxBytes), timeoutMs)
  return reading === LATE ? { kind: 'late' } : reading
}

async function readAll(stream: Readable, maxBytes: number): Promise<StreamReading> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    // The stream is not destroyed: that would end the connection, which is to be answered.
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      const part = Buffer.from(chunk)
      chunks.push(part)
      bytes += part.length
      if (bytes > maxBytes) return { kind: 'too-large' }
    }
  } catch {
    return { kind: 'gone' }
  }
  const body = Buffer.concat(chunks, bytes) as Buffer<ArrayBuffer>
  return { kind: 'read', body, again: Readable.from(bytes === 0 ? [] : [body], { objectMode: false }) }
}

/** Whether there is one to wait for: HTTP/1 says so by its framing, HTTP/2 by not having ended the stream. */
function hasBody(message: IncomingMessage): boolean {
  const { headers, httpVersionMajor } = message
  if (headers['transfer-encoding'] !== undefined) return true
  const length = headers['content-length']
  if (length !== undefined) return Number(length) !== 0
  const { stream } = message as { readonly stream?: { readonly endAfterHeaders?: boolean } }
  return httpVersionMajor >= 2 && stream?.endAfterHeaders !== true
}

/** A parser was here before. The bytes are shown if it kept them: what it made of them is not what the client sent. */
function parsedBody({ rawBody, body }: Parsed, { maxBytes }: BodyBounds): BodyReading {
  const kept = [rawBody, body].find((one) => typeof one === 'string' || one instanceof Uint8Array)
  if (kept === undefined) {
    const problem = 'a body was read before the hooks that ask for it: put the hooks before what parses bodies'
    return { kind: 'unavailable', error: new HookringError('BODY_UNAVAILABLE', problem) }
  }
  const bytes = Buffer.from(kept as string)
  return bytes.length > maxBytes ? { kind: 'too-large' } : { kind: 'read', body: bytes }
}

class BodyReader {
  readonly #message: IncomingMessage
  readonly #bounds: BodyBounds
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #isSettled = false
  #settle: (reading: BodyReading) => void = () => {}

  constructor(message: IncomingMessage, bounds: BodyBounds) {
    this.#message = message
    this.#bounds = bounds
  }

  read(): Promise<BodyReading> {
    return new Promise((resolve) => {
      const message = this.#message
      const timer = setTimeout(() => this.#settle({ kind: 'late' }), this.#bounds.timeoutMs)
      this.#settle = (reading) => {
        this.#settle = () => {}
        this.#isSettled = true
        clearTimeout(timer)
        message.off('readable', this.#onReadable)
        message.off('error', this.#onGone)
        message.off('close', this.#onGone)
        resolve(reading)
      }
      message.on('error', this.#onGone)
      message.on('close', this.#onGone)
      // When the parser has been through what has come: to listen for more makes a stream say `end` that has no more.
      process.nextTick(this.#begin)
    })
  }

  readonly #begin = (): void => {
    if (this.#isSettled) return
    if (!hasArrived(this.#message)) this.#message.on('readable', this.#onReadable)
    this.#onReadable()
  }

  readonly #onReadable = (): void => {
    const message = this.#message
    while (message.readableLength > 0) {
      const chunk = message.read() as Buffer | string | null
      if (chunk === null) break
      // A text: somebody has set an encoding.
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, message.readableEncoding ?? 'utf8') : chunk
      this.#chunks.push(bytes)
      this.#bytes += bytes.length
      if (this.#bytes > this.#bounds.maxBytes) {
        this.#settle({ kind: 'too-large' })
        return
      }
    }
    if (!hasArrived(message)) return
    const body = Buffer.concat(this.#chunks, this.#bytes) as Buffer<ArrayBuffer>
    if (body.length > 0) message.unshift(body)
    this.#settle({ kind: 'read', body })
  }

  readonly #onGone = (): void => this.#settle({ kind: 'gone' })
}

/** Nothing more will come, and the stream has not said `end`. */
function hasArrived(message: IncomingMessage): boolean {
  if (message.httpVersionMajor < 2) return message.complete
  return (message as { readonly stream?: { readonly readableEnded?: boolean } }).stream?.readableEnded === true
}
