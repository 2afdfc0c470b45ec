/** Brokers with the redis hook, each a process, on one Redis; and a cluster that goes on without it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connect } from '../support/broker.js'
import { killBrokers, startBrokerProcess } from '../support/brokers.js'
import { until } from '../support/lab.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis.js'

let server: RedisServer
if (noRedis === null) {
  beforeAll(async () => {
    server = await startRedis({ keeps: true })
  })
  afterAll(async () => {
    await killBrokers()
    await server?.stop()
  })
}

const start = (hook: 'redis' | 'cluster', nodeId: string, options: Record<string, unknown> = {}) =>
  startBrokerProcess({ hook, config: { addr: server.path, nodeId }, options: { timeoutMs: 3_000, ...options } })

describe.skipIf(noRedis !== null)(`brokers on Redis${noRedis === null ? '' : ` (${noRedis})`}`, () => {
  test('with the redis hook messages cross once, and retained ones survive every broker', async () => {
    const [a, b] = await Promise.all([start('redis', 'a'), start('redis', 'b')])
    const [near, far] = [await connect(a), await connect(b)]
    await near.subscribe({ 't/#': 1 })
    await far.subscribe({ 't/#': 1 })
    await near.publish('kept/1', 'x', { qos: 1, retain: true })
    await near.publish('t/1', 'x', { qos: 1 })
    await far.receives(1)
    await far.publish('t/2', 'y', { qos: 1 })
    await near.receives(2)
    await far.receives(2)
    await near.publish('t/end')
    await far.receives(3)
    expect(far.received).toEqual(['t/1 x', 't/2 y', 't/end '])
    await Promise.all([a.kill(), b.stop()])
    const late = await connect(await start('redis', 'a'))
    await late.subscribe({ 'kept/+': 1 })
    expect(await late.receives(1)).toEqual(['kept/1 x'])
  })

  test('Redis hangs: each question costs the deadline, the policy answers, and nobody stalls', async () => {
    const hasty = await start('cluster', 'hasty', { onFailure: 'allow', timeoutMs: 200 })
    const [publisher, subscriber] = [await connect(hasty), await connect(hasty)]
    await subscriber.subscribe({ 'slow/#': 1 })
    server.pause()
    try {
      await Promise.all(
        Array.from({ length: 40 }, (_, index) => publisher.publish('slow/1', String(index), { qos: 1 })),
      )
      await subscriber.receives(40)
      expect((await connect(hasty, { clientId: 'new', clean: false })).isConnected).toBe(true)
    } finally {
      server.resume()
    }
    await until('Redis to answer', async () => (await server.client.exists('mqtt:node:hasty')) === 1)
    expect(publisher.isConnected && subscriber.isConnected).toBe(true)
    await hasty.kill()
  })

  test('Redis is killed under load: everything is answered, the policy says how, and clients stay', async () => {
    const allowing = await start('cluster', 'c', { onFailure: 'allow' })
    const [publisher, subscriber] = [await connect(allowing), await connect(allowing)]
    await subscriber.subscribe({ 'load/#': 1 })
    const publishing = Array.from({ length: 300 }, async (_, index) => {
      if (index === 100) await server.kill()
      await publisher.publish('load/1', String(index), { qos: index % 2 === 0 ? 1 : 2 })
    })
    await Promise.all(publishing)
    await until('all of them', () => new Set(subscriber.messages.map(({ payload }) => payload)).size === 300)
    // Policy allow: the broker goes on by itself, for those who connect now too.
    const late = await connect(allowing, { clientId: 'late', clean: false })
    await late.subscribe({ 'load/#': 1 })
    await publisher.publish('load/2', 'alone', { qos: 1 })
    expect(await late.receives(1)).toEqual(['load/2 alone'])
    await server.restart()
    await until('the node to be back', async () => (await server.client.exists('mqtt:node:c')) === 1)
    expect(await allowing.stop()).toBe(0)
  })
})
