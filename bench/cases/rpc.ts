/**
 * What does a misbehaving plugin do to a real server, and to the calls that have nothing to do with it?
 *
 * Topology: the example delivery server over gRPC, one process per mode, and a client in another process that calls by
 * the clock: Enqueue, which asks a hook, and Ping, the bystander, which does not. Modes: no hook, the hook inline, through
 * Piscina, through hookring. Hooks: fast; sleeps (blocks its thread 50 ms on 1 call in 50); spins (loops for ever on a
 * marked message, one for each slice); throws (on 1 call in 20).
 * Servers and client have room for what gRPC leaves behind (see bench/rpc/story.ts), the same in all modes.
 * Figures: medians over slices, one hook after the other, modes in turns. What the bystander pays is the median over
 * rounds of hookring's p99 to that of no hook a moment before; the same of each slice without a hook to the one before
 * it says how much of that is the machine. A bystander that is slower under hookring than with no hook at all, or a call
 * that fails without being marked, would prove the isolation wrong.
 */
import { drawPlot, median, type RowsPanel } from '../instruments.js'
import { medianRatio } from '../measure.js'
import {
  type BenchCase,
  type CaseOutcome,
  type Claim,
  claimsTable,
  formatMs,
  formatTimes,
  formatUs,
  machineLine,
  markdownTable,
  rounded,
} from '../report.js'
import { HOOKS, type HookName } from '../rpc/misbehave.js'
import { MODES, type ModeName } from '../rpc/modes.js'
import { BYSTANDER_PER_SECOND, type CallFigures, HOOKED_PER_SECOND } from '../rpc/rates.js'
import { countSlices, type Slice, type StoryPlan, tellStory } from '../rpc/story.js'
import { latencyMarks } from './figures.js'

// The most slices where a claim compares latencies: short ones, so that what the machine does to one spoils one alone.
const QUICK: StoryPlan = {
  fast: { slices: 1, sliceMs: 400 },
  sleeps: { slices: 2, sliceMs: 400, compared: { modes: ['none', 'hookring'], slices: 16 } },
  throws: { slices: 2, sliceMs: 400 },
  spins: { slices: 2, sliceMs: 600 },
}
const FULL: StoryPlan = {
  fast: { slices: 7, sliceMs: 2000 },
  sleeps: { slices: 11, sliceMs: 2000 },
  throws: { slices: 7, sliceMs: 2000 },
  spins: { slices: 7, sliceMs: 2000 },
}

/** One RPC in one mode with one hook: medians over slices, failures summed. */
interface RpcFigures {
  readonly p50Us: number
  readonly p99Us: number
  readonly p999Us: number
  readonly rps: number
  readonly loopDelayP99Ms: number
  readonly failures: Readonly<Record<string, number>>
  readonly calls: number
  readonly marked: number
  readonly markedFailures: number
  readonly unmarkedFailures: number
}

interface Row {
  readonly mode: ModeName
  readonly hook: HookName
  readonly hooked: RpcFigures
  readonly bystander: RpcFigures
  readonly died: string | undefined
}

export const rpc: BenchCase = {
  answers: 'a real gRPC server whose hook is fast, sleeps, spins or throws, and its bystanders',
  async run({ quick, progress }) {
    const plan = quick ? QUICK : FULL
    progress.expect(countSlices(MODES, plan))
    const slices: Slice[] = []
    const unavailable: string[] = []
    const story = tellStory(MODES, plan, (mode, why) => unavailable.push(`${mode}: not measured: ${why}`))
    for await (const slice of story) {
      slices.push(slice)
      progress.step(`${slice.mode}, ${slice.hook}`)
    }
    const rows = HOOKS.flatMap((hook) => MODES.map((mode) => rowOf(slices, mode, hook))).filter(
      (row) => row.hooked.calls > 0,
    )
    return report(rows, rpcClaims(rows, slices), unavailable, quick)
  },
}

