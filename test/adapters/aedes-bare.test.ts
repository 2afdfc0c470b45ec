/** A broker with the adapter and no plugins behaves as the bare broker does: one client test against both, compared. */
import { expect, it } from 'vitest'
import { type BrokerOptions, connect, mqttActor, startBroker, type TestClient } from '../support/broker.js'
import { until } from '../support/lab.js'

/** Everything that the clients see, as lines. */
async function story(options: BrokerOptions): Promise<string[]> {
  const broker = await startBroker({ ...options, aedes: { id: 'broker' } })
  const lines: string[] = []
  const note = (what: string, ...seen: unknown[]) => lines.push(`${what}: ${JSON.stringify(seen)}`)
  const noteAll = async (what: string, client: TestClient, count: number) => {
    await client.receives(count)
    note(what, ...client.messages)
  }

  const a = await connect(broker, { clientId: 'a' })
  note('suback', await a.subscribe({ 'room/+/t': 2, 'room/#': 1, '$SYS/+/new/clients': 0, plain: 0 }))
  const b = await connect(broker, { clientId: 'b', keepalive: 5 })
  for (const qos of [0, 1, 2] as const) {
    // One at a time: a client has a QoS 2 message a round trip later than others.
    await b.publish('room/1/t', `wild ${qos}`, { qos })
    await a.receives(2 + 2 * qos)
    await b.publish('plain', `plain ${qos}`, { qos })
    await b.publish('elsewhere', 'x', { qos })
    await a.receives(3 + 2 * qos)
  }
  await noteAll('qos and wildcards', a, 7)

  await b.publish('kept/1', 'one', { qos: 1, retain: true })
  await b.publish('kept/2', 'two', { qos: 1, retain: true })
  await b.publish('kept/1', '', { qos: 1, retain: true })
  const late = await connect(broker, { clientId: 'late' })
  note('suback', await late.subscribe({ 'kept/#': 1 }))
  await b.publish('kept/2', 'live', { qos: 0, retain: true })
  await noteAll('retained', late, 2)

  const will = { topic: 'kept/will', payload: Buffer.from('gone'), qos: 1 as const, retain: true }
  await (await connect(broker, { clientId: 'w', will })).end()
  await (await connect(broker, { clientId: 'w', will })).break()
  await noteAll('will', late, 3)

  const kept = { clientId: 's', clean: false } as const
  const first = await connect(broker, kept)
  note('suback', await first.subscribe({ 'queue/#': 2 }))
  await first.end()
  for (const qos of [0, 1, 2] as const) await b.publish('queue/x', `away ${qos}`, { qos })
  const second = await connect(broker, kept)
  await noteAll('resumed', second, 2)
  await b.publish('queue/x', 'there', { qos: 2 })
  await noteAll('resumed', second, 3)

  const third = await connect(broker, kept)
  await until('the takeover', () => !second.isConnected)
  await b.publish('queue/x', 'after', { qos: 1 })
  await noteAll('taken over', third, 1)

  await third.mqtt.unsubscribeAsync('queue/#')
  await b.publish('queue/x', 'unsubscribed', { qos: 1 })
  note('subscribed again', await third.subscribe({ 'queue/#': 0 }))
  await b.publish('queue/x', 'downgraded', { qos: 2 })
  await noteAll('unsubscribed', third, 2)

  b.mqtt.publish('$SYS/mine', 'x')
  await until('the end of who writes to $SYS', () => !b.isConnected)
  note('refused by the broker', a.isConnected, b.isConnected)
  const refused = await connect(broker, { clientId: 'v5', protocolVersion: 5 }).catch(({ code }) => code)
  note('version 5', refused)
  return lines
}

it('the same client sees the same of the bare broker, of one with the adapter, and of one whose plugins let everything pass', async () => {
  const bare = await story({ bare: true })
  expect(bare.length).toBeGreaterThan(10)
  expect(await story({})).toEqual(bare)
  const plugins = [
    mqttActor({ hears: ['onConnect', 'onSubscribe', 'onPublish', 'onPublishReceived', 'onWillPublish'] }),
  ]
  expect(await story({ plugins })).toEqual(bare)
  expect(await story({ plugins: [mqttActor({ hears: ['canRead', 'onPublishDeliver'] })] })).toEqual(bare)
})

it('the operator’s own handlers are asked as well', async () => {
  const asked: string[] = []
  const broker = await startBroker({
    plugins: [mqttActor({ acts: [{ on: 'onPublish', topic: 'no', reject: 'no' }], hears: ['onConnect', 'onPublish'] })],
    aedes: {
      authenticate(client, _username, _password, done) {
        asked.push(`authenticate ${client.id}`)
        done(null, client.id !== 'banned')
      },
      authorizePublish(_client, { topic }, done) {
        asked.push(`authorizePublish ${topic}`)
        done(topic === 'forbidden' ? new Error('forbidden') : null)
      },
      authorizeSubscribe: (_client, subscription, done) =>
        done(null, subscription.topic === 'mine' ? null : subscription),
      authorizeForward: (_client, packet) => (packet.topic === 'hidden' ? null : packet),
    },
  })
  await expect(connect(broker, { clientId: 'banned' })).rejects.toMatchObject({ code: 5 })
  const client = await connect(broker, { clientId: 'c' })
  expect(await client.subscribe({ mine: 0, '+': 0 })).toEqual([128, 0])
  for (const topic of ['no', 'hidden', 'yes']) await client.publish(topic, 'x', { qos: 1 })
  expect(await client.receives(1)).toEqual(['yes x'])
  client.mqtt.publish('forbidden', 'x')
  await until('the end', () => !client.isConnected)
  expect(await broker.hears('onConnect')).toMatchObject([{ client: { clientId: 'c' } }])
  const topics = (await broker.hears('onPublish', 3)).map(({ packet }) => (packet as { topic: string }).topic)
  expect(topics).toEqual(['no', 'hidden', 'yes'])
  expect(asked).toEqual([
    ...['banned', 'c'].map((id) => `authenticate ${id}`),
    ...['no', 'hidden', 'yes', 'forbidden'].map((topic) => `authorizePublish ${topic}`),
  ])
})
