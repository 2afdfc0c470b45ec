/** Brokers of a cluster, each a process, on one Redis, with clients that know nothing of it. */
import { execFile, spawnSync } from 'node:child_process'
import { connect as connectSocket, type Socket } from 'node:net'
import type { IClientOptions } from 'mqtt'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connect } from '../support/broker.js'
import { type BrokerProcess, killBrokers, startBrokerProcess } from '../support/brokers.js'
import { until } from '../support/lab.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis.js'

const TTL_MS = 1_500
let server: RedisServer
let [a, b, c]: BrokerProcess[] = []

const start = (nodeId: string, options: Record<string, unknown> = {}) =>
  startBrokerProcess({
    hook: 'cluster',
    config: { addr: server.path, nodeId, heartbeatIntervalMs: 300, nodeTtlMs: TTL_MS, takeoverMs: 2_000 },
    options: { timeoutMs: 3_000, ...options },
  })

if (noRedis === null) {
  beforeAll(async () => {
    server = await startRedis({ keeps: true })
    ;[a, b, c] = await Promise.all(['a', 'b', 'c'].map((nodeId) => start(nodeId)))
  })
  afterAll(async () => {
    await killBrokers()
    await server?.stop()
  })
}

const at = (broker: BrokerProcess | undefined, options: IClientOptions = {}) =>
  connect(broker as BrokerProcess, options)
const kept = (clientId: string): IClientOptions => ({ clientId, clean: false })
// It says its version, with an exit code of its own mind.
const hasMosquitto = spawnSync('mosquitto_pub', ['--version']).error === undefined

/** Runs a Mosquitto client against a node; resolves with what it printed. */
const mosquitto = (kind: 'pub' | 'sub', broker: BrokerProcess | undefined, args: readonly string[]) =>
  new Promise<string>((resolve, reject) => {
    const all = ['-p', new URL(broker?.url ?? '').port, ...args]
    execFile(`mosquitto_${kind}`, all, { timeout: 20_000 }, (error, out) =>
      error === null ? resolve(out) : reject(error),
    )
  })

const routed = (filter: string) => server.client.smembers(`mqtt:route:${filter}`)

type Bytes = readonly number[]
const [SUBSCRIBE, PUBLISH_2, PUBACK, PUBREC, PUBREL, PUBCOMP] = [0x82, 0x34, 0x40, 0x50, 0x62, 0x70]
const text = (value: string): Bytes => [0, value.length, ...Buffer.from(value)]

