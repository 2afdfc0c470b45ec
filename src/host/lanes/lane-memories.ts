/**
 * The memory of lanes, which is large, and which lanes hand down: a seat has two, what the last lane left and what is there
 * for the next one. New memory sets off collections of garbage that every call waits for. Host's thread only.
 */
import { extentBytes } from '../../ring/layout.js'
import type { Bulkhead, Seat } from '../model/bulkhead.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import type { Lane } from '../model/lane.js'
import { createLaneMemory, type LaneMemory } from '../model/lane-memory.js'

const MEMORIES = 2
/** A seat's second memory is made this long after its first lane began to serve, when the calls that waited have run. */
const PREPARE_AFTER_MS = 20

export interface LaneMemories {
  /** Memory for the seat's next lane. */
  take(bulkhead: Bulkhead, seat: Seat): LaneMemory
  /** Makes the seat's other memory, if it has none. */
  prepare(bulkhead: Bulkhead, seat: Seat): void
  /** The same soon, but not while a lane is replaced. */
  prepareSoon(bulkhead: Bulkhead, seat: Seat): void
  /** Keeps the memory of a lane whose thread is gone. */
  keep(lane: Lane): void
}

export function createLaneMemories(hookpoints: readonly HookpointState[], maxEventBytes: number): LaneMemories {
  const largestExtentBytes = Math.max(
    ...hookpoints.map((hookpoint) =>
      extentBytes(maxEventBytes, 256, hookpoint.replyRoom(maxEventBytes), hookpoint.replyAreas),
    ),
  )

  function make(bulkhead: Bulkhead): LaneMemory {
    return createLaneMemory(bulkhead.options.slots, largestExtentBytes)
  }

  function prepare(bulkhead: Bulkhead, seat: Seat): void {
    if (!bulkhead.isClosing && seat.memories.length === 0) seat.memories.push(make(bulkhead))
  }

  return {
    take: (bulkhead, seat) => seat.memories.pop() ?? make(bulkhead),
    prepare,
    prepareSoon(bulkhead, seat) {
      setTimeout(() => {
        if (seat.leaving === 0) prepare(bulkhead, seat)
      }, PREPARE_AFTER_MS).unref()
    },
    keep({ bulkhead, seat, memory }) {
      if (!bulkhead.isClosing && seat.memories.length < MEMORIES) seat.memories.push(memory)
    },
  }
}