function rowOf(slices: readonly Slice[], mode: ModeName, hook: HookName): Row {
  const own = slices.filter((slice) => slice.mode === mode && slice.hook === hook)
  const loopDelayP99Ms = median(own.flatMap((slice) => slice.loopDelayP99Ms ?? []))
  const figuresOf = (key: 'hooked' | 'bystander'): RpcFigures => {
    const all = own.map((slice) => slice[key])
    const mid = (figure: 'p50Us' | 'p99Us' | 'p999Us' | 'rps'): number => median(all.map((one) => one[figure]))
    const sum = (count: (one: CallFigures) => number): number => all.reduce((total, one) => total + count(one), 0)
    const failed = sum((one) => Object.values(one.failures).reduce((a, b) => a + b, 0))
    const markedFailures = sum((one) => one.markedFailures)
    return {
      p50Us: mid('p50Us'),
      p99Us: mid('p99Us'),
      p999Us: mid('p999Us'),
      rps: mid('rps'),
      loopDelayP99Ms,
      failures: sumFailures(all),
      calls: sum((one) => one.calls),
      marked: sum((one) => one.marked),
      markedFailures,
      unmarkedFailures: failed - markedFailures,
    }
  }
  const died = own.find((slice) => slice.died !== undefined)?.died
  return { mode, hook, hooked: figuresOf('hooked'), bystander: figuresOf('bystander'), died }
}

function sumFailures(all: readonly CallFigures[]): Record<string, number> {
  const total: Record<string, number> = {}
  for (const { failures } of all) {
    for (const [kind, count] of Object.entries(failures)) total[kind] = (total[kind] ?? 0) + count
  }
  return total
}

function rpcClaims(rows: readonly Row[], slices: readonly Slice[]): Claim[] {
  const at = (mode: ModeName, hook: HookName): Row | undefined =>
    rows.find((row) => row.mode === mode && row.hook === hook)
  const bystandersOf = (mode: ModeName): number[] =>
    slices.flatMap((slice) => (slice.mode === mode && slice.hook === 'sleeps' ? slice.bystander.p99Us : []))
  const none = bystandersOf('none')
  const ratio = medianRatio(bystandersOf('hookring'), none)
  const machine = medianRatio(none.slice(1), none)
  const spins = at('hookring', 'spins')
  const throws = at('hookring', 'throws')?.hooked
  if (Number.isNaN(ratio) || spins === undefined || throws === undefined) return []
  const unmarked = spins.hooked.unmarkedFailures + spins.bystander.unmarkedFailures
  const deaths = rows.filter((row) => row.mode === 'hookring' && row.died !== undefined).length
  const byPolicy = throws.failures.error ?? 0
  return [
    {
      claim: "sleeps: the bystander's p99 under hookring is within 1.25 times that of no hook",
      measured: `${formatTimes(ratio)} of ${formatUs(median(none))} (no hook, against itself: ${formatTimes(machine)})`,
      isHeld: ratio <= 1.25,
    },
    {
      claim: 'spins: under hookring no call but the marked ones fails',
      measured: `${unmarked} unmarked, ${spins.hooked.markedFailures} of ${spins.hooked.marked} marked`,
      isHeld: unmarked === 0,
    },
    { claim: 'under hookring the server never stops', measured: `${deaths} deaths`, isHeld: deaths === 0 },
    {
      claim: 'throws: under hookring every failure follows the policy, and only marked calls fail',
      measured: `${byPolicy} denied for an error of ${throws.marked} marked, ${throws.unmarkedFailures} unmarked`,
      isHeld: byPolicy === throws.marked && throws.unmarkedFailures === 0,
    },
  ]
}

