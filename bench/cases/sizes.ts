/**
 * What does an event's size cost? Is there a size at which the ring falls off a cliff?
 *
 * Topology: one host thread, one worker thread; events of 64 B to 1 MiB, of which the gate reads the last byte; closed
 * loop with 1 and 16 in flight. Baselines: postMessage and piscina, which clone the whole event.
 * Figures: medians over rounds. A size at which hookring's curve jumps, or crosses a baseline's, would show the cliff.
 */
import { CONTENDERS, drawPlot, type QuestionOptions } from '../instruments.js'
import {
  type BenchCase,
  type CaseOutcome,
  formatBytes,
  formatRate,
  formatUs,
  machineLine,
  markdownTable,
} from '../report.js'
import { type Seat, type SeatResult, takeTurns } from '../turns.js'
import { isSound, notesOf, roundedFigures } from './figures.js'

const SIZES = [64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576] as const
const LEVELS = [1, 16] as const
const QUICK = { rounds: 3, roundMs: 130, warmUpMs: 90 }
const FULL = { rounds: 11, roundMs: 300, warmUpMs: 300 }

const SUBJECT_NAMES = ['hookring', 'postMessage', 'piscina'] as const

function subjectOf(name: (typeof SUBJECT_NAMES)[number], eventBytes: number): Pick<Seat, 'module' | 'options'> {
  const options = { eventBytes }
  if (name === 'hookring') return { module: new URL('../subjects/blob-hookring.js', import.meta.url), options }
  const module = new URL('../subjects/blob-question.js', import.meta.url).href
  return { module: CONTENDERS[name], options: { module, options } satisfies QuestionOptions }
}

interface Cell extends SeatResult {
  readonly subject: string
  readonly eventBytes: number
}

export const sizes: BenchCase = {
  answers: 'events of 64 B to 1 MiB, next to postMessage and piscina',
  async run({ quick, progress }) {
    const plan = quick ? QUICK : FULL
    const cells: Cell[] = []
    progress.expect(SIZES.length * SUBJECT_NAMES.length * LEVELS.length * (plan.rounds + 1))
    // A few processes at a time: all of them together would need gigabytes.
    for (const eventBytes of SIZES) {
      const seats = SUBJECT_NAMES.map(
        (name): Seat => ({
          name: `${name}, ${formatBytes(eventBytes)}`,
          ...subjectOf(name, eventBytes),
          inFlight: LEVELS,
        }),
      )
      const results = await takeTurns(seats, { ...plan, progress })
      cells.push(...results.map((result) => ({ ...result, subject: result.name.split(',')[0] as string, eventBytes })))
    }
    return report(cells, quick)
  },
}

function report(cells: readonly Cell[], quick: boolean): CaseOutcome {
  const { rounds, roundMs } = quick ? QUICK : FULL
  const cellAt = (subject: string, inFlight: number, eventBytes: number): Cell | undefined =>
    cells.find((cell) => cell.subject === subject && cell.inFlight === inFlight && cell.eventBytes === eventBytes)
  const rowOf = (eventBytes: number, inFlight: number): string[] => [
    formatBytes(eventBytes),
    String(inFlight),
    ...SUBJECT_NAMES.flatMap((name) => {
      const figures = cellAt(name, inFlight, eventBytes)?.figures
      return figures === undefined ? ['-', '-'] : [formatRate(figures.eventsPerSecond), formatUs(figures.p50Us)]
    }),
  ]
  const panel = (inFlight: number, key: 'p50Us' | 'eventsPerSecond', title: string) => ({
    kind: 'lines' as const,
    title,
    formatX: formatBytes,
    formatY: key === 'p50Us' ? formatUs : formatRate,
    xTicks: SIZES,
    series: SUBJECT_NAMES.map((label) => ({
      label,
      points: SIZES.map((size) => [size, cellAt(label, inFlight, size)?.figures?.[key] ?? 0] as const),
    })),
  })
  return {
    isComplete: isSound(cells),
    document: {
      case: 'sizes',
      node: process.version,
      machine: machineLine(),
      quick,
      rows: cells.flatMap(({ subject, eventBytes, inFlight, figures }) =>
        figures === undefined ? [] : [{ contender: subject, eventBytes, inFlight, ...roundedFigures(figures) }],
      ),
      notes: notesOf(cells),
    },
    markdown: [
      '# sizes: events of 64 B to 1 MiB',
      '',
      `${machineLine()}. Medians over ${rounds} rounds of ${roundMs} ms, contenders in turns.`,
      '',
      markdownTable(
        ['event', 'in flight', ...SUBJECT_NAMES.flatMap((name) => [`${name} events`, `${name} p50`])],
        LEVELS.flatMap((level) => SIZES.map((size) => rowOf(size, level))),
      ),
      '',
      ...notesOf(cells).map((note) => `- ${note}`),
    ].join('\n'),
    svg: drawPlot({
      title: 'Events of 64 B to 1 MiB',
      subtitle: `${machineLine()}. Logarithmic axes.`,
      columns: 1,
      panels: [
        panel(1, 'p50Us', 'Median latency per call, 1 in flight (less is better)'),
        panel(16, 'eventsPerSecond', 'Events per second, 16 in flight (more is better)'),
      ],
    }),
  }
}
