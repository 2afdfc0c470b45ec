/**
 * What does a hook cost an HTTP server, and whom does a slow one hold up?
 *
 * Topology: a Fastify server, one process per row, and a client in another process. Rows: bare; the hook inline, through
 * Piscina, in lanes; fast, or blocking its thread for 50 ms (four threads or lanes for it). Baselines: inline for the
 * rate, bare for the bystander: a route of the same server about which the hook is not asked.
 * Figures: medians over rounds, rows in turns; requests per second, p50 and p99 by autocannon on the hooked route, then
 * the bystander's p99 by the clock beside a few requests to the hooked route. Ratios are medians over rounds too.
 * Lanes below 0.8 of inline's rate, or a bystander's p99 over 1.25 times that of bare beside the slow hook, would prove
 * the door too dear, or the isolation wrong.
 */
import {
  type BystanderFigures,
  type ClientRequest,
  HOOKED_PER_SECOND,
  type HttpRow,
  ROWS,
  type ServerRequest,
  SLOW_THROUGHPUT_MS,
  type ThroughputFigures,
} from '../http/rates.js'
import { type AskedProcess, drawPlot, median, startProcess } from '../instruments.js'
import { medianRatio } from '../measure.js'
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
  rounded,
} from '../report.js'

const QUICK = { rounds: 4, throughputMs: 300, bystanderMs: 500 }
const FULL = { rounds: 9, throughputMs: 1_500, bystanderMs: 2_500 }
const WARM_UP_MS = 600

const START_TIMEOUT_MS = 20_000
const GRACE_MS = 15_000

interface Seat {
  readonly row: HttpRow
  readonly name: string
  readonly server: AskedProcess
  readonly port: number
  readonly throughputs: ThroughputFigures[]
  readonly bystanders: BystanderFigures[]
}

export const http: BenchCase = {
  answers: 'a Fastify server bare, with a hook inline, through Piscina and in lanes, fast or of 50 ms',
  async run({ quick, progress }) {
    const plan = quick ? QUICK : FULL
    progress.expect(ROWS.length * (2 * plan.rounds + 1))
    const client = startProcess(new URL('../http/client-process.js', import.meta.url))
    const seats: Seat[] = []
    const ask = <Answer>({ row, port }: Seat, kind: ClientRequest['kind'], sliceMs: number): Promise<Answer> =>
      client.ask({ kind, port, hook: row.hook, sliceMs } satisfies ClientRequest, sliceMs + GRACE_MS)
    try {
      for (const row of ROWS) {
        const seat = await takeSeat(row)
        seats.push(seat)
        await ask(seat, 'throughput', WARM_UP_MS)
        progress.step(`${seat.name}: warm`)
      }
      for (let round = 0; round < plan.rounds; round++) {
        for (const seat of seats) {
          const sliceMs = seat.row.hook === 'slow' ? SLOW_THROUGHPUT_MS : plan.throughputMs
          // A slow hook's rate is what its threads give: two rounds show it.
          if (seat.row.hook !== 'slow' || round < 2) seat.throughputs.push(await ask(seat, 'throughput', sliceMs))
          progress.step(`${seat.name}: rate`)
        }
      }
      for (let round = 0; round < plan.rounds; round++) {
        for (const seat of seats) {
          seat.bystanders.push(await ask(seat, 'bystander', plan.bystanderMs))
          progress.step(`${seat.name}: bystander`)
        }
      }
    } finally {
      await client.end()
      await Promise.all(
        seats.map(async ({ server }) => {
          await server.ask({ kind: 'stop' } satisfies ServerRequest, 3_000).catch(() => {})
          await server.end()
        }),
      )
    }
    return report(seats, quick)
  },
}

async function takeSeat(row: HttpRow): Promise<Seat> {
  const server = startProcess(new URL('../http/server-process.js', import.meta.url))
  const port = await server.ask<number>({ kind: 'start', row } satisfies ServerRequest, START_TIMEOUT_MS)
  return { row, name: `${row.mode}, ${row.hook}`, server, port, throughputs: [], bystanders: [] }
}

function figuresOf({ row, throughputs, bystanders }: Seat) {
  return {
    server: 'fastify',
    ...row,
    requestsPerSecond: median(throughputs.map((one) => one.requestsPerSecond)),
    p50Us: median(throughputs.map((one) => one.p50Us)),
    p99Us: median(throughputs.map((one) => one.p99Us)),
    bystanderP99Us: median(bystanders.map((one) => one.p99Us)),
    failed: [...throughputs, ...bystanders].reduce((sum, one) => sum + one.failed, 0),
  }
}

