/** The redis hook of mqtt@1, in lanes, on a Redis of the test's own. */
import { mqtt } from 'hookring/contracts'
import { redis } from 'hookring/hooks'
import { runInLane } from 'hookring/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { refusalOf, until } from '../support/lab.js'
import { message, startNode } from '../support/nodes.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis.js'

let server: RedisServer
if (noRedis === null) {
  beforeAll(async () => {
    server = await startRedis({ keeps: true })
  })
  beforeEach(() => server.client.flushall())
  afterAll(() => server.stop())
}

const start = (nodeId = '', config: object = {}, options: object = {}, life: { keep?: boolean } = {}) =>
  startNode(redis({ addr: server.path, nodeId, ...config }, { timeoutMs: 3_000, ...options }), life)

describe.skipIf(noRedis !== null)(`the redis hook${noRedis === null ? '' : ` (${noRedis})`}`, () => {
  test('a retained message is there for a broker that starts later', async () => {
    const first = await start('', {}, {}, { keep: true })
    const packet = message('home/lamp', 'on', { qos: 1, retain: true })
    expect(await first.hooks.storeRetained({ packet })).toMatchObject({ kind: 'respond', value: true })
    await first.close()
    const second = await start()
    expect(await second.hooks.getRetained({ filter: 'home/+' })).toMatchObject({ kind: 'respond', value: [packet] })
    expect(await second.hooks.getRetained({ filter: 'home/lamp' })).toMatchObject({ value: [packet] })
    expect(await second.hooks.getRetained({ filter: 'other/#' })).toMatchObject({ value: [] })
  })

  test('clearing a retained message removes its key and its index entry, and nothing else', async () => {
    const node = await start()
    for (const topic of ['a', 'a/b', '_idx']) {
      await node.hooks.storeRetained({ packet: message(topic, 'x', { retain: true }) })
    }
    await node.hooks.storeRetained({ packet: message('a', '', { retain: true }) })
    expect((await server.client.keys('*')).sort()).toEqual([
      'mqtt:retained:__idx',
      'mqtt:retained:_idx',
      'mqtt:retained:a/b',
    ])
    expect((await server.client.smembers('mqtt:retained:_idx')).sort()).toEqual(['_idx', 'a/b'])
    expect(await node.hooks.getRetained({ filter: '#' })).toMatchObject({
      value: [{ topic: '_idx' }, { topic: 'a/b' }],
    })
  })

  test('an index entry that has lost its message, and one that is no message, are passed over', async () => {
    const node = await start()
    await node.hooks.storeRetained({ packet: message('a', 'x', { retain: true }) })
    await server.client.sadd('mqtt:retained:_idx', 'gone', 'broken')
    await server.client.set('mqtt:retained:broken', 'not a message')
    expect(await node.hooks.getRetained({ filter: '#' })).toMatchObject({ value: [{ topic: 'a' }] })
    await until('a line', () => node.logs.some(({ message }) => message.includes('cannot be read')))
  })

  test('more retained messages than one answer holds are cut off, and that is said', async () => {
    const node = await start()
    const payload = 'x'.repeat(300 * 1024)
    for (const topic of ['a', 'b', 'c', 'd', 'e']) {
      await node.hooks.storeRetained({ packet: message(topic, payload, { retain: true }) })
    }
    const answer = await node.hooks.getRetained({ filter: '#' })
    expect(answer.kind === 'respond' && answer.value.map(({ topic }) => topic)).toEqual(['a', 'b', 'c'])
    await until('a line', () => node.logs.some(({ message }) => message.includes('more retained messages')))
  })

  test('a message crosses to every other node once, in order, and never comes back', async () => {
    const [a, b, c] = [await start('a'), await start('b'), await start('c')]
    for (let index = 0; index < 50; index += 1) void a.publish('news', String(index), { retain: true })
    await b.publish('from/b', 'x')
    const numbers = Array.from({ length: 50 }, (_, index) => `news ${index}`)
    await c.got(51)
    await b.got(50)
    expect(c.published.filter((line) => line.startsWith('news'))).toEqual(numbers)
    expect(b.published).toEqual(numbers)
    expect(await a.got(1)).toEqual(['from/b x'])
  })

  test('without a node id nothing crosses, and no channel is listened to', async () => {
    const [a, b] = [await start(), await start('b')]
    await a.publish('news')
    await b.publish('news')
    expect(await server.client.pubsub('CHANNELS', '*')).toEqual(['mqtt:fanout'])
    expect([a.published, b.published]).toEqual([[], []])
  })

  test('the prefix is before every key and channel', async () => {
    const node = await start('a', { keyPrefix: 'x:' })
    await node.hooks.storeRetained({ packet: message('t', 'x') })
    expect((await server.client.keys('*')).sort()).toEqual(['x:retained:_idx', 'x:retained:t'])
    expect(await server.client.pubsub('CHANNELS', '*')).toEqual(['x:fanout'])
  })

  test('another database is another place', async () => {
    const node = await start('', { db: 3 })
    await node.hooks.storeRetained({ packet: message('t', 'x') })
    expect(await server.client.dbsize()).toBe(0)
  })

  test('what another writes on the channel and is no message is refused and said', async () => {
    const node = await start('a')
    await server.client.publish('mqtt:fanout', 'nonsense')
    await until('a line', () => node.logs.some(({ message }) => message.includes('no message')))
    expect(node.published).toEqual([])
  })

  test('a Redis that is not there refuses the plugin, with a code', async () => {
    const refusal = await refusalOf(
      runInLane({ ...redis({ addr: '127.0.0.1:1', connectTimeoutMs: 200 }), contract: mqtt } as never),
    )
    expect(refusal.code).toBe('REDIS_UNAVAILABLE')
    expect(refusal.message).toMatch(/127\.0\.0\.1:1/)
  })

  test('when Redis is killed hooks get what the policy says, and work again by themselves when it is back', async () => {
    const node = await start('a', {}, { onFailure: 'deny' })
    const packet = message('kept', 'x', { retain: true })
    await node.hooks.storeRetained({ packet })
    await server.kill()
    onTestFinished(() => server.restart())
    await until('Redis to be missed', async () => (await node.publish('t')).kind === 'reject')
    expect(await node.publish('t')).toMatchObject({ kind: 'reject', failure: { kind: 'error' } })
    expect(await node.hooks.getRetained({ filter: '#' })).toMatchObject({ kind: 'reject', failure: { kind: 'error' } })
    await server.restart()
    await until('Redis to be back', async () => (await node.publish('t')).kind === 'continue')
    expect(await node.hooks.getRetained({ filter: '#' })).toMatchObject({ value: [packet] })
    const other = await start('b')
    await until('the channel to be heard again', async () => {
      await other.publish('t', 'again')
      return node.published.includes('t again')
    })
  })

  test('a Redis that hangs costs the deadline and the policy', async () => {
    const node = await start('a', {}, { timeoutMs: 100, onFailure: 'allow' })
    server.pause()
    onTestFinished(() => server.resume())
    const verdicts = await Promise.all(Array.from({ length: 20 }, () => node.publish('t')))
    expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(['continue']))
    server.resume()
    await until('Redis to answer', async () => (await node.hooks.getRetained({ filter: 't' })).kind === 'respond')
  })
})
