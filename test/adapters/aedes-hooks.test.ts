/** The plugins that ship for mqtt@1, each in a lane, behind a broker, as real clients meet them. */
import { acl, auth, hashPassword, logger, rateLimit, sys } from 'hookring/hooks'
import { expect, it } from 'vitest'
import { connect, startBroker } from '../support/broker.js'
import { until } from '../support/lab.js'

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 0,
    (error: { code?: number }) => error.code,
  )

it('auth admits by name and password, plain or hashed, and refuses the rest with return code 4', async () => {
  const credentials = { plain: 'one', hashed: await hashPassword('two') }
  const broker = await startBroker({ plugins: [auth({ credentials }, { timeoutMs: 10_000 })] })
  const login = (username?: string, password?: string) =>
    codeOf(connect(broker, { ...(username && { username }), ...(password && { password }) }))
  expect(await login('plain', 'one')).toBe(0)
  expect(await login('hashed', 'two')).toBe(0)
  expect(await login('plain', 'two')).toBe(4)
  expect(await login('nobody', 'one')).toBe(4)
  expect(await login()).toBe(4)
  expect(broker.attached.counts.connectsRefused).toBe(3)
})

it('acl decides who subscribes, publishes and reads', async () => {
  const rules = [
    { username: 'writer', topicFilter: 'room/#', write: true },
    { topicFilter: 'room/secret', read: false },
    { topicFilter: 'room/#', read: true },
  ]
  const broker = await startBroker({ plugins: [acl({ rules, denyByDefault: true })] })
  const writer = await connect(broker, { username: 'writer' })
  const reader = await connect(broker, { username: 'reader' })
  expect(await reader.subscribe({ 'room/+': 1, 'room/secret': 1, elsewhere: 1, '#': 0 })).toEqual([1, 128, 128, 0])
  await reader.publish('room/open', 'not his', { qos: 1 })
  await writer.publish('elsewhere', 'not his', { qos: 1 })
  await writer.publish('room/secret', 'not for all', { qos: 1 })
  await writer.publish('room/open', 'his', { qos: 1 })
  expect(await reader.receives(1)).toEqual(['room/open his'])
  expect(broker.attached.counts).toMatchObject({ subscriptionsRefused: 2, publishesRefused: 2, deliveriesRefused: 1 })
})

it('rate-limit drops what a client publishes too fast, and no other client’s messages', async () => {
  const broker = await startBroker({
    plugins: [rateLimit({ publishRate: 1, intervalMs: 3_600_000, burstSize: 3 }, { workers: 2 })],
  })
  const watcher = await connect(broker)
  await watcher.subscribe({ '#': 0 })
  const fast = await connect(broker, { clientId: 'fast' })
  const other = await connect(broker, { clientId: 'other' })
  for (let number = 0; number < 5; number += 1) await fast.publish('fast', String(number), { qos: 1 })
  await other.publish('other', 'x', { qos: 1 })
  expect(await watcher.receives(4)).toEqual(['fast 0', 'fast 1', 'fast 2', 'other x'])
  expect(broker.attached.counts.publishesRefused).toBe(2)
  expect(fast.isConnected).toBe(true)
})

it('acl may want all topics of a subscription to be readable', async () => {
  const rules = [{ topicFilter: 'secret/#' }]
  const broker = await startBroker({ plugins: [acl({ rules, subscribe: 'contained' })] })
  const client = await connect(broker)
  expect(await client.subscribe({ '#': 1, 'secret/a': 1, 'news/#': 1 })).toEqual([128, 128, 1])
})

