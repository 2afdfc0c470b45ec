import { status } from '@grpc/grpc-js'
import { HookringError, type MessageEventInput } from 'hookring/contracts'
import { expect, test, vi } from 'vitest'
import { startDelivery, startDeliveryWithUsers } from '../support/delivery-users.js'
import { recordingHooks } from '../support/recording-hooks.js'

test('registration and logins are told, with the reason of a failure that the client does not get', async () => {
  const recorded = recordingHooks()
  await using delivery = await startDelivery({ engine: recorded })
  const ada = await delivery.addUser('ada')
  expect(recorded.told).toEqual([
    { hookpoint: 'onUserRegistered', event: { username: 'ada', identityKey: Buffer.from(ada.identityKey) } },
    { hookpoint: 'onAuth', event: { username: 'ada', success: true, failureReason: '' } },
  ])
  recorded.clear()
  const endings: unknown[] = []
  for (const username of ['ada', 'nobody']) {
    await delivery
      .connect()
      .login({ username, password: 'guess' })
      .catch(({ code, details }) => endings.push({ code, details }))
  }
  expect(recorded.told.map(({ event }) => event)).toEqual([
    { username: 'ada', success: false, failureReason: 'wrong password' },
    { username: 'nobody', success: false, failureReason: 'unknown user' },
  ])
  expect(endings).toEqual(Array(2).fill({ code: status.UNAUTHENTICATED, details: 'wrong username or password' }))
})

test('a channel is told when it is created and when it is looked up, by either side', async () => {
  const recorded = recordingHooks()
  await using delivery = await startDelivery({ engine: recorded })
  const ada = await delivery.addUser('ada')
  const bob = await delivery.addUser('bob')
  recorded.clear()
  const first = await ada.client.createChannel(bob.identityKey)
  const second = await bob.client.createChannel(ada.identityKey)
  expect(first.wasNew).toBe(true)
  expect(second).toEqual({ channelId: first.channelId, wasNew: false })
  expect(recorded.told).toMatchObject([
    { hookpoint: 'onChannelCreated', event: { initiatorKey: Buffer.from(ada.identityKey), wasNew: true } },
    { hookpoint: 'onChannelCreated', event: { initiatorKey: Buffer.from(bob.identityKey), wasNew: false } },
  ])
})

test('a message is asked about before it is stored, with what the server knows of it', async () => {
  let queuedWhenAsked = -1
  const recorded = recordingHooks(async () => {
    queuedWhenAsked = (await delivery.bob.client.fetch(delivery.channelId)).length
    return { kind: 'continue' }
  })
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  recorded.clear()
  const seq = await delivery.ada.client.enqueue(delivery.toBob('hello'))
  expect(seq).toBe(1n)
  expect(queuedWhenAsked).toBe(0)
  expect(recorded.told[0]).toEqual({
    hookpoint: 'onMessageEnqueue',
    event: {
      senderIdentity: Buffer.from(delivery.ada.identityKey),
      recipientKey: Buffer.from(delivery.bob.identityKey),
      channelId: Buffer.from(delivery.channelId),
      payloadLen: 5,
      seq: 1n,
    },
  })
  expect(await delivery.bob.client.fetch(delivery.channelId)).toEqual([
    { seq: 1n, senderIdentity: Buffer.from(delivery.ada.identityKey), payload: Buffer.from('hello') },
  ])
})

test('a sealed sender is unknown to hooks and to the recipient, and needs no session', async () => {
  const recorded = recordingHooks()
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  recorded.clear()
  await delivery.connect().enqueue(delivery.toBob('psst', { sealedSender: true }))
  await delivery.ada.client.enqueue(delivery.toBob('psst', { sealedSender: true }))
  const events = recorded.told.map(({ event }) => event as MessageEventInput)
  expect(events.map(({ senderIdentity }) => senderIdentity)).toEqual([null, null])
  const messages = await delivery.bob.client.fetch(delivery.channelId)
  expect(messages.map(({ senderIdentity }) => senderIdentity)).toEqual([null, null])
  await expect(delivery.connect().enqueue(delivery.toBob('who?'))).rejects.toMatchObject({
    code: status.UNAUTHENTICATED,
  })
})

