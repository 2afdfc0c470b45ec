/**
 * The free slots of a lane, handed out in the order in which they came back. Under load that is their order in memory, so the
 * processor prefetches slots and events from the other core's cache. Host's thread only.
 */

/** No slot is free. */
export const NO_SLOT = -1

export class FreeList {
  readonly #slots: Int32Array
  readonly #mask: number
  #first = 0
  #count: number

  /** All slots are free at first. @param slotCount a power of two. */
  constructor(slotCount: number) {
    this.#slots = Int32Array.from({ length: slotCount }, (_, index) => index)
    this.#mask = slotCount - 1
    this.#count = slotCount
  }

  get count(): number {
    return this.#count
  }

  /** Takes the slot that has been free for the longest. Returns NO_SLOT if there is none. */
  take(): number {
    if (this.#count === 0) return NO_SLOT
    const slot = this.#slots[this.#first] as number
    this.#first = (this.#first + 1) & this.#mask
    this.#count -= 1
    return slot
  }

  give(slot: number): void {
    this.#slots[(this.#first + this.#count) & this.#mask] = slot
    this.#count += 1
  }
}
