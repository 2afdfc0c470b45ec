/**
 * Chance that can be repeated: a small generator of pseudo-random numbers, seeded by words. Used by the event generator;
 * pure, nothing here is fit for secrets.
 */

export interface Random {
  /** From 0, below 1. */
  next(): number
  /** A whole number from 0, below `count`. */
  below(count: number): number
  /** True for this share of all asks. */
  chance(share: number): boolean
  pick<T>(items: readonly T[]): T
}

/** The same words give the same numbers, on every machine. (sfc32, by Chris Doty-Humphrey.) */
export function createRandom(...words: readonly number[]): Random {
  let [a, b, c, d] = [words[0] ?? 0, words[1] ?? 0, words[2] ?? 0, 1]
  const step = () => {
    const sum = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return sum >>> 0
  }
  // The first numbers still look like the seed.
  for (let i = 0; i < 12; i++) step()
  const next = () => step() / 2 ** 32
  return {
    next,
    below: (count) => Math.floor(next() * count),
    chance: (share) => next() < share,
    pick: (items) => items[Math.floor(next() * items.length)] as (typeof items)[number],
  }
}

/** A number of 32 bits for a text: FNV-1a. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** A whole number from 0 to `most`, small ones far more often: as lengths and counts are. */
export function smallUpTo(random: Random, most: number): number {
  return Math.min(most, Math.floor(2 ** (random.next() * Math.log2(most + 2))) - 1)
}
