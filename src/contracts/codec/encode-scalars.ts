/** Writers of numbers and bytes: the encoder's hot part. Only encode.ts calls it. */
import { base, reserve, reserveAligned, setReference, u8, view, type Write } from './encode-cursor.js'
import { bytesLength, copyBytes, isBytes, isDetached } from './memory.js'
import { Misfit, misfitOf } from './misfit.js'
import type { PlanNode, PlanNodeOf } from './plan.js'

const TWO_32 = 2 ** 32

const LONG_BYTES = 64

export function integerWriter(node: PlanNodeOf<'u8' | 'u16' | 'u32' | 'i32' | 'int'>): Write {
  const { kind, min, max } = node
  const check = (value: unknown): number => {
    if (typeof value !== 'number' || !(value >= min && value <= max) || Math.floor(value) !== value)
      throw misfitOf(node, value)
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
  // Exact for all numbers that pass, because they are safe integers; only bounds beyond those are rounded.
  const [low, high] = [Math.max(Number(min), Number.MIN_SAFE_INTEGER), Math.min(Number(max), Number.MAX_SAFE_INTEGER)]
  return (at, value) => {
    if (typeof value === 'number') {
      if (!(value >= low && value <= high) || Math.floor(value) !== value) throw misfitOf(node, value)
      view.setUint32(at, value >>> 0, true)
      view.setInt32(at + 4, Math.floor(value / TWO_32), true)
    } else {
      if (typeof value !== 'bigint' || value < min || value > max) throw misfitOf(node, value)
      view.setBigUint64(at, value, true)
    }
  }
}

export function bytesWriter(node: PlanNodeOf<'bytes'>): Write {
  const { length, maxLength } = node
  if (length !== null) {
    return (at, value) => {
      // The plain case first, which takes a fraction of the time. A subclass may lie about its length, but exactly
      // `length` bytes are copied.
      const isPlain = ArrayBuffer.isView(value) && value instanceof Uint8Array && value.length === length
      if (!isPlain && (!isBytes(value) || bytesLength(value) !== length)) throw bytesRefusal(node, value)
      copyBytes(u8, at, value, length)
    }
  }
  return (at, value) => {
    if (!isBytes(value)) throw misfitOf(node, value)
    const count = bytesLength(value)
    if (count > maxLength || (count === 0 && isDetached(value))) throw bytesRefusal(node, value)
    // Between shared and private memory, engines copy words if both sides are aligned, otherwise bytes.
    const start = count > LONG_BYTES ? reserveAligned(count) : reserve(count)
    setReference(at, start, count)
    copyBytes(u8, base + start, value, count)
  }
}

function bytesRefusal(node: PlanNode, value: unknown): Misfit {
  const isGone = isBytes(value) && bytesLength(value) === 0 && isDetached(value)
  return isGone ? new Misfit('must be readable: its buffer has been transferred away') : misfitOf(node, value)
}
