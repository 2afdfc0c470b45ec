/**
 * What does isolation cost? The same payload limiter in every runtime, behind every boundary.
 *
 * Topology: one host thread, one lane, a closed loop with 1 and 512 calls in flight; every runtime and boundary has a
 * process of its own; they take turns in short rounds. In JavaScript the limiter that ships; for wasm and native its
 * sibling in C (sdk/c/examples). Baseline: module in a thread, the row that all others are ratios of.
 * Figures: medians over rounds of p50 and p99 at 1 in flight, and of events per second at 512; from createHookEngine to an
 * engine that serves, once; what resident memory grew by, child processes included.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PluginOptions } from 'hookring'
import { MAX_BYTES } from '../contenders/delivery-events.js'
import { drawPlot, turns } from '../instruments.js'
import {
  type BenchCase,
  type CaseOutcome,
  formatMs,
  formatRate,
  formatTimes,
  formatUs,
  machineLine,
  markdownTable,
  packageRoot,
  rounded,
} from '../report.js'
import type { RuntimeAbout, RuntimeOptions } from '../subjects/runtime.js'
import { countSteps, type Seat, type SeatResult, takeTurns } from '../turns.js'
import { isSound, latencyMarks, notesOf } from './figures.js'

const QUICK = { rounds: 3, roundMs: 200, warmUpMs: 300 }
const FULL = { rounds: 11, roundMs: 400, warmUpMs: 800 }
const LEVELS = [1, 512] as const
const BOUNDARIES = ['thread', 'process'] as const
const SDK = join(packageRoot(), 'sdk', 'c')
const SUBJECT = new URL('../subjects/runtime.js', import.meta.url)

export const runtimes: BenchCase = {
  answers: 'the same gate in every runtime, in a thread and in a process of its own',
  async run({ quick, progress }) {
    const plan = quick ? QUICK : FULL
    const folder = mkdtempSync(join(tmpdir(), 'hookring-bench-'))
    try {
      const library = compileLibrary(folder)
      const seats = seatsFor(library)
      progress.expect(seats.length + countSteps(seats, plan))
      const abouts = new Map<string, RuntimeAbout>()
      // Alone: what starts beside another start pays for it.
      for (const { inFlight: _, ...seat } of seats) {
        progress.step(`loading: ${seat.name}`)
        const one = await turns.takeSeat({ ...seat, loads: [] })
        if (one.about !== undefined) abouts.set(seat.name, one.about as RuntimeAbout)
        await turns.leaveSeats([one])
      }
      const results = await takeTurns(seats, { ...plan, progress })
      return report(results, abouts, { quick, notes: library === null ? ['native: there is no C compiler (cc)'] : [] })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

function seatsFor(library: string | null): Seat[] {
  const limiter = { from: 'hookring/hooks/payload-limiter', config: { maxBytes: MAX_BYTES } }
  const plugins: Readonly<Record<string, PluginOptions | null>> = {
    module: { ...limiter, runtime: 'module' },
    compartment: { ...limiter, runtime: 'compartment' },
    quickjs: { ...limiter, runtime: 'quickjs' },
    wasm: { from: join(SDK, 'examples', 'payload-limiter.wasm') },
    native: library === null ? null : { from: library },
  }
  return Object.entries(plugins).flatMap(([runtime, plugin]) =>
    plugin === null
      ? []
      : BOUNDARIES.map((boundary) => ({
          name: `${runtime}, ${boundary}`,
          module: SUBJECT,
          options: { plugin: { ...plugin, boundary } } satisfies RuntimeOptions,
          inFlight: LEVELS,
        })),
  )
}

/** Null: there is no compiler. */
function compileLibrary(folder: string): string | null {
  const library = join(folder, 'payload-limiter.so')
  const flags = ['-O2', '-fPIC', '-shared', '-fvisibility=hidden', `-I${SDK}`]
  const { status } = spawnSync('cc', [...flags, '-o', library, join(SDK, 'examples', 'payload-limiter.c')])
  return status === 0 ? library : null
}

function report(
  results: readonly SeatResult[],
  abouts: ReadonlyMap<string, RuntimeAbout>,
  { quick, notes }: { quick: boolean; notes: readonly string[] },
): CaseOutcome {
  const { rounds, roundMs } = quick ? QUICK : FULL
  const names = [...new Set(results.map(({ name }) => name))]
  const rows = names.flatMap((name) => {
    const [one, many] = LEVELS.map((level) => results.find((found) => found.name === name && found.inFlight === level))
    const about = abouts.get(name)
    if (one?.figures === undefined || many?.figures === undefined || about === undefined) return []
    const [runtime = '', boundary = ''] = name.split(', ')
    const { loadMs, memoryMb } = about
    const { p50Us, p99Us } = one.figures
    return { runtime, boundary, loadMs, memoryMb, p50Us, p99Us, eventsPerSecond: many.figures.eventsPerSecond, one }
  })
  const base = rows[0]
  const allNotes = [...notes, ...notesOf(results)]
  return {
    isComplete: isSound(results),
    document: {
      case: 'runtimes',
      node: process.version,
      machine: machineLine(),
      quick,
      rows: rows.map(({ one: _, ...row }) => ({
        ...row,
        loadMs: rounded(row.loadMs),
        memoryMb: rounded(row.memoryMb),
        p50Us: rounded(row.p50Us),
        p99Us: rounded(row.p99Us),
        eventsPerSecond: rounded(row.eventsPerSecond),
      })),
      notes: allNotes,
    },
    markdown: [
      '# runtimes: a payload limiter in every runtime, behind every boundary',
      '',
      `${machineLine()}. Medians over ${rounds} rounds of ${roundMs} ms, in turns. p50 and p99 at 1 call in flight, events per second at 512.`,
      '',
      markdownTable(
        ['runtime', 'boundary', 'load', 'memory', 'p50', 'of module', 'p99', 'events per second', 'of module'],
        rows.map((row) => [
          row.runtime,
          row.boundary,
          formatMs(row.loadMs),
          `${row.memoryMb.toFixed(0)} MiB`,
          formatUs(row.p50Us),
          formatTimes(row.p50Us / (base?.p50Us ?? Number.NaN)),
          formatUs(row.p99Us),
          formatRate(row.eventsPerSecond),
          formatTimes(row.eventsPerSecond / (base?.eventsPerSecond ?? Number.NaN)),
        ]),
      ),
      '',
      ...allNotes.map((note) => `- ${note}`),
    ].join('\n'),
    svg: drawPlot({
      title: 'A payload limiter in every runtime, behind every boundary',
      subtitle: `${machineLine()}. Logarithmic axes; left: latency at 1 in flight, less is better; right: events per second at 512, more is better.`,
      columns: 2,
      panels: [
        {
          kind: 'rows',
          title: 'Latency per call',
          format: formatUs,
          rows: rows.map((row) => ({
            label: `${row.runtime}, ${row.boundary}`,
            isEmphasised: row.runtime === 'quickjs',
            marks: latencyMarks(row.one.figures),
          })),
        },
        {
          kind: 'rows',
          title: 'Events per second',
          format: formatRate,
          rows: rows.map((row) => ({
            label: `${row.runtime}, ${row.boundary}`,
            isEmphasised: row.runtime === 'quickjs',
            marks: [{ shape: 'value' as const, value: row.eventsPerSecond }],
          })),
        },
      ],
    }),
  }
}