function report(
  rows: readonly Row[],
  claims: readonly Claim[],
  unavailable: readonly string[],
  quick: boolean,
): CaseOutcome {
  const plan = quick ? QUICK : FULL
  return {
    isComplete:
      rows.length === MODES.length * HOOKS.length &&
      rows.every((row) => row.mode !== 'hookring' || row.died === undefined),
    document: {
      case: 'rpc',
      node: process.version,
      machine: machineLine(),
      quick,
      rows: rows.map(({ mode, hook, hooked, bystander, died }) => ({
        mode,
        hook,
        ...(died !== undefined && { died: true, why: died }),
        hooked: roundedRpc(hooked),
        bystander: roundedRpc(bystander),
      })),
      notes: unavailable,
      claims,
    },
    markdown: [
      '# rpc: a real gRPC server and a hook that misbehaves',
      '',
      `${machineLine()}. ${HOOKED_PER_SECOND} hooked and ${BYSTANDER_PER_SECOND} bystander RPCs per second, medians over ${plan.fast.slices} to ${plan.sleeps.compared?.slices ?? plan.sleeps.slices} slices, one hook after the other, modes in turns.`,
      '',
      markdownTable(
        [
          'hook',
          'mode',
          'hooked p50',
          'p99',
          'ok/s',
          'failed',
          'bystander p50',
          'p99',
          'p99.9',
          'ok/s',
          'failed',
          'loop delay p99',
        ],
        rows.map(tableRow),
      ),
      '',
      ...unavailable.map((note) => `- ${note}`),
      ...rows.flatMap(({ mode, hook, died }) => (died === undefined ? [] : [`- ${mode}, ${hook}: died: ${died}`])),
      '',
      '## Claims',
      '',
      claimsTable(claims),
    ].join('\n'),
    svg: drawPlot({
      title: 'A real gRPC server and a hook that misbehaves',
      subtitle: `${machineLine()}. Latency as the client sees it; logarithmic axes.`,
      columns: 2,
      panels: HOOKS.flatMap((hook) => [panel(rows, hook, 'hooked'), panel(rows, hook, 'bystander')]),
    }),
  }
}

function living(rows: readonly Row[]): Row[] {
  return rows.filter((row) => row.died === undefined)
}

function tableRow({ mode, hook, hooked, bystander, died }: Row): string[] {
  const failed = ({ failures }: RpcFigures): string =>
    Object.entries(failures)
      .map(([kind, count]) => `${count} ${kind}`)
      .join(', ') || '0'
  return [
    hook,
    died === undefined ? mode : `${mode} (died)`,
    formatUs(hooked.p50Us),
    formatUs(hooked.p99Us),
    hooked.rps.toFixed(0),
    failed(hooked),
    formatUs(bystander.p50Us),
    formatUs(bystander.p99Us),
    formatUs(bystander.p999Us),
    bystander.rps.toFixed(0),
    failed(bystander),
    formatMs(hooked.loopDelayP99Ms),
  ]
}

function panel(rows: readonly Row[], hook: HookName, key: 'hooked' | 'bystander'): RowsPanel {
  return {
    kind: 'rows',
    title: `Hook ${hook}: ${key === 'hooked' ? 'the RPC that asks it' : 'a bystander'}`,
    format: formatUs,
    shared: living(rows).flatMap((row) =>
      [...latencyMarks(row.hooked), ...latencyMarks(row.bystander)].map((mark) => mark.value),
    ),
    rows: rows
      .filter((row) => row.hook === hook)
      .map((row) => ({
        label: row.mode,
        isEmphasised: row.mode === 'hookring',
        marks: row.died === undefined ? latencyMarks(row[key]) : [],
        note: 'the server died',
      })),
  }
}

function roundedRpc(figures: RpcFigures): Record<string, unknown> {
  return {
    ...figures,
    p50Us: rounded(figures.p50Us),
    p99Us: rounded(figures.p99Us),
    p999Us: rounded(figures.p999Us),
    rps: rounded(figures.rps),
    loopDelayP99Ms: rounded(figures.loopDelayP99Ms),
  }
}
