/** What nobody decided is not acknowledged, not lost, and asked about again. */
import { describe, expect, it } from 'vitest'
import { connect, mqttActor, startBroker } from '../support/broker.js'
import { until } from '../support/lab.js'

const fails = (on: string, more: object = {}) => ({ on, throws: 'broken', ...more })

describe('a publisher', () => {
  it.each([1, 2] as const)('of QoS %i is held while a plugin fails, and nothing is lost or overtaken', async (qos) => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [fails('onPublish', { topic: 'a', times: 3 })] })] })
    const reader = await connect(broker)
    await reader.subscribe({ '#': 2 })
    const publisher = await connect(broker)
    await Promise.all(['a', 'b', 'c'].map((topic) => publisher.publish(topic, 'x', { qos })))
    expect(await reader.receives(3)).toEqual(['a x', 'b x', 'c x'])
    expect(broker.attached.counts).toMatchObject({ publishesUndecided: 0, publishesHeld: 0, failures: 3 })
  })

  it.each([1, 2] as const)('of QoS %i is closed when the time is up, and sends it again in its order', async (qos) => {
    const broker = await startBroker({
      plugins: [mqttActor({ acts: [fails('onPublish', { topic: 'a', times: 2 })] })],
      attach: { onUndecided: { publish: 'close' } },
    })
    const reader = await connect(broker)
    await reader.subscribe({ '#': 2 })
    const publisher = await connect(broker, { clientId: 'p', clean: false, reconnectPeriod: 20 })
    await Promise.all(['a', 'b', 'c'].map((topic) => publisher.publish(topic, 'x', { qos })))
    expect(await reader.receives(3)).toEqual(['a x', 'b x', 'c x'])
    expect(broker.attached.counts).toMatchObject({ publishesUndecided: 2, publishesRefused: 0, publishesDropped: 0 })
    publisher.mqtt.end(true)
  })

  it('of QoS 0 is not held: the message is dropped, counted and told', async () => {
    const acts = [fails('onPublish', { topic: 'a' })]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['onMessageDropped'] })] })
    const client = await connect(broker)
    await client.subscribe({ '#': 0 })
    await client.publish('a', 'x')
    await client.publish('b', 'y')
    expect(await client.receives(1)).toEqual(['b y'])
    expect(await broker.hears('onMessageDropped')).toMatchObject([{ client: null, packet: { topic: 'a' } }])
    expect(broker.attached.counts).toMatchObject({ publishesUndecided: 1, publishesDropped: 1, publishesRefused: 0 })
  })

  it('of QoS 0 may be held, by an option', async () => {
    const broker = await startBroker({
      plugins: [mqttActor({ acts: [fails('onPublish', { topic: 'a', times: 2 })] })],
      attach: { onUndecided: { publishQos0: 'hold' } },
    })
    const client = await connect(broker)
    await client.subscribe({ '#': 0 })
    await client.publish('a', 'x')
    await client.publish('b', 'y')
    expect(await client.receives(2)).toEqual(['a x', 'b y'])
  })

  it('is acknowledged and its message dropped, where an option says so', async () => {
    const broker = await startBroker({
      plugins: [mqttActor({ acts: [fails('onPublishReceived', { topic: 'a' })] })],
      attach: { onUndecided: { publish: 'drop' } },
    })
    const client = await connect(broker)
    await client.subscribe({ '#': 1 })
    await client.publish('a', 'x', { qos: 1 })
    await client.publish('b', 'y', { qos: 1 })
    expect(await client.receives(1)).toEqual(['b y'])
    expect(broker.attached.counts).toMatchObject({ publishesUndecided: 1, publishesDropped: 1 })
  })

  it('that leaves while it is held is not acknowledged, and nobody asks for it any more', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [fails('onPublish')], hears: ['onPublish'] })] })
    const publisher = await connect(broker)
    publisher.mqtt.publish('a', 'x', { qos: 1 })
    await until('the hold', () => broker.attached.counts.publishesHeld === 1)
    await publisher.break()
    await until('its end', () => broker.attached.counts.publishesHeld === 0)
    const asked = broker.heard('onPublish').length
    await broker.engine.flush()
    expect(broker.heard('onPublish')).toHaveLength(asked)
  })

  it('that is the application is told by its callback', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [fails('onPublish')] })], attach: { holdMs: 0 } })
    const packet = { cmd: 'publish', topic: 'a', payload: 'x', qos: 1, retain: false, dup: false } as const
    const error = await new Promise((resolve) => broker.aedes.publish(packet, resolve))
    expect(error).toMatchObject({ message: expect.stringContaining('nobody decided') })
  })
})

