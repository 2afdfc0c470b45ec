/**
 * A histogram of microseconds that costs the same for every value: log-linear, 128 buckets per power of two, so within
 * 0.8 %. Pure; one per thread, its counts travel as plain data.
 */
export interface Histogram {
  record(us: number): void
  /** The value below which the given share of the recorded values lies; NaN when nothing was recorded. */
  percentile(share: number): number
  /** Exact. NaN when nothing was recorded. */
  max(): number
  count(): number
  /** What was recorded, as plain data for `add`. */
  counts(): HistogramCounts
  add(counts: HistogramCounts): void
  reset(): void
}

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

/** The upper bits of a double are its exponent and first digits: they are the bucket. */
export function createHistogram(): Histogram {
  const buckets = new Float64Array(BUCKET_COUNT)
  const value = new Float64Array(1)
  const words = new Uint32Array(value.buffer)
  let total = 0
  let maxUs = Number.NEGATIVE_INFINITY
  const midpointUs = (bucket: number): number => {
    if (bucket === 0) return 0
    words[0] = 0
    words[1] = ((bucket + FIRST_BUCKET) << (20 - BUCKET_BITS)) | (1 << (19 - BUCKET_BITS))
    return value[0] as number
  }
  return {
    record(us) {
      value[0] = us
      const bucket = ((words[1] as number) >>> (20 - BUCKET_BITS)) - FIRST_BUCKET
      const index = bucket < 0 || us <= 0 ? 0 : bucket >= BUCKET_COUNT ? BUCKET_COUNT - 1 : bucket
      buckets[index] = (buckets[index] as number) + 1
      total++
      if (us > maxUs) maxUs = us
    },
    percentile(share) {
      if (total === 0) return Number.NaN
      const rank = Math.max(1, Math.ceil(share * total))
      let seen = 0
      for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        seen += buckets[bucket] as number
        if (seen >= rank) return Math.min(midpointUs(bucket), maxUs)
      }
      return maxUs
    },
    max: () => (total === 0 ? Number.NaN : maxUs),
    count: () => total,
    counts() {
      const filled: number[] = []
      for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        if (buckets[bucket] !== 0) filled.push(bucket, buckets[bucket] as number)
      }
      return { buckets: filled, maxUs: total === 0 ? 0 : maxUs }
    },
    add({ buckets: filled, maxUs: otherMaxUs }) {
      for (let at = 0; at < filled.length; at += 2) {
        const count = filled[at + 1] as number
        buckets[filled[at] as number]! += count
        total += count
      }
      if (filled.length > 0 && otherMaxUs > maxUs) maxUs = otherMaxUs
    },
    reset() {
      buckets.fill(0)
      total = 0
      maxUs = Number.NEGATIVE_INFINITY
    },
  }
}

/** All of them as one. */
export function mergeCounts(all: readonly HistogramCounts[]): Histogram {
  const merged = createHistogram()
  for (const counts of all) merged.add(counts)
  return merged
}
