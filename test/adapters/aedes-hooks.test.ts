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
  expect(await reader.subscribe({ 'room/+': 1, 'room/open': 1, 'room/secret': 1, '#': 0 })).toEqual([128, 1, 128, 128])
  await reader.publish('room/open', 'not his', { qos: 1 })
  await writer.publish('elsewhere', 'not his', { qos: 1 })
  await writer.publish('room/open', 'his', { qos: 1 })
  expect(await reader.receives(1)).toEqual(['room/open his'])
  expect(broker.attached.counts).toMatchObject({ subscriptionsRefused: 3, publishesRefused: 2 })
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
