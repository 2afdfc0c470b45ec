/**
 * JSON for fields whose type has no layout: turns a value into text and back. It is stricter than JSON.stringify, which
 * turns what it cannot hold into null, {} or nothing.
 */
import { atKey, Misfit } from './misfit.js'

/** Deep enough for any document, shallow enough for recursive code. */
const MAX_JSON_DEPTH = 128

/**
 * JSON.parse reads a number above 1.8e308 as Infinity. Such a number has an exponent of three digits, or hundreds of
 * digits.
 */
const MAY_OVERFLOW = /e\+?\d{3}|\d{200}/i

/** @throws Misfit for what JSON cannot hold, and whatever the value's own getters and toJSON throw */
export function jsonText(value: unknown): string {
  return JSON.stringify(snapshot(value, MAX_JSON_DEPTH))
}

/**
 * Keys named `__proto__` become own properties.
 *
 * @throws Misfit for text that is not JSON, is nested too deeply or has too large a number
 */
export function parseJson(text: string): unknown {
  if (isTooDeep(text)) throw tooDeep()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new Misfit('is not JSON', { cause })
  }
  if (MAY_OVERFLOW.test(text)) snapshot(value, MAX_JSON_DEPTH)
  return value
}

/** A copy that JSON.stringify cannot change. Each property of the original is read once. */
function snapshot(value: unknown, depthLeft: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (Number.isFinite(value)) return value
      throw new Misfit(`must be JSON, got ${value}`)
    case 'object':
      return value === null ? null : snapshotObject(value, depthLeft)
    case 'bigint':
      throw new Misfit('must be JSON, got a bigint: give the field a type, such as u64()')
    default:
      throw new Misfit(`must be JSON, got ${value === undefined ? 'undefined' : `a ${typeof value}`}`)
  }
}

function snapshotObject(value: object, depthLeft: number): unknown {
  if (depthLeft === 0) throw tooDeep()
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') {
    const replaced: unknown = toJSON.call(value, '')
    if (replaced !== value) return snapshot(replaced, depthLeft - 1)
  }
  if (Array.isArray(value)) {
    const { length } = value
    const items: unknown[] = []
    // Not map(), which a subclass may override.
    for (let index = 0; index < length; index++) items.push(inside(index, () => snapshot(value[index], depthLeft - 1)))
    return items
  }
  const tag = Object.prototype.toString.call(value)
  if (tag !== '[object Object]') throw new Misfit(`must be JSON, got a ${tag.slice(8, -1)}: give the field a type`)
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const field = inside(key, () => {
      const item = (value as Record<string, unknown>)[key]
      return item === undefined ? undefined : snapshot(item, depthLeft - 1)
    })
    if (field !== undefined) setOwn(copy, key, field)
  }
  return copy
}

function inside<T>(key: string | number, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw atKey(error, key)
  }
}

/** Sets an own property. Assigning to `__proto__` would change the prototype. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
  else target[key] = value
}

function isTooDeep(text: string): boolean {
  let depth = 0
  let isInString = false
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (isInString) {
      if (char === BACKSLASH) i++
      else if (char === QUOTE) isInString = false
    } else if (char === QUOTE) isInString = true
    else if (char === OPEN_BRACKET || char === OPEN_BRACE) {
      if (++depth > MAX_JSON_DEPTH) return true
    } else if (char === CLOSE_BRACKET || char === CLOSE_BRACE) depth--
  }
  return false
}

function tooDeep(): Misfit {
  return new Misfit(`is circular or nested deeper than ${MAX_JSON_DEPTH} levels`)
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
