/**
 * What does the tenth plugin cost? One trip through the ring runs all plugins of a bulkhead; each bulkhead is one trip.
 *
 * Topology: one engine with 1 to 16 plugins, all in one bulkhead (one lane, one hop) or each in its own (a lane and a hop
 * each); closed loop with 1 and 64 in flight. Baseline: one plugin.
 * Figures: medians over rounds. It would be proved wrong by a chain in one bulkhead that costs a trip per plugin.
 */
import { drawPlot } from '../instruments.js'
import {
  type BenchCase,
  type CaseOutcome,
  formatRate,
  formatTimes,
  formatUs,
  machineLine,
  markdownTable,
} from '../report.js'
import type { ChainOptions } from '../subjects/chain.js'
import { countSteps, type Seat, type SeatResult, takeTurns } from '../turns.js'
import { isSound, notesOf, roundedFigures } from './figures.js'

const COUNTS = [1, 2, 4, 8, 16] as const
const LEVELS = [1, 64] as const
const ARRANGEMENTS = ['one', 'several'] as const
const QUICK = { rounds: 4, roundMs: 180, warmUpMs: 150 }
const FULL = { rounds: 13, roundMs: 400, warmUpMs: 400 }

interface Cell extends SeatResult, ChainOptions {}

export const chain: BenchCase = {
  answers: '1 to 16 plugins, in one bulkhead and in several',
  async run({ quick, progress }) {
    // One plugin is one bulkhead either way.
    const options = ARRANGEMENTS.flatMap((bulkheads) =>
      COUNTS.filter((plugins) => plugins > 1 || bulkheads === 'one').map(
        (plugins): ChainOptions => ({ plugins, bulkheads }),
      ),
    )
    const seats = options.map(
      (option): Seat => ({
        name: `${option.plugins} in ${option.bulkheads}`,
        module: new URL('../subjects/chain.js', import.meta.url),
        options: option,
        inFlight: LEVELS,
      }),
    )
    const plan = quick ? QUICK : FULL
    progress.expect(countSteps(seats, plan))
    const results = await takeTurns(seats, { ...plan, progress })
    const cells = results.map(
      (result, index): Cell => ({ ...result, ...(options[Math.floor(index / LEVELS.length)] as ChainOptions) }),
    )
    return report(cells, quick)
  },
}

function report(cells: readonly Cell[], quick: boolean): CaseOutcome {
  const { rounds, roundMs } = quick ? QUICK : FULL
  const cellAt = (plugins: number, bulkheads: string, inFlight: number): Cell | undefined =>
    cells.find(
      (cell) =>
        cell.plugins === plugins && (cell.bulkheads === bulkheads || plugins === 1) && cell.inFlight === inFlight,
    )
  const panel = (inFlight: number, key: 'p50Us' | 'eventsPerSecond', title: string) => ({
    kind: 'lines' as const,
    title,
    formatX: (plugins: number) => (plugins === 1 ? '1 plugin' : `${plugins} plugins`),
    formatY: key === 'p50Us' ? formatUs : formatRate,
    xTicks: COUNTS,
    series: ARRANGEMENTS.map((bulkheads) => ({
      label: bulkheads === 'one' ? 'one bulkhead' : 'a bulkhead each',
      points: COUNTS.map((plugins) => [plugins, cellAt(plugins, bulkheads, inFlight)?.figures?.[key] ?? 0] as const),
    })),
  })
  return {
    isComplete: isSound(cells),
    document: {
      case: 'chain',
      node: process.version,
      machine: machineLine(),
      quick,
      rows: cells.flatMap(({ plugins, bulkheads, inFlight, figures }) =>
        figures === undefined ? [] : [{ plugins, bulkheads, inFlight, ...roundedFigures(figures) }],
      ),
      notes: notesOf(cells),
    },
    markdown: [
      '# chain: 1 to 16 plugins, in one bulkhead and in several',
      '',
      `${machineLine()}. Medians over ${rounds} rounds of ${roundMs} ms, arrangements in turns.`,
      '',
      markdownTable(
        ['plugins', 'bulkheads', 'in flight', 'events', 'p50', 'of one plugin', 'p99', 'host busy/event'],
        [...cells]
          .sort((a, b) => a.inFlight - b.inFlight)
          .map(({ plugins, bulkheads, inFlight, figures }) => {
            const head = [String(plugins), bulkheads === 'one' ? '1' : String(plugins), String(inFlight)]
            if (figures === undefined) return [...head, 'not measured']
            const alone = cellAt(1, bulkheads, inFlight)?.figures?.p50Us ?? Number.NaN
            return [
              ...head,
              formatRate(figures.eventsPerSecond),
              formatUs(figures.p50Us),
              formatTimes(figures.p50Us / alone),
              formatUs(figures.p99Us),
              formatUs(figures.hostBusyUsPerEvent),
            ]
          }),
      ),
      '',
      ...notesOf(cells).map((note) => `- ${note}`),
    ].join('\n'),
    svg: drawPlot({
      title: '1 to 16 plugins, in one bulkhead and in several',
      subtitle: `${machineLine()}. Logarithmic axes.`,
      columns: 1,
      panels: [
        panel(1, 'p50Us', 'Median latency per call, 1 in flight (less is better)'),
        panel(64, 'eventsPerSecond', 'Events per second, 64 in flight (more is better)'),
      ],
    }),
  }
}