test('a rejected message is not stored, and its sender gets the reason', async () => {
  const recorded = recordingHooks(() => ({ kind: 'reject', reason: 'quiet hours', plugin: 'curfew' }))
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  await expect(delivery.ada.client.enqueue(delivery.toBob('hello'))).rejects.toMatchObject({
    code: status.PERMISSION_DENIED,
    details: 'quiet hours',
  })
  expect(await delivery.bob.client.fetch(delivery.channelId)).toEqual([])
})

test('no hook is asked about what validation refuses', async () => {
  const recorded = recordingHooks()
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  const { ada, toBob } = delivery
  recorded.clear()
  const eve = await delivery.addUser('eve')
  recorded.clear()
  const message = toBob('x')
  const endings = await Promise.allSettled([
    ada.client.enqueue({ ...message, recipientKey: new Uint8Array(31) }),
    ada.client.enqueue({ ...message, channelId: new Uint8Array(17) }),
    ada.client.enqueue({ ...message, payload: new Uint8Array(0) }),
    ada.client.enqueue({ ...message, payload: new Uint8Array(1024 * 1024 + 1) }),
    ada.client.enqueue({ ...message, channelId: new Uint8Array(16) }),
    ada.client.enqueue({ ...message, recipientKey: new Uint8Array(32) }),
    eve.client.enqueue(message),
    ada.client.batchEnqueue([]),
    ada.client.batchEnqueue([message, { ...message, recipientKey: new Uint8Array(31) }]),
    ada.client.batchEnqueue(Array(257).fill(message)),
    ada.client.createChannel(new Uint8Array(8)),
    ada.client.createChannel(ada.identityKey),
    ada.client.fetch(new Uint8Array(3)),
    ada.client.login({ username: '', password: 'x' }),
    ada.client.register({ username: 'two words', password: 'x', identityKey: new Uint8Array(32) }),
    ada.client.register({ username: 'zoe', password: 'x', identityKey: new Uint8Array(33) }),
    ada.client.register({ username: 'ada', password: 'x', identityKey: new Uint8Array(32) }),
  ])
  const { INVALID_ARGUMENT: invalid, NOT_FOUND: missing, ALREADY_EXISTS: taken } = status
  const codes = endings.map((ending) => (ending.status === 'rejected' ? ending.reason.code : 'passed'))
  expect(codes).toEqual([
    ...[invalid, invalid, invalid, invalid, missing, missing, missing],
    ...[invalid, invalid, invalid],
    ...[invalid, invalid, invalid, invalid, invalid, invalid, taken],
  ])
  expect(recorded.told).toEqual([])
})

test('a batch is asked about message by message; rejected ones do not keep the others back', async () => {
  const recorded = recordingHooks(({ payloadLen }) => {
    if (payloadLen === 3) return { kind: 'reject', reason: 'three is unlucky', plugin: 'luck' }
    if (payloadLen === 4) throw new HookringError('EVENT_TOO_LARGE', 'too large')
    return { kind: 'continue' }
  })
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  recorded.clear()
  const texts = ['a', 'bb', 'ccc', 'dddd', 'eeeee']
  const results = await delivery.ada.client.batchEnqueue(texts.map((text) => delivery.toBob(text)))
  expect(results).toEqual([
    { seq: 1n, code: status.OK, reason: '' },
    { seq: 2n, code: status.OK, reason: '' },
    { seq: 0n, code: status.PERMISSION_DENIED, reason: 'three is unlucky' },
    { seq: 0n, code: status.RESOURCE_EXHAUSTED, reason: 'too large' },
    { seq: 5n, code: status.OK, reason: '' },
  ])
  expect(recorded.names()).toEqual([...Array(5).fill('onMessageEnqueue'), 'onBatchEnqueue'])
  const batch = recorded.told.at(-1)?.event as { events: MessageEventInput[] } | undefined
  expect(batch?.events.map(({ seq, payloadLen }) => [seq, payloadLen])).toEqual([
    [1n, 1],
    [2n, 2],
    [5n, 5],
  ])
  const messages = await delivery.bob.client.fetch(delivery.channelId)
  expect(messages.map(({ seq, payload }) => `${seq} ${Buffer.from(payload)}`)).toEqual(['1 a', '2 bb', '5 eeeee'])
})

