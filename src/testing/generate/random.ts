/**
 * Random numbers that can be repeated: a small generator that is seeded by words. For the event generator. Not for secrets.
 */

/** sfc32, by Chris Doty-Humphrey. The same words give the same numbers on every machine. */
export class Random {
  #a: number
  #b: number
  #c: number
  #d = 1

  constructor(...words: readonly number[]) {
    this.#a = words[0] ?? 0
    this.#b = words[1] ?? 0
    this.#c = words[2] ?? 0
    // The first numbers still resemble the seed.
    for (let i = 0; i < 12; i += 1) this.#step()
  }

  /** From 0, below 1. */
  next(): number {
    return this.#step() / 2 ** 32
  }

  /** A whole number from 0, below `count`. */
  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  /** True with this probability. */
  chance(share: number): boolean {
    return this.next() < share
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }

  #step(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }
}

/** A 32-bit hash of a text: FNV-1a. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** A whole number from 0 to `most`; small ones are far more frequent, as with lengths and counts. */
export function smallUpTo(random: Random, most: number): number {
  return Math.min(most, Math.floor(2 ** (random.next() * Math.log2(most + 2))) - 1)
}
