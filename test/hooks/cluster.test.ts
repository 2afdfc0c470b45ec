/** The cluster hook of mqtt@1, in lanes, on a Redis of the test's own: what it keeps, and what a node does and is told. */
import { cluster } from 'hookring/hooks'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { refusalOf, until } from '../support/lab.js'
import { client, message, startNode, type TestNode } from '../support/nodes.js'
import { noRedis, type RedisServer, startRedis, startRedisCluster } from '../support/redis.js'

let server: RedisServer
if (noRedis === null) {
  beforeAll(async () => {
    server = await startRedis()
  })
  beforeEach(() => server.client.flushall())
  afterAll(() => server.stop())
}

interface Life {
  config?: object
  options?: object
  keep?: boolean
}

const start = (nodeId: string, { config = {}, options = {}, keep = false }: Life = {}): Promise<TestNode> =>
  startNode(cluster({ addr: server.path, nodeId, ...config }, { timeoutMs: 5_000, ...options }), { keep })

const kept = (clientId: string) => client(clientId, { clean: false })

async function subscribe(node: TestNode, clientId: string, filters: Record<string, 0 | 1 | 2>, clean = true) {
  const subscriptions = Object.entries(filters).map(([filter, qos]) => ({ filter, qos }))
  expect(await node.hooks.onSubscribe({ client: client(clientId, { clean }), subscriptions })).toEqual({
    kind: 'continue',
  })
}

/** As a broker does when a client of a session that stays connects. */
async function connect(node: TestNode, clientId: string) {
  const opened = await node.hooks.openSession({ client: kept(clientId) })
  const resumed = await node.hooks.resumeSession({ clientId, after: '' })
  if (opened.kind !== 'respond' || resumed.kind !== 'respond') throw new Error('the session was not opened')
  node.hooks.onConnected({ client: kept(clientId), sessionPresent: true })
  const texts = resumed.value.messages.map(({ packet }) => Buffer.from(packet.payload).toString())
  return { ...opened.value, ...resumed.value, texts }
}

interface Inspected {
  readonly value: {
    readonly session: { readonly queueLength: number; readonly queueBytes: number; readonly expiresInMs: number }
  }
}

const qos1 = { qos: 1 } as const
const keys = async (pattern: string) => (await server.client.keys(pattern)).sort()

