/**
 * Bodies: values in MessagePack or JSON. Used by clients, servers and plugins, on any thread; nothing here but errors
 * remembers anything.
 *
 * MessagePack is exact: a number stays a number (one that is no 32-bit integer travels as a double), a bigint a 64-bit
 * integer, a Uint8Array binary. JSON has less: a Date is its text there, and what has a `toJSON` is what that says. Both
 * write undefined as null, or leave it out of an object. What a codec would change on the way besides is refused.
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
      if (Object.is(value, -0)) throw invalid(codec, 'holds -0, which would arrive as 0')
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
  if (Array.isArray(value)) {
    for (const item of value) refuseLoss(codec, item, depth + 1)
  } else if (isPlain(value)) {
    if (codec === 'json' && hasToJson(value)) refuseLoss(codec, value.toJSON(), depth + 1)
    else refuseLossInFields(codec, value, depth)
  } else refuseObject(codec, value, depth)
}

function refuseLossInFields(codec: BodyCodec, value: object, depth: number): void {
  for (const symbol of Object.getOwnPropertySymbols(value)) {
    if (Object.prototype.propertyIsEnumerable.call(value, symbol)) throw invalid(codec, 'has a key that is a symbol')
  }
  for (const [key, item] of Object.entries(value)) {
    if (codec === 'msgpack') refuseKey(key)
    refuseLoss(codec, item, depth + 1)
  }
}

/** An object that is no list and no record: few have a form in a codec. */
function refuseObject(codec: BodyCodec, value: object, depth: number): void {
  const what = describeObject(value)
  if (what === 'Date') {
    if (Number.isNaN(Number(value))) throw invalid(codec, 'holds a Date that is no time')
    if (codec === 'msgpack' && !(value instanceof Date)) throw invalid(codec, 'holds a Date of another realm')
  } else if (ArrayBuffer.isView(value)) {
    if (codec === 'json') throw invalid(codec, 'holds bytes')
    if (what !== 'Uint8Array') throw invalid(codec, `holds a ${what}, which would arrive as a Uint8Array: send one`)
  } else if (codec === 'json' && hasToJson(value)) refuseLoss(codec, value.toJSON(), depth + 1)
  else throw invalid(codec, `holds a ${what}, which would arrive as something else: send its fields, or a text`)
}

/** A record: of this realm or another, or without a prototype. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function'
}

/** `Date`, `Float64Array`, `Error`; of an instance of a class its name. */
function describeObject(value: object): string {
  const tag = Object.prototype.toString.call(value).slice(8, -1)
  if (tag !== 'Object') return tag
  const name: unknown = value.constructor?.name
  return typeof name === 'string' && name !== '' ? name : 'object of a class'
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
