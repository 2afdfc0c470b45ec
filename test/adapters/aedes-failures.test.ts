/** Plugins that fail, and clients that send nonsense: coded, counted, and nobody else's business. */
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { connect, mqttActor, startBroker, type TestClient } from '../support/broker.js'
import { until } from '../support/lab.js'

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 0,
    (error: { code?: number }) => error.code,
  )

const FAILING = (how: object) => [
  { on: 'onConnect', clientId: 'victim', ...how },
  { on: 'onSubscribe', clientId: 'fails', ...how },
  { on: 'onPublish', topic: 'a/fails', ...how },
  { on: 'canRead', topic: 'a/unreadable', ...how },
]

/** Publishes and resolves with what came of it first: an acknowledgement, or the end of the connection. */
const outcomeOf = (client: TestClient, topic: string, qos: 1 | 2 = 1) =>
  Promise.race([
    client.publish(topic, 'x', { qos }).then(
      () => 'acknowledged',
      () => 'closed',
    ),
    client.closed.then(() => 'closed'),
  ])

describe('a plugin that fails', () => {
  it('leaves undecided, by the default policy: nothing is acknowledged, nobody is refused for good', async () => {
    const broker = await startBroker({
      plugins: [mqttActor({ acts: FAILING({ throws: 'broken' }) })],
      attach: { holdMs: 100 },
    })
    expect(await codeOf(connect(broker, { clientId: 'victim' }))).toBe(3)
    const reader = await connect(broker, { clientId: 'reader' })
    expect(await reader.subscribe({ 'a/+': 1 })).toEqual([1])
    expect(await outcomeOf(await connect(broker), 'a/fails')).toBe('closed')
    const client = await connect(broker)
    expect(await outcomeOf(client, 'a/unreadable')).toBe('acknowledged')
    expect(await outcomeOf(client, 'a/last')).toBe('acknowledged')
    expect(await reader.receives(1)).toEqual(['a/last x'])
    const subscriber = await connect(broker, { clientId: 'fails' })
    subscriber.mqtt.subscribe('t', () => {})
    await subscriber.closed
    expect(broker.attached.counts).toMatchObject({
      ...{ connectsRefused: 0, publishesRefused: 0, deliveriesRefused: 0, subscriptionsRefused: 0 },
      ...{ connectsUndecided: 1, publishesUndecided: 1, deliveriesUndecided: 1, subscriptionsUndecided: 1 },
      ...{ publishesDropped: 0, deliveriesDropped: 1 },
    })
    expect(broker.attached.counts.failures).toBeGreaterThanOrEqual(4)
  })

  it('lets pass, where the policy says so', async () => {
    const acts = FAILING({ throws: 'broken' })
    const broker = await startBroker({ plugins: [mqttActor({ acts }, { onFailure: 'allow' })] })
    const client = await connect(broker, { clientId: 'victim' })
    await client.subscribe({ 'a/+': 1 })
    for (const topic of ['a/fails', 'a/unreadable']) expect(await outcomeOf(client, topic)).toBe('acknowledged')
    expect(await client.receives(2)).toEqual(['a/fails x', 'a/unreadable x'])
    expect(broker.attached.counts.failures).toBe(0)
  })

  it('that is late costs its deadline, no more', async () => {
    const acts = [
      { on: 'onConnect', clientId: 'victim', waitMs: 60_000 },
      { on: 'onPublish', topic: 'late', waitMs: 60_000 },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts }, { timeoutMs: 300 })], attach: { holdMs: 0 } })
    expect(await codeOf(connect(broker, { clientId: 'victim' }))).toBe(3)
    const client = await connect(broker, { clientId: 'c' })
    await client.subscribe({ '+': 0 })
    expect(await outcomeOf(await connect(broker), 'late', 2)).toBe('closed')
    await client.publish('t', 'y', { qos: 2 })
    expect(await client.receives(1)).toEqual(['t y'])
  })

  it('in a lane that hangs is asked again in the next lane', async () => {
    const acts = [{ on: 'onPublish', topic: 'hang', blockMs: 60_000 }]
    const broker = await startBroker({
      plugins: [mqttActor({ acts }, { timeoutMs: 500 })],
      engine: { hangMs: 50, spares: 1 },
      attach: { holdMs: 600 },
    })
    const replaced = once(broker.engine as never, 'laneReplaced')
    const client = await connect(broker)
    await client.subscribe({ '+': 0 })
    expect(await outcomeOf(await connect(broker), 'hang')).toBe('closed')
    await replaced
    await client.publish('t', 'y', { qos: 1 })
    expect(await client.receives(1)).toEqual(['t y'])
    expect(broker.attached.counts).toMatchObject({ publishesRefused: 0, publishesUndecided: 1 })
  })

  it('at storeRetained and getRetained keeps what was retained as it was, and says so', async () => {
    const acts = [
      { on: 'storeRetained', throws: 'broken' },
      { on: 'getRetained', throws: 'broken' },
    ]
    const reports: string[] = []
    const broker = await startBroker({
      plugins: [mqttActor({ acts })],
      attach: { holdMs: 100, onError: (_, place) => reports.push(place) },
    })
    const client = await connect(broker)
    await client.subscribe({ live: 1 })
    await client.publish('live', 'x', { qos: 0, retain: true })
    expect(await client.receives(1)).toEqual(['live x'])
    const publisher = await connect(broker)
    publisher.mqtt.publish('live', 'y', { qos: 1, retain: true })
    await publisher.closed
    await until('the reports', () => reports.length >= 2)
    expect(reports.sort()).toEqual(['a retained message was not stored', 'retained messages were not given'])
    expect(client.received).toEqual(['live x'])
    expect(broker.attached.counts).toMatchObject({ retainedUndecided: 2, retainedRefused: 0, publishesUndecided: 1 })
  })

  it('gives a message a topic that is none: undecided and counted', async () => {
    const acts = [{ on: 'onPublishReceived', topic: 'bad', replace: { topic: 'a/#' } }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })], attach: { holdMs: 0 } })
    const client = await connect(broker)
    await client.subscribe({ '#': 0 })
    expect(await outcomeOf(await connect(broker), 'bad')).toBe('closed')
    await client.publish('good', 'y', { qos: 1 })
    expect(await client.receives(1)).toEqual(['good y'])
    expect(broker.attached.counts).toMatchObject({ repliesInvalid: 1, publishesUndecided: 1, publishesRefused: 0 })
  })
})