describe.skipIf(noRedis !== null)(`the cluster hook${noRedis === null ? '' : ` (${noRedis})`}`, () => {
  test('keeps what bromq keeps, under the same names', async () => {
    const node = await start('n1')
    await connect(node, 'c1')
    await subscribe(node, 'c1', { 'home/+': 1 }, false)
    await node.hooks.storeRetained({ packet: message('t', 'x', { retain: true }) })
    await node.hooks.queueMessage({ clientIds: ['c1'], packet: message('home/a', 'x', qos1) })
    const exchange = { clientId: 'c1', direction: 'in', packetId: 7, id: null } as const
    await node.hooks.trackInflight({ ...exchange, state: 'received' })
    const types = Object.fromEntries(
      await Promise.all((await keys('*')).map(async (key) => [key, await server.client.type(key)])),
    )
    expect(types).toEqual({
      'mqtt:inflight:c1': 'hash',
      'mqtt:node:_gen': 'string',
      'mqtt:node:_idx': 'set',
      'mqtt:node:n1': 'string',
      'mqtt:queue:c1': 'stream',
      'mqtt:retained:_idx': 'set',
      'mqtt:retained:t': 'string',
      'mqtt:route:_idx': 'set',
      'mqtt:route:_log': 'stream',
      'mqtt:route:home/+': 'set',
      'mqtt:session:_idx': 'set',
      'mqtt:session:c1': 'hash',
      'mqtt:subs:c1': 'hash',
    })
    expect(await server.client.pubsub('CHANNELS', '*')).toEqual(['mqtt:fanout:n1'])
    expect(await server.client.pttl('mqtt:node:n1')).toBeGreaterThan(5_000)
    expect(await server.client.pttl('mqtt:inflight:c1')).toBeGreaterThan(50_000)
    expect(await server.client.smembers('mqtt:route:home/+')).toEqual(['n1'])
    expect(await server.client.hgetall('mqtt:subs:c1')).toEqual({ 'home/+': '1' })
    expect(await server.client.hgetall('mqtt:session:c1')).toMatchObject({ node: 'n1', owner: 'n1', clean: '0' })
  })

  test('a message goes once to each node that has subscribers, and to no other', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')]
    await subscribe(b, 'b1', { 'home/+': 0, 'home/lamp': 1, '#': 0 })
    await subscribe(b, 'b2', { 'home/lamp': 2 })
    await subscribe(c, 'c1', { 'garden/#': 0, '$SYS/#': 0 })
    const seen: string[] = []
    const spy = server.client.duplicate()
    onTestFinished(() => spy.disconnect())
    spy.on('pmessage', (_pattern, channel) => seen.push(channel))
    await spy.psubscribe('mqtt:fanout:*')
    for (let index = 0; index < 20; index += 1) void a.publish('home/lamp', String(index), qos1)
    await a.publish('garden/gate', 'open')
    await a.publish('nobody', 'x', { topic: '$SYS/broker/uptime' })
    expect(await b.got(21)).toEqual([
      ...Array.from({ length: 20 }, (_, index) => `home/lamp ${index}`),
      'garden/gate open',
    ])
    expect(await c.got(1)).toEqual(['garden/gate open'])
    expect(a.published).toEqual([])
    await until('the channels', () => seen.length >= 22)
    expect(seen.filter((channel) => channel.endsWith(':b'))).toHaveLength(21)
    expect(seen.filter((channel) => channel.endsWith(':c'))).toHaveLength(1)
  })

  test('a subscription is routed to before its SUBACK, and no longer when the last holder has gone', async () => {
    const [a, b] = [await start('a'), await start('b')]
    for (let round = 0; round < 10; round += 1) {
      await subscribe(b, 'x', { [`t/${round}`]: 0 })
      await a.publish(`t/${round}`)
    }
    await b.got(10)
    await subscribe(b, 'x', { shared: 0 })
    await subscribe(b, 'y', { shared: 0 })
    b.hooks.onUnsubscribe({ client: client('x'), filters: ['shared', 't/0'] })
    await until('t/0 to be forgotten', async () => (await server.client.exists('mqtt:route:t/0')) === 0)
    expect(await server.client.smembers('mqtt:route:shared')).toEqual(['b'])
    await until('the index to follow', async () => (await server.client.sismember('mqtt:route:_idx', 't/0')) === 0)
    b.hooks.onDisconnect({ client: client('x'), reason: null })
    b.hooks.onDisconnect({ client: client('y'), reason: null })
    await until('no routes', async () => (await keys('mqtt:route:*')).join() === 'mqtt:route:_log')
    await a.publish('shared')
    await a.publish('t/1')
    expect(b.published).toHaveLength(10)
  })

  test('a filter that is left and taken again at once stays routed', async () => {
    const [a, b] = [await start('a'), await start('b')]
    const filters = ['t']
    for (const clean of [true, false]) {
      await subscribe(b, 'x', { t: 1 }, clean)
      b.hooks.onUnsubscribe({ client: client('x', { clean }), filters })
      await subscribe(b, 'x', { t: 1 }, clean)
      b.hooks.onUnsubscribe({ client: client('x', { clean }), filters })
      await subscribe(b, 'x', { t: 1 }, clean)
    }
    await a.publish('t', 'x')
    expect(await b.got(1)).toEqual(['t x'])
    expect(await server.client.hgetall('mqtt:subs:x')).toEqual({ t: '1' })
  })

  test('retained messages are shared, matched by the index, and cleared with their key', async () => {
    const [a, b] = [await start('a'), await start('b')]
    const packets = ['home/a', 'home/b', '$internal/x'].map((topic) => message(topic, topic, { retain: true, qos: 1 }))
    for (const packet of packets) await a.hooks.storeRetained({ packet })
    expect(await b.hooks.getRetained({ filter: '+/#' })).toMatchObject({ value: [packets[0], packets[1]] })
    await b.hooks.storeRetained({ packet: message('home/a') })
    expect(await a.hooks.getRetained({ filter: 'home/#' })).toMatchObject({ value: [packets[1]] })
    expect(await server.client.exists('mqtt:retained:home/a')).toBe(0)
    expect(await server.client.sismember('mqtt:retained:_idx', 'home/a')).toBe(0)
  })

  test('a client that moves finds its subscriptions, its queue and its packet ids; its old node lets go first', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')]
    await connect(a, 'm')
    await subscribe(a, 'm', { 'jobs/#': 2 }, false)
    await c.publish('jobs/1', 'one', { qos: 2 })
    await c.publish('jobs/2', 'two', { qos: 2 })
    const delivered = () => a.delivered.flatMap(({ messages }) => messages)
    await until('two messages', () => delivered().length === 2)
    const [one, two] = delivered() as [(typeof a.delivered)[0]['messages'][0], (typeof a.delivered)[0]['messages'][0]]
    expect([one.packetId, two.packetId]).toEqual([1, 2])
    await a.hooks.trackInflight({ clientId: 'm', direction: 'out', packetId: 1, id: one.id, state: 'released' })
    await a.hooks.trackInflight({ clientId: 'm', direction: 'in', packetId: 3, id: null, state: 'received' })
    const moved = await connect(b, 'm')
    expect(a.released).toEqual(['m'])
    expect(moved.subscriptions).toEqual([{ filter: 'jobs/#', qos: 2 }])
    expect(moved.texts).toEqual(['two'])
    expect(moved.messages.map(({ packetId }) => packetId)).toEqual([2])
    expect([moved.released, moved.received]).toEqual([[1], [3]])
    expect(await server.client.smembers('mqtt:route:jobs/#')).toEqual(['b'])
    await c.publish('jobs/3', 'three', qos1)
    await until('the third', () => b.delivered.length === 1)
    expect(b.delivered[0]).toMatchObject({ clientId: 'm', messages: [{ packetId: 3, packet: { topic: 'jobs/3' } }] })
    await b.hooks.ackInflight({ clientId: 'm', direction: 'out', packetId: 2, id: two.id })
    await until('one to be gone', async () => (await server.client.xlen('mqtt:queue:m')) === 1)
    // A node that has the session no more can say what it likes.
    const late = { clientId: 'm', direction: 'out', packetId: 3, id: b.delivered[0]?.messages[0]?.id ?? '' } as const
    await refusalOf(a.hooks.trackInflight({ ...late, state: 'released' }))
    await a.hooks.ackInflight(late)
    expect(await server.client.xlen('mqtt:queue:m')).toBe(1)
  })

  test('while no node has a session its messages are queued by whoever publishes, up to the bound', async () => {
    const [a, b] = [await start('a', { keep: true }), await start('b', { config: { queueMax: 3 } })]
    await connect(a, 'm')
    await subscribe(a, 'm', { 'jobs/#': 1, live: 0 }, false)
    await a.close()
    expect(await server.client.hget('mqtt:session:m', 'node')).toBe('')
    for (const text of ['1', '2', '3', '4']) await b.publish('jobs/x', text, { qos: 2 })
    await b.publish('jobs/x', 'not kept')
    await b.publish('live', 'not kept', qos1)
    const moved = await connect(b, 'm')
    expect(moved.texts).toEqual(['2', '3', '4'])
    expect(moved.messages[0]?.packet.qos).toBe(1)
    await until('a line', () => b.logs.some(({ message }) => message.includes('queues of sessions are full')))
  })

  test('a queue is bounded in bytes: the oldest go, and one message has always room', async () => {
    const node = await start('a', { config: { queueMaxBytes: 4_096 } })
    await connect(node, 'm')
    await subscribe(node, 'm', { '#': 1 }, false)
    node.hooks.onDisconnect({ client: kept('m'), reason: null })
    await until('the session to be free', async () => (await server.client.hget('mqtt:session:m', 'node')) === '')
    const queued = async () => (await node.hooks.inspectCluster({ clientId: 'm' })) as never as Inspected
    for (let at = 0; at < 20; at += 1) await node.publish(`t/${at}`, 'x'.repeat(1_000), qos1)
    const { queueLength, queueBytes } = (await queued()).value.session
    expect(queueLength).toBeGreaterThanOrEqual(2)
    expect(queueBytes).toBeLessThanOrEqual(4_096)
    await until('a line', () => node.logs.some(({ message }) => message.includes('queues of sessions are full')))
    await node.publish('large', 'x'.repeat(8_000), qos1)
    expect((await queued()).value.session.queueLength).toBe(1)
    expect((await connect(node, 'm')).messages.map(({ packet }) => packet.topic)).toEqual(['large'])
  })

  test('a session whose client stays away ends, and leaves no key behind', async () => {
    const node = await start('a', { config: { sessionExpiryMs: 400, heartbeatIntervalMs: 50, nodeTtlMs: 2_000 } })
    await connect(node, 'gone')
    await connect(node, 'here')
    await subscribe(node, 'gone', { 'jobs/#': 1 }, false)
    await subscribe(node, 'here', { 'jobs/#': 1 }, false)
    node.hooks.onDisconnect({ client: kept('gone'), reason: null })
    await node.publish('jobs/1', 'x', qos1)
    const ofClient = async (clientId: string) => (await keys('*')).filter((key) => key.endsWith(`:${clientId}`))
    await until('its end', async () => (await ofClient('gone')).length === 0)
    await until('its route', async () => {
      await node.publish('jobs/2', 'y', qos1)
      return !(await server.client.smembers('mqtt:session:_idx')).includes('gone')
    })
    // A client that is connected keeps its session, however long.
    expect(await ofClient('here')).toContain('mqtt:session:here')
    expect((await connect(node, 'gone')).subscriptions).toEqual([])
  })

  test('operators see the nodes, and of a session where it is and what waits for it', async () => {
    const [a, b] = [await start('a'), await start('b')]
    await connect(a, 'm')
    await subscribe(a, 'm', { t: 1 }, false)
    await b.publish('t', 'under way', qos1)
    await until('the delivery', () => a.delivered.length === 1)
    const seen = await b.hooks.inspectCluster({ clientId: 'm' })
    expect(seen).toMatchObject({
      kind: 'respond',
      value: {
        nodeId: 'b',
        isMember: true,
        nodes: ['a', 'b'],
        session: { clientId: 'm', node: 'a', clean: false, queueLength: 1, underWay: 1 },
      },
    })
    expect((seen as never as Inspected).value.session.expiresInMs).toBeGreaterThan(0)
    expect(await b.hooks.inspectCluster({ clientId: 'nobody' })).toMatchObject({ value: { session: null } })
    expect(await b.hooks.inspectCluster({ clientId: null })).toMatchObject({ value: { session: null } })
    await a.hooks.storeRetained({ packet: message('r/1', 'x', { retain: true }) })
    expect(await b.hooks.getRetained({ filter: 'r/#' })).toMatchObject({ value: [{ topic: 'r/1' }] })
  })

  test('what is queued while a session moves reaches its new node', async () => {
    const [a, b] = [await start('a'), await start('b')]
    await b.hooks.openSession({ client: kept('m') })
    await subscribe(b, 'm', { t: 1 }, false)
    // Opened, and not settled: nobody is its home.
    await a.publish('t', 'between', qos1)
    const { texts } = await connect(b, 'm')
    expect(texts).toEqual(['between'])
    await a.hooks.queueMessage({ clientIds: ['m'], packet: message('u', 'by name', qos1) })
    await until('the queue to be handed on', () => b.delivered.length === 1)
    expect(b.delivered[0]).toMatchObject({ clientId: 'm', messages: [{ packet: { topic: 'u' } }] })
  })

  test('a clean session leaves nothing behind, and a kept one is forgotten when its client comes back clean', async () => {
    const node = await start('a')
    await connect(node, 'm')
    await subscribe(node, 'm', { t: 1 }, false)
    await node.hooks.queueMessage({ clientIds: ['m'], packet: message('t', 'x', qos1) })
    expect(await node.hooks.openSession({ client: client('m') })).toMatchObject({ value: { subscriptions: [] } })
    expect(await keys('mqtt:{subs,queue,inflight}:*')).toEqual([])
    node.hooks.onConnected({ client: client('m'), sessionPresent: false })
    await subscribe(node, 'm', { u: 1 })
    expect(await keys('mqtt:route:[a-z]')).toEqual(['mqtt:route:u'])
    node.hooks.onDisconnect({ client: client('m'), reason: null })
    node.hooks.onSessionEnded({ clientId: 'm' })
    await until('everything to be gone', async () => {
      const left = await keys('*')
      return left.join() === 'mqtt:node:_gen,mqtt:node:_idx,mqtt:node:a,mqtt:route:_log'
    })
  })

  test('a second broker with the id of one that lives is refused, with a code', async () => {
    const first = await start('same', { keep: true })
    const refusal = await refusalOf(start('same'))
    expect(refusal.code).toBe('NODE_ID_TAKEN')
    expect(refusal.message).toMatch(/"same"/)
    await subscribe(first, 'x', { t: 0 })
    const other = await start('other')
    await other.publish('t')
    await first.got(1)
    await first.close()
    expect(await keys('mqtt:node:*')).toEqual(['mqtt:node:_gen', 'mqtt:node:_idx', 'mqtt:node:other'])
    await start('same')
  })

  test('the id of a broker that died can be taken at once, and what it left is not taken for the new one’s', async () => {
    await server.client.set('mqtt:node:n', 'host/1//lane', 'PX', 60_000)
    await server.client.sadd('mqtt:route:t', 'n', 'gone')
    await server.client.sadd('mqtt:route:_idx', 't')
    const node = await start('n')
    expect(await server.client.smembers('mqtt:route:t')).not.toContain('n')
    expect(node.published).toEqual([])
  })

  test('a dead node’s routes and clients are gone when its entry expires, and its sessions are queued for', async () => {
    const dead = { 'mqtt:session:clean': { owner: 'dead', node: 'dead', clean: '1' } } as const
    await server.client.set('mqtt:node:dead', 'host/1//lane', 'PX', 400)
    await server.client.sadd('mqtt:node:_idx', 'dead')
    await server.client.sadd('mqtt:route:t/#', 'dead')
    await server.client.sadd('mqtt:route:_idx', 't/#')
    await server.client.hset('mqtt:session:clean', dead['mqtt:session:clean'])
    await server.client.hset('mqtt:session:m', { owner: 'dead', node: 'dead', clean: '0' })
    await server.client.sadd('mqtt:session:_idx', 'clean', 'm')
    await server.client.hset('mqtt:subs:m', { 't/#': '1' })
    const node = await start('a', { config: { heartbeatIntervalMs: 50, nodeTtlMs: 400 } })
    // Its entry is there and nobody listens: the message is not lost.
    await node.publish('t/1', 'early', qos1)
    await until('the routes to be gone', async () => (await server.client.exists('mqtt:route:t/#')) === 0)
    await until('the client to be gone', async () => (await server.client.exists('mqtt:session:clean')) === 0)
    await until('the session to be free', async () => (await server.client.hget('mqtt:session:m', 'node')) === '')
    await node.publish('t/1', 'late', qos1)
    expect((await connect(node, 'm')).texts).toEqual(['early', 'late'])
  })

  test('a new lane of the same broker takes over, and the old one does not clear up behind it', async () => {
    const [a, b] = [await start('a'), await start('b')]
    await subscribe(a, 'x', { t: 0 })
    const publishing = Array.from({ length: 200 }, async (_, index) => {
      if (index === 50) await a.engine.reload('cluster')
      if (index > 50) await b.publish('t', String(index))
    })
    await Promise.all(publishing)
    await b.publish('t', 'after')
    await until('the last', () => a.published.includes('t after'))
    expect(new Set(a.published).size).toBe(150)
    expect(a.published).toHaveLength(150)
    expect(await server.client.smembers('mqtt:route:t')).toEqual(['a'])
  })

  test('a Redis that forgets everything is told again, and a Redis that is away costs the policy', async () => {
    const own = await startRedis()
    onTestFinished(() => own.stop())
    const a = await start('a', { config: { addr: own.path } })
    const b = await start('b', { config: { addr: own.path }, options: { onFailure: { error: 'allow' } } })
    await subscribe(b, 'x', { 't/+': 0 })
    await own.kill()
    await until('Redis to be missed', async () => (await a.publish('t/1')).kind === 'reject')
    expect(await a.hooks.onConnect({ client: client('y'), password: null, will: null })).toMatchObject({
      kind: 'reject',
      failure: { kind: 'error' },
    })
    await until('Redis to be missed', async () => (await b.hooks.getRetained({ filter: 't' })).kind === 'continue')
    expect((await b.publish('t/1')).kind).toBe('continue')
    await own.restart()
    await until('the message to arrive', async () => {
      await a.publish('t/1', 'back')
      return b.published.includes('t/1 back')
    })
  })

  test('runs on a Redis Cluster of several servers by its addresses', async () => {
    const own = await startRedisCluster()
    onTestFinished(() => own.stop())
    const config = { addrs: own.addrs, heartbeatIntervalMs: 200, nodeTtlMs: 5_000 }
    const [a, b] = [await start('a', { config }), await start('b', { config })]
    const filters = Array.from({ length: 9 }, (_, index) => [`t/${index}/+`, 0] as const)
    await subscribe(b, 'x', Object.fromEntries(filters))
    for (const [filter] of filters) await a.publish(filter.replace('+', 'x'))
    expect(await b.got(9)).toEqual(filters.map(([filter]) => filter.replace('+', 'x')))
    await connect(a, 'm')
    await subscribe(a, 'm', { 'jobs/#': 1 }, false)
    await a.hooks.queueMessage({ clientIds: ['m'], packet: message('jobs/1', 'one', qos1) })
    expect((await connect(b, 'm')).texts).toEqual(['one'])
    await a.hooks.storeRetained({ packet: message('r', 'x', { retain: true }) })
    expect(await b.hooks.getRetained({ filter: '#' })).toMatchObject({ value: [{ topic: 'r' }] })
    expect((await refusalOf(start('a', { config }))).code).toBe('NODE_ID_TAKEN')
  })
})
