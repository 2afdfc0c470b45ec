import { mqtt } from 'hookring/contracts'
import type { AclRule } from 'hookring/hooks'
import plugin from 'hookring/hooks/acl'
import { runInline } from 'hookring/testing'
import { expect, test } from 'vitest'

const client = {
  clientId: 'c1',
  username: 'ada',
  remoteAddress: '',
  protocolVersion: 5,
  clean: true,
  keepalive: 0,
}
const packetTo = (topic: string) => ({ topic, payload: new Uint8Array(), qos: 0 as const, retain: false })
const open = (rules: AclRule[], denyByDefault = false) =>
  runInline(plugin, { contract: mqtt, config: { rules, denyByDefault } })

test('the first rule that matches decides who may publish', async () => {
  await using run = await open([
    { username: 'a*', topicFilter: 'a/b', write: false },
    { topicFilter: 'a/#', write: true },
    { topicFilter: '#' },
  ])
  expect(await run.hooks.onPublish({ client, packet: packetTo('a/c') })).toMatchObject({ kind: 'continue' })
  expect(await run.hooks.onPublish({ client, packet: packetTo('a/b') })).toMatchObject({ kind: 'reject', code: 0x87 })
  expect(await run.hooks.onWillPublish({ client, packet: packetTo('b') })).toMatchObject({ kind: 'reject' })
  expect(await run.hooks.onPublish({ client: null, packet: packetTo('b') })).toMatchObject({ kind: 'continue' })
})

test.each([
  ['', true],
  ['*', true],
  ['c1', true],
  ['c', false],
  ['c*', true],
  ['*1', true],
  ['*c*', true],
  ['*2', false],
])('the client pattern %j: %j', async (clientId, isMatch) => {
  await using run = await open([{ clientId, topicFilter: 'a', write: true }], true)
  expect(await run.hooks.onPublish({ client, packet: packetTo('a') })).toMatchObject({
    kind: isMatch ? 'continue' : 'reject',
  })
})

test('a rule a/+ admits no subscription to a/#', async () => {
  await using run = await open([{ topicFilter: 'a/+', read: true }], true)
  const asked = ['a/#', 'a/b', 'a/+', '#'].map((filter) => ({ filter, qos: 0 as const }))
  expect(await run.hooks.onSubscribe({ client, subscriptions: asked })).toMatchObject({
    kind: 'replace',
    event: { subscriptions: [{ filter: 'a/b' }, { filter: 'a/+' }] },
  })
  expect(await run.hooks.onSubscribe({ client, subscriptions: [asked[0]!] })).toMatchObject({ kind: 'reject' })
})

test('a filter that overlaps a deny rule is refused, and its topic cannot be read', async () => {
  await using run = await open([{ topicFilter: 'a/secret' }])
  const subscriptions = [{ filter: 'a/+', qos: 1 as const }]
  expect(await run.hooks.onSubscribe({ client, subscriptions })).toMatchObject({ kind: 'reject', code: 0x87 })
  expect(await run.hooks.canRead({ client, packet: packetTo('a/secret') })).toMatchObject({ kind: 'reject' })
  expect(await run.hooks.canRead({ client, packet: packetTo('a/b') })).toMatchObject({ kind: 'continue' })
})
