/**
 * What do hooks cost an MQTT broker, and whom does a slow one hold up?
 *
 * Topology: Aedes, one process per mode and hook; mqtt.js clients in another process: four publish to a topic about which
 * the hook is asked, one more, the bystander, to another, each with a subscriber. Modes: bare; the hooks in Aedes' own
 * callbacks (inline); in lanes. The hooks are the shipped acl, auth, rate-limit and logger, which are asked about every
 * client, and one more gate: none; fast, which does nothing; slow, which blocks its thread for 50 ms.
 * Figures: medians over rounds, rows in turns: publishes of QoS 1 acknowledged per second, as fast as they go; and at a
 * fixed rate (open loop) the time from publish to subscriber.
 */
import { type AskedProcess, drawPlot, median, startProcess } from '../instruments.js'
import {
  type BrokerRequest,
  BYSTANDERS_PER_SECOND,
  type ClientRequest,
  type LatencyFigures,
  type MqttRow,
  PUBLISHES_PER_SECOND,
  ROWS,
  SLOW_THROUGHPUT_MS,
} from '../mqtt/rates.js'
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

const QUICK = { rounds: 3, latencyMs: 1_000, throughputMs: 300 }
const FULL = { rounds: 9, latencyMs: 2_500, throughputMs: 1_000 }
const WARM_UP_MS = 800

const START_TIMEOUT_MS = 20_000
const GRACE_MS = 15_000

interface Seat {
  readonly name: string
  readonly row: MqttRow
  readonly broker: AskedProcess
  readonly latencies: LatencyFigures[]
  readonly throughputs: number[]
}

interface Figures {
  readonly mode: MqttRow['mode']
  readonly hook: MqttRow['hook']
  readonly publishesPerSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly bystanderP50Us: number
  readonly bystanderP99Us: number
  readonly lost: number
}

export const mqtt: BenchCase = {
  answers: 'an MQTT broker bare, with its hooks inline and in lanes, fast ones and one of 50 ms',
  async run({ quick, progress }) {
    const plan = quick ? QUICK : FULL
    progress.expect(ROWS.length * (plan.rounds + 1))
    const client = startProcess(new URL('../mqtt/client-process.js', import.meta.url))
    const seats: Seat[] = []
    try {
      for (const row of ROWS) {
        const seat = await takeSeat(client, row)
        seats.push(seat)
        await ask(client, { kind: 'latency', name: seat.name, hook: row.hook, sliceMs: WARM_UP_MS })
        progress.step(`${seat.name}: warm`)
      }
      for (let round = 0; round < plan.rounds; round++) {
        for (const { name, row, latencies, throughputs } of seats) {
          latencies.push(await ask(client, { kind: 'latency', name, hook: row.hook, sliceMs: plan.latencyMs }))
          const throughputMs = row.hook === 'slow' ? SLOW_THROUGHPUT_MS : plan.throughputMs
          throughputs.push(await ask(client, { kind: 'throughput', name, hook: row.hook, sliceMs: throughputMs }))
          progress.step(name)
        }
      }
    } finally {
      await client.end()
      await Promise.all(
        seats.map(async ({ broker }) => {
          await broker.ask({ kind: 'stop' } satisfies BrokerRequest, 3_000).catch(() => {})
          await broker.end()
        }),
      )
    }
    return report(seats.map(figuresOf), quick)
  },
}

async function takeSeat(client: AskedProcess, row: MqttRow): Promise<Seat> {
  const name = `${row.mode}, ${row.hook}`
  const broker = startProcess(new URL('../mqtt/broker-process.js', import.meta.url))
  const port = await broker.ask<number>({ kind: 'start', row } satisfies BrokerRequest, START_TIMEOUT_MS)
  await client.ask({ kind: 'connect', name, port } satisfies ClientRequest, START_TIMEOUT_MS)
  return { name, row, broker, latencies: [], throughputs: [] }
}

function ask<Answer>(client: AskedProcess, request: Extract<ClientRequest, { sliceMs: number }>): Promise<Answer> {
  return client.ask<Answer>(request, request.sliceMs + GRACE_MS)
}

function figuresOf({ row, latencies, throughputs }: Seat): Figures {
  const of = (pick: (figures: LatencyFigures) => number): number => median(latencies.map(pick))
  return {
    mode: row.mode,
    hook: row.hook,
    publishesPerSecond: median(throughputs),
    p50Us: of(({ hooked }) => hooked.p50Us),
    p99Us: of(({ hooked }) => hooked.p99Us),
    bystanderP50Us: of(({ bystander }) => bystander.p50Us),
    bystanderP99Us: of(({ bystander }) => bystander.p99Us),
    lost: latencies.reduce((sum, { hooked, bystander }) => sum + hooked.lost + bystander.lost, 0),
  }
}

