/**
 * Hands out extents of a lane's arena: a buddy allocator. Size classes are powers of two, larger blocks are split on
 * demand, and free halves are merged only when an allocation would otherwise fail. It computes offsets and touches no
 * memory. One per lane, on the host's thread: the host is the only allocator.
 *
 * The block freed last is reused first, so that the memory in use stays dense.
 */

/** Two cache lines. */
export const SMALLEST_EXTENT_BYTES = 128

const SMALLEST_SHIFT = 31 - Math.clz32(SMALLEST_EXTENT_BYTES)

export interface ExtentsOptions {
  /** Added to every offset. */
  readonly baseByte: number
  /** A multiple of `largestBytes`. */
  readonly arenaBytes: number
  /** The largest block; a power of two. */
  readonly largestBytes: number
}

export class Extents {
  readonly #baseByte: number
  readonly #classCount: number
  /** Offsets of the free blocks, by size class. */
  readonly #free: number[][]
  #usedBytes = 0
  /** Something was given back since the last merge; without it, merging again finds nothing. */
  #mayMerge = false

  constructor({ baseByte, arenaBytes, largestBytes }: ExtentsOptions) {
    this.#baseByte = baseByte
    this.#classCount = classOf(largestBytes) + 1
    this.#free = Array.from({ length: this.#classCount }, () => [])
    for (let at = arenaBytes - largestBytes; at >= 0; at -= largestBytes) this.#free[this.#classCount - 1]?.push(at)
  }

  /** Bytes handed out, in whole blocks. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Offset of a block of at least `bytes`, or -1 when none is free. */
  take(bytes: number): number {
    const wanted = classOf(bytes)
    if (wanted >= this.#classCount) return -1
    let at = this.#takeClass(wanted)
    if (at === -1 && this.#mayMerge) {
      this.#merge()
      at = this.#takeClass(wanted)
    }
    if (at === -1) return -1
    this.#usedBytes += classBytes(wanted)
    return at + this.#baseByte
  }

  /** Gives back the block at `at`. `bytes` is the count that was passed to `take`. */
  give(at: number, bytes: number): void {
    const index = classOf(bytes)
    this.#usedBytes -= classBytes(index)
    this.#mayMerge = true
    ;(this.#free[index] as number[]).push(at - this.#baseByte)
  }

  #takeClass(wanted: number): number {
    const block = (this.#free[wanted] as number[]).pop()
    if (block !== undefined) return block
    for (let larger = wanted + 1; larger < this.#classCount; larger += 1) {
      const whole = (this.#free[larger] as number[]).pop()
      if (whole === undefined) continue
      for (let half = larger - 1; half >= wanted; half -= 1) {
        ;(this.#free[half] as number[]).push(whole + classBytes(half))
      }
      return whole
    }
    return -1
  }

  #merge(): void {
    this.#mayMerge = false
    for (let index = 0; index < this.#classCount - 1; index += 1) this.#mergeClass(index)
  }

  /** Moves each pair of free halves to the next larger class. */
  #mergeClass(index: number): void {
    const bytes = classBytes(index)
    const blocks = (this.#free[index] as number[]).sort((a, b) => a - b)
    const kept: number[] = []
    for (let i = 0; i < blocks.length; i += 1) {
      const at = blocks[i] as number
      const isLowerHalf = (at & bytes) === 0
      if (isLowerHalf && blocks[i + 1] === at + bytes) {
        ;(this.#free[index + 1] as number[]).push(at)
        i += 1
      } else {
        kept.push(at)
      }
    }
    this.#free[index] = kept
  }
}

/** Bytes of the block that a request for `bytes` gets. */
export function blockBytes(bytes: number): number {
  return classBytes(classOf(bytes))
}

function classOf(bytes: number): number {
  return bytes <= SMALLEST_EXTENT_BYTES ? 0 : 32 - Math.clz32((bytes - 1) >>> SMALLEST_SHIFT)
}

function classBytes(index: number): number {
  return SMALLEST_EXTENT_BYTES << index
}