describe('an engine', () => {
  it('that is closed agrees to nothing, and holds nobody up', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [{ on: 'onConnect' }] })] })
    const reader = await connect(broker, { clientId: 'reader' })
    await reader.subscribe({ t: 0 })
    const client = await connect(broker)
    await broker.engine.close()
    await client.publish('t', 'x', { qos: 0 })
    expect(await outcomeOf(client, 't')).toBe('closed')
    expect(await codeOf(connect(broker))).toBe(3)
    expect(reader.received).toEqual([])
    expect(reader.isConnected).toBe(true)
    expect(broker.attached.counts).toMatchObject({ publishesUndecided: 2, publishesDropped: 1, connectsUndecided: 1 })
  })

  it.each([0, 1, 2] as const)(
    'whose events may be so large closes the connection of a larger message of QoS %i',
    async (qos) => {
      const broker = await startBroker({
        plugins: [mqttActor({ hears: ['onPublish', 'onMessageDropped'] })],
        engine: { maxEventBytes: 4_096 },
      })
      const client = await connect(broker)
      await client.subscribe({ '#': 1 })
      const publisher = await connect(broker)
      let isAcknowledged = false
      publisher.mqtt.publish('large', 'x'.repeat(8_192), { qos }, (error) => {
        isAcknowledged = qos > 0 && !error
      })
      await publisher.closed
      expect(isAcknowledged).toBe(false)
      await client.publish('small', 'y', { qos: 1 })
      expect(await client.receives(1)).toEqual(['small y'])
      expect(broker.attached.counts).toMatchObject({ eventsTooLarge: 1, publishesUndecided: 1, failures: 0 })
      if (qos > 0) return
      expect(await broker.hears('onMessageDropped')).toMatchObject([
        {
          client: null,
          packet: { topic: 'large', payload: '' },
          reason: expect.stringContaining('maxEventBytes is 4096'),
        },
      ])
    },
  )
})

describe('bad input', () => {
  it.each([
    ['no MQTT', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a packet before CONNECT', Buffer.from([0x30, 0x03, 0x00, 0x01, 0x61])],
    ['a length that never ends', Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 0xff])],
    ['a CONNECT of an unknown protocol', Buffer.from([0x10, 0x07, 0x00, 0x02, 0x58, 0x58, 0x04, 0x02, 0x00])],
    ['CONNECT twice', Buffer.concat(Array(2).fill(Buffer.from('101000044d5154540402000000046e616d65', 'hex')))],
    [
      'a filter that is none, behind CONNECT',
      Buffer.concat([
        Buffer.from('101000044d5154540402000000046e616d65', 'hex'),
        Buffer.from('8209000100046123236200', 'hex'),
      ]),
    ],
  ])('%s ends the connection, reaches no hook of publishing, and nobody else notices', async (_, bytes) => {
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['onConnect', 'onPublish', 'onSubscribe'] })] })
    const client = await connect(broker, { clientId: 'c' })
    const socket = connectSocket(Number(new URL(broker.url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.resume()
    socket.write(bytes)
    await new Promise((resolve) => socket.once('close', resolve))
    await client.subscribe({ t: 0 })
    await client.publish('t', 'x')
    expect(await client.receives(1)).toEqual(['t x'])
    await broker.engine.flush()
    expect(await broker.hears('onPublish')).toHaveLength(1)
    expect(broker.heard('onSubscribe')).toHaveLength(1)
  })
})
