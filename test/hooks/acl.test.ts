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
const open = (rules: AclRule[], denyByDefault = false, subscribe?: 'contained' | 'overlap') =>
  runInline(plugin, { contract: mqtt, config: { rules, denyByDefault, ...(subscribe && { subscribe }) } })

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
  ['c*1', true],
  ['*c*1*', true],
  ['c*c1', false],
  ['c\\*', false],
  ['c\\1', false],
])('the client pattern %j: %j', async (clientId, isMatch) => {
  await using run = await open([{ clientId, topicFilter: 'a', write: true }], true)
  expect(await run.hooks.onPublish({ client, packet: packetTo('a') })).toMatchObject({
    kind: isMatch ? 'continue' : 'reject',
  })
})

test('a rule a/+ admits no subscription to a/#', async () => {
  await using run = await open([{ topicFilter: 'a/+', read: true }], true, 'contained')
  const asked = ['a/#', 'a/b', 'a/+', '#'].map((filter) => ({ filter, qos: 0 as const }))
  expect(await run.hooks.onSubscribe({ client, subscriptions: asked })).toMatchObject({
    kind: 'replace',
    event: { subscriptions: [{ filter: 'a/b' }, { filter: 'a/+' }] },
  })
  expect(await run.hooks.onSubscribe({ client, subscriptions: [asked[0]!] })).toMatchObject({ kind: 'reject' })
})

test('a filter that overlaps a deny rule is refused where all of it must be readable', async () => {
  await using run = await open([{ topicFilter: 'a/secret' }], false, 'contained')
  const subscriptions = [{ filter: 'a/+', qos: 1 as const }]
  expect(await run.hooks.onSubscribe({ client, subscriptions })).toMatchObject({ kind: 'reject', code: 0x87 })
  expect(await run.hooks.canRead({ client, packet: packetTo('a/secret') })).toMatchObject({ kind: 'reject' })
  expect(await run.hooks.canRead({ client, packet: packetTo('a/b') })).toMatchObject({ kind: 'continue' })
})

test.each<[string, AclRule[], boolean, string, boolean]>([
  ['one part is denied', [{ topicFilter: 'secret/#' }], false, '#', true],
  ['all of it is denied', [{ topicFilter: 'secret/#' }], false, 'secret/+', false],
  ['all of it is denied, behind a part', [{ topicFilter: 'a/b' }, { topicFilter: 'a/#' }], false, 'a/+', false],
  ['a part is granted', [{ topicFilter: 'a/+', read: true }], true, 'a/#', true],
  ['nothing of it is granted', [{ topicFilter: 'a/+', read: true }], true, 'b/#', false],
  ['what is granted is denied before', [{ topicFilter: 'a/#' }, { topicFilter: 'a/b', read: true }], true, '#', false],
  ['what is granted is writable alone', [{ topicFilter: 'a/#', write: true }], true, 'a/b', false],
  ['it is of the server alone', [{ topicFilter: '#', read: true }], true, '$SYS/#', false],
])('a subscription of which %s', async (_, rules, denyByDefault, filter, isGranted) => {
  await using run = await open(rules, denyByDefault)
  const subscriptions = [{ filter, qos: 1 as const }]
  expect(await run.hooks.onSubscribe({ client, subscriptions })).toMatchObject({
    kind: isGranted ? 'continue' : 'reject',
  })
})

test('what a deny rule covers cannot be read, whatever was subscribed to', async () => {
  await using run = await open([{ topicFilter: 'a/secret' }])
  expect(await run.hooks.canRead({ client, packet: packetTo('a/secret') })).toMatchObject({
    kind: 'reject',
    code: 0x87,
  })
  expect(await run.hooks.canRead({ client, packet: packetTo('a/b') })).toMatchObject({ kind: 'continue' })
})

test.each([
  ['of/%c', 'c1', 'ada', 'of/c1', true],
  ['of/%c', 'c1', 'ada', 'of/c2', false],
  ['of/%u/#', 'c1', 'ada', 'of/ada/x', true],
  ['of/%u/#', 'c1', null, 'of//x', false],
  ['dev-%c/+', 'c1', 'ada', 'dev-c1/x', true],
  ['of/%%c', 'c1', 'ada', 'of/%c', true],
  ['of/%%c', 'c1', 'ada', 'of/c1', false],
  ['of/%c', '+', 'ada', 'of/x', false],
  ['of/%c', '#', 'ada', 'of/x/y', false],
  ['of/%c/#', 'x/y', 'ada', 'of/x/y/z', false],
  ['of/%u/#', 'c1', 'a/b', 'of/a/b/c', false],
])(
  'the filter %j, of the client %j named %j, grants %j: %j',
  async (topicFilter, clientId, username, topic, isGranted) => {
    await using run = await open([{ topicFilter, write: true }], true)
    const who = { ...client, clientId, username }
    expect(await run.hooks.onPublish({ client: who, packet: packetTo(topic) })).toMatchObject({
      kind: isGranted ? 'continue' : 'reject',
    })
  },
)

test('a rule that only denies takes a path in a name as it stands', async () => {
  await using run = await open([{ topicFilter: 'of/%c/#' }])
  const who = { ...client, clientId: 'x/y' }
  expect(await run.hooks.onPublish({ client: who, packet: packetTo('of/x/y/z') })).toMatchObject({ kind: 'reject' })
})

test.each(['a/#/b', 'a+', '', '%c+'])('the filter %j is none', async (topicFilter) => {
  await expect(open([{ topicFilter }])).rejects.toThrow(/topic filter/)
})

test('a pattern costs no more than its name is long', async () => {
  await using run = await open([{ clientId: `${'*a'.repeat(1_000)}*b`, topicFilter: 'a', write: true }], true)
  const who = { ...client, clientId: 'a'.repeat(60_000) }
  expect(await run.hooks.onPublish({ client: who, packet: packetTo('a') })).toMatchObject({ kind: 'reject' })
})
