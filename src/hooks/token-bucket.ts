/**
 * Token buckets by key, refilled by rate. Used by the rate-limit plugin in its lane; time is an argument. A bucket that is
 * full again is as good as a new one, and is not kept.
 */
export interface TokenBucketOptions {
  /** Tokens that come back per interval. */
  readonly rate: number
  readonly intervalMs: number
  /** Most tokens that a bucket holds; a new one is full. */
  readonly burst: number
  /** Most buckets kept; past it the one that was used longest ago goes. */
  readonly maxKeys: number
}

interface Bucket {
  tokens: number
  atMs: number
}

/** Looked at for each token that is taken: more than one new bucket for each, so that they do not pile up. */
const CLEARED_AT_ONCE = 2

export class TokenBuckets {
  readonly #options: TokenBucketOptions
  /** In the order of use. */
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: TokenBucketOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#buckets.size
  }

  /** Takes a token, if there is one. */
  take(key: string, nowMs: number): boolean {
    const { burst, maxKeys } = this.#options
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs }
    this.#refill(bucket, nowMs)
    // To the end of the map.
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    this.#clearFull(nowMs)
    if (this.#buckets.size > maxKeys) this.#buckets.delete(this.#buckets.keys().next().value as string)
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }

  #refill(bucket: Bucket, nowMs: number): void {
    const { rate, intervalMs, burst } = this.#options
    const elapsedMs = Math.max(0, nowMs - bucket.atMs)
    bucket.tokens = Math.min(burst, bucket.tokens + (elapsedMs * rate) / intervalMs)
    bucket.atMs = Math.max(bucket.atMs, nowMs)
  }

  #clearFull(nowMs: number): void {
    let left = CLEARED_AT_ONCE
    for (const [key, bucket] of this.#buckets) {
      if (left === 0 || bucket.atMs === nowMs) return
      left -= 1
      this.#refill(bucket, nowMs)
      if (bucket.tokens < this.#options.burst) return
      this.#buckets.delete(key)
    }
  }
}
