/**
 * Guest code: values into texts and back (protocol.ts). Reading a value runs the plugin's code, its getters and Proxies, so
 * it is done here, in the guest and under its deadline; what leaves is a text of bounded length. Runs in QuickJS from its
 * source text, so it refers to nothing outside itself.
 */

import type { Intrinsics } from './intrinsics.js'
import type { MARK, Protocol } from './protocol.js'

export interface GuestText {
  /** Null: it takes more than `maxChars`, or as many bytes. */
  write(value: unknown, maxChars: number, options?: { forLog: boolean }): string | null
  read(text: string): unknown
  /** What was thrown, as a text of [name, message, stack]; the name is null of what is no Error. Never throws. */
  describe(thrown: unknown): string
  clip(text: string, maxChars: number): string
}

/** @param room gives bytes that the lane can read, at least so many; @param copyOf a plain copy of an event, without what is secret for a log, else undefined. */
export function createGuestText(
  intrinsics: Intrinsics,
  protocol: Protocol,
  mark: typeof MARK,
  header: Int32Array,
  room: (bytes: number) => Uint8Array,
  copyOf: (value: object, isLog: boolean) => unknown,
): GuestText {
  const { apply, keys, isArray, stringify, parse, isNumber, prototypeOf, define, slice } = intrinsics
  const { Bytes, Big, Num, Str, Calendar, Err } = intrinsics
  const TOO_LARGE = { __proto__: null }
  const LARGEST = 2n ** 65n
  let out = ''
  let left = 0
  let bytesLeft = 0
  let bytesAt = 0
  let target: Uint8Array | null = null
  let isLog = false

  function add(piece: string): void {
    left -= piece.length
    if (left < 0) throw TOO_LARGE
    out += piece
  }

  function clip(text: string, maxChars: number): string {
    return text.length <= maxChars ? text : `${apply(slice, text, [0, maxChars])}…`
  }

  function write(value: unknown, maxChars: number, options?: { forLog: boolean }): string | null {
    // A getter of the value may write too: a log line.
    const outer = { out, left, bytesLeft, bytesAt, isLog }
    out = ''
    left = maxChars
    bytesLeft = maxChars
    bytesAt = 0
    isLog = options !== undefined
    try {
      addValue(value, 0)
      if (!isLog) header[protocol.OUT_BYTES] = bytesAt
      return out
    } catch (error) {
      if (error === TOO_LARGE) return null
      throw error
    } finally {
      out = outer.out
      left = outer.left
      bytesLeft = outer.bytesLeft
      bytesAt = outer.bytesAt
      isLog = outer.isLog
    }
  }

  function addValue(value: unknown, depth: number): void {
    if (typeof value === 'object' && value !== null) addObject(value, depth)
    else add(scalar(value))
  }

  function scalar(value: unknown): string {
    switch (typeof value) {
      case 'undefined':
        return `[${mark.undefined}]`
      case 'boolean':
        return value ? 'true' : 'false'
      case 'number':
        if (value === 0) return 1 / value < 0 ? `[${mark.number},"-0"]` : '0'
        return isNumber(value) ? `${value}` : `[${mark.number},"${value}"]`
      case 'string':
        if (value.length > left) throw TOO_LARGE
        return stringify(value)
      case 'bigint':
        // A number of a million digits would take seconds to write; nothing takes more than 64 bits.
        return `[${mark.bigint},"${value > LARGEST ? LARGEST : value < -LARGEST ? -LARGEST : value}"]`
      case 'object':
        return 'null'
      default:
        return `[${mark.other},"${typeof value}"]`
    }
  }

  function addObject(value: object, depth: number): void {
    if (depth >= protocol.MAX_DEPTH) throw TOO_LARGE
    if (apply(intrinsics.tagOf, value, []) === 'Uint8Array') {
      addBytes(value as Uint8Array)
      return
    }
    const copy = copyOf(value, isLog)
    if (copy !== undefined) addObject(copy as object, depth + 1)
    else if (isArray(value)) addArray(value, depth)
    else {
      const short = ofItsOwnKind(value)
      if (short === undefined) addFields(value as Record<string, unknown>, depth)
      else add(short)
    }
  }

  /** Dates, and errors in log lines. */
  function ofItsOwnKind(value: object): string | undefined {
    const prototype = prototypeOf(value)
    if (prototype === intrinsics.objectPrototype || prototype === null) return undefined
    const ms = timeOf(value)
    if (ms !== undefined) return `[${mark.date},${isNumber(ms) ? ms : '"NaN"'}]`
    if (!isLog || !(value instanceof Err)) return undefined
    const parts = parse(describe(value)) as [string, string, string]
    return stringify(`${parts[0]}: ${parts[1]}${parts[2] === '' ? '' : `\n${parts[2]}`}`)
  }

  function addFields(value: Record<string, unknown>, depth: number): void {
    const names = keys(value)
    add('{')
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string
      if (name.length > left) throw TOO_LARGE
      add(i === 0 ? `${stringify(name)}:` : `,${stringify(name)}:`)
      addValue(value[name], depth + 1)
    }
    add('}')
  }

  function addArray(value: unknown[], depth: number): void {
    const { length } = value
    add(`[${mark.array}`)
    for (let i = 0; i < length; i++) {
      add(',')
      addValue(value[i], depth + 1)
    }
    add(']')
  }

  function addBytes(value: Uint8Array): void {
    const length = apply(intrinsics.lengthOf, value, []) as number
    if (isLog) {
      add(`"<${length} bytes>"`)
      return
    }
    if (length > bytesLeft) throw TOO_LARGE
    bytesLeft -= length
    if (target === null || bytesAt + length > target.length) target = moreRoom(bytesAt + length)
    apply(intrinsics.set, target, [value, bytesAt])
    add(`[${mark.bytes},${bytesAt},${length}]`)
    bytesAt += length
  }

  function moreRoom(bytes: number): Uint8Array {
    const larger = room(bytes)
    if (target !== null && bytesAt > 0) {
      const kept = new Bytes(apply(intrinsics.bufferOf, target, []) as ArrayBuffer, 0, bytesAt)
      apply(intrinsics.set, larger, [kept, 0])
    }
    return larger
  }

  /** Undefined: it is no Date. */
  function timeOf(value: object): number | undefined {
    try {
      return apply(intrinsics.getTime, value, []) as number
    } catch {
      return undefined
    }
  }

  function describe(thrown: unknown): string {
    try {
      if (thrown instanceof Err) {
        const { name, message, stack } = thrown as { name: unknown; message: unknown; stack?: unknown }
        const text = (part: unknown) => stringify(clip(typeof part === 'string' ? part : '', protocol.MAX_ERROR_CHARS))
        return `[${text(typeof name === 'string' ? name : 'Error')},${text(message)},${text(stack)}]`
      }
      return `[null,${stringify(clip(Str(thrown), protocol.MAX_ERROR_CHARS))},""]`
    } catch {
      return '[null,"an error that cannot be described",""]'
    }
  }

  function read(text: string): unknown {
    return revive(parse(text))
  }

  function revive(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value
    if (isArray(value)) return reviveMarked(value)
    const names = keys(value)
    const copy: object = {}
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string
      const item = revive((value as Record<string, unknown>)[name])
      define(copy, name, { value: item, writable: true, enumerable: true, configurable: true })
    }
    return copy
  }

  function reviveMarked(items: unknown[]): unknown {
    const first = items[1]
    switch (items[0]) {
      case mark.bigint:
        return Big(first as string)
      case mark.bytes: {
        // Only the lane sends bytes this way, as numbers.
        const bytes = new Bytes(items.length - 1)
        for (let i = 1; i < items.length; i++) bytes[i - 1] = items[i] as number
        return bytes
      }
      case mark.date:
        return new Calendar(Num(first))
      case mark.undefined:
        return undefined
      case mark.number:
        return Num(first)
      default: {
        const revived: unknown[] = []
        for (let i = 1; i < items.length; i++) revived[i - 1] = revive(items[i])
        return revived
      }
    }
  }

  return { write, read, describe, clip }
}
