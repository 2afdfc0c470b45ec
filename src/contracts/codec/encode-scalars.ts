/**
 * Writers of numbers and bytes. Called by encode.ts alone; the hot part of the encoder.
 */
import { base, reserve, reserveAligned, setReference, u8, view, type Write } from './encode-cursor.js'
import { bytesLength, copyBytes, isBytes, isDetached } from './memory.js'
import type { PlanNode, PlanNodeOf } from './plan.js'
import { Refusal, refusalOf } from './refusal.js'

const TWO_32 = 2 ** 32

const LONG_BYTES = 64

export function integerWriter(node: PlanNodeOf<'u8' | 'u16' | 'u32' | 'i32' | 'int'>): Write {
  const { kind, min, max } = node
  const check = (value: unknown): number => {
    if (typeof value !== 'number' || !(value >= min && value <= max) || Math.floor(value) !== value)
      throw refusalOf(node, value)
    return value
  }
  switch (kind) {
    case 'u8':
      return (at, value) => {
        u8[at] = check(value)
      }
    case 'u16':
      return (at, value) => view.setUint16(at, check(value), true)
    case 'u32':
      return (at, value) => view.setUint32(at, check(value), true)
    case 'i32':
      return (at, value) => view.setInt32(at, check(value), true)
    case 'int':
      return (at, value) => view.setFloat64(at, check(value), true)
  }
}

export function integer64Writer(node: PlanNodeOf<'u64' | 'i64'>): Write {
  const { min, max } = node
  // Exact for all numbers that pass, which are safe integers: only bounds beyond those are rounded.
  const [low, high] = [Math.max(Number(min), Number.MIN_SAFE_INTEGER), Math.min(Number(max), Number.MAX_SAFE_INTEGER)]
  return (at, value) => {
    if (typeof value === 'number') {
      if (!(value >= low && value <= high) || Math.floor(value) !== value) throw refusalOf(node, value)
      view.setUint32(at, value >>> 0, true)
      view.setInt32(at + 4, Math.floor(value / TWO_32), true)
    } else {
      if (typeof value !== 'bigint' || value < min || value > max) throw refusalOf(node, value)
      view.setBigUint64(at, value, true)
    }
  }
}

export function bytesWriter(node: PlanNodeOf<'bytes'>): Write {
  const { length, maxLength } = node
  if (length !== null) {
    return (at, value) => {
      // Asked plainly first, which is a fraction of the time; a subclass that lies about its length lies to itself alone,
      // for what is copied is `length` bytes either way.
      const isPlain = ArrayBuffer.isView(value) && value instanceof Uint8Array && value.length === length
      if (!isPlain && (!isBytes(value) || bytesLength(value) !== length)) throw bytesRefusal(node, value)
      copyBytes(u8, at, value, length)
    }
  }
  return (at, value) => {
    if (!isBytes(value)) throw refusalOf(node, value)
    const count = bytesLength(value)
    if (count > maxLength || (count === 0 && isDetached(value))) throw bytesRefusal(node, value)
    // Between shared and private memory, engines copy words where both sides are aligned and bytes where they are not.
    const start = count > LONG_BYTES ? reserveAligned(count) : reserve(count)
    setReference(at, start, count)
    copyBytes(u8, base + start, value, count)
  }
}

function bytesRefusal(node: PlanNode, value: unknown): Refusal {
  const isGone = isBytes(value) && bytesLength(value) === 0 && isDetached(value)
  return isGone ? new Refusal('must be readable: its buffer has been transferred away') : refusalOf(node, value)
}
