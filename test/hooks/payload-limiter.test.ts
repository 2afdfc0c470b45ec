import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { noop, payloadLimiter } from 'hookring/hooks'
import { expect, test } from 'vitest'
import { channelOf, keyOf, messageEvent } from '../support/delivery-events.js'

test('a payload of exactly the limit passes', async () => {
  await using engine = await createHookEngine({ contract: delivery, plugins: [payloadLimiter({ maxBytes: 100 })] })
  expect(await engine.hooks.onMessageEnqueue(messageEvent({ payloadLen: 100 }))).toMatchObject({ kind: 'continue' })
})

test('a longer payload is rejected with the reason of quicprochat, by the name it was registered under', async () => {
  await using engine = await createHookEngine({
    contract: delivery,
    plugins: [payloadLimiter({ maxBytes: 100 }, { name: 'limiter' })],
  })
  expect(await engine.hooks.onMessageEnqueue(messageEvent({ payloadLen: 101 }))).toEqual({
    kind: 'reject',
    reason: 'payload too large: 101 > 100 bytes',
    plugin: 'limiter',
  })
})

test.each([{}, { maxBytes: 0 }, { maxBytes: 1.5 }, { maxBytes: '100' }, { maxBytes: 100, maxbytes: 1 }])(
  'the config %j is refused',
  async (config) => {
    const plugin = { ...payloadLimiter({ maxBytes: 1 }), config }
    await expect(createHookEngine({ contract: delivery, plugins: [plugin] })).rejects.toMatchObject({
      code: 'PLUGIN_CONFIG_INVALID',
    })
  },
)

test('a registration takes what an operator says beside the config', () => {
  const plugin = payloadLimiter({ maxBytes: 5 }, { priority: 10, timeoutMs: 20, onFailure: 'allow' })
  expect(plugin).toEqual({
    from: expect.any(URL),
    config: { maxBytes: 5 },
    priority: 10,
    timeoutMs: 20,
    onFailure: 'allow',
  })
})

test('noop lets every event pass', async () => {
  await using engine = await createHookEngine({ contract: delivery, plugins: [noop()] })
  const { hooks } = engine
  expect(await hooks.onMessageEnqueue(messageEvent())).toMatchObject({ kind: 'continue' })
  hooks.onBatchEnqueue({ events: [messageEvent()] })
  hooks.onAuth({ username: 'ada', success: true, failureReason: '' })
  hooks.onChannelCreated({ channelId: channelOf(1), initiatorKey: keyOf(1), peerKey: keyOf(2), wasNew: true })
  hooks.onFetch({ recipientKey: keyOf(1), channelId: channelOf(1), messageCount: 0 })
  hooks.onUserRegistered({ username: 'ada', identityKey: keyOf(1) })
  await engine.flush()
})