function claimsOf(seats: readonly Seat[]): Claim[] {
  const at = (mode: HttpRow['mode'], hook: HttpRow['hook']): Seat | undefined =>
    seats.find(({ row }) => row.mode === mode && row.hook === hook)
  const rates = (mode: HttpRow['mode']): number[] =>
    (at(mode, 'fast')?.throughputs ?? []).map((one) => one.requestsPerSecond)
  const p99s = (seat: Seat | undefined): number[] => (seat?.bystanders ?? []).map((one) => one.p99Us)
  const bare = p99s(at('bare', 'none'))
  const rate = medianRatio(rates('lanes'), rates('inline'))
  const bystander = medianRatio(p99s(at('lanes', 'slow')), bare)
  const machine = medianRatio(bare.slice(1), bare)
  const inline = medianRatio(p99s(at('inline', 'slow')), bare)
  const failed = seats.reduce((sum, seat) => sum + figuresOf(seat).failed, 0)
  return [
    {
      claim: "a fast hook in a lane leaves at least 0.8 of the inline hook's requests per second",
      measured: `${formatTimes(rate)} of ${formatRate(median(rates('inline')))}; Piscina ${formatTimes(medianRatio(rates('piscina'), rates('inline')))}`,
      isHeld: rate >= 0.8,
    },
    {
      claim: "beside a 50 ms hook in lanes, a bystander's p99 is within 1.25 times that of no hook",
      measured: `${formatTimes(bystander)} of ${formatUs(median(bare))} (no hook, against itself: ${formatTimes(machine)}); the same hook inline ${formatTimes(inline)}`,
      isHeld: bystander <= 1.25,
    },
    { claim: 'every request is answered with 200', measured: `${failed} were not`, isHeld: failed === 0 },
  ]
}

function report(seats: readonly Seat[], quick: boolean): CaseOutcome {
  const { rounds, throughputMs, bystanderMs } = quick ? QUICK : FULL
  const rows = seats.map(figuresOf)
  const claims = claimsOf(seats)
  const inline = rows.find(({ mode, hook }) => mode === 'inline' && hook === 'fast')?.requestsPerSecond ?? Number.NaN
  const none = rows[0]?.bystanderP99Us ?? Number.NaN
  return {
    isComplete: rows.every(({ failed, p99Us, bystanderP99Us }) => failed === 0 && p99Us > 0 && bystanderP99Us > 0),
    document: {
      case: 'http',
      node: process.version,
      machine: machineLine(),
      quick,
      rows: rows.map(({ failed, ...row }) => ({
        ...row,
        requestsPerSecond: rounded(row.requestsPerSecond),
        p50Us: rounded(row.p50Us),
        p99Us: rounded(row.p99Us),
        bystanderP99Us: rounded(row.bystanderP99Us),
        ...(failed > 0 && { failed }),
      })),
      claims,
    },
    markdown: [
      '# http: a Fastify server bare, with a hook inline, through Piscina and in lanes',
      '',
      `${machineLine()}. Medians over ${rounds} rounds, rows in turns: ${throughputMs} ms of autocannon (slow: ${SLOW_THROUGHPUT_MS}), then ${bystanderMs} ms of the bystander beside ${HOOKED_PER_SECOND} hooked requests a second.`,
      '',
      markdownTable(
        ['mode', 'hook', 'requests per second', 'of inline, fast', 'p50', 'p99', "bystander's p99", 'of bare'],
        rows.map((row) => [
          row.mode,
          row.hook,
          formatRate(row.requestsPerSecond),
          formatTimes(row.requestsPerSecond / inline),
          formatUs(row.p50Us),
          formatUs(row.p99Us),
          formatUs(row.bystanderP99Us),
          formatTimes(row.bystanderP99Us / none),
        ]),
      ),
      '',
      '## Claims',
      '',
      claimsTable(claims),
    ].join('\n'),
    svg: drawPlot({
      title: 'A Fastify server with a hook inline, through Piscina and in lanes',
      subtitle: `${machineLine()}. Logarithmic axes.`,
      columns: 2,
      panels: [
        panel('The hooked route, as fast as it goes', rows, (row) => [
          { shape: 'p50', value: row.p50Us },
          { shape: 'p99', value: row.p99Us },
        ]),
        panel('A bystander', rows, (row) => [{ shape: 'p99', value: row.bystanderP99Us }]),
      ],
    }),
  }
}

type Figures = ReturnType<typeof figuresOf>

function panel(
  title: string,
  rows: readonly Figures[],
  marksOf: (row: Figures) => { shape: 'p50' | 'p99'; value: number }[],
) {
  return {
    kind: 'rows' as const,
    title,
    format: formatUs,
    shared: rows.flatMap((row) => marksOf(row).map(({ value }) => value)),
    rows: rows.map((row) => ({
      label: `${row.mode}, ${row.hook}`,
      isEmphasised: row.mode === 'lanes',
      marks: marksOf(row),
    })),
  }
}