describe('a message that a plugin could not queue', () => {
  const kept = [
    { on: 'openSession', clientId: 'kept', answer: { subscriptions: [] } },
    { on: 'resumeSession', answer: { messages: [], released: [], received: [], next: null } },
  ]

  it.each([
    [1, 'queueMessage'],
    [2, 'queueMessage'],
    [1, 'routeMessage'],
    [2, 'routeMessage'],
  ] as const)('of QoS %i is not acknowledged, and comes again (%s)', async (qos, hook) => {
    const acts = [...kept, fails(hook, { times: 1 }), { on: hook }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })], attach: { holdMs: 0 } })
    const subscriber = await connect(broker, { clientId: 'kept', clean: false })
    await subscriber.subscribe({ t: 2 })
    const publisher = await connect(broker, { clientId: 'p', clean: false, reconnectPeriod: 20 })
    const published = publisher.publish('t', 'x', { qos })
    await publisher.closed
    await published
    expect(await subscriber.receives(1)).toEqual(['t x'])
    publisher.mqtt.end(true)
  })

  it.each(['queueMessage', 'routeMessage'])('is asked about again while there is time (%s)', async (hook) => {
    const acts = [...kept, fails(hook, { times: 2 }), { on: hook }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const subscriber = await connect(broker, { clientId: 'kept', clean: false })
    await subscriber.subscribe({ t: 1 })
    const publisher = await connect(broker)
    await publisher.publish('t', 'x', { qos: 1 })
    expect(await subscriber.receives(1)).toEqual(['t x'])
  })
})

