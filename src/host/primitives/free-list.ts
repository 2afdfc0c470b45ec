/**
 * The free slots of a lane, handed out in the order in which they came back: under load that is their order in memory,
 * which processors foresee. Each event, its slot and its completion are then on their way from the other core's cache
 * before they are asked for. Host's thread only.
 */

/** No slot is free. */
export const NO_SLOT = -1

export class FreeSlots {
  readonly #slots: Int32Array
  readonly #mask: number
  #first = 0
  #count: number

  /** @param slotCount a power of two; all of them are free. */
  constructor(slotCount: number) {
    this.#slots = Int32Array.from({ length: slotCount }, (_, index) => index)
    this.#mask = slotCount - 1
    this.#count = slotCount
  }

  get count(): number {
    return this.#count
  }

  /** The slot that has been free for the longest, or NO_SLOT. */
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
