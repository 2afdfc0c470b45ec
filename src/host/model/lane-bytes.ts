/**
 * The bytes of a lane's slots: where the event of each stands, the host's own copy of it, and the copying between that and
 * the shared buffer. Host's thread only.
 *
 * The mirror is private memory with the arena's layout: events are encoded there and copied over, so that the host has its
 * own copy of every event in flight and never reads back what a worker could have changed.
 */
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import { HookringError } from '../../contracts/errors.js'
import { blockBytes, createExtents, type Extents, SMALLEST_EXTENT_BYTES } from '../../ring/extents.js'
import { allocateRing } from '../../ring/host-ring.js'
import type { Geometry } from '../../ring/layout.js'

/**
 * What is large about a lane: the shared buffer, and the host's own copy of its arena. One generation uses it after the
 * other: the next one may as soon as the thread of the last has exited.
 */
export interface LaneMemory {
  readonly geometry: Geometry
  /** The largest block that extents are cut from. */
  readonly largestBytes: number
  readonly buffer: SharedArrayBuffer
  readonly mirror: CodecMemory
}

/** Blocks of the largest size that fit at once: room for several large events besides many small ones. */
const LARGEST_BLOCKS = 8
/** An arena of more is given fewer of them, down to one. */
const MOST_ARENA_BYTES = 512 * 1024 * 1024
/** Offsets are 32 bits wide. */
const MOST_EXTENT_BYTES = 2 ** 29
/** A slot's own extent: what needs no more stands there, and the arena is for what is larger. */
export const OWN_EXTENT_BYTES = SMALLEST_EXTENT_BYTES

/** Up to here a loop over words beats a call. */
const LOOP_BYTES = 512

/**
 * @param largestExtentBytes the largest extent that an event can need.
 * @throws HookringError OPTIONS_INVALID
 */
export function createLaneMemory(slotCount: number, largestExtentBytes: number): LaneMemory {
  if (largestExtentBytes > MOST_EXTENT_BYTES) throw tooLarge(largestExtentBytes)
  const largestBytes = blockBytes(largestExtentBytes)
  const blocks = Math.max(1, Math.min(LARGEST_BLOCKS, Math.floor(MOST_ARENA_BYTES / largestBytes)))
  const geometry = { slotCount, arenaBytes: slotCount * OWN_EXTENT_BYTES + largestBytes * blocks }
  try {
    const buffer = allocateRing(geometry)
    // Pages that are never touched are never committed, in the mirror as in the shared buffer.
    return { geometry, largestBytes, buffer, mirror: codecMemory(new ArrayBuffer(buffer.byteLength)) }
  } catch (cause) {
    throw tooLarge(largestExtentBytes, cause)
  }
}

function tooLarge(largestExtentBytes: number, cause?: unknown): HookringError {
  const takes = `an event and what is answered to it may take ${Math.ceil(largestExtentBytes / 1_048_576)} MiB`
  return new HookringError(
    'OPTIONS_INVALID',
    `maxEventBytes: there is no memory for a lane in which ${takes}; lower maxEventBytes, maxReplyBytes or limits.slots`,
    { path: ['maxEventBytes'], cause },
  )
}

export class LaneBytes {
  readonly mirror: CodecMemory
  readonly #ownByte: number
  readonly #extents: Extents
  readonly #extentAt: Int32Array
  /** Of extents that were taken; 0: the slot's own. */
  readonly #extentBytes: Int32Array
  readonly #mirrorWords: Int32Array
  readonly #sharedWords: Int32Array
  readonly #shared: Buffer
  /** What is submitted and not yet in the shared buffer: events in slots' own extents, side by side. */
  #copyFrom = 0
  #copyEnd = 0

  constructor({ geometry, largestBytes, buffer, mirror }: LaneMemory, arenaByte: number) {
    const { slotCount, arenaBytes } = geometry
    const ownBytes = slotCount * OWN_EXTENT_BYTES
    this.mirror = mirror
    this.#ownByte = arenaByte
    this.#extents = createExtents({ baseByte: arenaByte + ownBytes, arenaBytes: arenaBytes - ownBytes, largestBytes })
    this.#extentAt = Int32Array.from({ length: slotCount }, (_, slot) => this.#ownAt(slot))
    this.#extentBytes = new Int32Array(slotCount)
    this.#mirrorWords = mirror.words.i32
    this.#sharedWords = new Int32Array(buffer)
    this.#shared = Buffer.from(buffer)
  }

  /** Where a slot's event stands: in its own extent, unless it has taken one. */
  at(slot: number): number {
    return this.#extentAt[slot] as number
  }

  /** Room for a slot's event and what is behind it: the slot's own if it is small. -1: the arena is full at present. */
  take(slot: number, bytes: number): number {
    if (bytes <= OWN_EXTENT_BYTES) return this.at(slot)
    const at = this.#extents.take(bytes)
    if (at === -1) return -1
    this.#extentAt[slot] = at
    this.#extentBytes[slot] = bytes
    return at
  }

  /** The slot is done with. */
  give(slot: number): void {
    const bytes = this.#extentBytes[slot] as number
    if (bytes === 0) return
    this.#extents.give(this.at(slot), bytes)
    this.#extentAt[slot] = this.#ownAt(slot)
    this.#extentBytes[slot] = 0
  }

  /** The slot's first `bytes` are to be in the shared buffer when it is published. */
  submitted(slot: number, bytes: number): void {
    const at = this.at(slot)
    if (this.#extentBytes[slot] === 0) this.#gather(at, at + bytes)
    else this.#copyToShared(at, at + bytes)
  }

  /** Puts in place what was submitted and is not there yet: before it is published. */
  copyGathered(): void {
    this.#copyToShared(this.#copyFrom, this.#copyEnd)
    // Nothing is next to this: from here on, what is behind the events belongs to the worker.
    this.#copyFrom = 0
    this.#copyEnd = 0
  }

  /** Copies bytes that the worker wrote out of the shared buffer; they are read from there this once. */
  copyOut(at: number, bytes: number): Uint8Array {
    const copy = new Uint8Array(bytes)
    copy.set(this.#shared.subarray(at, at + bytes))
    return copy
  }

  /** The same, to where the host keeps it for a moment; whether all of it is ASCII. */
  copyAscii(at: number, bytes: number, to: Uint8Array): boolean {
    const from = this.#shared
    let all = 0
    for (let i = 0; i < bytes; i += 1) {
      const byte = from[at + i] as number
      to[i] = byte
      all |= byte
    }
    return all < 0x80
  }

  #ownAt(slot: number): number {
    return this.#ownByte + slot * OWN_EXTENT_BYTES
  }

  /**
   * Slots are taken in turn, so the extents of a burst are neighbours: they are copied in one piece when it is published,
   * and what is between them with them. At once, a processor would wait for each of its stores to the mirror.
   */
  #gather(at: number, end: number): void {
    if (at !== nextOwnExtent(this.#copyEnd)) {
      this.copyGathered()
      this.#copyFrom = at
    }
    this.#copyEnd = end
  }

  #copyToShared(at: number, end: number): void {
    if (end - at > LOOP_BYTES) {
      this.mirror.buffer.copy(this.#shared, at, at, end)
      return
    }
    const from = this.#mirrorWords
    const to = this.#sharedWords
    const endWord = (end + 3) >> 2
    for (let word = at >> 2; word < endWord; word += 1) to[word] = from[word] as number
  }
}

/** Where the own extent begins that is next to the one that ends here. */
function nextOwnExtent(end: number): number {
  return (end + OWN_EXTENT_BYTES - 1) & -OWN_EXTENT_BYTES
}
