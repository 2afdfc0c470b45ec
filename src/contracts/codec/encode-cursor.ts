/**
 * Where the encoder writes: the memory, its bounds, and the end of what is written. Only encode.ts and its writers use
 * it, on any thread.
 *
 * All encoders of a thread share this state, so that their closures need not pass it on. A getter of the value that is
 * being encoded may itself call an encoder, so `writeInto` restores what it found.
 */
import { type CodecMemory, NO_MEMORY } from './memory.js'

/** Writes `value` at `at`, which counts from the start of the memory. */
export type Write = (at: number, value: unknown) => void

export let u8 = NO_MEMORY.u8
export let view = NO_MEMORY.view
/** Start of the event in the memory. */
export let base = 0
/** End of what is written, counted from base. */
export let tail = 0
let buffer = NO_MEMORY.buffer
/** Bytes that may be written, counted from base. */
let room = 0
/** Bytes that would have been needed so far, counted from base; set before OVERFLOW is thrown. */
let needed = 0

/** Thrown when the value does not fit. */
export const OVERFLOW: unique symbol = Symbol('overflow')

/** Up to this length a loop over the characters is faster than a native call. */
const SHORT_TEXT = 16

/** What to write: the root node's writer, and the size of its fixed part in bytes. */
export interface Root {
  readonly write: Write
  readonly fixedBytes: number
}

/** Writes `value` from `at` on. Returns the bytes it takes; -n: it does not fit, and takes at least n. */
export function writeInto(memory: CodecMemory, at: number, limit: number, root: Root, value: unknown): number {
  const outerU8 = u8
  const outerView = view
  const outerBuffer = buffer
  const outerBase = base
  const outerRoom = room
  const outerTail = tail
  u8 = memory.u8
  view = memory.view
  buffer = memory.buffer
  base = at
  // The memory's own end counts, whatever the caller says.
  room = Math.min(limit, u8.length) - at
  tail = root.fixedBytes
  try {
    if (tail > room) return -tail
    root.write(at, value)
    return tail
  } catch (error) {
    if (error === OVERFLOW) return -needed
    throw error
  } finally {
    u8 = outerU8
    view = outerView
    buffer = outerBuffer
    base = outerBase
    room = outerRoom
    tail = outerTail
  }
}

/** Reserves `bytes` at the end of the tail. Returns where they begin, counted from base. */
export function reserve(bytes: number): number {
  const start = tail
  const end = start + bytes
  if (end > room) {
    needed = end
    throw OVERFLOW
  }
  tail = end
  return start
}

/** Reserves aligned bytes, for parts that hold numbers. */
export function reserveAligned(bytes: number): number {
  tail = (tail + 7) & ~7
  return reserve(bytes)
}

/** Gives back what was reserved since the tail ended at `end`. */
export function rewindTo(end: number): void {
  tail = end
}

/** Writes the two words with which a fixed part refers to the tail. */
export function setReference(at: number, first: number, second: number): void {
  view.setUint32(at, first, true)
  view.setUint32(at + 4, second, true)
}

/** Writes text as UTF-8 to the tail; a lone surrogate becomes U+FFFD. */
export function writeText(at: number, text: string): void {
  const count = text.length
  if (count <= SHORT_TEXT && tail + count <= room) {
    const start = base + tail
    let i = 0
    for (; i < count; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 0x7f) break
      u8[start + i] = unit
    }
    if (i === count) {
      setReference(at, reserve(count), count)
      return
    }
  }
  const free = room - tail
  // A UTF-16 unit takes at most three bytes of UTF-8, so most texts need not be measured.
  const bytes = count * 3 <= free ? 0 : Buffer.byteLength(text)
  if (bytes > free) reserve(bytes)
  const written = buffer.write(text, base + tail, free, 'utf8')
  setReference(at, reserve(written), written)
}
