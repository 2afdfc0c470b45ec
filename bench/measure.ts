/**
 * The figures of the benches: those of each round, and their medians over the rounds. Pure.
 */
import { median, mergeCounts, type Round } from './instruments.js'

/** What one round measured; times per call in microseconds. */
export interface RoundFigures {
  readonly eventsPerSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly p999Us: number
  readonly hostBusyUsPerEvent: number
  /** CPU time of all threads of the process, per event. */
  readonly cpuUsPerEvent: number
}

/** The median of every figure over the rounds. */
export function medianFigures(rounds: readonly Round[]): RoundFigures {
  const all = rounds.map(figuresOf)
  const of = (key: keyof RoundFigures): number => median(all.map((figures) => figures[key]))
  return {
    eventsPerSecond: of('eventsPerSecond'),
    p50Us: of('p50Us'),
    p99Us: of('p99Us'),
    p999Us: of('p999Us'),
    hostBusyUsPerEvent: of('hostBusyUsPerEvent'),
    cpuUsPerEvent: of('cpuUsPerEvent'),
  }
}

/**
 * How many times `base` the `values` are: the median over what was measured one after the other. Neighbours in time met
 * the same machine; the medians of either may come from different ones, and differ even where nothing else does.
 */
export function medianRatio(values: readonly number[], base: readonly number[]): number {
  const pairs = Math.min(values.length, base.length)
  return median(values.slice(0, pairs).map((value, index) => value / (base[index] as number)))
}

function figuresOf({ calls, elapsedMs, total, hostBusyMs, processCpuMs }: Round): RoundFigures {
  const latency = mergeCounts([total])
  return {
    eventsPerSecond: (calls / elapsedMs) * 1000,
    p50Us: latency.percentile(0.5),
    p99Us: latency.percentile(0.99),
    p999Us: latency.percentile(0.999),
    hostBusyUsPerEvent: (hostBusyMs * 1000) / calls,
    cpuUsPerEvent: (processCpuMs * 1000) / calls,
  }
}
