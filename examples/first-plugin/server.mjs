import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'

const engine = await createHookEngine({
  contract: delivery,
  plugins: [{ from: new URL('./plugins/max-payload.mjs', import.meta.url), config: { maxBytes: 65_536 } }],
})

// Wherever the server is about to store a message:
for (const payloadLen of [1_000, 100_000]) {
  const verdict = await engine.hooks.onMessageEnqueue({
    senderIdentity: null,
    recipientKey: new Uint8Array(32),
    channelId: new Uint8Array(16),
    payloadLen,
    seq: 1n,
  })
  console.log(verdict.kind === 'reject' ? `${verdict.plugin}: ${verdict.reason}` : 'stored')
}

await engine.close()