it('acl knows clients by patterns, and puts them into topics', async () => {
  const rules = [
    { clientId: 'dev*ice\\*', topicFilter: 'star', write: true },
    { username: 'ada', topicFilter: 'home/%u/%c/#', read: true, write: true },
  ]
  const broker = await startBroker({ plugins: [acl({ rules, denyByDefault: true })] })
  const ada = await connect(broker, { username: 'ada', clientId: 'phone' })
  expect(await ada.subscribe({ 'home/ada/phone/#': 1, 'home/bob/#': 1, 'home/+/phone/a': 1 })).toEqual([1, 128, 1])
  const star = await connect(broker, { clientId: 'dev-ice*' })
  await star.publish('star', 'x', { qos: 1 })
  const other = await connect(broker, { clientId: 'dev-ice-' })
  await other.publish('star', 'x', { qos: 1 })
  expect(broker.attached.counts.publishesRefused).toBe(1)
  await ada.publish('home/ada/phone/a', 'mine', { qos: 1 })
  await ada.publish('home/ada/laptop/a', 'not mine', { qos: 1 })
  expect(await ada.receives(1)).toEqual(['home/ada/phone/a mine'])
  // A name that would be a wildcard, or somebody else's place, is nobody's.
  for (const clientId of ['+', 'phone/a', '#']) {
    const sly = await connect(broker, { username: 'ada', clientId })
    expect(await sly.subscribe({ [`home/ada/${clientId}/x`.replace(/[+#]/, 'phone')]: 1 })).toEqual([128])
  }
})

it('rate-limit gives a client that connects again no new allowance', async () => {
  const broker = await startBroker({ plugins: [rateLimit({ publishRate: 1, intervalMs: 3_600_000, burstSize: 3 })] })
  const watcher = await connect(broker)
  await watcher.subscribe({ '#': 0 })
  for (const clean of [true, false, true]) {
    const fast = await connect(broker, { clientId: 'fast', clean })
    for (let number = 0; number < 2; number += 1) await fast.publish('fast', String(number), { qos: 1 })
    await fast.end()
  }
  expect(broker.attached.counts.publishesRefused).toBe(3)
  expect(await watcher.receives(3)).toHaveLength(3)
})

it('logger writes a line for what clients do', async () => {
  const broker = await startBroker({ plugins: [logger()] })
  const client = await connect(broker, { clientId: 'c', clean: false })
  await client.subscribe({ 'a/#': 1 })
  await client.publish('a/b', 'x', { qos: 1 })
  await client.receives(1)
  await client.mqtt.unsubscribeAsync('a/#')
  await client.end()
  const said = () => broker.lines.map(({ message }) => message)
  await until('the last line', () => said().includes('client disconnected'))
  expect(said().sort()).toEqual(
    [
      'client connected',
      'client disconnected',
      'client subscribes',
      'client unsubscribed',
      'message delivered',
      'message received',
      'session created',
    ].sort(),
  )
  expect(broker.lines.find(({ message }) => message === 'message received')?.fields).toMatchObject({
    clientId: 'c',
    topic: 'a/b',
    payloadBytes: 1,
  })
})

it('sys publishes nine retained topics, counted by the broker', async () => {
  const broker = await startBroker({ plugins: [sys({ intervalMs: 50, version: '7' })] })
  const client = await connect(broker)
  await client.subscribe({ t: 0 })
  await client.publish('t', 'x', { qos: 1 })
  await client.receives(1)
  const late = await connect(broker)
  await late.subscribe({ '$SYS/broker/#': 0 })
  const figures = () => Object.fromEntries(late.messages.map(({ topic, payload }) => [topic.slice(12), payload]))
  await until('nine topics', () => Object.keys(figures()).length === 9 && figures()['subscriptions/count'] === '2')
  expect(figures()).toMatchObject({
    version: '7',
    uptime: expect.stringMatching(/^\d$/),
    'clients/total': '2',
    'messages/received': '1',
    'messages/sent': expect.stringMatching(/^\d+$/),
    'bytes/received': expect.stringMatching(/^\d{2,}$/),
    'bytes/sent': expect.stringMatching(/^\d{2,}$/),
    'clients/connected': '2',
  })
  expect(await broker.attached.stats()).toMatchObject({ clientsTotal: 2, messagesReceived: 1, subscriptions: 2 })
})
