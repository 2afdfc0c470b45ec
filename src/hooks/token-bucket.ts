/**
 * Token buckets by key, refilled by rate. Used by the rate-limit plugin in its lane; time is an argument.
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

export interface TokenBuckets {
  /** Takes a token, if there is one. */
  take(key: string, nowMs: number): boolean
  forget(key: string): void
  readonly size: number
}

export function createTokenBuckets({ rate, intervalMs, burst, maxKeys }: TokenBucketOptions): TokenBuckets {
  const buckets = new Map<string, { tokens: number; atMs: number }>()
  return {
    take(key, nowMs) {
      const bucket = buckets.get(key) ?? { tokens: burst, atMs: nowMs }
      const elapsedMs = Math.max(0, nowMs - bucket.atMs)
      bucket.tokens = Math.min(burst, bucket.tokens + (elapsedMs * rate) / intervalMs)
      bucket.atMs = Math.max(bucket.atMs, nowMs)
      // To the end of the map: its order is the order of use.
      buckets.delete(key)
      buckets.set(key, bucket)
      if (buckets.size > maxKeys) buckets.delete(buckets.keys().next().value as string)
      if (bucket.tokens < 1) return false
      bucket.tokens -= 1
      return true
    },
    forget: (key) => void buckets.delete(key),
    get size() {
      return buckets.size
    },
  }
}
