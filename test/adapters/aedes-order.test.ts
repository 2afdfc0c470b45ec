/** Order, slow hooks and bystanders: what asking off-thread must not change. */

import { createRequire } from 'node:module'
import { connect as connectSocket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { connect, mqttActor, startBroker } from '../support/broker.js'
import { until } from '../support/lab.js'

const { generate } = createRequire(createRequire(import.meta.url).resolve('mqtt'))('mqtt-packet') as {
  generate(packet: object): Buffer
}

const CONNECT = generate({ cmd: 'connect', clientId: 'raw', protocolId: 'MQTT', protocolVersion: 4, clean: true })
const publishOf = (topic: string, qos = 0, messageId = 1) =>
  generate({ cmd: 'publish', topic, payload: 'x', qos, messageId, retain: false, dup: false })
const DISCONNECT = generate({ cmd: 'disconnect' })

/** Sends packets in one piece; resolves with what came back, in hex, when it is as long as `expected`, or the end. */
function sendRaw(url: string, expected: string, ...parts: Buffer[]): Promise<string> {
  const socket = connectSocket(Number(new URL(url).port), '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk.toString('hex')
    if (answer.length >= expected.length) socket.end(DISCONNECT)
  })
  socket.on('error', () => {})
  socket.write(Buffer.concat(parts))
  return new Promise((resolve) => socket.once('close', () => resolve(answer)))
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `t ${index}`)

describe('a publisher’s messages', () => {
  it.each([0, 1, 2] as const)('of QoS %i stay in order when later ones are judged first', async (qos) => {
    const acts = [{ on: 'onPublish', topic: 'slow', waitMs: 50 }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const client = await connect(broker)
    await client.subscribe({ '#': 0 })
    const sent = ['slow', 'a', 'b', 'slow', 'c']
    await Promise.all(sent.map((topic) => client.publish(topic, 'x', { qos })))
    expect(await client.receives(5)).toEqual(sent.map((topic) => `${topic} x`))
  })

  it('are settled before what they are followed by: SUBSCRIBE and the rest', async () => {
    const acts = [{ on: 'onPublish', topic: 'slow', waitMs: 50 }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const watcher = await connect(broker)
    await watcher.subscribe({ '#': 0 })
    const subscribe = generate({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'slow', qos: 0 }] })
    // CONNACK, SUBACK, PUBACK, and no message for a subscription that came after it.
    const expected = '20020000' + '9003000900' + '40020002'
    const parts = [CONNECT, publishOf('slow'), subscribe, publishOf('after', 1, 2)]
    expect(await sendRaw(broker.url, expected, ...parts)).toBe(expected)
    expect(await watcher.receives(2)).toEqual(['slow x', 'after x'])
  })

  it('are routed when the publisher has left before the verdict', async () => {
    const acts = [{ on: 'onPublish', waitMs: 50 }]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['onConnected'] })] })
    const watcher = await connect(broker)
    await watcher.subscribe({ '#': 0 })
    await sendRaw(broker.url, '-'.repeat(99), CONNECT, publishOf('q0'), publishOf('q1', 1, 1), DISCONNECT)
    expect(await watcher.receives(2)).toEqual(['q0 x', 'q1 x'])
  })

  it('cannot get past the hooks by following CONNECT at once', async () => {
    const acts = [
      { on: 'onConnect', waitMs: 20 },
      { on: 'onPublish', topic: 'no', reject: 'no' },
      { on: 'onSubscribe', reject: 'no' },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const watcher = await connect(broker, { clientId: 'watcher' })
    broker.aedes.subscribe(
      '#',
      (packet, done) => {
        if (!packet.topic.startsWith('$')) routed.push(packet.topic)
        done()
      },
      () => {},
    )
    const routed: string[] = []
    const subscribe = generate({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'yes', qos: 0 }] })
    const expected = '20020000' + '9003000980'
    const parts = [CONNECT, publishOf('no'), subscribe, publishOf('yes')]
    expect(await sendRaw(broker.url, expected, ...parts)).toBe(expected)
    await until('the message', () => routed.length > 0)
    expect(routed).toEqual(['yes'])
    expect(watcher.isConnected).toBe(true)
  })
})

