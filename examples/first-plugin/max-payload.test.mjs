import assert from 'node:assert/strict'
import test from 'node:test'
import { delivery } from 'hookring/contracts'
import { runInLane } from 'hookring/testing'

const event = { senderIdentity: null, recipientKey: new Uint8Array(32), channelId: new Uint8Array(16), seq: 1n }

test('a payload that is too long is rejected', async () => {
  const from = new URL('./plugins/max-payload.mjs', import.meta.url)
  const lane = await runInLane({ contract: delivery, from, config: { maxBytes: 10 } })
  assert.equal((await lane.hooks.onMessageEnqueue({ ...event, payloadLen: 10 })).kind, 'continue')
  assert.deepEqual(await lane.hooks.onMessageEnqueue({ ...event, payloadLen: 11 }), {
    kind: 'reject',
    reason: '11 bytes, at most 10 are allowed',
    plugin: 'max-payload',
  })
  await lane.close()
})
