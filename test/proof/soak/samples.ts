/** Latency, traffic and memory over time: one sample per stretch of the run. Host's thread only. */
import { Histogram } from '../../../bench/instruments.js'

export interface Sample {
  /** Its end, in seconds from the start. */
  readonly atS: number
  readonly rssMb: number
  readonly heapMb: number
  readonly p50Us: number
  readonly p99Us: number
  readonly maxUs: number
  readonly callsPerS: number
  readonly byPolicyPerS: number
}

export interface Samples {
  readonly all: readonly Sample[]
  record(tookMs: number, isByPolicy: boolean): void
  /** Ends a stretch. */
  take(nowMs: number): void
  /** Of all calls of the run. */
  percentile(share: number): number
}

export function createSamples(startMs: number): Samples {
  const all: Sample[] = []
  const stretch = new Histogram()
  const whole = new Histogram()
  let sinceMs = startMs
  let maxUs = 0
  let byPolicy = 0
  return {
    all,
    record(tookMs, isByPolicy) {
      const us = tookMs * 1000
      stretch.record(us)
      whole.record(us)
      if (us > maxUs) maxUs = us
      if (isByPolicy) byPolicy += 1
    },
    take(nowMs) {
      const { rss, heapUsed } = process.memoryUsage()
      const seconds = Math.max(0.001, (nowMs - sinceMs) / 1000)
      all.push({
        atS: (nowMs - startMs) / 1000,
        rssMb: megabytes(rss),
        heapMb: megabytes(heapUsed),
        p50Us: stretch.percentile(0.5),
        p99Us: stretch.percentile(0.99),
        maxUs,
        callsPerS: stretch.count / seconds,
        byPolicyPerS: byPolicy / seconds,
      })
      stretch.reset()
      sinceMs = nowMs
      maxUs = 0
      byPolicy = 0
    },
    percentile: (share) => whole.percentile(share),
  }
}

function megabytes(bytes: number): number {
  return Math.round((bytes / 1024 / 1024) * 10) / 10
}
