/** Before CONNECT is accepted, and packets that are too large: bounded in bytes, time and number. */
import { connect as connectSocket, type Socket } from 'node:net'
import { generate } from 'mqtt-packet'
import { describe, expect, it, onTestFinished } from 'vitest'
import { PacketMeter } from '../../dist/adapters/aedes/strangers.js'
import { connect, mqttActor, type RunningBroker, startBroker } from '../support/broker.js'
import { until } from '../support/lab.js'

/** A connection that says what the test says. */
function open(broker: RunningBroker): { socket: Socket; closed: Promise<void>; received: () => Buffer } {
  const socket = connectSocket(Number(new URL(broker.url).port), '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  onTestFinished(() => void socket.destroy())
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return { socket, closed, received: () => Buffer.concat(chunks) }
}

const connectPacket = (clientId: string, more: object = {}) =>
  generate({ cmd: 'connect', clientId, protocolVersion: 4, clean: true, keepalive: 0, ...more } as never)
/** A CONNECT with an empty client id; mqtt-packet makes none with a session that is kept. */
const withoutId = (protocol: string, version: number, flags: number) =>
  Buffer.from([0x10, protocol.length + 8, 0, protocol.length, ...Buffer.from(protocol), version, flags, 0, 0, 0, 0])
const CONNACK = [0x20, 0x02]

describe('a connection without a CONNECT that was accepted', () => {
  it('is closed when a packet announces more bytes than it may, before they have come', async () => {
    const broker = await startBroker()
    const { socket, closed } = open(broker)
    // A CONNECT of 100 MB, of which nothing comes.
    socket.write(Buffer.from([0x10, 0x80, 0xc2, 0xd7, 0x2f]))
    await closed
    expect(broker.attached.counts).toMatchObject({ packetsTooLarge: 1, connectionsShed: 1 })
  })

  it('may have a CONNECT of 16 KiB, and not of more', async () => {
    const broker = await startBroker()
    const will = (bytes: number) => ({ will: { topic: 'w', payload: Buffer.alloc(bytes), qos: 0, retain: false } })
    const small = open(broker)
    small.socket.write(connectPacket('small', will(16_000)))
    await until('its CONNACK', () => small.received().length === 4)
    expect([...small.received()]).toEqual([...CONNACK, 0, 0])
    const large = open(broker)
    large.socket.write(connectPacket('large', will(17_000)))
    await large.closed
    expect(large.received()).toHaveLength(0)
  })

  it('is closed when it sends more in all while it is being asked about', async () => {
    const broker = await startBroker({ plugins: [mqttActor({ acts: [{ on: 'onConnect', waitMs: 200 }] })] })
    const { socket, closed } = open(broker)
    const publish = generate({ cmd: 'publish', topic: 't', payload: Buffer.alloc(1_000), qos: 0 } as never)
    socket.write(Buffer.concat([connectPacket('c'), ...Array(20).fill(publish)]))
    await closed
    expect(broker.attached.counts.connectionsShed).toBe(1)
  })

  it('is closed when its time is up, however it fills it', async () => {
    const broker = await startBroker({ attach: { connectTimeoutMs: 150 } })
    const silent = open(broker)
    const slow = open(broker)
    const timer = setInterval(() => slow.socket.write(Buffer.from([0x10, 0x7f, 0x00].slice(0, 1))), 40)
    onTestFinished(() => clearInterval(timer))
    await Promise.all([silent.closed, slow.closed])
    const client = await connect(broker)
    await until('the time of others', () => broker.attached.counts.connectionsShed >= 1)
    expect(client.isConnected).toBe(true)
  })

  it('makes room for others when there are too many', async () => {
    const broker = await startBroker({ attach: { maxUnauthenticated: 3 } })
    const strangers = []
    for (let index = 0; index < 4; index += 1) {
      const stranger = open(broker)
      await new Promise((resolve) => stranger.socket.once('connect', resolve))
      strangers.push(stranger)
    }
    await strangers[0]!.closed
    const client = await connect(broker)
    await strangers[1]!.closed
    expect(broker.attached.counts.connectionsShed).toBe(2)
    // Who is accepted is no stranger any more.
    for (let index = 0; index < 5; index += 1) await connect(broker)
    expect(client.isConnected).toBe(true)
  })
})

describe('a client', () => {
  it.each([
    ['attachHooks', {}, 1024 * 1024],
    ['an option', { maxPacketBytes: 5_000 }, 5_000],
  ])('that sends a packet of more than the bytes of %s is closed, and nobody else is', async (_, attach, limit) => {
    const broker = await startBroker({ attach })
    const reader = await connect(broker)
    await reader.subscribe({ '#': 0 })
    const client = await connect(broker)
    await client.publish('fits', Buffer.alloc(limit - 100), { qos: 1 })
    client.mqtt.publish('does not', Buffer.alloc(limit + 1), { qos: 1 }, () => {})
    await client.closed
    await (await connect(broker)).publish('last', 'x', { qos: 1 })
    await reader.receives(2)
    expect(reader.messages.map(({ topic }) => topic)).toEqual(['fits', 'last'])
    expect(broker.attached.counts).toMatchObject({ packetsTooLarge: 1, connectionsShed: 0 })
  })

  it.each([
    ['without an id that asks for a kept session', withoutId('MQTT', 4, 0x00), 2],
    ['without an id and with a clean session', withoutId('MQTT', 4, 0x02), 0],
    ['of MQTT 3.1 without an id', withoutId('MQIsdp', 3, 0x02), 2],
  ])('%s has the CONNACK that MQTT has for it', async (_, packet, code) => {
    const broker = await startBroker({ plugins: [mqttActor({ hears: ['onConnect'] })] })
    const { socket, received } = open(broker)
    socket.write(packet)
    await until('its CONNACK', () => received().length === 4)
    expect([...received()]).toEqual([...CONNACK, 0, code])
    await broker.engine.flush()
    expect(broker.heard('onConnect')).toHaveLength(code === 0 ? 1 : 0)
  })

  it.each([
    ['and no plugin', []],
    ['and a plugin that is asked about subscriptions', ['onSubscribe']],
  ])('with a shared subscription %s is refused it, and nothing else', async (_, hears) => {
    const broker = await startBroker({ plugins: [mqttActor({ hears })] })
    const who = { clientId: 'kept', clean: false }
    const client = await connect(broker, who)
    expect(await client.subscribe({ '$share/g/a': 1, b: 1 })).toEqual([128, 1])
    expect(await client.subscribe({ '$share/g/a': 1 })).toEqual([128])
    await client.end()
    const again = await connect(broker, who)
    for (const topic of ['$share/g/a', 'a', 'b']) await again.publish(topic, 'x', { qos: 1 })
    expect(await again.receives(1)).toEqual(['b x'])
    expect(broker.attached.counts.subscriptionsRefused).toBe(2)
    for (const { subscriptions } of broker.heard('onSubscribe')) {
      expect(subscriptions).toEqual([{ filter: 'b', qos: 1 }])
    }
  })

  it.each(['a\0b', 'a/#/b', '$share/g/\0'])(
    'with the filter %j beside a good one gets nothing past the plugins',
    async (filter) => {
      const broker = await startBroker({ plugins: [mqttActor({ acts: [{ on: 'onSubscribe', reject: 'no' }] })] })
      const { socket, received, closed } = open(broker)
      socket.write(connectPacket('c'))
      await until('its CONNACK', () => received().length === 4)
      const subscriptions = [filter, '#'].map((topic) => ({ topic, qos: 0 }))
      socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions } as never))
      if (filter.startsWith('$share')) await until('its SUBACK', () => received().length > 4)
      else await closed
      expect([...received().subarray(4)]).toEqual(filter.startsWith('$share') ? [0x90, 4, 0, 1, 128, 128] : [])
    },
  )
})

describe('the lengths of packets', () => {
  const packets = [connectPacket('c'), generate({ cmd: 'pingreq' } as never), connectPacket('d'.repeat(300))]
  const all = Buffer.concat(packets)

  it.each([1, 2, 3, 7, all.length])('are found in chunks of %i bytes', (size) => {
    const meter = new PacketMeter()
    let largest = 0
    for (let at = 0; at < all.length; at += size)
      largest = Math.max(largest, meter.largestIn(all.subarray(at, at + size)))
    expect(largest).toBe(packets[2]!.length - 3)
  })

  it('of more than four bytes are endless', () => {
    expect(new PacketMeter().largestIn(Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff]))).toBe(Number.POSITIVE_INFINITY)
  })
})
