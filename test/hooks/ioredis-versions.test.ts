/** The plugins that keep their state in Redis, with each version of ioredis that the peer range names. In lanes, on a real Redis. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cluster, rateLimit, redis } from 'hookring/hooks'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { client, message, startNode } from '../support/nodes.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis.js'

const ROOT = new URL('../../', import.meta.url)
const IN_PLACE = fileURLToPath(new URL('test/fixtures/ioredis-6.mjs', ROOT))
const VERSIONS = [
  { major: 5, package: 'ioredis', execArgv: [] as string[] },
  { major: 6, package: 'ioredis6', execArgv: ['--import', IN_PLACE] },
]
const manifestOf = (path: string) => JSON.parse(readFileSync(new URL(path, ROOT), 'utf8'))

let server: RedisServer
if (noRedis === null) {
  beforeAll(async () => {
    server = await startRedis({ keeps: true })
  })
  beforeEach(() => server.client.flushall())
  afterAll(() => server.stop())
}

test('the peer range names them', () => {
  expect(manifestOf('package.json').peerDependencies.ioredis).toBe('^5.0.0 || ^6.0.0')
})

describe.skipIf(noRedis !== null).each(VERSIONS)('with ioredis $major', ({ major, package: name, execArgv }) => {
  const life = { execArgv }

  test('it is that version', () => {
    expect(manifestOf(`node_modules/${name}/package.json`).version).toMatch(new RegExp(`^${major}\\.`))
  })

  test('retained messages are kept', async () => {
    const node = await startNode(redis({ addr: server.addr }, { timeoutMs: 3_000 }), life)
    const packet = message('home/lamp', 'on', { qos: 1, retain: true })
    expect(await node.hooks.storeRetained({ packet })).toMatchObject({ kind: 'respond', value: true })
    expect(await node.hooks.getRetained({ filter: 'home/+' })).toMatchObject({ value: [packet] })
  })

  test('messages cross', async () => {
    const start = (nodeId: string) => startNode(redis({ addr: server.path, nodeId }, { timeoutMs: 3_000 }), life)
    const [a, b] = [await start('a'), await start('b')]
    for (let index = 0; index < 10; index += 1) await a.publish('t', String(index))
    expect(await b.got(10)).toEqual(Array.from({ length: 10 }, (_, index) => `t ${index}`))
  })

  test('nodes share a rate', async () => {
    const config = { publishRate: 1, burstSize: 2, intervalMs: 60_000, redis: { addr: server.path } }
    const start = () => startNode(rateLimit(config, { timeoutMs: 3_000 }), life)
    const [a, b] = [await start(), await start()]
    const kinds: string[] = []
    for (const node of [a, b, a, b]) {
      const { kind } = await node.hooks.onPublishReceived({ client: client('c'), packet: message('t') })
      kinds.push(kind)
    }
    expect(kinds).toEqual(['continue', 'continue', 'reject', 'reject'])
  })

  test('a cluster’s node starts, and its end is in order', async () => {
    const node = await startNode(cluster({ addr: server.path, nodeId: 'a' }, { timeoutMs: 3_000 }), life)
    expect((await server.client.keys('*')).length).toBeGreaterThan(0)
    await node.close()
  })

  test('a Redis that is not there is named', async () => {
    const starting = startNode(redis({ addr: '127.0.0.1:1', connectTimeoutMs: 200 }), life)
    await expect(starting).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  })
})
