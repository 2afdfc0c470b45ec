/** The text of a run: for each load the times, the comparison, and what went wrong. Pure, except for the machine's name. */

import type { Style } from '../common/style.js'
import { formatRate, formatTimes, formatUs, machineLine, significant } from '../measure/format.js'
import { type Load, loadText } from '../measure/subject.js'
import { alignedTable } from '../measure/table.js'
import { ratiosTo } from './document.js'
import { type Figures, figuresOf, percentilesOf, TIMES } from './figures.js'
import { limitOf } from './find-limit.js'
import { type BenchFindings, type LimitStep, type Measured, ROUNDS } from './plan.js'

const PERCENTILE_HEADS = ['p50', 'p90', 'p99', 'p99.9', 'max']

export function textOf(findings: BenchFindings, style: Style): string {
  const { plan, measured, steps, isInterrupted, retaken } = findings
  const parts = [headOf(findings, style)]
  if (plan.limit === undefined) {
    for (const load of plan.loads)
      parts.push(
        loadPart(
          measured.filter((one) => one.load === load),
          load,
          style,
        ),
      )
    parts.push(memoryLine(measured))
  } else {
    parts.push(limitPart(steps, plan.limit.sloP99Ms, style))
  }
  if (retaken !== undefined) parts.push(retaken)
  if (isInterrupted) parts.push('interrupted: these are the figures so far')
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function headOf({ plan, about }: BenchFindings, { bold, dim }: Style): string {
  const { question, limit, durationMs } = plan
  const source = question.replay === undefined ? `made up from seed ${question.seed}` : `of ${question.replay}`
  const others = about.subscribed.filter((name) => name !== about.hookpoint)
  const chosen = question.hookpoint === undefined && others.length > 0
  return [
    `${bold(about.plugins.map(({ name }) => name).join(', '))} at ${bold(about.hookpoint)}, ${about.kind} of ${about.contract}`,
    ...(chosen ? [`(the first that it subscribes to; --hookpoint takes another: ${others.join(', ')})`] : []),
    dim(
      `${about.eventCount} events ${source}; ${limit === undefined ? `${ROUNDS} rounds of ${significant(durationMs / ROUNDS)} ms each` : `${significant(durationMs)} ms for each rate`}`,
    ),
    dim(machineLine()),
  ].join('\n')
}

function loadPart(measured: readonly Measured[], load: Load, style: Style): string {
  const own = measured.find(({ name }) => name === 'hookring')
  const figures = own === undefined ? undefined : figuresOf(own)
  const title = `${load.kind === 'closed' ? 'closed loop' : 'open loop'}, ${loadText(load)}`
  if (figures === undefined)
    return `${style.bold(title)}: not measured${own?.broken === undefined ? '' : ` (${own.broken})`}`
  return [
    `${style.bold(title)}: ${formatRate(figures.eventsPerSecond)}`,
    alignedTable([
      ['', ...PERCENTILE_HEADS],
      ...TIMES.flatMap((name) => {
        const histogram = figures.times[name]
        return histogram === undefined ? [] : [[name, ...Object.values(percentilesOf(histogram)).map(formatUs)]]
      }),
    ]),
    `  verdicts: ${countsText(figures.verdicts) || 'none'}; failures: ${failuresText(figures, style)}`,
    ...(figures.firstFailure === undefined ? [] : [`  the first: ${figures.firstFailure}`]),
    `  host busy ${formatUs(figures.hostBusyUsPerEvent)} per event; CPU of all threads ${formatUs(figures.cpuUsPerEvent)} per event`,
    ...(figures.latestStartMs > 10
      ? [`  the caller's own thread was late by up to ${significant(figures.latestStartMs)} ms`]
      : []),
    ...(measured.length > 1 ? ['', comparison(measured, figures)] : []),
  ].join('\n')
}

function comparison(measured: readonly Measured[], own: Figures): string {
  const rows = measured.map((one) => {
    const figures = figuresOf(one)
    if (figures === undefined) return [one.name, '-', '', '-', '', '-', '', '-', '', `not measured: ${one.broken}`]
    const total = figures.times.total === undefined ? undefined : percentilesOf(figures.times.total)
    const ratios = ratiosTo(figures, own)
    const of = (ratio: number | null | undefined): string =>
      one.name === 'hookring' ? '' : formatTimes(ratio ?? Number.NaN)
    return [
      one.name,
      formatRate(figures.eventsPerSecond),
      of(ratios.eventsPerSecond),
      formatUs(total?.p50 ?? Number.NaN),
      of(ratios.p50),
      formatUs(total?.p99 ?? Number.NaN),
      of(ratios.p99),
      formatUs(figures.hostBusyUsPerEvent),
      of(ratios.hostBusyUsPerEvent),
      figures.failed === 0 || one.name === 'hookring' ? '' : `${figures.failed} failed: ${figures.firstFailure}`,
    ]
  })
  const heads = ['', 'events', 'x', 'p50', 'x', 'p99', 'x', 'host busy/event', 'x', '']
  const notes = measured.flatMap(({ name, note }) => (note === undefined ? [] : [`${name} with ${note}`]))
  return [
    alignedTable([heads, ...rows]),
    `  x: hookring's figure times this${notes.length === 0 ? '' : `; ${notes.join(', ')}`}`,
  ].join('\n')
}

function limitPart(steps: readonly LimitStep[], sloP99Ms: number, style: Style): string {
  const found = limitOf(steps)
  const rows = steps.map((step) => [
    formatRate(step.ratePerSecond),
    formatUs(step.p50Us),
    formatUs(step.p99Us),
    String(step.failures),
    step.isHeld ? style.good('held') : style.bad('not held'),
  ])
  const verdict =
    found === undefined
      ? `no rate held a p99 of ${significant(sloP99Ms)} ms`
      : `highest rate that held a p99 of ${significant(sloP99Ms)} ms: ${formatRate(found.ratePerSecond)} (p99 ${formatUs(found.p99Us)})`
  return [alignedTable([['rate', 'p50', 'p99', 'failures', ''], ...rows]), '', style.bold(verdict)].join('\n')
}

function memoryLine(measured: readonly Measured[]): string {
  const { memory } = measured.find(({ name }) => name === 'hookring') ?? {}
  if (memory === undefined) return ''
  const mib = (mb: number): string => `${significant(mb)} MiB`
  return `memory of the process: RSS ${mib(memory.rssMb)}, of which ${mib(memory.grownMb)} came with the engine, its threads and the run; heap of the host's thread ${mib(memory.heapMb)}; buffers, rings included, ${mib(memory.buffersMb)}`
}

function failuresText(figures: Figures, style: Style): string {
  return figures.failed === 0 ? 'none' : style.bad(countsText(figures.failures))
}

function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([kind, count]) => `${count.toLocaleString('en')} ${kind}`)
    .join(', ')
}
