/** Whatever kind of failure it is, each message becomes what the table of docs/mqtt.md says of undecided. */
import { describe, expect, it } from 'vitest'
import { connect, mqttActor, type RunningBroker, startBroker } from '../support/broker.js'
import { until } from '../support/lab.js'

const KINDS = [
  ['throws', { throws: 'broken' }],
  ['never settles', { pends: true }],
  ['ends its thread', { exits: true }],
  ['returns what is no verdict', { returns: { kind: 'nonsense' } }],
] as const

const kept = { clientId: 'kept', clean: false } as const
const HOOKS = ['onConnect', 'onSubscribe', 'onPublish', 'onPublishReceived', 'canRead', 'onPublishDeliver'] as const

describe.each(KINDS)('a plugin that %s', (_, how) => {
  const open = (acts: object[]): Promise<RunningBroker> =>
    startBroker({
      plugins: [mqttActor({ acts }, { name: 'failing', timeoutMs: 150 })],
      engine: { spares: 1, hangMs: 50 },
      attach: { holdMs: 0 },
    })
  const on = (hook: string, more: object = {}) => ({ on: hook, ...more, ...how })

  it('leaves a connection and a SUBSCRIBE undecided, and refuses neither for good', async () => {
    const broker = await open([on('onConnect', { clientId: 'victim' }), on('onSubscribe', { clientId: 's' })])
    await expect(connect(broker, { clientId: 'victim' })).rejects.toMatchObject({ code: 3 })
    const subscriber = await connect(broker, { clientId: 's', clean: false })
    subscriber.mqtt.subscribe('t', { qos: 1 }, () => {})
    await subscriber.closed
    expect(broker.attached.counts).toMatchObject({
      ...{ connectsUndecided: 1, subscriptionsUndecided: 1, connectsRefused: 0, subscriptionsRefused: 0 },
    })
  })

  it.each([
    ['onPublish', 1],
    ['onPublish', 2],
    ['onPublishReceived', 1],
    ['onPublishReceived', 2],
    ['storeRetained', 1],
    ['routeMessage', 2],
  ] as const)('at %s acknowledges no message of QoS %i, and routes none', async (hook, qos) => {
    const broker = await open([on(hook, hook === 'storeRetained' ? {} : { topic: 'fails' })])
    const reader = await connect(broker, { clientId: 'reader' })
    await reader.subscribe({ '#': 0 })
    const publisher = await connect(broker)
    let isAcknowledged = false
    publisher.mqtt.publish('fails', 'x', { qos, retain: hook === 'storeRetained' }, (error) => {
      isAcknowledged = !error
    })
    await publisher.closed
    expect(isAcknowledged).toBe(false)
    const late = await connect(broker)
    await late.publish('fine', 'y', { qos: 0 })
    expect(await reader.receives(1)).toEqual(['fine y'])
    expect(broker.attached.counts).toMatchObject({ publishesUndecided: 1, publishesRefused: 0, publishesDropped: 0 })
  })

  it('drops a message of QoS 0, and a will, and counts both', async () => {
    const broker = await open([on('onPublish', { topic: 'fails' }), on('onWillPublish')])
    const reader = await connect(broker, { clientId: 'reader' })
    await reader.subscribe({ '#': 0 })
    const client = await connect(broker, { will: { topic: 'w', payload: Buffer.from('x'), qos: 1, retain: true } })
    await client.publish('fails', 'x')
    await until('the count', () => broker.attached.counts.publishesDropped === 1)
    expect(client.isConnected).toBe(true)
    await client.break()
    await until('the will', () => broker.attached.counts.willsUndecided === 1)
    await (await connect(broker)).publish('fine', 'y')
    expect(await reader.receives(1)).toEqual(['fine y'])
  })

  it.each(['canRead', 'onPublishDeliver'])(
    'at %s keeps a delivery for a kept session, and drops others',
    async (hook) => {
      const broker = await open([on(hook, { topic: 'fails' })])
      const [stays, goes] = [await connect(broker, kept), await connect(broker)]
      await stays.subscribe({ '#': 1 })
      await goes.subscribe({ '#': 1 })
      await (await connect(broker)).publish('fails', 'x', { qos: 1 })
      await until('both rulings', () => broker.attached.counts.deliveriesUndecided >= 2)
      expect(broker.attached.counts).toMatchObject({ deliveriesDropped: 1, deliveriesRefused: 0 })
      await stays.break()
      await broker.engine.remove('failing')
      expect(await (await connect(broker, kept)).receives(1)).toEqual(['fails x'])
      expect(goes.received).toEqual([])
    },
  )
})

it('a plugin in quarantine leaves everything undecided, until it is released', async () => {
  const broker = await startBroker({
    plugins: [mqttActor({ acts: HOOKS.map((on) => ({ on })) }, { name: 'held' })],
    attach: { holdMs: 0 },
  })
  const [reader, publisher] = [await connect(broker, kept), await connect(broker, { clientId: 'p' })]
  await reader.subscribe({ '#': 1 })
  broker.engine.quarantine('held')
  await expect(connect(broker)).rejects.toMatchObject({ code: 3 })
  publisher.mqtt.publish('t', 'x', { qos: 1 }, () => {})
  await publisher.closed
  expect(reader.received).toEqual([])
  broker.engine.release('held')
  await (await connect(broker)).publish('t', 'y', { qos: 1 })
  expect(await reader.receives(1)).toEqual(['t y'])
})

it('a connection that ends while its message is asked about is not acknowledged, and routed when it is allowed', async () => {
  const broker = await startBroker({
    plugins: [mqttActor({ acts: [{ on: 'onPublish', topic: 'slow', waitMs: 300 }], hears: ['onPublish'] })],
  })
  const reader = await connect(broker)
  await reader.subscribe({ '#': 0 })
  for (const qos of [0, 1, 2] as const) {
    const publisher = await connect(broker)
    publisher.mqtt.publish('slow', String(qos), { qos }, () => {})
    await broker.hears('onPublish', qos + 1)
    await publisher.break()
  }
  expect([...(await reader.receives(3))].sort()).toEqual(['slow 0', 'slow 1', 'slow 2'])
})

it('a broker whose engine shuts down acknowledges what was allowed, and nothing else', async () => {
  const broker = await startBroker({ plugins: [mqttActor({ acts: [{ on: 'onPublish', waitMs: 100 }] })] })
  const publisher = await connect(broker)
  const before = publisher.publish('t', 'before', { qos: 1 })
  await broker.engine.shutdown()
  await before
  await broker.engine.close()
  let isAcknowledged = false
  publisher.mqtt.publish('t', 'after', { qos: 1 }, (error) => {
    isAcknowledged = !error
  })
  await publisher.closed
  expect(isAcknowledged).toBe(false)
})