describe('a subscriber’s messages', () => {
  it.each([0, 1, 2] as const)('of QoS %i stay in order with a slow hook', async (qos) => {
    const acts = [{ on: 'onPublishDeliver', topic: 'slow', waitMs: 50 }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const client = await connect(broker)
    await client.subscribe({ '#': qos })
    const sent = ['slow', 'a', 'b', 'slow', 'c']
    await Promise.all(sent.map((topic) => client.publish(topic, 'x', { qos })))
    expect(await client.receives(5)).toEqual(sent.map((topic) => `${topic} x`))
  })

  it('do not wait for another subscriber’s hook', async () => {
    const acts = [{ on: 'canRead', clientId: 'slow', waitMs: 60_000 }]
    const broker = await startBroker({
      plugins: [mqttActor({ acts }, { timeoutMs: 60_000 })],
      engine: { closeTimeoutMs: 50 },
    })
    const slow = await connect(broker, { clientId: 'slow' })
    const quick = await connect(broker, { clientId: 'quick' })
    for (const client of [slow, quick]) await client.subscribe({ t: 0 })
    // More than the emitter of the broker runs at once.
    const publisher = await connect(broker)
    await Promise.all(numbered(250).map((line) => publisher.publish('t', line.slice(2), { qos: 1 })))
    expect(await quick.receives(250)).toEqual(numbered(250))
    expect(slow.received).toEqual([])
  })

  it('are not taken for copies when others overtake them on their way into the broker', async () => {
    const acts = [
      { on: 'openSession', clientId: 'kept', answer: { subscriptions: [] } },
      { on: 'resumeSession', answer: { messages: [], released: [], received: [], next: null } },
      { on: 'queueMessage', topic: 'slow', waitMs: 50 },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['queueMessage'] })] })
    const kept = await connect(broker, { clientId: 'kept', clean: false })
    const client = await connect(broker)
    for (const subscriber of [kept, client]) await subscriber.subscribe({ '+': 1, '#': 1 })
    const other = await connect(broker)
    const queued = client.publish('slow', 'x', { qos: 1 })
    await broker.hears('queueMessage')
    await other.publish('quick', 'y')
    expect(await client.receives(2)).toEqual(['quick y', 'slow x'])
    expect(await kept.receives(2)).toEqual(['quick y', 'slow x'])
    await queued
    await client.publish('last', 'z', { qos: 0 })
    expect(await client.receives(3)).toEqual(['quick y', 'slow x', 'last z'])
  })

  it('come once, and are asked about once, when subscriptions overlap', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['canRead'] })] })
    const client = await connect(broker)
    await client.subscribe({ 'a/#': 1, 'a/b': 1, '+/b': 0 })
    await client.publish('a/b', 'x', { qos: 1 })
    await client.publish('a/c', 'y', { qos: 1 })
    expect(await client.receives(2)).toEqual(['a/b x', 'a/c y'])
    expect(await broker.hears('canRead', 2)).toMatchObject([{ packet: { topic: 'a/b' } }, { packet: { topic: 'a/c' } }])
  })

  it('to very many subscribers wait their turn, and do not overload the engine', async () => {
    const limits = { slots: 8, queue: 8 }
    const acts = [{ on: 'canRead', topic: 't', waitMs: 1 }]
    const broker = await startBroker({
      plugins: [mqttActor({ acts }, { limits })],
      attach: { maxCallsUnderWay: 8 },
    })
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(broker)))
    for (const client of clients) await client.subscribe({ t: 0 })
    await Promise.all(numbered(10).map((line) => clients[0]!.publish('t', line.slice(2), { qos: 1 })))
    for (const client of clients) expect(await client.receives(10)).toEqual(numbered(10))
    expect(broker.attached.counts).toMatchObject({ failures: 0, deliveriesRefused: 0, deliveriesDropped: 0 })
  })

  it('past the bound are dropped, counted and told', async () => {
    const acts = [{ on: 'canRead', clientId: 'slow', waitMs: 300 }]
    const broker = await startBroker({
      plugins: [mqttActor({ acts, hears: ['onMessageDropped'] })],
      attach: { maxQueuedDeliveries: 3 },
    })
    const slow = await connect(broker, { clientId: 'slow' })
    await slow.subscribe({ t: 0 })
    await Promise.all(numbered(5).map((line) => slow.publish('t', line.slice(2), { qos: 1 })))
    expect(await broker.hears('onMessageDropped', 2)).toMatchObject([
      {
        client: { clientId: 'slow' },
        packet: { payload: '3' },
        reason: 'too many deliveries wait for this subscriber',
      },
      { packet: { payload: '4' } },
    ])
    expect(await slow.receives(3)).toEqual(numbered(3))
    expect(broker.attached.counts.deliveriesDropped).toBe(2)
  })

  it('make their publisher wait, not lose them, while the line is crowded', async () => {
    const acts = [{ on: 'canRead', clientId: 'slow', waitMs: 1 }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const slow = await connect(broker, { clientId: 'slow' })
    await slow.subscribe({ t: 0 })
    const publisher = await connect(broker)
    for (const line of numbered(2_000)) publisher.mqtt.publish('t', line.slice(2), { qos: 0 })
    expect(await slow.receives(2_000)).toEqual(numbered(2_000))
    expect(broker.attached.counts.deliveriesDropped).toBe(0)
  })
})