/** A client of a session that stays, which says what it is told to and acknowledges nothing by itself. */
async function rawClient(broker: BrokerProcess | undefined, clientId: string) {
  const socket: Socket = connectSocket(Number(new URL(broker?.url ?? '').port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const received: { type: number; body: Bytes }[] = []
  let rest: number[] = []
  socket.on('data', (bytes) => {
    rest.push(...bytes)
    // Packets of these tests are shorter than 128 bytes.
    for (let end = 2 + (rest[1] ?? 127); end <= rest.length; end = 2 + (rest[1] ?? 127)) {
      received.push({ type: (rest[0] as number) & 0xf0, body: rest.slice(2, end) })
      rest = rest.slice(end)
    }
  })
  const says = (type: number, body: Bytes) => void socket.write(Uint8Array.from([type, body.length, ...body]))
  const hears = async (type: number) => {
    await until(`packet ${type}`, () => received.some((packet) => packet.type === (type & 0xf0)))
    const [packet] = received.splice(
      received.findIndex((packet) => packet.type === (type & 0xf0)),
      1,
    )
    return packet?.body as Bytes
  }
  says(0x10, [...text('MQTT'), 4, 0, 0, 0, ...text(clientId)])
  await hears(0x20)
  return { says, hears, received, leave: () => void socket.destroy() }
}

/** The packet id of a PUBLISH above QoS 0, and what it says. */
function readPublish(body: Bytes) {
  const at = 2 + (body[1] as number)
  return { id: body.slice(at, at + 2), payload: Buffer.from(body.slice(at + 2)).toString() }
}

describe.skipIf(noRedis !== null)(`brokers of a cluster${noRedis === null ? '' : ` (${noRedis})`}`, () => {
  test('a message crosses to the nodes of its subscribers once, in order, at every QoS', async () => {
    const [publisher, local, far, other] = [await at(a), await at(a), await at(b), await at(c)]
    await local.subscribe({ 'once/#': 2 })
    await far.subscribe({ 'once/+': 2, 'once/1': 0 })
    await other.subscribe({ else: 0 })
    for (const qos of [0, 1, 2] as const) {
      for (let index = 0; index < 10; index += 1) await publisher.publish(`once/${qos}`, String(index), { qos })
    }
    await publisher.publish('else', 'end')
    await other.receives(1)
    await far.receives(30)
    await local.receives(30)
    for (const { messages } of [local, far]) {
      for (const qos of ['0', '1', '2']) {
        const payloads = messages.filter(({ topic }) => topic === `once/${qos}`).map(({ payload }) => payload)
        expect(payloads).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
      }
    }
    expect(other.received).toEqual(['else end'])
  })

  test('a retained message is every node’s, and so is its end', async () => {
    const [publisher, early] = [await at(a), await at(b)]
    await early.subscribe({ 'kept/#': 1 })
    await publisher.publish('kept/1', 'x', { qos: 1, retain: true })
    // One that was looked for when it subscribed may have come as well.
    const live = () => early.messages.filter(({ retain }) => !retain).map(({ payload }) => payload)
    await until('the message', () => live().length === 1)
    const late = await at(c)
    await late.subscribe({ 'kept/+': 1 })
    await late.receives(1)
    expect(late.messages[0]).toMatchObject({ topic: 'kept/1', payload: 'x', retain: true })
    await publisher.publish('kept/1', '', { qos: 1, retain: true })
    await until('its end', () => live().length === 2)
    expect(live()).toEqual(['x', ''])
    expect(await server.client.exists('mqtt:retained:kept/1')).toBe(0)
  })

  test('a will is heard on other nodes', async () => {
    const far = await at(b)
    await far.subscribe({ wills: 0 })
    const dying = await at(a, { will: { topic: 'wills', payload: Buffer.from('gone'), qos: 0, retain: false } })
    await dying.break()
    expect(await far.receives(1)).toEqual(['wills gone'])
  })

  test.skipIf(!hasMosquitto)(
    'clients of Mosquitto hear each other across nodes, and find their queue when they move',
    async () => {
      // -E: it ends when its subscription is there, and its session stays.
      await mosquitto('sub', a, ['-i', 'wanderer', '-c', '-E', '-t', 'mosquitto/#', '-q', '2'])
      const hearing = mosquitto('sub', c, ['-t', 'mosquitto/#', '-q', '1', '-v', '-C', '2'])
      await until('the other to be subscribed', async () => (await routed('mosquitto/#')).includes('c'))
      await mosquitto('pub', b, ['-t', 'mosquitto/1', '-q', '1', '-m', 'one'])
      await mosquitto('pub', b, ['-t', 'mosquitto/2', '-q', '2', '-m', 'two'])
      expect(await hearing).toBe('mosquitto/1 one\nmosquitto/2 two\n')
      const moved = mosquitto('sub', b, ['-i', 'wanderer', '-c', '-t', 'mosquitto/#', '-q', '2', '-v', '-C', '2'])
      expect((await moved).trim().split('\n').sort()).toEqual(['mosquitto/1 one', 'mosquitto/2 two'])
    },
  )

  test('a client that moves finds its subscriptions and its queue, in order and once', async () => {
    const publisher = await at(b)
    const first = await at(a, kept('mover'))
    await first.subscribe({ 'jobs/#': 2 })
    await first.end()
    for (let index = 0; index < 10; index += 1) {
      await publisher.publish('jobs/1', String(index), { qos: ((index % 2) + 1) as 1 | 2 })
    }
    await publisher.publish('jobs/1', 'of no consequence')
    await until('the queue', async () => (await server.client.xlen('mqtt:queue:mover')) === 10)
    const moved = await at(c, kept('mover'))
    await moved.receives(10)
    for (const qos of [1, 2]) {
      const payloads = moved.messages.filter((message) => message.qos === qos).map(({ payload }) => Number(payload))
      expect(payloads).toEqual([0, 2, 4, 6, 8].map((index) => index + qos - 1))
    }
    expect(await routed('jobs/#')).toEqual(['c'])
    await publisher.publish('jobs/1', 'live', { qos: 1 })
    expect((await moved.receives(11)).at(-1)).toBe('jobs/1 live')
    await until('all to be acknowledged', async () => (await server.client.xlen('mqtt:queue:mover')) === 0)
  })

  test('a connected client that comes to another node leaves the first one', async () => {
    const first = await at(a, { clientId: 'same' })
    const second = await at(b, { clientId: 'same' })
    await until('the first to be gone', () => !first.isConnected)
    expect(second.isConnected).toBe(true)
    expect(await server.client.hget('mqtt:session:same', 'owner')).toBe('b')
  })

  test('what a client has not acknowledged follows it under the same packet ids', async () => {
    const publisher = await at(b)
    const first = await rawClient(a, 'slow')
    first.says(SUBSCRIBE, [0, 1, ...text('work'), 2])
    await first.hears(0x90)
    await publisher.publish('work', 'one', { qos: 2 })
    const one = readPublish(await first.hears(PUBLISH_2))
    first.says(PUBREC, one.id)
    expect(await first.hears(PUBREL)).toEqual(one.id)
    await publisher.publish('work', 'two', { qos: 1 })
    const two = readPublish(await first.hears(PUBLISH_2))
    await until('the state', async () => (await server.client.hlen('mqtt:inflight:slow')) === 2)
    first.leave()
    const second = await rawClient(c, 'slow')
    expect(await second.hears(PUBREL)).toEqual(one.id)
    expect(readPublish(await second.hears(PUBLISH_2))).toEqual(two)
    second.says(PUBCOMP, one.id)
    second.says(PUBACK, two.id)
    await until('the state to be gone', async () => (await server.client.exists('mqtt:inflight:slow')) === 0)
    await until('the queue to be empty', async () => (await server.client.xlen('mqtt:queue:slow')) === 0)
    expect(second.received).toEqual([])
  })

  test('a QoS 2 message that a client repeats, on its node or on another one, is passed on once', async () => {
    const subscriber = await at(c)
    await subscriber.subscribe({ raw: 2, end: 0 })
    const once = [...text('raw'), 0, 5, ...Buffer.from('once')]
    const first = await rawClient(a, 'repeater')
    for (const flags of [0, 8]) {
      first.says(PUBLISH_2 + flags, once)
      expect(await first.hears(PUBREC)).toEqual([0, 5])
    }
    first.leave()
    const second = await rawClient(b, 'repeater')
    second.says(PUBLISH_2 + 8, once)
    expect(await second.hears(PUBREC)).toEqual([0, 5])
    second.says(PUBREL, [0, 5])
    expect(await second.hears(PUBCOMP)).toEqual([0, 5])
    for (const node of [a, b]) await (await at(node)).publish('end')
    await subscriber.receives(3)
    expect([...subscriber.received].sort()).toEqual(['end ', 'end ', 'raw once'])
  })

  test('a second node of the same id is refused, with a code', async () => {
    await expect(start('a')).rejects.toMatchObject({ code: 'NODE_ID_TAKEN' })
    expect((await at(a)).isConnected).toBe(true)
  })

  test('a killed node’s routes and clients are gone with its TTL, and nothing that was queued is lost', async () => {
    const doomed = await start('doomed')
    const [publisher, clean, away] = [await at(a), await at(doomed), await at(doomed, kept('orphan'))]
    await clean.subscribe({ 'fate/#': 0 })
    await away.subscribe({ 'fate/+': 1 })
    await publisher.publish('fate/1', 'before', { qos: 1 })
    await away.receives(1)
    await until('it to be acknowledged', async () => (await server.client.xlen('mqtt:queue:orphan')) === 0)
    const cleanId = clean.mqtt.options.clientId
    await doomed.kill()
    await publisher.publish('fate/1', 'after', { qos: 1 })
    await until('its routes to be gone', async () => (await routed('fate/#')).length === 0, 3 * TTL_MS)
    await until('its clients to be gone', async () => (await server.client.exists(`mqtt:session:${cleanId}`)) === 0)
    expect(await server.client.exists('mqtt:node:doomed')).toBe(0)
    await publisher.publish('fate/1', 'later', { qos: 1 })
    const back = await at(b, kept('orphan'))
    await back.receives(2)
    expect(back.received).toEqual(['fate/1 after', 'fate/1 later'])
  })

  test('a node that is stopped leaves nothing behind but what is kept', async () => {
    const leaving = await start('leaving')
    const client = await at(leaving, kept('stays'))
    await client.subscribe({ 'left/#': 1 })
    expect(await leaving.stop()).toBe(0)
    expect(await routed('left/#')).toEqual([])
    expect(await server.client.exists('mqtt:node:leaving')).toBe(0)
    await (await at(a)).publish('left/1', 'x', { qos: 1 })
    expect(await (await at(b, kept('stays'))).receives(1)).toEqual(['left/1 x'])
  })

  test('Redis is killed and comes back: no retained message is lost, and the nodes find each other again', async () => {
    const [publisher, local, far] = [await at(a), await at(a), await at(b)]
    await local.subscribe({ 'news/#': 1 })
    await far.subscribe({ 'news/#': 1 })
    await publisher.publish('news/kept', 'x', { qos: 1, retain: true })
    await far.receives(1)
    await server.kill()
    await until('connects to be refused', async () => {
      const refusal = await at(a).then(
        async (client) => client.end(),
        (error: { code?: number }) => error,
      )
      return refusal?.code === 3
    })
    // Nobody can decide about it: it is not acknowledged, and waits.
    let isAcknowledged = false
    const held = publisher.publish('news/1', 'held', { qos: 1 }).then(() => {
      isAcknowledged = true
    })
    const slow = await connect(b as BrokerProcess).catch((error: { code?: number }) => error)
    expect(slow).toMatchObject({ code: 3 })
    expect(isAcknowledged).toBe(false)
    expect(publisher.isConnected && local.isConnected && far.isConnected).toBe(true)
    await server.restart()
    await held
    await until('messages to cross again', async () => {
      await publisher.publish('news/2', 'again', { qos: 1 })
      return far.received.includes('news/2 again')
    })
    expect(local.received).toContain('news/1 held')
    let late: Awaited<ReturnType<typeof at>> | undefined
    await until('the third node to take clients again', async () => {
      late = await at(c).catch(() => undefined)
      return late !== undefined
    })
    await late?.subscribe({ 'news/#': 1 })
    expect(await late?.receives(1)).toEqual(['news/kept x'])
  })
})
