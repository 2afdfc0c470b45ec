/**
 * Bodies: values in MessagePack or JSON. Used by clients, servers and plugins, on any thread; nothing here but errors
 * remembers anything.
 *
 * MessagePack is exact: a number stays a number (one that is no 32-bit integer travels as a double), a bigint a 64-bit
 * integer, a Uint8Array binary. What a codec would change on the way without a word is refused.
 */
import { Decoder, Encoder } from '@msgpack/msgpack'
import { type BodyCodec, HookringError } from '../../contracts/index.js'
import { isJsonTooDeep, MAX_BODY_DEPTH, msgpackProblem } from './body-shape.js'

const encoder = new Encoder({ useBigInt64: true, ignoreUndefined: true, maxDepth: MAX_BODY_DEPTH + 1 })
const decoder = new Decoder({ useBigInt64: true })
const utf8 = new TextEncoder()
const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

const MIN_INT64 = -(2n ** 63n)
const MAX_UINT64 = 2n ** 64n - 1n

/** Undefined is written as null. @throws HookringError BODY_INVALID */
export function encodeBody(codec: BodyCodec, value: unknown): Uint8Array<ArrayBuffer> {
  refuseLoss(codec, value, 0)
  try {
    return codec === 'json' ? utf8.encode(JSON.stringify(value ?? null)) : encoder.encode(value ?? null)
  } catch (cause) {
    throw invalid(codec, 'cannot be written', cause)
  }
}

/** Of bytes whose shape was looked at, by `readBody` or by the server that a plugin has them from. @throws HookringError BODY_INVALID */
export function decodeBody(codec: BodyCodec, body: Uint8Array): unknown {
  try {
    // A plain array: parts that are binary are views of it, and must not be Buffers of somebody's pool.
    if (codec === 'msgpack') return decoder.decode(new Uint8Array(body.buffer, body.byteOffset, body.byteLength))
    const text = strictUtf8.decode(body)
    if (!isJsonTooDeep(text)) return JSON.parse(text)
  } catch (cause) {
    throw invalid(codec, 'cannot be read', cause)
  }
  throw invalid(codec, `is nested deeper than ${MAX_BODY_DEPTH} levels`)
}

/** Of bytes from another side. @throws HookringError BODY_INVALID */
export function readBody(codec: BodyCodec, body: Uint8Array): unknown {
  checkShape(codec, body)
  return decodeBody(codec, body)
}

/** @throws HookringError BODY_INVALID; of JSON it says nothing, reading it tells as fast */
export function checkShape(codec: BodyCodec, body: Uint8Array): void {
  const problem = codec === 'msgpack' ? msgpackProblem(body) : null
  if (problem !== null) throw invalid(codec, problem)
}

/** What the codecs would write as something else. */
function refuseLoss(codec: BodyCodec, value: unknown, depth: number): void {
  switch (typeof value) {
    case 'bigint':
      if (codec === 'json') throw invalid(codec, 'holds a bigint')
      if (value < MIN_INT64 || value > MAX_UINT64) throw invalid(codec, 'holds an integer of more than 64 bits')
      return
    case 'number':
      if (codec === 'json' && !Number.isFinite(value)) throw invalid(codec, `holds ${value}`)
      return
    case 'string':
      if (codec === 'msgpack') refuseText(value)
      return
    case 'function':
    case 'symbol':
      throw invalid(codec, `holds a ${typeof value}`)
    case 'object':
      if (value !== null) refuseLossIn(codec, value, depth)
      return
    default:
  }
}

function refuseLossIn(codec: BodyCodec, value: object, depth: number): void {
  if (depth >= MAX_BODY_DEPTH) throw invalid(codec, `is circular or nested deeper than ${MAX_BODY_DEPTH} levels`)
  if (ArrayBuffer.isView(value)) {
    if (codec === 'json') throw invalid(codec, 'holds bytes')
  } else if (value instanceof Map || value instanceof Set || value instanceof ArrayBuffer) {
    throw invalid(codec, `holds ${Object.prototype.toString.call(value)}`)
  } else if (Array.isArray(value)) {
    for (const item of value) refuseLoss(codec, item, depth + 1)
  } else if (!(value instanceof Date)) {
    for (const [key, item] of Object.entries(value)) {
      if (codec === 'msgpack') refuseKey(key)
      refuseLoss(codec, item, depth + 1)
    }
  }
}

function refuseKey(key: string): void {
  // Who reads MessagePack into objects cannot take it.
  if (key === '__proto__') throw invalid('msgpack', 'has a key __proto__')
  refuseText(key)
}

function refuseText(text: string): void {
  const { isWellFormed } = text as { isWellFormed?: () => boolean }
  if (isWellFormed?.call(text) === false) throw invalid('msgpack', 'holds half a surrogate pair, which UTF-8 has not')
}

function invalid(codec: BodyCodec, problem: string, cause?: unknown): HookringError {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  const name = codec === 'json' ? 'JSON' : 'MessagePack'
  return new HookringError('BODY_INVALID', `the ${name} body ${problem}${why}`, { cause })
}
