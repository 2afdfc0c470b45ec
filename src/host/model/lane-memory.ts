/** What is large about a lane: the shared buffer, and the host's own copy of its arena. Host's thread only. */
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import { blockBytes, SMALLEST_EXTENT_BYTES } from '../../ring/extents.js'
import { allocateRing } from '../../ring/host-ring.js'
import type { Geometry } from '../../ring/layout.js'

/** It serves one generation after the other: the next one once the thread of the last is gone. */
export interface LaneMemory {
  readonly geometry: Geometry
  /** The largest block that extents are cut from. */
  readonly largestBytes: number
  readonly buffer: SharedArrayBuffer
  readonly mirror: CodecMemory
}

/** Blocks of the largest size that fit at once: room for several large events besides many small ones. */
const LARGEST_BLOCKS = 8
/** A slot's own extent: what needs no more stands there, and the arena is for what is larger. */
export const OWN_EXTENT_BYTES = SMALLEST_EXTENT_BYTES

/** @param largestExtentBytes the largest extent that an event can need. */
export function createLaneMemory(slotCount: number, largestExtentBytes: number): LaneMemory {
  const largestBytes = blockBytes(largestExtentBytes)
  const geometry = { slotCount, arenaBytes: slotCount * OWN_EXTENT_BYTES + largestBytes * LARGEST_BLOCKS }
  const buffer = allocateRing(geometry)
  // Pages that are never touched are never committed, in the mirror as in the shared buffer.
  return { geometry, largestBytes, buffer, mirror: codecMemory(new ArrayBuffer(buffer.byteLength)) }
}
