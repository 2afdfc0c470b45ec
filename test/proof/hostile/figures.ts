/**
 * What a campaign counts, and how its figures are made of it.
 */

/** Why nothing of a window counts, or which of the two kinds it is. */
export type WindowKind = 'undisturbed' | 'disturbed' | null

/** Milliseconds, in the order in which they came. */
export class Samples {
  #values = new Float64Array(4096)
  #count = 0

  get count(): number {
    return this.#count
  }

  add(ms: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(this.#count * 2)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.#count++] = ms
  }

  /** Of those from the nth on; 0 when there is none. */
  quantile(share: number, from = 0): number {
    const sorted = this.#values.slice(from, this.#count).sort()
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  }
}

export interface LatencyFigures {
  readonly calls: number
  readonly p50Us: number
  readonly p99Us: number
  readonly loopDelayP99Ms: number
  readonly loopDelayMaxMs: number
}

/** Neighbours' calls and the event loop, in the windows of one kind. */
export class WindowSamples {
  readonly calls = new Samples()
  readonly loopDelays = new Samples()

  figures(): LatencyFigures {
    return {
      calls: this.calls.count,
      p50Us: rounded(this.calls.quantile(0.5) * 1000),
      p99Us: rounded(this.calls.quantile(0.99) * 1000),
      loopDelayP99Ms: rounded(this.loopDelays.quantile(0.99)),
      loopDelayMaxMs: rounded(this.loopDelays.quantile(1)),
    }
  }
}

/** By how much one pair of neighbouring windows differs; null when one of them is too short to tell. */
export function pairRatio(
  samples: Readonly<Record<'undisturbed' | 'disturbed', WindowSamples>>,
  from: Readonly<Record<'undisturbed' | 'disturbed', number>>,
): PairRatio | null {
  const [before, after] = [samples.undisturbed.calls, samples.disturbed.calls]
  if (before.count - from.undisturbed < LEAST_SAMPLES || after.count - from.disturbed < LEAST_SAMPLES) return null
  const ratio = (share: number) => after.quantile(share, from.disturbed) / before.quantile(share, from.undisturbed)
  return { p50: ratio(0.5), p99: ratio(0.99) }
}

export interface PairRatio {
  readonly p50: number
  readonly p99: number
}

/** Below that a 99th percentile is one call or two. */
const LEAST_SAMPLES = 300

/** Of the middle: a moment in which the machine was busy with something else spoils one pair of windows, not the figure. */
export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[(sorted.length - 1) >> 1] ?? Number.NaN
}

export interface HostileReport {
  /** Hostile completions that the host took for one of its calls, or refused. */
  readonly completions: number
  readonly violations: Readonly<Record<string, number>>
  readonly wrongVerdicts: number
  readonly hostErrors: number
  readonly neighbour: { readonly p50Ratio: number; readonly p99Ratio: number }
  readonly seed: number
  readonly seconds: number
  /** Completions that the attackers put into their queues; those behind a violation are never looked at. */
  readonly pushed: number
  readonly doorbellsRung: number
  readonly attacks: Readonly<Record<string, number>>
  readonly lanesReplaced: Readonly<Record<string, number>>
  readonly quarantines: number
  readonly reloads: number
  readonly neighbourVerdicts: number
  /** Pairs of windows, of whose ratios `neighbour` has the medians; the figures below are of all windows together. */
  readonly windowPairs: number
  readonly undisturbed: LatencyFigures
  readonly disturbed: LatencyFigures
  /** The first of each, in words. */
  readonly wrongVerdictsFound: readonly string[]
  readonly hostErrorsFound: readonly string[]
  readonly wasInterrupted: boolean
}

export function rounded(value: number): number {
  return Number(value.toPrecision(4))
}
