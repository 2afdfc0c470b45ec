/** What is asked about again is asked where nobody had decided: who has agreed to a message has counted it, and once. */
import { rateLimit } from 'hookring/hooks'
import { describe, expect, it } from 'vitest'
import { connect, mqttActor, startBroker } from '../support/broker.js'
import { until } from '../support/lab.js'

const HOUR_MS = 3_600_000
const kept = { clientId: 'kept', clean: false } as const
const fails = (on: string, times: number) => mqttActor({ acts: [{ on, throws: 'broken', times }] }, { name: 'broken' })
const agrees = (hears: string[], bulkhead = 'shared') => mqttActor({ hears }, { name: 'agrees', bulkhead, priority: 1 })

describe.each(['shared', 'other'])('a message that is asked about again, its plugins in bulkhead %s', (bulkhead) => {
  it.each([
    ['onPublishReceived', 1],
    ['routeMessage', 2],
  ] as const)('counts once for a rate limit, when %s fails', async (hook, qos) => {
    const limit = rateLimit({ publishRate: 1, intervalMs: HOUR_MS, burstSize: 3 }, { bulkhead, priority: 1 })
    const broker = await startBroker({ plugins: [limit, { ...fails(hook, 4), bulkhead: 'shared' }] })
    const reader = await connect(broker)
    await reader.subscribe({ '#': 0 })
    const publisher = await connect(broker)
    for (const text of ['1', '2', '3', '4']) await publisher.publish('t', text, { qos })
    expect(await reader.receives(3)).toEqual(['t 1', 't 2', 't 3'])
    expect(broker.attached.counts).toMatchObject({ publishesRefused: 1, failures: 4 })
  })

  it('keeps what was made of it', async () => {
    const marks = { on: 'onPublishReceived', replace: { payload: 'marked' } }
    const broker = await startBroker({
      plugins: [
        mqttActor({ acts: [marks], hears: ['onPublishReceived'] }, { name: 'marks', bulkhead, priority: 1 }),
        { ...fails('onPublishReceived', 2), bulkhead: 'shared' },
      ],
    })
    const reader = await connect(broker)
    await reader.subscribe({ '#': 1 })
    await (await connect(broker)).publish('t', 'plain', { qos: 1 })
    expect(await reader.receives(1)).toEqual(['t marked'])
    expect(broker.heard('onPublishReceived')).toHaveLength(1)
  })
})

it('a retained message is stored once, though it cannot be routed at first', async () => {
  const acts = [{ on: 'storeRetained', answer: true }]
  const stores = mqttActor({ acts, hears: ['storeRetained', 'onPublish'] }, { name: 'stores', priority: 1 })
  const broker = await startBroker({ plugins: [stores, fails('routeMessage', 2)] })
  await (await connect(broker)).publish('t', 'x', { qos: 1, retain: true })
  expect(broker.heard('storeRetained')).toHaveLength(1)
  expect(broker.heard('onPublish')).toHaveLength(1)
})

describe('a delivery to a kept session', () => {
  it('that is held is asked about once where it was decided', async () => {
    const broker = await startBroker({
      plugins: [agrees(['canRead', 'onPublishDeliver']), fails('onPublishDeliver', 2)],
    })
    const reader = await connect(broker, kept)
    await reader.subscribe({ '#': 1 })
    await (await connect(broker)).publish('t', 'x', { qos: 1 })
    await reader.receives(1)
    expect(broker.heard('canRead')).toHaveLength(1)
    expect(broker.heard('onPublishDeliver')).toHaveLength(1)
  })

  it('that was stored, and one that is asked about again later, too', async () => {
    const broker = await startBroker({
      plugins: [agrees(['canRead', 'onPublishDeliver']), fails('onPublishDeliver', 1)],
      attach: { holdMs: 0 },
    })
    const first = await connect(broker, kept)
    await first.subscribe({ '#': 1 })
    await first.end()
    await (await connect(broker)).publish('t', 'x', { qos: 1 })
    const reader = await connect(broker, kept)
    await reader.receives(1)
    expect(broker.attached.counts.deliveriesUndecided).toBe(1)
    expect(broker.heard('canRead')).toHaveLength(1)
    expect(broker.heard('onPublishDeliver')).toHaveLength(1)
  })
})

