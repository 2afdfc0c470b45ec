import { mqtt } from 'hookring/contracts'
import plugin from 'hookring/hooks/logger'
import { runInline } from 'hookring/testing'
import { expect, test } from 'vitest'

const client = {
  clientId: 'c\nforged',
  username: null,
  remoteAddress: '',
  protocolVersion: 4,
  clean: true,
  keepalive: 0,
}

test.each([
  [1, ['client connected']],
  [['subscribe' as const], ['client subscribes']],
  [4, ['message received']],
  [8, ['session created']],
  [undefined, ['client connected', 'client subscribes', 'message received', 'session created']],
])('the level %j logs %j, with text of clients escaped', async (level, messages) => {
  await using run = await runInline(plugin, { contract: mqtt, config: level === undefined ? undefined : { level } })
  await run.hooks.onConnected({ client, sessionPresent: false })
  await run.hooks.onSubscribe({ client, subscriptions: [{ filter: 'a', qos: 0 }] })
  const packet = { topic: 't', payload: new Uint8Array(3), qos: 0 as const, retain: false }
  await run.hooks.onPublishReceived({ client, packet })
  await run.hooks.onSessionCreated({ client })
  expect(run.logs.map(({ message }) => message)).toEqual(messages)
  for (const { fields } of run.logs) expect(fields.clientId).toBe('c\\nforged')
})
