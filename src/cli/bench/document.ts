/**
 * The JSON document of a run: everything that the text says, and the numbers behind it. Pure, except for the machine's
 * name.
 */
import { busySource } from '../measure/busy.js'
import { machineLine, rounded } from '../measure/format.js'
import { type Figures, figuresOf, type Percentiles, percentilesOf, TIMES } from './figures.js'
import { limitOf } from './find-limit.js'
import type { BenchFindings, Measured } from './plan.js'

export function documentOf(findings: BenchFindings): Record<string, unknown> {
  const { plan, about, measured, steps, isInterrupted, retaken } = findings
  const { question, limit } = plan
  const found = limitOf(steps)
  return {
    command: 'bench',
    node: process.version,
    machine: machineLine(),
    busySource,
    contract: about.contract,
    hookpoint: about.hookpoint,
    kind: about.kind,
    plugins: about.plugins,
    events: {
      count: about.eventCount,
      ...(question.replay === undefined ? { seed: question.seed } : { replay: question.replay }),
    },
    isInterrupted,
    ...(retaken === undefined ? {} : { retaken }),
    results: measured.flatMap((one) => {
      const figures = figuresOf(one)
      if (figures === undefined) return limit === undefined ? [{ ...headOf(one), broken: one.broken ?? null }] : []
      const own = figuresOf(measured.find(({ name, load }) => name === 'hookring' && load === one.load) ?? one)
      return [resultOf(one, figures, one.name === 'hookring' ? undefined : own)]
    }),
    ...(limit === undefined
      ? {}
      : {
          limit: {
            sloP99Ms: limit.sloP99Ms,
            ratePerSecond: found?.ratePerSecond ?? null,
            steps: steps.map((step) => ({
              ...step,
              p50Us: rounded(step.p50Us),
              p99Us: rounded(step.p99Us),
              achievedPerSecond: rounded(step.achievedPerSecond),
            })),
          },
        }),
  }
}

function headOf({ name, load }: Measured): Record<string, unknown> {
  return { contender: name, load }
}

function resultOf(one: Measured, figures: Figures, own: Figures | undefined): Record<string, unknown> {
  const { memory } = one
  const latencyUs = Object.fromEntries(
    TIMES.map((name) => {
      const histogram = figures.times[name]
      return [name, histogram === undefined ? null : roundedPercentiles(percentilesOf(histogram))]
    }),
  )
  return {
    ...headOf(one),
    calls: figures.calls,
    eventsPerSecond: rounded(figures.eventsPerSecond),
    latencyUs,
    hostBusyUsPerEvent: rounded(figures.hostBusyUsPerEvent),
    cpuUsPerEvent: rounded(figures.cpuUsPerEvent),
    verdicts: figures.verdicts,
    failures: figures.failures,
    ...(figures.firstFailure === undefined ? {} : { firstFailure: figures.firstFailure }),
    ...(one.load.kind === 'open' ? { latestStartMs: rounded(figures.latestStartMs) } : {}),
    memory:
      memory === undefined
        ? null
        : Object.fromEntries(Object.entries(memory).map(([name, mb]) => [name, rounded(mb as number)])),
    ...(one.note === undefined ? {} : { note: one.note }),
    ...(one.broken === undefined ? {} : { broken: one.broken }),
    ...(own === undefined ? {} : { ofHookring: ratiosTo(figures, own) }),
  }
}

/** Each figure as a multiple of hookring's. */
export function ratiosTo(figures: Figures, own: Figures): Record<string, number | null> {
  const total = (of: Figures): Percentiles | undefined =>
    of.times.total === undefined ? undefined : percentilesOf(of.times.total)
  const ratio = (above = Number.NaN, below = Number.NaN): number | null => rounded(above / below)
  return {
    eventsPerSecond: ratio(figures.eventsPerSecond, own.eventsPerSecond),
    p50: ratio(total(figures)?.p50, total(own)?.p50),
    p99: ratio(total(figures)?.p99, total(own)?.p99),
    hostBusyUsPerEvent: ratio(figures.hostBusyUsPerEvent, own.hostBusyUsPerEvent),
  }
}

function roundedPercentiles(percentiles: Percentiles): Record<string, number | null> {
  return Object.fromEntries(Object.entries(percentiles).map(([name, us]) => [name, rounded(us as number)]))
}
