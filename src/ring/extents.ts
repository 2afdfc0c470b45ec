/**
 * Hands out extents of a lane's arena: size classes are powers of two, larger blocks are split on demand, and freed
 * blocks are merged only when an allocation would fail. Numbers only: it touches no memory. The host is the only
 * allocator, so there is one of these per lane, on the host's thread.
 *
 * Freed blocks are taken again last-in, first-out: what is in use stays dense.
 */

/** Two cache lines. */
export const SMALLEST_EXTENT_BYTES = 128

export interface Extents {
  /** Offset (bytes, from `baseByte`) of a block of at least `bytes`, or -1 when none is free. */
  take(bytes: number): number
  /** Gives back a block, with the byte count that was asked for. */
  give(at: number, bytes: number): void
  /** Bytes handed out, in whole blocks. */
  usedBytes(): number
}

/** @param arenaBytes a multiple of `largestBytes`, which is a power of two. */
export function createExtents({
  baseByte,
  arenaBytes,
  largestBytes,
}: {
  baseByte: number
  arenaBytes: number
  largestBytes: number
}): Extents {
  const classCount = classOf(largestBytes) + 1
  const free: number[][] = Array.from({ length: classCount }, () => [])
  for (let at = arenaBytes - largestBytes; at >= 0; at -= largestBytes) free[classCount - 1]?.push(at)
  let usedBytes = 0
  // Merging again is useless until something was given back.
  let mayMerge = false

  function takeClass(wanted: number): number {
    const block = (free[wanted] as number[]).pop()
    if (block !== undefined) return block
    for (let larger = wanted + 1; larger < classCount; larger += 1) {
      const whole = (free[larger] as number[]).pop()
      if (whole === undefined) continue
      for (let half = larger - 1; half >= wanted; half -= 1) {
        ;(free[half] as number[]).push(whole + classBytes(half))
      }
      return whole
    }
    return -1
  }

  function merge(): void {
    mayMerge = false
    for (let index = 0; index < classCount - 1; index += 1) {
      const bytes = classBytes(index)
      const blocks = (free[index] as number[]).sort((a, b) => a - b)
      const kept: number[] = []
      for (let i = 0; i < blocks.length; i += 1) {
        const at = blocks[i] as number
        const isLowerHalf = (at & bytes) === 0
        if (isLowerHalf && blocks[i + 1] === at + bytes) {
          ;(free[index + 1] as number[]).push(at)
          i += 1
        } else {
          kept.push(at)
        }
      }
      free[index] = kept
    }
  }

  return {
    take(bytes) {
      const wanted = classOf(bytes)
      if (wanted >= classCount) return -1
      let at = takeClass(wanted)
      if (at === -1 && mayMerge) {
        merge()
        at = takeClass(wanted)
      }
      if (at === -1) return -1
      usedBytes += classBytes(wanted)
      return at + baseByte
    },
    give(at, bytes) {
      const index = classOf(bytes)
      usedBytes -= classBytes(index)
      mayMerge = true
      ;(free[index] as number[]).push(at - baseByte)
    },
    usedBytes: () => usedBytes,
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

const SMALLEST_SHIFT = 31 - Math.clz32(SMALLEST_EXTENT_BYTES)
