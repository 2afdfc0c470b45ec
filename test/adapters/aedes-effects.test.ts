/** Each hook method of a broker, and its effect as a real client sees it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect, mqttActor, startBroker } from '../support/broker.js'
import { until } from '../support/lab.js'

const refusalCode = (promise: Promise<unknown>) =>
  promise.then(
    () => 0,
    (error: { code?: number }) => error.code,
  )

describe('onConnect', () => {
  it('refuses with the return code that says most of the reason code', async () => {
    const codes = { a: 0x85, b: 0x86, c: 0x87, d: 0x88, e: 0x89, f: 0x8a, g: undefined }
    const acts = Object.entries(codes).map(([clientId, code]) => ({ on: 'onConnect', clientId, reject: 'no', code }))
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const seen: Record<string, unknown> = {}
    for (const clientId of Object.keys(codes)) seen[clientId] = await refusalCode(connect(broker, { clientId }))
    expect(seen).toEqual({ a: 2, b: 4, c: 5, d: 3, e: 3, f: 5, g: 5 })
    expect(broker.attached.counts.connectsRefused).toBe(7)
    await connect(broker, { clientId: 'other' })
  })

  it('is given who connects, the password and the will', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['onConnect'] })] })
    const will = { topic: 'gone', payload: Buffer.from('x'), qos: 1 as const, retain: true }
    await connect(broker, { clientId: 'c', username: 'u', password: 'p', keepalive: 7, clean: false, will })
    expect(await broker.hears('onConnect')).toEqual([
      {
        client: {
          clientId: 'c',
          username: 'u',
          remoteAddress: '127.0.0.1',
          protocolVersion: 4,
          clean: false,
          keepalive: 7,
        },
        password: 'p',
        will: { topic: 'gone', payload: 'x', qos: 1, retain: true },
      },
    ])
  })
})

describe('a client on a unix socket', () => {
  it('has no address, and is like the others', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hookring-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const listen = join(folder, 'broker.sock')
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['onConnect'] })], listen })
    const client = await connect(broker)
    await client.subscribe({ t: 0 })
    await client.publish('t', 'x')
    expect(await client.receives(1)).toEqual(['t x'])
    expect(await broker.hears('onConnect')).toMatchObject([{ client: { remoteAddress: '' } }])
  })
})

describe('onSubscribe', () => {
  it('refuses what is missing from a replacement, and grants a lower QoS, in the SUBACK codes', async () => {
    const acts = [{ on: 'onSubscribe', grant: { 'a/b': 2, low: 0, more: 2 } }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const client = await connect(broker)
    expect(await client.subscribe({ 'a/b': 2, secret: 1, low: 1, more: 1 })).toEqual([2, 128, 0, 1])
    await client.publish('secret', 'x')
    await client.publish('a/b', 'y')
    expect(await client.receives(1)).toEqual(['a/b y'])
  })

  it('refuses all with a reject', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [{ on: 'onSubscribe', reject: 'no' }] })] })
    const client = await connect(broker)
    expect(await client.subscribe({ a: 0, b: 1 })).toEqual([128, 128])
    expect(broker.attached.counts.subscriptionsRefused).toBe(2)
  })
})

describe('onPublish', () => {
  it.each([0, 1, 2] as const)('drops a refused message of QoS %i, and the client goes on', async (qos) => {
    const broker = await startBroker({
      plugins: [mqttActor({ acts: [{ on: 'onPublish', topic: 'no', reject: 'no' }] })],
    })
    const client = await connect(broker)
    await client.subscribe({ '#': 2 })
    await client.publish('no', 'x', { qos })
    await client.publish('yes', 'y', { qos })
    expect(await client.receives(1)).toEqual(['yes y'])
    expect(client.isConnected).toBe(true)
    expect(broker.attached.counts.publishesRefused).toBe(1)
  })
})

describe('onPublishReceived', () => {
  it('replaces the message before it is stored or routed', async () => {
    const acts = [{ on: 'onPublishReceived', topic: 'in', replace: { topic: 'out', payload: 'changed', retain: true } }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const client = await connect(broker)
    await client.subscribe({ '#': 0 })
    await client.publish('in', 'x', { qos: 1 })
    expect(await client.receives(1)).toEqual(['out changed'])
    const later = await connect(broker)
    await later.subscribe({ out: 0 })
    await later.receives(1)
    expect(later.messages[0]).toMatchObject({ topic: 'out', payload: 'changed', retain: true })
  })
})

describe('onPublishDeliver', () => {
  it('replaces the message for one subscriber', async () => {
    const acts = [{ on: 'onPublishDeliver', clientId: 'one', replace: { payload: 'for one' } }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const one = await connect(broker, { clientId: 'one' })
    const two = await connect(broker, { clientId: 'two' })
    for (const client of [one, two]) await client.subscribe({ t: 1 })
    await two.publish('t', 'x', { qos: 1 })
    expect(await one.receives(1)).toEqual(['t for one'])
    expect(await two.receives(1)).toEqual(['t x'])
  })
})

describe('canRead', () => {
  it('skips the subscriber that may not read, and nobody else', async () => {
    const acts = [{ on: 'canRead', clientId: 'one', topic: 'secret', reject: 'no' }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const one = await connect(broker, { clientId: 'one' })
    const two = await connect(broker, { clientId: 'two' })
    for (const client of [one, two]) await client.subscribe({ '+': 1 })
    await two.publish('secret', 'x', { qos: 1 })
    await two.publish('open', 'y', { qos: 1 })
    expect(await two.receives(2)).toEqual(['secret x', 'open y'])
    expect(await one.receives(1)).toEqual(['open y'])
    await until('the count', () => broker.attached.counts.deliveriesRefused === 1)
  })
})

describe('onConnected', () => {
  it('is told when the client has its CONNACK', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['onConnected'] })] })
    await connect(broker, { clientId: 'c' })
    expect(await broker.hears('onConnected')).toMatchObject([{ client: { clientId: 'c' }, sessionPresent: false }])
  })

  it('is not told of a client that was refused', async () => {
    const acts = [{ on: 'onConnect', clientId: 'c', reject: 'no' }]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['onConnected', 'onDisconnect'] })] })
    await refusalCode(connect(broker, { clientId: 'c' }))
    await connect(broker, { clientId: 'd' })
    expect(await broker.hears('onConnected')).toMatchObject([{ client: { clientId: 'd' } }])
    expect(broker.heard('onDisconnect')).toEqual([])
  })
})

describe('onDisconnect', () => {
  it('has no reason after DISCONNECT, else what ended the connection', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['onDisconnect'] })] })
    const reasonOf = async (count: number) => (await broker.hears('onDisconnect', count))[count - 1]
    await (await connect(broker, { clientId: 'polite' })).end()
    expect(await reasonOf(1)).toMatchObject({ client: { clientId: 'polite' }, reason: null })
    await (await connect(broker, { clientId: 'lost' })).break()
    expect(await reasonOf(2)).toMatchObject({ client: { clientId: 'lost' }, reason: 'connection closed' })
    await connect(broker, { clientId: 'twice' })
    await connect(broker, { clientId: 'twice' })
    expect(await reasonOf(3)).toMatchObject({ reason: 'taken over by another connection' })
    const malformed = await connect(broker, { clientId: 'malformed' })
    malformed.mqtt.stream.write(Buffer.from([0x36, 0x02, 0x00, 0x00]))
    expect(await reasonOf(4)).toMatchObject({ reason: 'Packet must not have both QoS bits set to 1' })
  })
})

describe('onUnsubscribe', () => {
  it('is told the filters', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['onUnsubscribe'] })] })
    const client = await connect(broker, { clientId: 'c' })
    await client.subscribe({ a: 0, 'b/#': 1 })
    await client.mqtt.unsubscribeAsync(['a', 'b/#'])
    expect(await broker.hears('onUnsubscribe')).toMatchObject([{ client: { clientId: 'c' }, filters: ['a', 'b/#'] }])
  })
})

describe('onSessionCreated, onSessionResumed, onSessionEnded', () => {
  const hears = ['onSessionCreated', 'onSessionResumed', 'onSessionEnded']

  it('follow a session that ends with its connection', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ hears })] })
    const client = await connect(broker, { clientId: 'c' })
    expect(await broker.hears('onSessionCreated')).toMatchObject([{ client: { clientId: 'c', clean: true } }])
    await client.end()
    expect(await broker.hears('onSessionEnded')).toEqual([{ clientId: 'c' }])
  })

  it('follow a session that is kept, resumed, and ended by a clean connection', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ hears })] })
    const first = await connect(broker, { clientId: 'c', clean: false })
    await first.subscribe({ a: 1 })
    await first.end()
    const second = await connect(broker, { clientId: 'c', clean: false })
    expect(await broker.hears('onSessionResumed')).toMatchObject([{ client: { clientId: 'c', clean: false } }])
    expect(broker.heard('onSessionCreated')).toHaveLength(1)
    expect(broker.heard('onSessionEnded')).toEqual([])
    await second.end()
    await connect(broker, { clientId: 'c' })
    expect(await broker.hears('onSessionEnded')).toEqual([{ clientId: 'c' }])
    expect(await broker.hears('onSessionCreated', 2)).toHaveLength(2)
  })
})

describe('onWillPublish', () => {
  const will = (topic: string) => ({ topic, payload: Buffer.from('gone'), qos: 1 as const, retain: false })

  it('suppresses the will with a reject', async () => {
    const acts = [{ on: 'onWillPublish', clientId: 'a', reject: 'no' }]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['onWillPublish', 'onPublish'] })] })
    const watcher = await connect(broker)
    await watcher.subscribe({ 'will/#': 1 })
    await (await connect(broker, { clientId: 'a', will: will('will/a') })).break()
    await broker.hears('onWillPublish', 1)
    await (await connect(broker, { clientId: 'b', will: will('will/b') })).break()
    expect(await watcher.receives(1)).toEqual(['will/b gone'])
    expect(await broker.hears('onWillPublish', 2)).toMatchObject([
      { client: { clientId: 'a' }, packet: { topic: 'will/a', payload: 'gone', qos: 1 } },
      { client: { clientId: 'b' } },
    ])
    expect(broker.heard('onPublish')).toEqual([])
    expect(broker.attached.counts.willsRefused).toBe(1)
  })

  it('is followed by onPublishReceived, which may change the will', async () => {
    const acts = [{ on: 'onPublishReceived', topic: 'will/a', replace: { payload: 'changed' } }]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['onWillPublish'] })] })
    const watcher = await connect(broker)
    await watcher.subscribe({ 'will/#': 1 })
    await (await connect(broker, { clientId: 'a', will: will('will/a') })).break()
    expect(await watcher.receives(1)).toEqual(['will/a changed'])
  })

  it('is not asked after DISCONNECT', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['onWillPublish', 'onDisconnect'] })] })
    await (await connect(broker, { clientId: 'a', will: will('will/a') })).end()
    await broker.hears('onDisconnect')
    expect(broker.heard('onWillPublish')).toEqual([])
  })
})

describe('onMessageDropped', () => {
  it('is told of a message that reached nobody, and of one that did not reach a subscriber', async () => {
    const acts = [
      { on: 'onPublish', topic: 'no', reject: 'refused' },
      { on: 'onPublishDeliver', clientId: 'one', topic: 'yes', reject: 'not for him' },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['onMessageDropped'] })] })
    const one = await connect(broker, { clientId: 'one' })
    await one.subscribe({ '+': 0 })
    await one.publish('no', 'x', { qos: 1 })
    await one.publish('yes', 'y', { qos: 1 })
    expect(await broker.hears('onMessageDropped', 2)).toMatchObject([
      { client: null, packet: { topic: 'no', payload: 'x' }, reason: 'refused' },
      { client: { clientId: 'one' }, packet: { topic: 'yes' }, reason: 'not for him' },
    ])
  })
})

describe('storeRetained', () => {
  it('has the say over what is stored; without an answer the broker stores', async () => {
    const acts = [{ on: 'storeRetained', topic: 'mine', answer: true }]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['storeRetained'] })] })
    const client = await connect(broker)
    await client.publish('mine', 'x', { qos: 1, retain: true })
    await client.publish('yours', 'y', { qos: 1, retain: true })
    await client.publish('yours/not', '', { qos: 1 })
    const later = await connect(broker)
    await later.subscribe({ '#': 0 })
    expect(await later.receives(1)).toEqual(['yours y'])
    expect(await broker.hears('storeRetained', 2)).toMatchObject([{ packet: { topic: 'mine', payload: 'x' } }, {}])
  })

  it('that refuses keeps the message from the store, not from its subscribers', async () => {
    const acts = [{ on: 'storeRetained', topic: 't', reject: 'no' }]
    const reports: string[] = []
    const attach = { onError: (_: unknown, place: string) => void reports.push(place) }
    const broker = await startBroker({ plugins: [mqttActor({ acts })], attach })
    const client = await connect(broker)
    await client.subscribe({ t: 0 })
    await client.publish('t', 'x', { retain: true })
    expect(await client.receives(1)).toEqual(['t x'])
    const later = await connect(broker)
    await later.subscribe({ t: 0 })
    await client.publish('t', 'y')
    expect(await later.receives(1)).toEqual(['t y'])
    expect(broker.attached.counts.retainedRefused).toBe(1)
    expect(reports).toEqual(['a retained message was not stored'])
  })
})

describe('getRetained', () => {
  it('gives the retained messages of a filter; without an answer the broker does', async () => {
    const answer = [
      { topic: 'mine/a', payload: 'kept' },
      { topic: 'elsewhere', payload: 'not asked for' },
    ]
    const broker = await startBroker({
      plugins: [mqttActor({ acts: [{ on: 'getRetained', topic: 'mine/+', answer }] })],
    })
    const client = await connect(broker)
    await client.publish('yours', 'y', { qos: 1, retain: true })
    await client.subscribe({ 'mine/+': 1, yours: 1 })
    expect((await client.receives(2)).slice().sort()).toEqual(['mine/a kept', 'yours y'])
    expect(client.messages.every(({ retain }) => retain)).toBe(true)
    expect(broker.attached.counts.repliesInvalid).toBe(1)
  })
})
