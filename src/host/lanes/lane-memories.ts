/**
 * The memory of lanes. It is large, and generations hand it down: a seat has two, the one that its last lane used and one
 * for the next. New memory each time would cause garbage collections, which every call waits for. Host's thread only.
 */
import { extentBytes } from '../../ring/layout.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import type { Lane } from '../model/lane.js'
import { createLaneMemory, type LaneMemory } from '../model/lane-bytes.js'
import type { SupervisedSeat } from './seat.js'

const MEMORIES = 2
/**
 * A seat's second memory is made this long after its first lane began to serve, so that the calls which waited for the
 * lane come first.
 */
const PREPARE_AFTER_MS = 20
/** The longest trace id that may follow an event, in bytes. */
const TRACE_BYTES = 256

export class LaneMemories {
  readonly #largestExtentBytes: number

  constructor(hookpoints: readonly HookpointState[], maxEventBytes: number) {
    this.#largestExtentBytes = Math.max(
      ...hookpoints.map(({ replyRoom, replyAreas }) =>
        extentBytes(maxEventBytes, TRACE_BYTES, replyRoom(maxEventBytes), replyAreas),
      ),
    )
  }

  /** Memory for the seat's next lane. */
  take(seat: SupervisedSeat): LaneMemory {
    return seat.memories.pop() ?? this.#make(seat)
  }

  /** Makes the seat's second memory, if it has none. */
  prepare(seat: SupervisedSeat): void {
    if (!seat.bulkhead.isClosing && seat.memories.length === 0) seat.memories.push(this.#make(seat))
  }

  /** Makes the seat's second memory soon, but not while a lane is being replaced. */
  prepareSoon(seat: SupervisedSeat): void {
    setTimeout(() => {
      if (seat.leaving === 0) this.prepare(seat)
    }, PREPARE_AFTER_MS).unref()
  }

  /** Keeps the memory of a lane whose thread has exited. */
  keep(seat: SupervisedSeat, { memory }: Lane): void {
    if (!seat.bulkhead.isClosing && seat.memories.length < MEMORIES) seat.memories.push(memory)
  }

  #make({ bulkhead }: SupervisedSeat): LaneMemory {
    return createLaneMemory(bulkhead.options.slots, this.#largestExtentBytes)
  }
}
