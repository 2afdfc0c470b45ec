/** A response of Node's: how it ended, and what the doors write themselves. Host's thread only. */
import { Buffer } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { GoneClient } from './gone-client.js'
import type { CheckedReply } from './outcomes.js'
import { hasNoBody } from './replies.js'

/** What else was said of a body, by whoever meant to answer, is not true of this one. */
const STALE_HEADERS = ['content-encoding', 'content-range', 'etag', 'last-modified', 'trailer', 'transfer-encoding']

/** Sends a reply, unless somebody has answered already, or nobody is there. */
export function writeReply(message: IncomingMessage, response: ServerResponse, reply: CheckedReply): void {
  if (response.headersSent || response.writableEnded || response.destroyed) return
  const { status, headers, body } = reply
  for (const name of STALE_HEADERS) response.removeHeader(name)
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  // What is not read of a body that is too large would be read to its end before the connection could be used again.
  if ((status === 413 || status === 408) && message.httpVersionMajor < 2) response.setHeader('connection', 'close')
  if (hasNoBody(status)) {
    response.removeHeader('content-length')
    response.end()
    return
  }
  response.setHeader('content-length', body.length)
  if (message.method === 'HEAD') response.end()
  else response.end(body)
}

export interface ResponseEnd {
  readonly status: number
  readonly durationMs: number
  readonly bytes: number
  readonly isAborted: boolean
}

/** Tells once how a response ended, whoever wrote it; counts the bytes of its body. */
export function watchResponse(
  message: IncomingMessage,
  response: ServerResponse,
  tell: (end: ResponseEnd) => void,
): void {
  const startMs = performance.now()
  const written = countBytes(response)
  let isTold = false
  const end = (isAborted: boolean) => {
    if (isTold) return
    isTold = true
    const { statusCode: status } = response
    const bytes = message.method === 'HEAD' || hasNoBody(status) ? 0 : written()
    tell({ status, durationMs: performance.now() - startMs, bytes, isAborted })
  }
  // One of HTTP/2 says that it has finished when its stream was reset, too.
  response.once('finish', () => end(message.aborted))
  response.once('close', () => end(true))
  // A pipelined request whose turn has not come has no response that could close.
  message.once('close', () => {
    if (GoneClient.isGone(message)) end(true)
  })
}

type Write = (chunk?: unknown, encoding?: unknown, done?: unknown) => unknown

/** Writes pass through as they are. An `end` that writes by the method `write` is counted once. */
function countBytes(response: ServerResponse): () => number {
  let bytes = 0
  let isEnding = false
  const { write, end } = response as unknown as { readonly write: Write; readonly end: Write }
  const counted = (original: Write, isEnd: boolean): Write =>
    function countedWrite(this: unknown, ...args: Parameters<Write>) {
      if (!isEnding) bytes += sizeOf(args[0], args[1])
      isEnding ||= isEnd
      return Reflect.apply(original, response, args)
    }
  Object.assign(response, { write: counted(write, false), end: counted(end, true) })
  return () => bytes
}

function sizeOf(chunk: unknown, encoding: unknown): number {
  if (typeof chunk === 'string') {
    return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
  }
  return chunk instanceof Uint8Array ? chunk.byteLength : 0
}
