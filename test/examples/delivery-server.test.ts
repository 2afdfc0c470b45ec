import { status } from '@grpc/grpc-js'
import { createHookEngine } from 'hookring'
import { delivery as contract, type GateVerdict } from 'hookring/contracts'
import { loginAuditor, payloadLimiter, tracing } from 'hookring/hooks'
import { expect, test } from 'vitest'
import { createDeliveryStore } from '../../examples/delivery-server/store.js'
import { channelOf, keyOf } from '../support/delivery-events.js'
import { startDelivery, startDeliveryWithUsers } from '../support/delivery-users.js'
import { recordingHooks } from '../support/recording-hooks.js'
import { recordingLogger } from '../support/recording-logger.js'
import { pending } from '../support/rpc-service.js'

test('the shipped plugins work in the server: limits reject, logins are audited, events are logged', async () => {
  const logger = recordingLogger()
  await using engine = await createHookEngine({
    contract,
    plugins: [payloadLimiter({ maxBytes: 8 }), loginAuditor(), tracing({ level: 'debug' })],
    logger,
  })
  await using delivery = await startDeliveryWithUsers({ engine })
  const { ada, bob, channelId, toBob } = delivery
  expect(await ada.client.enqueue(toBob('12345678'))).toBe(1n)
  await expect(ada.client.enqueue(toBob('123456789'))).rejects.toMatchObject({
    code: status.PERMISSION_DENIED,
    details: 'payload too large: 9 > 8 bytes',
  })
  const results = await ada.client.batchEnqueue([toBob('short'), toBob('much too long')])
  expect(results.map(({ code }) => code)).toEqual([status.OK, status.PERMISSION_DENIED])
  expect(await bob.client.fetch(channelId)).toHaveLength(2)
  await expect(delivery.connect().login({ username: "x'\nAUDIT: y", password: 'p' })).rejects.toMatchObject({
    code: status.UNAUTHENTICATED,
  })
  await engine.flush()
  await engine.close()
  const messages = logger.lines.map(({ message }) => message)
  expect(messages).toContain("AUDIT: failed login for 'x\\'\\nAUDIT: y': unknown user")
  for (const line of [
    'message enqueued',
    'batch enqueued',
    'login success',
    'login failure',
    'channel created',
    'messages fetched',
    'user registered',
  ]) {
    expect(messages).toContain(`hook: ${line}`)
  }
})

test('a server without an engine delivers all the same', async () => {
  await using delivery = await startDeliveryWithUsers()
  await delivery.ada.client.enqueue(delivery.toBob('hello'))
  expect(await delivery.bob.client.fetch(delivery.channelId)).toHaveLength(1)
})

test('a waiting fetch gets the message as it comes, and one that was cancelled takes none', async () => {
  await using delivery = await startDeliveryWithUsers()
  const { ada, bob, channelId, toBob } = delivery
  const gone = new AbortController()
  const cancelled = bob.client.fetchWait(channelId, { timeoutMs: 10_000, signal: gone.signal })
  setTimeout(() => gone.abort(), 20)
  await expect(cancelled).rejects.toMatchObject({ code: status.CANCELLED })
  const waiting = bob.client.fetchWait(channelId, { timeoutMs: 10_000 })
  await ada.client.enqueue(toBob('hello'))
  expect((await waiting).map(({ payload }) => Buffer.from(payload).toString())).toEqual(['hello'])
})

test('a fetch stays below what clients accept, and the rest is still there', async () => {
  await using delivery = await startDeliveryWithUsers()
  const { ada, bob, channelId, toBob } = delivery
  const payload = Buffer.alloc(1024 * 1024)
  for (let count = 0; count < 5; count++) await ada.client.enqueue({ ...toBob(''), payload })
  expect(await bob.client.fetch(channelId)).toHaveLength(3)
  expect(await bob.client.fetch(channelId)).toHaveLength(2)
})

test('stop lets running calls end, runs beforeDisconnect while connections are open, and is idempotent', async () => {
  const order: string[] = []
  const isAsked = pending<void>()
  const verdict = pending<GateVerdict>()
  const recorded = recordingHooks(() => {
    isAsked.resolve()
    return verdict.promise
  })
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  const { ada, bob, channelId, toBob, server } = delivery
  const waiting = bob.client.fetchWait(channelId, { timeoutMs: 60_000 })
  const enqueued = ada.client.enqueue(toBob('hello'))
  await isAsked.promise
  const stopped = server.stop({
    async beforeDisconnect() {
      order.push('shutdown')
      // Refused by the service, not by a closed connection.
      await ada.client.ping().catch(({ details }) => order.push(details))
    },
  })
  expect(await waiting).toEqual([])
  order.push('verdict')
  verdict.resolve({ kind: 'continue' })
  expect(await enqueued).toBe(1n)
  await Promise.all([stopped, server.stop()])
  expect(order).toEqual(['verdict', 'shutdown', 'the server is shutting down'])
  await expect(ada.client.ping({ deadlineMs: 500 })).rejects.toMatchObject({ code: expect.any(Number) })
})

test('full is an answer: accounts, channels, queues, bytes and waiters are bounded', async () => {
  await using delivery = await startDelivery({ limits: { accounts: 2, channels: 1, queueMessages: 2 } })
  const ada = await delivery.addUser('ada')
  const bob = await delivery.addUser('bob')
  await expect(delivery.addUser('eve')).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED })
  const { channelId } = await ada.client.createChannel(bob.identityKey)
  const message = { recipientKey: bob.identityKey, channelId, payload: Buffer.from('x') }
  const results = await ada.client.batchEnqueue([message, message, message])
  expect(results.map(({ code }) => code)).toEqual([status.OK, status.OK, status.RESOURCE_EXHAUSTED])

  const store = createDeliveryStore({ queuedBytes: 10, waiters: 1, sessions: 1 })
  const stored = { recipientKey: keyOf(1), channelId: channelOf(1), senderIdentity: null, payload: Buffer.alloc(6) }
  expect(store.enqueue({ ...stored, seq: 1n })).toBe('stored')
  expect(store.enqueue({ ...stored, seq: 2n })).toBe('full')
  store.take(keyOf(1), channelOf(1), { messages: 10, bytes: 10 })
  expect(store.enqueue({ ...stored, seq: 3n })).toBe('stored')
  const stop = new AbortController()
  const waiting = store.waitForMessage(keyOf(2), channelOf(1), 10_000, stop.signal)
  expect(await store.waitForMessage(keyOf(2), channelOf(1), 10_000, stop.signal)).toBe('full')
  stop.abort()
  expect(await waiting).toBe('done')
  const account = { username: 'ada', identityKey: keyOf(1), salt: keyOf(0), passwordHash: keyOf(0) }
  const first = store.openSession(account)
  const second = store.openSession(account)
  expect([store.session(first), store.session(second)]).toEqual([undefined, account])
})

test('a sequence number beyond 2^53 crosses the wire without loss', async () => {
  const { serialize, deserialize } = await seqCodec()
  const seq = (2n ** 64n - 1n).toString()
  expect(deserialize(serialize({ seq }))).toEqual({ seq })
})

async function seqCodec() {
  const { deliveryService } = await import('../../examples/delivery-server/protocol.js')
  const { responseSerialize, responseDeserialize } = deliveryService.Enqueue as NonNullable<
    typeof deliveryService.Enqueue
  >
  return { serialize: responseSerialize, deserialize: responseDeserialize }
}
