/**
 * The bytes of a lane's slots: where each slot's event is, the host's own copy of it, and the copying between that copy and
 * the shared buffer. Host's thread only.
 *
 * The mirror is private memory with the arena's layout. Events are encoded there and copied over, so the host has its own
 * copy of every event in flight and never reads back what a worker could have changed.
 */
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import { HookringError } from '../../contracts/errors.js'
import { blockBytes, Extents, SMALLEST_EXTENT_BYTES } from '../../ring/extents.js'
import { allocateRing } from '../../ring/host-ring.js'
import type { Geometry } from '../../ring/layout.js'

/**
 * A lane's large memory: the shared buffer and the mirror. The generations of a seat use it in turn; the next may use it as
 * soon as the thread of the one before has exited.
 */
export interface LaneMemory {
  readonly geometry: Geometry
  /** The largest block of the arena. */
  readonly largestBytes: number
  readonly buffer: SharedArrayBuffer
  readonly mirror: CodecMemory
}

/** Blocks of the largest size in an arena: room for several large events besides many small ones. */
const LARGEST_BLOCKS = 8
/** An arena that would be larger than this gets fewer blocks, down to one. */
const MOST_ARENA_BYTES = 512 * 1024 * 1024
/** Offsets are 32 bits wide. */
const MOST_EXTENT_BYTES = 2 ** 29
/** Each slot has an extent of this size; events that need more get a block of the arena. */
export const OWN_EXTENT_BYTES = SMALLEST_EXTENT_BYTES

/** Up to this size a loop over words copies faster than a call. */
const LOOP_BYTES = 512

/**
 * @param largestExtentBytes the largest extent that any event can need.
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
  const largest = `events and their replies take up to ${Math.ceil(largestExtentBytes / 1_048_576)} MiB each`
  return new HookringError(
    'OPTIONS_INVALID',
    `maxEventBytes: not enough memory for a lane whose ${largest}; lower maxEventBytes, maxReplyBytes or limits.slots`,
    { path: ['maxEventBytes'], cause },
  )
}

export class LaneBytes {
  readonly mirror: CodecMemory
  readonly #ownByte: number
  readonly #extents: Extents
  readonly #extentAt: Int32Array
  /** Size asked for when the slot took an extent; 0: it uses its own. */
  readonly #extentBytes: Int32Array
  readonly #mirrorWords: Int32Array
  readonly #sharedWords: Int32Array
  readonly #shared: Buffer
  /** A run of neighbouring own extents whose events are submitted and not yet in the shared buffer. */
  #copyFrom = 0
  #copyEnd = 0

  constructor({ geometry, largestBytes, buffer, mirror }: LaneMemory, arenaByte: number) {
    const { slotCount, arenaBytes } = geometry
    const ownBytes = slotCount * OWN_EXTENT_BYTES
    this.mirror = mirror
    this.#ownByte = arenaByte
    this.#extents = new Extents({ baseByte: arenaByte + ownBytes, arenaBytes: arenaBytes - ownBytes, largestBytes })
    this.#extentAt = Int32Array.from({ length: slotCount }, (_, slot) => this.#ownAt(slot))
    this.#extentBytes = new Int32Array(slotCount)
    this.#mirrorWords = mirror.words.i32
    this.#sharedWords = new Int32Array(buffer)
    this.#shared = Buffer.from(buffer)
  }

  /** Where a slot's event is: in the slot's own extent, unless it has taken another. */
  at(slot: number): number {
    return this.#extentAt[slot] as number
  }

  /** Finds room for a slot's event and its replies: the slot's own extent if that is enough. -1: the arena is full at present. */
  take(slot: number, bytes: number): number {
    if (bytes <= OWN_EXTENT_BYTES) return this.at(slot)
    const at = this.#extents.take(bytes)
    if (at === -1) return -1
    this.#extentAt[slot] = at
    this.#extentBytes[slot] = bytes
    return at
  }

  /** Gives back the extent that the slot has taken, if any. */
  give(slot: number): void {
    const bytes = this.#extentBytes[slot] as number
    if (bytes === 0) return
    this.#extents.give(this.at(slot), bytes)
    this.#extentAt[slot] = this.#ownAt(slot)
    this.#extentBytes[slot] = 0
  }

  /** Sees to it that the slot's first `bytes` are in the shared buffer when the slot is published. */
  submitted(slot: number, bytes: number): void {
    const at = this.at(slot)
    if (this.#extentBytes[slot] === 0) this.#gather(at, at + bytes)
    else this.#copyToShared(at, at + bytes)
  }

  /** Copies the gathered events to the shared buffer. Call it before they are published. */
  copyGathered(): void {
    this.#copyToShared(this.#copyFrom, this.#copyEnd)
    // Start a new run: once these are published, the bytes after the last event belong to the worker.
    this.#copyFrom = 0
    this.#copyEnd = 0
  }

  /** Copies out bytes that the worker wrote. They are read from the shared buffer this once, then checked. */
  copyOut(at: number, bytes: number): Uint8Array {
    const copy = new Uint8Array(bytes)
    copy.set(this.#shared.subarray(at, at + bytes))
    return copy
  }

  /** Copies bytes that the worker wrote to `to`. Returns whether all of them are ASCII. */
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
   * Slots are taken in turn, so the extents of a burst are neighbours. They are copied in one piece when the burst is
   * published, with the gaps between them. Copying each event right after encoding it would wait for its stores to the mirror.
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

/** Where the next slot's own extent begins, after an event that ends at `end`. */
function nextOwnExtent(end: number): number {
  return (end + OWN_EXTENT_BYTES - 1) & -OWN_EXTENT_BYTES
}