describe('a replacement that is too large for the next hookpoint or bulkhead', () => {
  const large = { on: 'onPublishReceived', topic: 'large', replace: { payload: 'x'.repeat(5_000) } }
  const engine = { maxEventBytes: 4_096 }
  const lengthens = (bulkhead: string) => mqttActor({ acts: [large] }, { name: 'lengthens', bulkhead, priority: 1 })
  const scenes = [
    ['the next bulkhead', [lengthens('one'), mqttActor({ hears: ['onPublishReceived'] }, { name: 'next' })]],
    ['routeMessage', [lengthens('one'), mqttActor({ acts: [{ on: 'routeMessage' }] }, { name: 'next' })]],
  ] as const

  it.each(scenes)('leaves a message of QoS 0 undecided: dropped, counted, told (%s)', async (_, plugins) => {
    const hears = mqttActor({ hears: ['onMessageDropped'] }, { name: 'told' })
    const broker = await startBroker({ plugins: [...plugins, hears], engine })
    const client = await connect(broker)
    await client.subscribe({ '#': 0 })
    await client.publish('large', 'x')
    await client.publish('small', 'y')
    expect(await client.receives(1)).toEqual(['small y'])
    expect(client.isConnected).toBe(true)
    expect(broker.attached.counts).toMatchObject({ publishesUndecided: 1, publishesDropped: 1 })
    const [dropped] = await broker.hears('onMessageDropped')
    expect(dropped).toMatchObject({ packet: { topic: 'large', payload: 'x' } })
    expect((dropped as { reason: string }).reason).toMatch(/replacement cannot be .*maxEventBytes is 4096/)
  })

  it.each(scenes)('is never acknowledged: QoS 1 and 2 (%s)', async (_, plugins) => {
    const broker = await startBroker({ plugins: [...plugins], engine, attach: { holdMs: 100 } })
    for (const qos of [1, 2] as const) {
      const publisher = await connect(broker)
      let isAcknowledged = false
      publisher.mqtt.publish('large', 'x', { qos }, (error) => {
        isAcknowledged = !error
      })
      await publisher.closed
      expect(isAcknowledged).toBe(false)
    }
    expect(broker.attached.counts).toMatchObject({ publishesUndecided: 2, publishesDropped: 0, publishesRefused: 0 })
  })

  it('of a will keeps it from being published, and is counted', async () => {
    const [, [first, second]] = scenes[0]
    const broker = await startBroker({ plugins: [first, second], engine })
    const reader = await connect(broker)
    await reader.subscribe({ '#': 0 })
    const client = await connect(broker, { will: { topic: 'large', payload: Buffer.from('x'), qos: 1, retain: false } })
    await client.break()
    await until('the count', () => broker.attached.counts.willsUndecided === 1)
    expect(reader.received).toEqual([])
  })

  it('of a delivery drops it for a clean session, and keeps it for a kept one', async () => {
    const lengthensDelivery = mqttActor(
      { acts: [{ ...large, on: 'onPublishDeliver' }] },
      { name: 'lengthens', bulkhead: 'one', priority: 1 },
    )
    const next = mqttActor({ acts: [{ on: 'onPublishDeliver' }] }, { name: 'next' })
    const broker = await startBroker({ plugins: [lengthensDelivery, next], engine, attach: { holdMs: 0 } })
    const [clean, stays] = [await connect(broker), await connect(broker, kept)]
    await clean.subscribe({ '#': 1 })
    await stays.subscribe({ '#': 1 })
    await (await connect(broker)).publish('large', 'x', { qos: 1 })
    await until('the rulings', () => broker.attached.counts.deliveriesUndecided >= 2)
    expect(broker.attached.counts).toMatchObject({ deliveriesDropped: 1, deliveriesRefused: 0 })
    await stays.break()
    await broker.engine.remove('lengthens')
    expect(await (await connect(broker, kept)).receives(1)).toEqual(['large x'])
  })

  it('is dropped with what its neighbours in one bulkhead made of the message, under allow', async () => {
    const marks = { on: 'onPublishReceived', replace: { payload: 'marked' } }
    const broker = await startBroker({
      plugins: [
        mqttActor({ acts: [large] }, { name: 'lengthens', bulkhead: 'one', priority: 2, onFailure: 'allow' }),
        mqttActor({ acts: [{ ...marks, topic: 'other' }] }, { name: 'marks', bulkhead: 'one', priority: 1 }),
        mqttActor({ hears: ['onPublishReceived'] }, { name: 'next' }),
      ],
      engine,
    })
    const client = await connect(broker)
    await client.subscribe({ '#': 1 })
    await client.publish('large', 'x', { qos: 1 })
    expect(await client.receives(1)).toEqual(['large x'])
    expect(await broker.hears('onPublishReceived')).toMatchObject([{ packet: { payload: 'x' } }])
  })
})
