/** The plots of a run: latency by percentile on a scale of nines, or latency by rate. Pure, except for the machine's name. */
import { formatRate, formatUs, machineLine, significant } from '../measure/format.js'
import type { Histogram } from '../measure/histogram.js'
import { drawPlot, type LinesPanel } from '../measure/plot.js'
import { type Load, loadText } from '../measure/subject.js'
import { figuresOf, TIMES } from './figures.js'
import type { BenchFindings, LimitStep, Measured } from './plan.js'

/** Points for each nine. */
const POINTS = 10
/** A run of seconds says nothing beyond five nines. */
const MOST_NINES = 5

export function plotOf(findings: BenchFindings): string {
  const { plan, about, measured, steps } = findings
  const names = about.plugins.map(({ name }) => name).join(', ')
  const panels =
    plan.limit === undefined
      ? plan.loads.flatMap((load) =>
          latencyPanel(
            measured.filter((one) => one.load === load),
            load,
          ),
        )
      : ratePanel(steps, plan.limit.sloP99Ms)
  return drawPlot({
    title: `${names} at ${about.hookpoint}, ${about.kind} of ${about.contract}`,
    subtitle: machineLine(),
    columns: 1,
    panels,
  })
}

type Series = LinesPanel['series'][number]

/** hookring's waiting, running and total; with contenders, only the totals. */
function latencyPanel(measured: readonly Measured[], load: Load): LinesPanel[] {
  const alone = measured.length === 1
  const series = measured.flatMap((one): Series[] => {
    const times = figuresOf(one)?.times
    if (times === undefined) return []
    const names = alone ? [...TIMES].reverse() : (['total'] as const)
    return names.flatMap((name) => {
      const histogram = times[name]
      return histogram === undefined ? [] : [{ label: alone ? name : one.name, points: pointsOf(histogram) }]
    })
  })
  if (series.length === 0) return []
  const last = Math.max(...series.map(({ points }) => points.at(-1)?.[0] ?? 1))
  const title = alone ? 'Latency by percentile' : 'Total latency by percentile'
  return [
    {
      kind: 'lines',
      title: `${title}, ${load.kind === 'closed' ? 'closed loop' : 'open loop'}, ${loadText(load)}`,
      formatX: nineText,
      formatY: formatUs,
      xTicks: [1, 2, ...Array.from({ length: MOST_NINES }, (_, nines) => 10 ** (nines + 1))].filter(
        (x) => x <= last * 1.01,
      ),
      isSmooth: true,
      series,
    },
  ]
}

/** x is 1 / (1 - share), so each nine takes as much room as the one before. The line ends where single calls begin. */
function pointsOf(histogram: Histogram): (readonly [number, number])[] {
  const nines = Math.min(MOST_NINES, Math.floor(Math.log10(histogram.count)))
  return Array.from({ length: nines * POINTS + 1 }, (_, step) => {
    const x = 10 ** (step / POINTS)
    return [x, histogram.percentile(1 - 1 / x)] as const
  })
}

function nineText(x: number): string {
  return x === 1 ? 'least' : `${Number(((1 - 1 / x) * 100).toFixed(6))} %`
}

function ratePanel(steps: readonly LimitStep[], sloP99Ms: number): LinesPanel[] {
  const byRate = new Map<number, LimitStep>()
  for (const step of steps) byRate.set(step.ratePerSecond, step)
  const sorted = [...byRate.values()].sort((a, b) => a.ratePerSecond - b.ratePerSecond)
  if (sorted.length < 2) return []
  const line = (label: string, y: (step: LimitStep) => number): Series => ({
    label,
    points: sorted.map((step) => [step.ratePerSecond, y(step)] as const),
  })
  const [first, last] = [sorted[0] as LimitStep, sorted.at(-1) as LimitStep]
  return [
    {
      kind: 'lines',
      title: `Latency by rate, calls by the clock; a p99 of ${significant(sloP99Ms)} ms is asked for`,
      formatX: formatRate,
      formatY: formatUs,
      xTicks: ticksBetween(first.ratePerSecond, last.ratePerSecond),
      series: [
        line('p99', (step) => step.p99Us),
        line('p50', (step) => step.p50Us),
        line('asked for', () => sloP99Ms * 1000),
      ],
    },
  ]
}

function ticksBetween(first: number, last: number): number[] {
  const ticks = [first]
  for (let tick = first * 2; tick < last * 0.8; tick *= 2) ticks.push(tick)
  return [...ticks, last]
}