test('a batch of which nothing was enqueued is not told', async () => {
  const recorded = recordingHooks(() => ({ kind: 'reject', reason: 'no', plugin: 'p' }))
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  recorded.clear()
  await delivery.ada.client.batchEnqueue([delivery.toBob('a')])
  expect(recorded.names()).toEqual(['onMessageEnqueue'])
})

test('messages are stored by their sequence numbers, in whatever order their verdicts come', async () => {
  const verdicts = new Map<bigint, () => void>()
  const recorded = recordingHooks(async ({ seq }) => {
    await new Promise<void>((resolve) => verdicts.set(seq as bigint, resolve))
    return { kind: 'continue' }
  })
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  const enqueued = Promise.all(['a', 'b', 'c'].map((text) => delivery.ada.client.enqueue(delivery.toBob(text))))
  await vi.waitFor(() => expect(verdicts.size).toBe(3))
  for (const seq of [3n, 2n, 1n]) verdicts.get(seq)?.()
  await enqueued
  const messages = await delivery.bob.client.fetch(delivery.channelId)
  expect(messages.map(({ seq }) => seq)).toEqual([1n, 2n, 3n])
})

test('a fetch and a fetch-wait are told with the number of messages they return', async () => {
  const recorded = recordingHooks()
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  const { ada, bob, channelId, toBob } = delivery
  for (const text of ['a', 'b', 'c']) await ada.client.enqueue(toBob(text))
  recorded.clear()
  expect(await bob.client.fetch(channelId, { limit: 2 })).toHaveLength(2)
  expect(await bob.client.fetchWait(channelId, { timeoutMs: 5_000 })).toHaveLength(1)
  expect(await bob.client.fetchWait(channelId, { timeoutMs: 20 })).toHaveLength(0)
  expect(recorded.told).toMatchObject(
    [2, 1, 0].map((messageCount) => ({
      hookpoint: 'onFetch',
      event: { messageCount, channelId: Buffer.from(channelId) },
    })),
  )
  expect(recorded.told[0]?.event).toMatchObject({ recipientKey: Buffer.from(bob.identityKey) })
})

test('Ping asks no hook', async () => {
  const recorded = recordingHooks()
  await using delivery = await startDelivery({ engine: recorded })
  expect(await delivery.connect().ping()).toBeGreaterThan(Date.now() - 60_000)
  expect(recorded.told).toEqual([])
})

test('a client that goes while its verdict is pending aborts the question, and nothing is stored', async () => {
  const signals: AbortSignal[] = []
  const verdict = deferred()
  const recorded = recordingHooks(async (_, options) => {
    signals.push(options?.signal as AbortSignal)
    await verdict.promise
    return { kind: 'continue' }
  })
  await using delivery = await startDeliveryWithUsers({ engine: recorded })
  await expect(delivery.ada.client.enqueue(delivery.toBob('hello'), { deadlineMs: 30 })).rejects.toMatchObject({
    code: status.DEADLINE_EXCEEDED,
  })
  await vi.waitFor(() => expect(signals[0]?.aborted).toBe(true))
  verdict.resolve()
  // Behind what the verdict leads to: the connection answers in turn, and so does the store.
  await delivery.ada.client.ping()
  expect(await delivery.bob.client.fetch(delivery.channelId)).toEqual([])
})

test('hooks that break are INTERNAL for their own RPC only, and the operator is told', async () => {
  const onError = vi.fn()
  const recorded = recordingHooks(() => {
    throw new Error('a bug')
  })
  await using delivery = await startDeliveryWithUsers({ engine: recorded, onError })
  await expect(delivery.ada.client.enqueue(delivery.toBob('hello'))).rejects.toMatchObject({ code: status.INTERNAL })
  expect(onError).toHaveBeenCalledWith(expect.objectContaining({ message: 'a bug' }))
  expect(await delivery.ada.client.ping()).toBeGreaterThan(0)
})

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
