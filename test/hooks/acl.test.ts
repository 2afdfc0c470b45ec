import { mqtt } from 'hookring/contracts'
import type { AclRule } from 'hookring/hooks'
import plugin from 'hookring/hooks/acl'
import { runInline } from 'hookring/testing'
import { expect, test } from 'vitest'
import {
  containsFilter,
  filtersOverlap,
  type Levels,
  matchesTopic,
  parseFilter,
} from '../../dist/hooks/topic-filter.js'

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

function sequences(levels: readonly string[], longest: number): string[] {
  let last = [...levels]
  const all = [...last]
  for (let length = 2; length <= longest; length += 1) {
    last = last.flatMap((head) => levels.map((level) => `${head}/${level}`))
    all.push(...last)
  }
  return all
}
const topics = sequences(['', 'a', 'b', '$s'], 4).filter((topic) => topic !== '')
const parsed = sequences(['a', '$s', '+', '#'], 3)
  .map(parseFilter)
  .filter((levels): levels is Levels => levels !== null)

test('containment and overlap of filters are what their topics say', () => {
  const matched = parsed.map((filter) => new Set(topics.filter((topic) => matchesTopic(filter, topic))))
  parsed.forEach((outer, i) => {
    parsed.forEach((inner, j) => {
      const [wide, narrow] = [matched[i]!, matched[j]!]
      const shared = [...narrow].filter((topic) => wide.has(topic)).length
      expect([outer, inner, containsFilter(outer, inner)]).toEqual([outer, inner, shared === narrow.size])
      expect([outer, inner, filtersOverlap(outer, inner)]).toEqual([outer, inner, shared > 0])
    })
  })
})

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