function claimsOf(rows: readonly Figures[]): Claim[] {
  const at = (mode: MqttRow['mode'], hook: MqttRow['hook']) =>
    rows.find((row) => row.mode === mode && row.hook === hook)?.bystanderP99Us ?? Number.NaN
  const before = at('lanes', 'none')
  const ratio = at('lanes', 'slow') / before
  const inline = at('inline', 'slow') / at('inline', 'none')
  const lost = rows.reduce((sum, row) => sum + row.lost, 0)
  return [
    {
      claim: "a 50 ms hook in a lane leaves a bystander's p99 within 1.5 times of what it is without that hook",
      measured: `${formatTimes(ratio)} of ${formatUs(before)}; the same hook inline ${formatTimes(inline)}`,
      isHeld: ratio <= 1.5,
    },
    { claim: 'no message is lost', measured: `${lost} lost`, isHeld: lost === 0 },
  ]
}

function report(rows: readonly Figures[], quick: boolean): CaseOutcome {
  const { rounds, latencyMs, throughputMs } = quick ? QUICK : FULL
  const claims = claimsOf(rows)
  const bare = rows[0]
  return {
    isComplete: rows.every(({ lost, p99Us, bystanderP99Us }) => lost === 0 && p99Us > 0 && bystanderP99Us > 0),
    document: {
      case: 'mqtt',
      node: process.version,
      machine: machineLine(),
      quick,
      rows: rows.map((row) => ({
        ...row,
        publishesPerSecond: rounded(row.publishesPerSecond),
        p50Us: rounded(row.p50Us),
        p99Us: rounded(row.p99Us),
        bystanderP50Us: rounded(row.bystanderP50Us),
        bystanderP99Us: rounded(row.bystanderP99Us),
      })),
      claims,
    },
    markdown: [
      '# mqtt: a broker bare, with hooks inline and in lanes',
      '',
      `${machineLine()}. Medians over ${rounds} rounds, rows in turns: ${throughputMs} ms as fast as it goes, ${latencyMs} ms at ${PUBLISHES_PER_SECOND.fast} messages a second (slow: ${PUBLISHES_PER_SECOND.slow}) beside ${BYSTANDERS_PER_SECOND} of the bystander.`,
      '',
      markdownTable(
        ['mode', 'hook', 'publishes per second', 'of bare', 'p50', 'p99', 'bystander p50', 'p99', 'of bare', 'lost'],
        rows.map((row) => [
          row.mode,
          row.hook,
          formatRate(row.publishesPerSecond),
          formatTimes(row.publishesPerSecond / (bare?.publishesPerSecond ?? Number.NaN)),
          formatUs(row.p50Us),
          formatUs(row.p99Us),
          formatUs(row.bystanderP50Us),
          formatUs(row.bystanderP99Us),
          formatTimes(row.bystanderP99Us / (bare?.bystanderP99Us ?? Number.NaN)),
          String(row.lost),
        ]),
      ),
      '',
      '## Claims',
      '',
      claimsTable(claims),
    ].join('\n'),
    svg: drawPlot({
      title: 'An MQTT broker with its hooks inline and in lanes',
      subtitle: `${machineLine()}. From publish to subscriber; logarithmic axes.`,
      columns: 2,
      panels: [panel(rows, 'messages that ask the hook'), panel(rows, 'a bystander')],
    }),
  }
}

function panel(rows: readonly Figures[], title: 'messages that ask the hook' | 'a bystander') {
  const marksOf = (p50: number, p99: number) => [
    { shape: 'p50' as const, value: p50 },
    { shape: 'p99' as const, value: p99 },
  ]
  const isBystander = title === 'a bystander'
  return {
    kind: 'rows' as const,
    title: `From publish to subscriber: ${title}`,
    format: formatUs,
    shared: rows.flatMap((row) => [row.p50Us, row.p99Us, row.bystanderP50Us, row.bystanderP99Us]),
    rows: rows.map((row) => ({
      label: `${row.mode}, ${row.hook}`,
      isEmphasised: row.mode === 'lanes',
      marks: isBystander ? marksOf(row.bystanderP50Us, row.bystanderP99Us) : marksOf(row.p50Us, row.p99Us),
    })),
  }
}
