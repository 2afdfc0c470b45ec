/** Plugins that fail, and clients that send nonsense: coded, counted, and nobody else's business. */
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { connect, mqttActor, type RunningBroker, startBroker } from '../support/broker.js'

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 0,
    (error: { code?: number }) => error.code,
  )

/** What clients see of a plugin that fails at every hook. */
async function effects(broker: RunningBroker) {
  const connack = await codeOf(connect(broker, { clientId: 'victim' }))
  const client = await connect(broker, { clientId: 'client' })
  const suback = await client.subscribe({ 'a/+': 1 })
  await client.publish('a/fails', 'x', { qos: 1 })
  return { connack, suback, client }
}

const FAILING = (how: object) => [
  { on: 'onConnect', clientId: 'victim', ...how },
  { on: 'onSubscribe', clientId: 'fails', ...how },
  { on: 'onPublish', topic: 'a/fails', ...how },
  { on: 'canRead', topic: 'a/unreadable', ...how },
]

describe('a plugin that fails', () => {
  it('refuses, by the default policy', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: FAILING({ throws: 'broken' }) })] })
    const { connack, suback, client } = await effects(broker)
    expect({ connack, suback }).toEqual({ connack: 3, suback: [1] })
    await client.publish('a/unreadable', 'x', { qos: 1 })
    await client.publish('a/last', 'x', { qos: 1 })
    expect(await client.receives(1)).toEqual(['a/last x'])
    expect(await (await connect(broker, { clientId: 'fails' })).subscribe({ t: 0 })).toEqual([128])
    expect(broker.attached.counts).toMatchObject({
      connectsRefused: 1,
      publishesRefused: 1,
      deliveriesRefused: 1,
      subscriptionsRefused: 1,
      failures: 4,
    })
  })

  it('lets pass, where the policy says so', async () => {
    const acts = FAILING({ throws: 'broken' })
    const broker = await startBroker({ plugins: [mqttActor({ acts }, { onFailure: 'allow' })] })
    const { connack, client } = await effects(broker)
    expect(connack).toBe(0)
    await client.publish('a/unreadable', 'x', { qos: 1 })
    expect(await client.receives(2)).toEqual(['a/fails x', 'a/unreadable x'])
    expect(broker.attached.counts.failures).toBe(0)
  })

  it('that is late costs its deadline, no more', async () => {
    const acts = [
      { on: 'onConnect', clientId: 'victim', waitMs: 60_000 },
      { on: 'onPublish', topic: 'late', waitMs: 60_000 },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts }, { timeoutMs: 300 })] })
    expect(await codeOf(connect(broker, { clientId: 'victim' }))).toBe(3)
    const client = await connect(broker, { clientId: 'c' })
    await client.subscribe({ '+': 0 })
    await client.publish('late', 'x', { qos: 2 })
    await client.publish('t', 'y', { qos: 2 })
    expect(await client.receives(1)).toEqual(['t y'])
  })

  it('in a lane that hangs is refused, and the next lane serves', async () => {
    const acts = [{ on: 'onPublish', topic: 'hang', blockMs: 60_000 }]
    const broker = await startBroker({
      plugins: [mqttActor({ acts }, { timeoutMs: 500 })],
      engine: { hangMs: 50, spares: 1 },
    })
    const replaced = once(broker.engine as never, 'laneReplaced')
    const client = await connect(broker)
    await client.subscribe({ '+': 0 })
    await client.publish('hang', 'x', { qos: 1 })
    await replaced
    await client.publish('t', 'y', { qos: 1 })
    expect(await client.receives(1)).toEqual(['t y'])
    expect(broker.attached.counts).toMatchObject({ publishesRefused: 1, failures: 1 })
  })

  it('at storeRetained and getRetained stores nothing and gives nothing, and says so', async () => {
    const acts = [
      { on: 'storeRetained', throws: 'broken' },
      { on: 'getRetained', throws: 'broken' },
    ]
    const reports: string[] = []
    const broker = await startBroker({
      plugins: [mqttActor({ acts })],
      attach: { onError: (_, place) => reports.push(place) },
    })
    const client = await connect(broker)
    await client.publish('t', 'x', { qos: 2, retain: true })
    expect(await client.subscribe({ t: 1 })).toEqual([1])
    await client.publish('t', 'live', { qos: 1 })
    expect(await client.receives(1)).toEqual(['t live'])
    expect(reports).toEqual(['a retained message was not stored', 'retained messages were not given'])
  })

  it('gives a message a topic that is none: refused and counted', async () => {
    const acts = [{ on: 'onPublishReceived', topic: 'bad', replace: { topic: 'a/#' } }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const client = await connect(broker)
    await client.subscribe({ '#': 0 })
    await client.publish('bad', 'x', { qos: 1 })
    await client.publish('good', 'y', { qos: 1 })
    expect(await client.receives(1)).toEqual(['good y'])
    expect(broker.attached.counts).toMatchObject({ repliesInvalid: 1, publishesRefused: 1 })
  })
})

describe('an engine', () => {
  it('that is closed agrees to nothing', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [{ on: 'onConnect' }] })] })
    const client = await connect(broker)
    await client.subscribe({ t: 0 })
    await broker.engine.close()
    await client.publish('t', 'x', { qos: 1 })
    expect(await codeOf(connect(broker))).toBe(3)
    expect(client.received).toEqual([])
    expect(client.isConnected).toBe(true)
    expect(broker.attached.counts.publishesRefused).toBe(1)
  })

  it('whose events may be so large refuses a larger message, counted, and the client goes on', async () => {
    const broker = await startBroker({
      plugins: [mqttActor({ hears: ['onPublish', 'onMessageDropped'] })],
      engine: { maxEventBytes: 4_096 },
    })
    const client = await connect(broker)
    await client.subscribe({ '#': 1 })
    await client.publish('large', 'x'.repeat(8_192), { qos: 1 })
    await client.publish('small', 'y', { qos: 1 })
    expect(await client.receives(1)).toEqual(['small y'])
    expect(broker.attached.counts).toMatchObject({ eventsTooLarge: 1, publishesRefused: 1, failures: 0 })
    expect(await broker.hears('onMessageDropped')).toMatchObject([
      {
        client: null,
        packet: { topic: 'large', payload: '' },
        reason: expect.stringContaining('maxEventBytes is 4096'),
      },
    ])
  })
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