describe('a delivery', () => {
  const kept = { clientId: 'kept', clean: false } as const

  it.each(['canRead', 'onPublishDeliver'])('of a kept session is held at %s, and comes in its order', async (hook) => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [fails(hook, { topic: 'a', times: 2 })] })] })
    const subscriber = await connect(broker, kept)
    await subscriber.subscribe({ '#': 1 })
    const publisher = await connect(broker)
    for (const topic of ['a', 'b']) await publisher.publish(topic, 'x', { qos: 1 })
    expect(await subscriber.receives(2)).toEqual(['a x', 'b x'])
    expect(broker.attached.counts).toMatchObject({ deliveriesUndecided: 0, deliveriesDropped: 0, deliveriesRefused: 0 })
  })

  it('of a kept session stays when the time is up, lets others pass, and is asked about again', async () => {
    const broker = await startBroker({
      plugins: [mqttActor({ acts: [fails('canRead', { topic: 'a', times: 2 })] })],
      attach: { holdMs: 0 },
    })
    const subscriber = await connect(broker, kept)
    await subscriber.subscribe({ '#': 1 })
    const publisher = await connect(broker)
    for (const topic of ['a', 'b']) await publisher.publish(topic, 'x', { qos: 1 })
    expect(await subscriber.receives(2)).toEqual(['b x', 'a x'])
    expect(broker.attached.counts).toMatchObject({ deliveriesUndecided: 2, deliveriesDropped: 0 })
    // It was acknowledged, and is gone from the store.
    await subscriber.end()
    const again = await connect(broker, kept)
    await publisher.publish('c', 'x', { qos: 1 })
    expect(await again.receives(1)).toEqual(['c x'])
  })

  it('that was stored comes with a later connection', async () => {
    const broker = await startBroker({
      plugins: [mqttActor({ acts: [fails('canRead', { topic: 'a', times: 2 })] })],
      attach: { holdMs: 0 },
    })
    const first = await connect(broker, kept)
    await first.subscribe({ '#': 1 })
    await first.end()
    const publisher = await connect(broker)
    await publisher.publish('a', 'x', { qos: 1 })
    for (const count of [1, 2]) {
      const next = await connect(broker, kept)
      await until('the question', () => broker.attached.counts.deliveriesUndecided === count)
      await next.break()
    }
    expect(await (await connect(broker, kept)).receives(1)).toEqual(['a x'])
  })

  it.each([
    ['to a clean session', { clientId: 'clean', clean: true }, 1],
    ['of QoS 0 to a kept session', kept, 0],
  ] as const)('%s is dropped, counted and told', async (_, who, qos) => {
    const acts = [fails('canRead', { topic: 'a' })]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['onMessageDropped'] })] })
    const subscriber = await connect(broker, who)
    await subscriber.subscribe({ '#': qos })
    const publisher = await connect(broker)
    for (const topic of ['a', 'b']) await publisher.publish(topic, 'x', { qos: 1 })
    expect(await subscriber.receives(1)).toEqual(['b x'])
    expect(await broker.hears('onMessageDropped')).toMatchObject([{ client: { clientId: who.clientId } }])
    expect(broker.attached.counts).toMatchObject({ deliveriesUndecided: 1, deliveriesDropped: 1, deliveriesRefused: 0 })
  })

  it('of a kept session is removed, where an option says so', async () => {
    const broker = await startBroker({
      plugins: [mqttActor({ acts: [fails('canRead', { topic: 'a', times: 1 })] })],
      attach: { onUndecided: { deliver: 'drop' } },
    })
    const subscriber = await connect(broker, kept)
    await subscriber.subscribe({ '#': 1 })
    const publisher = await connect(broker)
    for (const topic of ['a', 'b']) await publisher.publish(topic, 'x', { qos: 1 })
    expect(await subscriber.receives(1)).toEqual(['b x'])
    await subscriber.end()
    const again = await connect(broker, kept)
    await publisher.publish('c', 'x', { qos: 1 })
    expect(await again.receives(1)).toEqual(['c x'])
  })
})

describe('a SUBSCRIBE', () => {
  it('ends the connection, and is stored for nobody', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [fails('onSubscribe', { times: 1 })] })] })
    const who = { clientId: 'kept', clean: false }
    const client = await connect(broker, who)
    client.mqtt.subscribe({ a: { qos: 1 }, b: { qos: 1 } }, () => {})
    await client.closed
    expect(broker.attached.counts).toMatchObject({ subscriptionsUndecided: 2, subscriptionsRefused: 0 })
    const again = await connect(broker, who)
    await again.publish('a', 'not subscribed', { qos: 1 })
    expect(await again.subscribe({ b: 1 })).toEqual([1])
    await again.publish('b', 'x', { qos: 1 })
    expect(await again.receives(1)).toEqual(['b x'])
  })

  it('is refused, where an option says so', async () => {
    const broker = await startBroker({
      plugins: [mqttActor({ acts: [fails('onSubscribe')] })],
      attach: { onUndecided: { subscribe: 'refuse' } },
    })
    expect(await (await connect(broker)).subscribe({ a: 1, b: 0 })).toEqual([128, 128])
  })
})

describe('a will', () => {
  const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false } as const

  it.each([
    ['deny', [], 1],
    ['allow', ['will gone'], 0],
  ] as const)('goes by the policy: %s', async (onFailure, received, count) => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [fails('onWillPublish')] }, { onFailure })] })
    const reader = await connect(broker)
    await reader.subscribe({ '#': 1 })
    const client = await connect(broker, { will })
    await client.break()
    if (count > 0) await until('the count', () => broker.attached.counts.willsUndecided === count)
    else await reader.receives(1)
    expect(reader.received).toEqual(received)
    expect(broker.attached.counts).toMatchObject({ willsUndecided: count, willsRefused: 0 })
  })
})

it('options that are none are refused', async () => {
  for (const attach of [{ onUndecided: { publish: 'ignore' } }, { holdMs: -1 }, { maxPacketByte: 1 }]) {
    await expect(startBroker({ attach: attach as never })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
  }
})
