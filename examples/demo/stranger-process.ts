/**
 * The demo's last act, in a process of its own: the delivery server with a stranger's plugin in front of an honest one, and
 * a real client. Answers one request with a StrangerReport.
 */
import { randomBytes } from 'node:crypto'
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { payloadLimiter } from 'hookring/hooks'
import { answerRequests } from '../../bench/instruments.js'
import { connectDelivery, type DeliveryConnection, type RpcFailure } from '../delivery-server/client.js'
import { startDeliveryServer } from '../delivery-server/server.js'
import { ATTEMPTS, type Attempt, type StrangerReport } from './stranger.js'

const TIMEOUT_MS = 50
const PING_EVERY_MS = 5
const MAX_BYTES = 1_000
/** A lane that was replaced meanwhile has this long to serve. */
const RETRIES = 100

answerRequests(run)

async function run(): Promise<StrangerReport> {
  const engine = await createHookEngine({
    contract: delivery,
    plugins: [
      {
        from: new URL('./plugins/stranger.js', import.meta.url),
        trust: 'untrusted',
        timeoutMs: TIMEOUT_MS,
        limits: { memoryMb: 16 },
      },
      payloadLimiter({ maxBytes: MAX_BYTES }),
    ],
    // What it answers with is told; failing often is what it is here for.
    quarantine: false,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  })
  const server = await startDeliveryServer({ engine, onError() {} })
  const connection = connectDelivery(server.address)
  try {
    return await attack(connection)
  } finally {
    connection.close()
    await server.stop({ graceMs: 500 })
    await engine.close()
  }
}

async function attack(connection: DeliveryConnection): Promise<StrangerReport> {
  const enqueue = await channelOf(connection)
  for (let index = 0; index < 20; index += 1) await enqueue(1)
  const pings = startPings(connection)
  const neighbour = { verdicts: 0, wrong: 0 }
  const attempts: Attempt[] = []
  for (const { name, bytes } of ATTEMPTS) {
    const startMs = performance.now()
    const told = await enqueue(bytes)
    const tookMs = performance.now() - startMs
    let servesAgain = false
    for (let retry = 0; retry < RETRIES && !servesAgain; retry += 1) servesAgain = (await enqueue(1)) === PASSED
    attempts.push({ name, told, tookMs, servesAgain })
    // Too large for the honest plugin, which comes second.
    const refused = await enqueue(MAX_BYTES + 1)
    neighbour.verdicts += 1
    if (!refused.includes(`> ${MAX_BYTES} bytes`)) neighbour.wrong += 1
  }
  const isPolluted = 'isAdmin' in {} || [1].map(String).length !== 1
  return { attempts, neighbour, isPolluted, ...(await pings.end()) }
}

const PASSED = 'the message passed'

/** Sends a message of so many bytes; what the client is told. */
async function channelOf(connection: DeliveryConnection): Promise<(bytes: number) => Promise<string>> {
  const [sender, recipient] = ['sender', 'recipient'].map((username) => ({
    username,
    password: 'demo',
    identityKey: new Uint8Array(randomBytes(32)),
  })) as [User, User]
  for (const user of [sender, recipient]) await connection.register(user)
  await connection.login(sender)
  const { channelId } = await connection.createChannel(recipient.identityKey)
  return async (bytes) => {
    try {
      await connection.enqueue({
        recipientKey: recipient.identityKey,
        channelId,
        payload: new Uint8Array(bytes),
      })
      return PASSED
    } catch (error) {
      const { details } = error as RpcFailure
      return `refused (${details.length > 60 ? `${details.slice(0, 60)}…` : details})`
    }
  }
}

interface User {
  readonly username: string
  readonly password: string
  readonly identityKey: Uint8Array
}

function startPings(connection: DeliveryConnection) {
  let pings = 0
  let failedPings = 0
  let slowestPingMs = 0
  const underWay = new Set<Promise<void>>()
  const timer = setInterval(() => {
    const startMs = performance.now()
    const ping = connection
      .ping({ deadlineMs: 5_000 })
      .then(() => {
        pings += 1
        slowestPingMs = Math.max(slowestPingMs, performance.now() - startMs)
      })
      .catch(() => {
        failedPings += 1
      })
      .finally(() => underWay.delete(ping))
    underWay.add(ping)
  }, PING_EVERY_MS)
  return {
    async end() {
      clearInterval(timer)
      await Promise.all(underWay)
      return { pings, failedPings, slowestPingMs }
    },
  }
}
