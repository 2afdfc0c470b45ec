/** Reads a copy of a Request's body: the handler still has its own. Bounded in bytes and time. Host's thread only. */
import { Buffer } from 'node:buffer'
import { HookringError } from '../../contracts/index.js'
import { LATE, within } from '../../primitives/within.js'
import type { BodyBounds, BodyReading } from './bodies.js'

export async function readFetchBody(request: Request, { maxBytes, timeoutMs }: BodyBounds): Promise<BodyReading> {
  if (request.bodyUsed) {
    const problem = 'a body was read before the hooks that ask for it: put the hooks around what reads it'
    return { kind: 'unavailable', error: new HookringError('BODY_UNAVAILABLE', problem) }
  }
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) return { kind: 'too-large' }
  if (request.body === null) return { kind: 'read', body: Buffer.alloc(0) }
  const reader = request.clone().body!.getReader()
  const reading = await within(readAll(reader, maxBytes), timeoutMs)
  if (reading !== LATE && reading.kind === 'read') return reading
  // The copy and the request share their source: it is let go when both are.
  void reader.cancel().catch(() => {})
  return reading === LATE ? { kind: 'late' } : reading
}

async function readAll(reader: ReadableStreamDefaultReader<Uint8Array>, maxBytes: number): Promise<BodyReading> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return { kind: 'read', body: Buffer.concat(chunks, bytes) as Buffer<ArrayBuffer> }
      bytes += value.byteLength
      if (bytes > maxBytes) return { kind: 'too-large' }
      chunks.push(value)
    }
  } catch {
    // A body that breaks off: the client has left.
    return { kind: 'gone' }
  }
}
