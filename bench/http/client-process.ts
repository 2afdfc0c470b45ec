/**
 * The clients of case `http`, in a process of their own so that their event loop does not blur the server's. Rates are
 * autocannon's. The bystander's requests are sent by the clock, not when the last one is answered (an open loop), and
 * counted from the time at which they were due: a server that stalls is charged for it.
 */
import { Agent, get } from 'node:http'
import autocannon from 'autocannon'
import { answerRequests, Histogram } from '../instruments.js'
import {
  BYSTANDER_PATH,
  BYSTANDERS_PER_SECOND,
  type BystanderFigures,
  type ClientRequest,
  CONNECTIONS,
  HOOKED_PATH,
  HOOKED_PER_SECOND,
  type ThroughputFigures,
} from './rates.js'

/** Autocannon ends at its next sample. */
const SAMPLE_MS = 50
/** What is under way when a slice ends may still come. */
const DRAIN_MS = 3_000

const agent = new Agent({ keepAlive: true, maxSockets: 64 })

answerRequests((request: ClientRequest): Promise<ThroughputFigures | BystanderFigures> => {
  return request.kind === 'throughput' ? measureThroughput(request) : measureBystander(request)
})

async function measureThroughput({ port, hook, sliceMs }: ClientRequest): Promise<ThroughputFigures> {
  const histogram = new Histogram()
  let failed = 0
  let endMs = Number.POSITIVE_INFINITY
  await new Promise<void>((resolve, reject) => {
    const options = {
      url: `http://127.0.0.1:${port}${HOOKED_PATH}`,
      connections: CONNECTIONS[hook],
      duration: 600,
      sampleInt: SAMPLE_MS,
    }
    const instance = autocannon(options, (error) => (error ? reject(error) : resolve()))
    instance.on('response', (_client, statusCode, _bytes, responseMs) => {
      if (performance.now() > endMs) return
      if (Number(statusCode) === 200) histogram.record(responseMs * 1_000)
      else failed += 1
    })
    instance.on('reqError', () => {
      failed += 1
    })
    endMs = performance.now() + sliceMs
    setTimeout(() => instance.stop(), sliceMs)
  })
  return {
    requestsPerSecond: (histogram.count / sliceMs) * 1_000,
    p50Us: histogram.percentile(0.5),
    p99Us: histogram.percentile(0.99),
    failed,
  }
}

async function measureBystander({ port, sliceMs }: ClientRequest): Promise<BystanderFigures> {
  const hooked = createStream(port, HOOKED_PATH)
  const bystander = createStream(port, BYSTANDER_PATH)
  const startMs = performance.now()
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const nowMs = Math.min(performance.now(), startMs + sliceMs)
      hooked.sendUntil(nowMs, startMs, HOOKED_PER_SECOND)
      bystander.sendUntil(nowMs, startMs, BYSTANDERS_PER_SECOND)
      if (nowMs < startMs + sliceMs) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  await Promise.race([
    Promise.all([hooked.whenAllHere(), bystander.whenAllHere()]),
    new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref()),
  ])
  const { p50Us, p99Us, failed } = bystander.figures()
  return { p50Us, p99Us, failed: failed + hooked.figures().failed }
}

/** Requests that are due at a rate, whatever has become of those before. */
function createStream(port: number, path: string) {
  const histogram = new Histogram()
  const underWay: Promise<void>[] = []
  let sent = 0
  const send = (dueMs: number) =>
    new Promise<void>((resolve) => {
      get({ host: '127.0.0.1', port, path, agent }, (response) => {
        response.resume()
        response.on('end', () => {
          if (response.statusCode === 200) histogram.record((performance.now() - dueMs) * 1_000)
          resolve()
        })
      }).on('error', () => resolve())
    })
  return {
    sendUntil(nowMs: number, startMs: number, perSecond: number) {
      for (let dueMs = startMs + (sent * 1_000) / perSecond; dueMs < nowMs; dueMs += 1_000 / perSecond) {
        sent += 1
        underWay.push(send(dueMs))
      }
    },
    whenAllHere: () => Promise.all(underWay),
    figures: () => ({
      p50Us: histogram.percentile(0.5),
      p99Us: histogram.percentile(0.99),
      failed: sent - histogram.count,
    }),
  }
}
