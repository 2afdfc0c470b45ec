/**
 * What does the ExHook protocol cost, in either direction, next to the same hook in a lane?
 *
 * Topology: a broker's thread that asks whether a client may connect; a closed loop with 1 and 64 calls in flight. `lane`:
 * the hook is a TypeScript plugin in a lane. `remote-provider`: it is a gRPC server in another process, mounted as a plugin
 * (runtime `exhook`). `provider`: the broker is a bare gRPC client, and calls hookring in another process, where the hook
 * is a plugin in a lane. Every contender has a process of its own; they take turns in short rounds.
 * Baseline: lane. Figures: medians over rounds of p50 and p99 at 1 in flight, and of calls per second at 64. It would be
 * proved wrong by a wrong verdict, or a call that fails.
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
  rounded,
} from '../report.js'
import type { ExhookOptions } from '../subjects/exhook.js'
import { countSteps, type Seat, type SeatResult, takeTurns } from '../turns.js'
import { isSound, latencyMarks, notesOf } from './figures.js'

const QUICK = { rounds: 5, roundMs: 400, warmUpMs: 800 }
const FULL = { rounds: 15, roundMs: 800, warmUpMs: 1_500 }
const LEVELS = [1, 64] as const
const CONTENDERS = ['provider', 'lane', 'remote-provider'] as const

export const exhook: BenchCase = {
  answers: 'one hook in a lane, behind a provider for brokers, and from a remote provider',
  async run({ quick, progress }) {
    const plan = quick ? QUICK : FULL
    const seats = CONTENDERS.map(
      (contender): Seat => ({
        name: contender,
        module: new URL('../subjects/exhook.js', import.meta.url),
        options: { contender } satisfies ExhookOptions,
        inFlight: LEVELS,
      }),
    )
    progress.expect(countSteps(seats, plan))
    return report(await takeTurns(seats, { ...plan, progress }), quick)
  },
}

function report(results: readonly SeatResult[], quick: boolean): CaseOutcome {
  const { rounds, roundMs } = quick ? QUICK : FULL
  const rows = CONTENDERS.flatMap((contender) => {
    const [one, many] = LEVELS.map((level) =>
      results.find((each) => each.name === contender && each.inFlight === level),
    )
    if (one?.figures === undefined || many?.figures === undefined) return []
    const { p50Us, p99Us } = one.figures
    return [{ contender, callsPerSecond: many.figures.eventsPerSecond, p50Us, p99Us, one: one.figures }]
  })
  const base = rows.find(({ contender }) => contender === 'lane')
  const notes = notesOf(results)
  return {
    isComplete: isSound(results),
    document: {
      case: 'exhook',
      node: process.version,
      machine: machineLine(),
      quick,
      rows: rows.map(({ contender, callsPerSecond, p50Us, p99Us }) => ({
        contender,
        callsPerSecond: rounded(callsPerSecond),
        p50Us: rounded(p50Us),
        p99Us: rounded(p99Us),
      })),
      notes,
    },
    markdown: [
      '# exhook: one hook in a lane, behind a provider, and from a remote provider',
      '',
      `${machineLine()}. Medians over ${rounds} rounds of ${roundMs} ms, in turns. p50 and p99 at 1 call in flight, calls per second at 64.`,
      '',
      markdownTable(
        ['contender', 'p50', 'of lane', 'p99', 'calls per second', 'of lane'],
        rows.map(({ contender, callsPerSecond, p50Us, p99Us }) => [
          contender,
          formatUs(p50Us),
          formatTimes(p50Us / (base?.p50Us ?? Number.NaN)),
          formatUs(p99Us),
          formatRate(callsPerSecond),
          formatTimes(callsPerSecond / (base?.callsPerSecond ?? Number.NaN)),
        ]),
      ),
      '',
      ...notes.map((note) => `- ${note}`),
    ].join('\n'),
    svg: drawPlot({
      title: 'One hook in a lane, behind a provider, and from a remote provider',
      subtitle: `${machineLine()}. Logarithmic axes; left: latency at 1 in flight, less is better; right: calls per second at 64, more is better.`,
      columns: 2,
      panels: [
        {
          kind: 'rows',
          title: 'Latency per call',
          format: formatUs,
          rows: rows.map((row) => ({
            label: row.contender,
            isEmphasised: row.contender === 'lane',
            marks: latencyMarks(row.one),
          })),
        },
        {
          kind: 'rows',
          title: 'Calls per second',
          format: formatRate,
          rows: rows.map((row) => ({
            label: row.contender,
            isEmphasised: row.contender === 'lane',
            marks: [{ shape: 'value' as const, value: row.callsPerSecond }],
          })),
        },
      ],
    }),
  }
}