describe('a kept session', () => {
  const kept = { clientId: 'kept', clean: false } as const

  async function away(acts: object[]) {
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const first = await connect(broker, kept)
    await first.subscribe({ '#': 1 })
    await first.end()
    const publisher = await connect(broker, { clientId: 'publisher' })
    return { broker, publisher }
  }

  async function storedFor(broker: Awaited<ReturnType<typeof startBroker>>): Promise<string[]> {
    const { persistence } = broker.aedes as unknown as {
      persistence: { outgoingStream(client: object): AsyncIterable<{ topic: string }> }
    }
    const topics: string[] = []
    for await (const { topic } of persistence.outgoingStream({ id: 'kept' })) topics.push(topic)
    return topics
  }

  it('gets what waited for it as the hooks let it through, in order, and nothing else stays stored', async () => {
    const acts = [
      { on: 'canRead', topic: 'no', reject: 'no' },
      { on: 'onPublishDeliver', topic: 'slow', waitMs: 30 },
      { on: 'onPublishDeliver', topic: 'old', replace: { payload: 'new', qos: 0 } },
    ]
    const { broker, publisher } = await away(acts)
    for (const topic of ['slow', 'no', 'old', 'plain']) await publisher.publish(topic, 'x', { qos: 1 })
    expect(await storedFor(broker)).toEqual(['slow', 'no', 'old', 'plain'])
    const second = await connect(broker, kept)
    expect(await second.receives(3)).toEqual(['slow x', 'old new', 'plain x'])
    await until('an empty store', async () => (await storedFor(broker)).length === 0)
    expect(second.messages.map(({ qos }) => qos)).toEqual([1, 1, 1])
  })

  it('gets what is new behind what has waited for it', async () => {
    const { broker, publisher } = await away([{ on: 'canRead', topic: 'slow', waitMs: 50 }])
    await publisher.publish('slow', 'x', { qos: 1 })
    const second = await connect(broker, kept)
    await publisher.publish('new', 'y', { qos: 1 })
    expect(await second.receives(2)).toEqual(['slow x', 'new y'])
  })

  it('gets once what is both in its queue and new, and stays connected', async () => {
    const { broker, publisher } = await away([{ on: 'canRead', topic: 'never', reject: 'no' }])
    broker.aedes.once('client', () => {
      const packet = { cmd: 'publish', topic: 'both', payload: 'x', qos: 1, retain: false, dup: false } as const
      broker.aedes.publish(packet, () => {})
    })
    const second = await connect(broker, kept)
    await second.receives(1)
    await publisher.publish('last', 'y', { qos: 1 })
    expect(await second.receives(2)).toEqual(['both x', 'last y'])
    expect(second.isConnected).toBe(true)
  })

  it('does not keep what was refused while its client was there', async () => {
    const { broker, publisher } = await away([{ on: 'canRead', topic: 'no', reject: 'no' }])
    const second = await connect(broker, kept)
    await publisher.publish('no', 'x', { qos: 1 })
    await publisher.publish('yes', 'y', { qos: 1 })
    expect(await second.receives(1)).toEqual(['yes y'])
    await until('an empty store', async () => (await storedFor(broker)).length === 0)
  })

  it('does not keep a subscription that was refused', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [{ on: 'onSubscribe', grant: { yes: 1 } }] })] })
    const first = await connect(broker, kept)
    expect(await first.subscribe({ yes: 1, no: 1 })).toEqual([1, 128])
    await first.end()
    const publisher = await connect(broker)
    await publisher.publish('no', 'x', { qos: 1 })
    await publisher.publish('yes', 'y', { qos: 1 })
    const second = await connect(broker, kept)
    expect(await second.receives(1)).toEqual(['yes y'])
  })

  it('gets again what was under way when its connection broke', async () => {
    const acts = [{ on: 'onPublishDeliver', topic: 'slow', waitMs: 50 }]
    const { broker, publisher } = await away(acts)
    const second = await connect(broker, kept)
    await publisher.publish('slow', 'x', { qos: 1 })
    await second.break()
    const third = await connect(broker, kept)
    expect(await third.receives(1)).toEqual(['slow x'])
  })
})

