/**
 * What does a hook cost, next to the other ways of asking a worker thread?
 *
 * Topology: one host thread, one worker thread, a closed loop with 1, 16 and 512 calls in flight; a trivial gate over a
 * delivery event. Every contender has a process of its own; they take turns in short rounds.
 * Baselines: piscina (what one would use otherwise), and the floor (waking two parked threads).
 * Figures: medians over rounds of events per second, latency percentiles, and the host thread's busy time per event.
 * It would be proved wrong by a contender with fewer guarantees that costs the host less, or by a ratio below a claim's.
 */
import { CONTENDER_NAMES, type ContenderName, LEVELS, seatContender } from '../contenders/index.js'
import { busySource, drawPlot, type Mark, type RowsPanel } from '../instruments.js'
import type { RoundFigures } from '../measure.js'
import {
  type BenchCase,
  type CaseOutcome,
  type Claim,
  claimsTable,
  formatRate,
  formatTimes,
  formatUs,
  machineLine,
  markdownTable,
} from '../report.js'
import { countSteps, type SeatResult, takeTurns } from '../turns.js'
import { isSound, latencyMarks, notesOf, remarksOf, roundedFigures } from './figures.js'

const QUICK = { rounds: 5, roundMs: 170, warmUpMs: 150 }
const FULL = { rounds: 15, roundMs: 400, warmUpMs: 600 }

export const peers: BenchCase = {
  answers: 'a trivial gate through hookring and seven other ways, at 1, 16 and 512 in flight',
  async run({ quick, progress }) {
    const plan = quick ? QUICK : FULL
    const seats = CONTENDER_NAMES.map((name) => seatContender(name))
    progress.expect(countSteps(seats, plan))
    const results = await takeTurns(seats, { ...plan, progress })
    return report(results, quick)
  },
}

function report(results: readonly SeatResult[], quick: boolean): CaseOutcome {
  const { rounds, roundMs } = quick ? QUICK : FULL
  const claims = peersClaims(results)
  const notes = [...notesOf(results), ...remarksOf(results)]
  const rows = results.flatMap(({ name, inFlight, figures }) =>
    figures === undefined ? [] : [{ contender: name, inFlight, ...roundedFigures(figures) }],
  )
  return {
    isComplete: isSound(results),
    document: {
      case: 'peers',
      node: process.version,
      machine: machineLine(),
      quick,
      busySource,
      rows,
      notes,
      claims,
    },
    markdown: [
      '# peers: a trivial gate over a delivery event',
      '',
      `${machineLine()}. Medians over ${rounds} rounds of ${roundMs} ms, contenders in turns. Host busy time from ${busySource}.`,
      '',
      markdownTable(HEADERS, tableRows(results)),
      '',
      ...notes.map((note) => `- ${note}`),
      '',
      '## Claims',
      '',
      claimsTable(claims),
    ].join('\n'),
    svg: drawPlot({
      title: 'A trivial gate over a delivery event',
      subtitle: `${machineLine()}. Logarithmic axes; left: latency, less is better; right: events per second, more is better.`,
      columns: 2,
      panels: LEVELS.flatMap((level) => panels(results, level)),
    }),
  }
}

const HEADERS = [
  'contender',
  'in flight',
  'events',
  'of piscina',
  'p50',
  'of floor',
  'p99',
  'p99.9',
  'host busy/event',
  'of piscina',
  'CPU/event',
]

function tableRows(results: readonly SeatResult[]): string[][] {
  const floor = figuresOf(results, 'floor', 1)
  return LEVELS.flatMap((level) => {
    const piscina = figuresOf(results, 'piscina', level)
    return results
      .filter((result) => result.inFlight === level)
      .map(({ name, figures }) => {
        if (figures === undefined) return [name, String(level), 'not measured']
        return [
          name,
          String(level),
          formatRate(figures.eventsPerSecond),
          formatTimes(figures.eventsPerSecond / (piscina?.eventsPerSecond ?? Number.NaN)),
          formatUs(figures.p50Us),
          level === 1 ? formatTimes(figures.p50Us / (floor?.p50Us ?? Number.NaN)) : '',
          formatUs(figures.p99Us),
          formatUs(figures.p999Us),
          formatUs(figures.hostBusyUsPerEvent),
          formatTimes(figures.hostBusyUsPerEvent / (piscina?.hostBusyUsPerEvent ?? Number.NaN)),
          formatUs(figures.cpuUsPerEvent),
        ]
      })
  })
}

function figuresOf(results: readonly SeatResult[], name: ContenderName, inFlight: number): RoundFigures | undefined {
  return results.find((result) => result.name === name && result.inFlight === inFlight)?.figures
}

/** The sentences that this case must confirm, each a ratio within the same run. */
export function peersClaims(results: readonly SeatResult[]): Claim[] {
  const of = (name: ContenderName, level: number): RoundFigures | undefined => figuresOf(results, name, level)
  const ratio = (claim: string, above: number | undefined, below: number | undefined, least: number): Claim => ({
    claim,
    measured: formatTimes((above ?? Number.NaN) / (below ?? Number.NaN)),
    isHeld: above === undefined || below === undefined ? undefined : above / below >= least,
  })
  const alone = of('hookring', 1)?.p50Us
  const floor = of('floor', 1)?.p50Us
  const spin = of('hookring-spin', 1)?.p50Us
  const floorLimitUs = Math.max((floor ?? Number.NaN) / 4, 12)
  return [
    ratio(
      "512 in flight: at least 15 times piscina's events per second",
      of('hookring', 512)?.eventsPerSecond,
      of('piscina', 512)?.eventsPerSecond,
      15,
    ),
    ratio(
      "512 in flight: at most a fifteenth of piscina's host busy time per event",
      of('piscina', 512)?.hostBusyUsPerEvent,
      of('hookring', 512)?.hostBusyUsPerEvent,
      15,
    ),
    ratio(
      "16 in flight: at least 5 times piscina's events per second",
      of('hookring', 16)?.eventsPerSecond,
      of('piscina', 16)?.eventsPerSecond,
      5,
    ),
    ratio("1 in flight: at most a third of piscina's p50", of('piscina', 1)?.p50Us, alone, 3),
    {
      claim: "1 in flight: p50 at most a quarter of the floor's or 12 µs, whichever is more",
      measured: `${formatUs(alone ?? Number.NaN)} of ${formatUs(floorLimitUs)}`,
      isHeld: alone === undefined || floor === undefined ? undefined : alone <= floorLimitUs,
    },
    {
      claim: '1 in flight: hookring-spin at most 3 µs at the median, given a core to spare',
      measured: formatUs(spin ?? Number.NaN),
      isHeld: spin === undefined ? undefined : spin <= 3,
    },
  ]
}

function panels(results: readonly SeatResult[], level: number): RowsPanel[] {
  const at = results.filter((result) => result.inFlight === level)
  const row = (result: SeatResult, marks: readonly Mark[]): RowsPanel['rows'][number] => ({
    label: result.name,
    isEmphasised: result.name.startsWith('hookring'),
    marks,
  })
  return [
    {
      kind: 'rows',
      title: `Latency per call, ${level} in flight`,
      format: formatUs,
      rows: at.map((result) => row(result, latencyMarks(result.figures))),
    },
    {
      kind: 'rows',
      title: `Events per second, ${level} in flight`,
      format: formatRate,
      rows: at.map((result) =>
        row(result, result.figures === undefined ? [] : [{ shape: 'value', value: result.figures.eventsPerSecond }]),
      ),
    },
  ]
}
