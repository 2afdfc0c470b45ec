/** How a run of the soak is told: for a person, and as a picture. Pure, but for the line that names the machine. */
import { formatUs, machineLine } from '../../../bench/instruments.js'
import { FAULT_KINDS } from './plan.js'
import type { Outcome } from './run.js'
import { drawTimeline } from './timeline.js'

export function tellRun({ document, isClean }: Outcome): string {
  const { ledger, notes, faults, latencyUs } = document
  const struck = Object.values(faults).reduce((sum, count) => sum + count, 0)
  return [
    `soak: ${document.minutes} min, seed ${document.seed}, ${machineLine()}`,
    '',
    table([
      ['calls', ledger.calls],
      ['  settled once', ledger.settledOnce],
      ['  settled twice', ledger.settledTwice],
      ['  never settled', ledger.neverSettled],
      ['observations', ledger.observations],
      ['  delivered once', ledger.deliveredOnce],
      ['  delivered twice', ledger.deliveredTwice],
      ['  reported undelivered', ledger.reportedUndelivered],
      ['  unexplained', ledger.unexplained],
      ['order violations', ledger.orderViolations],
      ['wrong verdicts', notes.wrongVerdicts],
      ['events garbled', notes.garbledEvents],
      ['reported twice', notes.reportedTwice],
      ['stray dead letters', notes.strayLetters],
      ['asked while held', notes.askedWhileHeld],
      ['quarantines lost', notes.lostQuarantines],
    ]),
    '',
    `calls were decided by    ${counts(notes.decidedBy)}`,
    `undelivered, reported by ${counts(notes.reportedBy)}; of those with a dead letter ${notes.reportedThoughEntered} had been entered`,
    `lanes replaced           ${counts(document.lanesReplaced)}`,
    `changes refused          ${counts(document.refusedChanges)}`,
    `faults                   ${struck}: ${counts(faults)}`,
    `latency                  p50 ${formatUs(latencyUs.p50)}, p99 ${formatUs(latencyUs.p99)}, p99.9 ${formatUs(latencyUs.p999)}`,
    `memory after warm-up     rss ${document.rssMbStart} MB, host's heap ${document.heapMbStart} MB`,
    `memory at the end        rss ${document.rssMbEnd} MB, host's heap ${document.heapMbEnd} MB`,
    ...(document.didClose ? [] : ['', 'the engines did not close']),
    ...(document.findings.length === 0 ? [] : ['', 'found:', ...document.findings.map((finding) => `  ${finding}`)]),
    '',
    isClean ? 'Everything is accounted for.' : 'NOT everything is accounted for.',
  ].join('\n')
}

export function drawRun({ document, samples, struck }: Outcome): string {
  const line = (key: keyof (typeof samples)[number]) => samples.map((sample) => [sample.atS, sample[key]] as const)
  const rows = new Map<string, number[]>(FAULT_KINDS.map((kind) => [kind, []]))
  for (const { atS, kind } of struck) rows.get(kind)?.push(atS)
  const { ledger } = document
  return drawTimeline({
    title: `soak, seed ${document.seed}: ${ledger.calls} calls, ${ledger.observations} observations, ${struck.length} faults`,
    subtitle: machineLine(),
    endS: samples.at(-1)?.atS ?? 0,
    panels: [
      {
        title: 'latency of calls',
        format: formatUs,
        isLogarithmic: true,
        series: [
          { label: 'p50', points: line('p50Us') },
          { label: 'p99', points: line('p99Us') },
          { label: 'max', points: line('maxUs') },
        ],
      },
      {
        title: 'calls per second',
        format: String,
        series: [
          { label: 'settled', points: line('callsPerS') },
          { label: 'with a failure', points: line('byPolicyPerS') },
        ],
      },
      {
        title: 'memory',
        format: (value) => `${value} MB`,
        series: [
          { label: 'resident', points: line('rssMb') },
          { label: "host's heap", points: line('heapMb') },
        ],
      },
    ],
    marks: { title: 'faults', rows },
  })
}

function table(rows: readonly (readonly [string, number])[]): string {
  return rows.map(([name, value]) => `${name.padEnd(24)} ${String(value).padStart(9)}`).join('\n')
}

function counts(of: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(of).sort(([, a], [, b]) => b - a)
  return sorted.length === 0 ? 'none' : sorted.map(([name, count]) => `${name} ${count}`).join(', ')
}
