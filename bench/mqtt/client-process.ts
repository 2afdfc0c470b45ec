/**
 * The clients of case `mqtt`, in a process of their own so that their event loop does not blur the broker's. While latency
 * is measured, messages are published by the clock, not when the last one has come (an open loop), and counted from the
 * time at which they were due: a broker that stalls is charged for it.
 */
import type { Socket } from 'node:net'
import { connectAsync, type MqttClient } from 'mqtt'
import { answerRequests, Histogram } from '../instruments.js'
import {
  BYSTANDER_TOPIC,
  BYSTANDERS_PER_SECOND,
  type ClientRequest,
  CREDENTIALS,
  HOOKED_TOPIC,
  IN_FLIGHT,
  type LatencyFigures,
  type MessageFigures,
  PAYLOAD_BYTES,
  PUBLISHERS,
  PUBLISHES_PER_SECOND,
} from './rates.js'

interface Target {
  readonly publishers: readonly MqttClient[]
  readonly bystander: MqttClient
  readonly all: readonly MqttClient[]
  onHooked: (payload: Buffer) => void
  onBystander: (payload: Buffer) => void
}

/** What is under way when a slice ends may still come. */
const DRAIN_MS = 3_000

const targets = new Map<string, Target>()

answerRequests(async (request: ClientRequest): Promise<LatencyFigures | number | undefined> => {
  if (request.kind === 'connect') {
    targets.set(request.name, await connect(request.port))
    return undefined
  }
  const target = targets.get(request.name)
  if (target === undefined) throw new Error(`not connected to ${request.name}`)
  if (request.kind === 'latency') return measureLatency(target, request)
  if (request.kind === 'throughput') return measureThroughput(target, IN_FLIGHT[request.hook], request.sliceMs)
  targets.delete(request.name)
  await Promise.all(target.all.map((client) => client.endAsync(true)))
  return undefined
})

async function connect(port: number): Promise<Target> {
  const open = async () => {
    const client = await connectAsync({ host: '127.0.0.1', port, ...CREDENTIALS, reconnectPeriod: 0 })
    // Else a publish of QoS 0 waits for the acknowledgement of the one before, which TCP delays.
    ;(client.stream as Socket).setNoDelay(true)
    return client
  }
  const publishers = await Promise.all(Array.from({ length: PUBLISHERS }, open))
  const [bystander, hookedReader, bystanderReader] = await Promise.all([open(), open(), open()])
  const all = [...publishers, bystander, hookedReader, bystanderReader]
  const target: Target = { publishers, bystander, all, onHooked() {}, onBystander() {} }
  hookedReader.on('message', (_, payload) => target.onHooked(payload))
  bystanderReader.on('message', (_, payload) => target.onBystander(payload))
  await Promise.all([hookedReader.subscribeAsync(`${HOOKED_TOPIC}/#`), bystanderReader.subscribeAsync(BYSTANDER_TOPIC)])
  return target
}

async function measureLatency(
  target: Target,
  { hook, sliceMs, pace = 1 }: Extract<ClientRequest, { sliceMs: number }>,
): Promise<LatencyFigures> {
  const perSecond = PUBLISHES_PER_SECOND[hook] * (hook === 'slow' ? 1 : pace)
  const hooked = createStream((payload, index) => {
    target.publishers[index % PUBLISHERS]?.publish(`${HOOKED_TOPIC}/${index % PUBLISHERS}`, payload)
  })
  const bystander = createStream((payload) => target.bystander.publish(BYSTANDER_TOPIC, payload))
  target.onHooked = hooked.receive
  target.onBystander = bystander.receive
  const startMs = performance.now()
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const endMs = Math.min(performance.now(), startMs + sliceMs)
      hooked.publishUntil(endMs, startMs, perSecond)
      bystander.publishUntil(endMs, startMs, BYSTANDERS_PER_SECOND * pace)
      if (endMs < startMs + sliceMs) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  await Promise.race([
    Promise.all([hooked.whenAllHere(), bystander.whenAllHere()]),
    new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref()),
  ])
  return { hooked: hooked.figures(), bystander: bystander.figures() }
}

/** Messages that carry the time at which they were due. */
function createStream(publish: (payload: Buffer, index: number) => void) {
  const histogram = new Histogram()
  let published = 0
  let received = 0
  let onAll = () => {}
  return {
    publishUntil(endMs: number, startMs: number, perSecond: number) {
      for (;;) {
        const dueMs = startMs + (published * 1_000) / perSecond
        if (dueMs > endMs) return
        const payload = Buffer.alloc(PAYLOAD_BYTES)
        payload.writeDoubleLE(dueMs)
        publish(payload, published++)
      }
    },
    receive(payload: Buffer) {
      histogram.record((performance.now() - payload.readDoubleLE()) * 1_000)
      received++
      if (received === published) onAll()
    },
    whenAllHere: () =>
      new Promise<void>((resolve) => {
        onAll = resolve
        if (received === published) resolve()
      }),
    figures: (): MessageFigures => ({
      p50Us: histogram.percentile(0.5),
      p99Us: histogram.percentile(0.99),
      published,
      lost: published - received,
    }),
  }
}

/** Publishes of QoS 1 that were acknowledged, per second. */
async function measureThroughput(target: Target, inFlight: number, sliceMs: number): Promise<number> {
  target.onHooked = () => {}
  target.onBystander = () => {}
  const payload = Buffer.alloc(PAYLOAD_BYTES)
  const startMs = performance.now()
  const endMs = startMs + sliceMs
  let acknowledged = 0
  await Promise.all(
    target.publishers.flatMap((publisher, index) =>
      Array.from({ length: inFlight }, async () => {
        while (performance.now() < endMs) {
          await publisher.publishAsync(`${HOOKED_TOPIC}/${index}`, payload, { qos: 1 })
          if (performance.now() < endMs) acknowledged++
        }
      }),
    ),
  )
  return (acknowledged / sliceMs) * 1_000
}

// A broker that dies closes these; what was asked of it then fails by its own.
process.on('disconnect', () => {
  for (const { all } of targets.values()) for (const client of all) client.end(true)
})
