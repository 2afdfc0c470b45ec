/**
 * A histogram of microseconds. Recording costs the same for every value. It is log-linear, with 128 buckets for each power
 * of two, so a percentile is exact to 0.8 %. One for each thread; its counts cross between threads as plain data.
 */

/** Bucket and count in turns, and the largest value. */
export interface HistogramCounts {
  readonly buckets: readonly number[]
  readonly maxUs: number
}

const BUCKET_BITS = 7
const LOWEST_EXPONENT = -7 // 8 ns
const HIGHEST_EXPONENT = 27 // 134 s
const FIRST_BUCKET = (1023 + LOWEST_EXPONENT) << BUCKET_BITS
const BUCKET_COUNT = (HIGHEST_EXPONENT - LOWEST_EXPONENT + 1) << BUCKET_BITS

export class Histogram {
  readonly #buckets = new Float64Array(BUCKET_COUNT)
  // The upper bits of a double are its exponent and first digits. They are the bucket.
  readonly #value = new Float64Array(1)
  readonly #words = new Uint32Array(this.#value.buffer)
  #total = 0
  #maxUs = Number.NEGATIVE_INFINITY

  /** How many values were recorded. */
  get count(): number {
    return this.#total
  }

  /** The largest value, exactly; NaN when nothing was recorded. */
  get max(): number {
    return this.#total === 0 ? Number.NaN : this.#maxUs
  }

  record(us: number): void {
    this.#value[0] = us
    const bucket = ((this.#words[1] as number) >>> (20 - BUCKET_BITS)) - FIRST_BUCKET
    const index = bucket < 0 || us <= 0 ? 0 : bucket >= BUCKET_COUNT ? BUCKET_COUNT - 1 : bucket
    this.#buckets[index] = (this.#buckets[index] as number) + 1
    this.#total += 1
    if (us > this.#maxUs) this.#maxUs = us
  }

  /** The value below which `share` of the recorded values lie; NaN when nothing was recorded. */
  percentile(share: number): number {
    if (this.#total === 0) return Number.NaN
    const rank = Math.max(1, Math.ceil(share * this.#total))
    let seen = 0
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket += 1) {
      seen += this.#buckets[bucket] as number
      if (seen >= rank) return Math.min(this.#midpointUs(bucket), this.#maxUs)
    }
    return this.#maxUs
  }

  /** What was recorded, as plain data for `add`. */
  counts(): HistogramCounts {
    const filled: number[] = []
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket += 1) {
      if (this.#buckets[bucket] !== 0) filled.push(bucket, this.#buckets[bucket] as number)
    }
    return { buckets: filled, maxUs: this.#total === 0 ? 0 : this.#maxUs }
  }

  /** Adds what another histogram recorded. */
  add({ buckets, maxUs }: HistogramCounts): void {
    for (let at = 0; at < buckets.length; at += 2) {
      const count = buckets[at + 1] as number
      this.#buckets[buckets[at] as number]! += count
      this.#total += count
    }
    if (buckets.length > 0 && maxUs > this.#maxUs) this.#maxUs = maxUs
  }

  reset(): void {
    this.#buckets.fill(0)
    this.#total = 0
    this.#maxUs = Number.NEGATIVE_INFINITY
  }

  #midpointUs(bucket: number): number {
    if (bucket === 0) return 0
    this.#words[0] = 0
    this.#words[1] = ((bucket + FIRST_BUCKET) << (20 - BUCKET_BITS)) | (1 << (19 - BUCKET_BITS))
    return this.#value[0] as number
  }
}

/** One histogram of all counts. */
export function mergeCounts(all: readonly HistogramCounts[]): Histogram {
  const merged = new Histogram()
  for (const counts of all) merged.add(counts)
  return merged
}
