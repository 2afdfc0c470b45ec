import { mqtt } from 'hookring/contracts'
import plugin from 'hookring/hooks/sys'
import { runInline } from 'hookring/testing'
import { expect, test } from 'vitest'

test('the nine topics are published, retained, from what the broker counted', async () => {
  const published = new Map<string, string>()
  let done = () => {}
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  await using _run = await runInline(plugin, {
    contract: mqtt,
    config: { intervalMs: 10, version: '2.3' },
    services: {
      stats: async () => ({
        startedAtMs: Date.now(),
        clientsConnected: 1,
        clientsTotal: 2,
        messagesReceived: 3,
        messagesSent: 4,
        bytesReceived: 5,
        bytesSent: 6,
        subscriptions: 7,
      }),
      publish: async (packet: unknown) => {
        const { topic, payload, retain } = packet as { topic: string; payload: Uint8Array; retain: boolean }
        if (retain) published.set(topic.replace('$SYS/broker/', ''), Buffer.from(payload).toString())
        if (published.size === 9) done()
      },
    },
  })
  await all
  expect(Object.fromEntries(published)).toMatchObject({
    version: '2.3',
    uptime: expect.stringMatching(/^\d+$/),
    'clients/connected': '1',
    'clients/total': '2',
    'messages/received': '3',
    'messages/sent': '4',
    'bytes/received': '5',
    'bytes/sent': '6',
    'subscriptions/count': '7',
  })
})

test('without its host services it is not set up', async () => {
  await expect(runInline(plugin, { contract: mqtt })).rejects.toMatchObject({ code: 'PLUGIN_SETUP_FAILED' })
})
