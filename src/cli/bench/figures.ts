/** Turns rounds into the figures of a contender under a load. Pure. */
import { median } from '../measure/format.js'
import { type Histogram, type HistogramCounts, mergeCounts } from '../measure/histogram.js'
import type { Round } from '../measure/subject.js'
import type { Measured } from './plan.js'

/** In the order of columns and lines. */
export const TIMES = ['waiting', 'running', 'total'] as const
type TimeName = (typeof TIMES)[number]

export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

export interface Figures {
  readonly calls: number
  /** Median over the rounds. */
  readonly eventsPerSecond: number
  /** Over all rounds together; waiting and running only of subjects that can separate them. */
  readonly times: Readonly<Partial<Record<TimeName, Histogram>>>
  /** Medians over the rounds. */
  readonly hostBusyUsPerEvent: number
  readonly cpuUsPerEvent: number
  readonly verdicts: Readonly<Record<string, number>>
  readonly failures: Readonly<Record<string, number>>
  readonly failed: number
  readonly firstFailure: string | undefined
  readonly latestStartMs: number
}

/** undefined: there was no round. */
export function figuresOf({ rounds }: Pick<Measured, 'rounds'>): Figures | undefined {
  if (rounds.length === 0) return undefined
  const perEvent = (pick: (round: Round) => number): number =>
    median(rounds.map((round) => (pick(round) * 1000) / round.calls))
  const failures = sumUp(rounds.map((round) => round.failures))
  return {
    calls: rounds.reduce((sum, { calls }) => sum + calls, 0),
    eventsPerSecond: median(rounds.map(({ calls, elapsedMs }) => (calls / elapsedMs) * 1000)),
    times: {
      ...merged('waiting', rounds),
      ...merged('running', rounds),
      ...merged('total', rounds),
    },
    hostBusyUsPerEvent: perEvent((round) => round.hostBusyMs),
    cpuUsPerEvent: perEvent((round) => round.processCpuMs),
    verdicts: sumUp(rounds.map((round) => round.verdicts)),
    failures,
    failed: Object.values(failures).reduce((sum, count) => sum + count, 0),
    firstFailure: rounds.find(({ firstFailure }) => firstFailure !== undefined)?.firstFailure,
    latestStartMs: Math.max(...rounds.map((round) => round.latestStartMs)),
  }
}

export function percentilesOf(histogram: Histogram): Percentiles {
  return {
    p50: histogram.percentile(0.5),
    p90: histogram.percentile(0.9),
    p99: histogram.percentile(0.99),
    p999: histogram.percentile(0.999),
    max: histogram.max,
  }
}

function merged(name: TimeName, rounds: readonly Round[]): Partial<Record<TimeName, Histogram>> {
  const counts = rounds.map((round) => round[name]).filter((one): one is HistogramCounts => one !== undefined)
  return counts.length === 0 ? {} : { [name]: mergeCounts(counts) }
}

function sumUp(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const one of all) for (const [kind, count] of Object.entries(one)) sum[kind] = (sum[kind] ?? 0) + count
  return sum
}