describe('a repetition of a QoS 2 message', () => {
  it('is asked about once, and routed once', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['onPublishReceived'] })] })
    const watcher = await connect(broker)
    await watcher.subscribe({ t: 0 })
    const repeated = generate({
      cmd: 'publish',
      topic: 't',
      payload: 'x',
      qos: 2,
      messageId: 1,
      retain: false,
      dup: true,
    })
    const release = generate({ cmd: 'pubrel', messageId: 1 })
    const socket = connectSocket(Number(new URL(broker.url).port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk.toString('hex')
    })
    const answered = (packets: string[]) => until('an answer', () => answer === packets.join(''))
    socket.write(Buffer.concat([CONNECT, publishOf('t', 2)]))
    await answered(['20020000', '50020001'])
    socket.write(repeated)
    await answered(['20020000', '50020001', '50020001'])
    socket.write(release)
    await answered(['20020000', '50020001', '50020001', '70020001'])
    socket.destroy()
    expect(await watcher.receives(1)).toEqual(['t x'])
    await broker.engine.flush()
    expect(await broker.hears('onPublishReceived')).toHaveLength(1)
  })
})

describe('retained messages', () => {
  it('that a plugin stores stay in order with the rest, and reach those who were sent something meanwhile', async () => {
    const acts = [{ on: 'storeRetained', topic: 'kept', waitMs: 50, answer: true }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const client = await connect(broker)
    await client.subscribe({ '#': 0 })
    const other = await connect(broker)
    const storing = Promise.all([
      client.publish('kept', 'x', { retain: true }),
      client.publish('behind', 'y'),
      client.publish('kept', 'z', { qos: 2, retain: true }),
    ])
    await other.publish('meanwhile', '-', { qos: 2 })
    await storing
    expect(await client.receives(4)).toEqual(['meanwhile -', 'kept x', 'behind y', 'kept z'])
  })

  it('are asked about when a subscription brings them, and stay in order', async () => {
    const acts = [
      { on: 'canRead', topic: 'a/no', reject: 'no' },
      { on: 'onPublishDeliver', topic: 'a/slow', waitMs: 30 },
      { on: 'onPublishDeliver', topic: 'a/old', replace: { payload: 'new' } },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const client = await connect(broker)
    for (const name of ['slow', 'no', 'old']) await client.publish(`a/${name}`, 'x', { qos: 1, retain: true })
    await client.subscribe({ 'a/#': 1 })
    expect(await client.receives(2)).toEqual(['a/slow x', 'a/old new'])
    expect(client.messages.every(({ retain }) => retain)).toBe(true)
  })
})
