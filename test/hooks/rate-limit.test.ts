import { createHookEngine } from 'hookring'
import { mqtt } from 'hookring/contracts'
import { rateLimit } from 'hookring/hooks'
import { describe, expect, onTestFinished, test } from 'vitest'
import { TokenBuckets } from '../../dist/hooks/token-bucket.js'
import { until } from '../support/lab.js'
import { startNode } from '../support/nodes.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis.js'

test('a bucket refills by rate, in fractions, up to its burst', () => {
  const buckets = new TokenBuckets({ rate: 2, intervalMs: 1_000, burst: 2, maxKeys: 10 })
  const at = (...times: number[]) => times.map((ms) => buckets.take('a', ms))
  expect(at(0, 0, 0)).toEqual([true, true, false])
  expect(at(250, 500, 999, 1_000)).toEqual([false, true, false, true])
  expect(at(60_000, 60_000, 60_000)).toEqual([true, true, false])
})

test('past its bound the bucket that was used longest ago is forgotten', () => {
  const buckets = new TokenBuckets({ rate: 1, intervalMs: 1_000, burst: 1, maxKeys: 2 })
  for (const key of ['a', 'b', 'a', 'c']) buckets.take(key, 0)
  expect(buckets.size).toBe(2)
  expect(buckets.take('a', 0)).toBe(false)
  expect(buckets.take('b', 0)).toBe(true)
})

test('a bucket that is full again is not kept', () => {
  const buckets = new TokenBuckets({ rate: 1, intervalMs: 1_000, burst: 2, maxKeys: 100 })
  for (let key = 0; key < 50; key += 1) buckets.take(String(key), key)
  expect(buckets.size).toBe(50)
  for (let at = 0; at < 30; at += 1) buckets.take('busy', 5_000 + at)
  expect(buckets.size).toBe(1)
})

test('with several lanes each client has its own burst, and no more', async () => {
  await using engine = await createHookEngine({
    contract: mqtt,
    plugins: [rateLimit({ publishRate: 2, intervalMs: 3_600_000 }, { workers: 2 })],
  })
  const publish = (clientId: string) =>
    engine.hooks.onPublishReceived({
      client: { clientId, username: null, remoteAddress: '', protocolVersion: 5, clean: true, keepalive: 0 },
      packet: { topic: 't', payload: new Uint8Array(), qos: 0, retain: false },
    })
  for (const clientId of ['a', 'b', 'c']) {
    const verdicts = await Promise.all(Array.from({ length: 6 }, () => publish(clientId)))
    expect(verdicts.filter(({ kind }) => kind === 'continue')).toHaveLength(4)
    expect(verdicts.find(({ kind }) => kind === 'reject')).toMatchObject({ code: 0x96 })
  }
})

describe.skipIf(noRedis !== null)(`a limit in Redis${noRedis === null ? '' : ` (${noRedis})`}`, () => {
  const config = (server: RedisServer) => ({
    publishRate: 2,
    intervalMs: 600,
    burstSize: 3,
    redis: { addr: server.path },
  })
  const node = (server: RedisServer, options = {}) =>
    startNode(rateLimit(config(server), { timeoutMs: 5_000, workers: 2, ...options }))

  test('is one limit over all nodes and lanes, and refills by rate', async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const nodes = [await node(server), await node(server)]
    const verdicts = await Promise.all(Array.from({ length: 10 }, (_, index) => nodes[index % 2]?.publish('t')))
    expect(verdicts.filter((verdict) => verdict?.kind === 'continue')).toHaveLength(3)
    expect(verdicts.find((verdict) => verdict?.kind === 'reject')).toMatchObject({ code: 0x96 })
    const [key = ''] = await server.client.keys('mqtt:rate*')
    expect(key).toBe('mqtt:rate:publisher')
    // Two come back per 600 ms: the third does not wait for a window to end.
    await until('a token', async () => (await nodes[0]?.publish('t'))?.kind === 'continue')
    expect(await server.client.pttl(key)).toBeGreaterThan(300)
  })

  test('is what the policy says when Redis is away', async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const [strict, lenient] = [await node(server), await node(server, { onFailure: 'allow' })]
    await server.kill()
    await until('Redis to be missed', async () => {
      const verdict = await strict.publish('t')
      return verdict.kind === 'reject' && verdict.failure?.kind === 'error'
    })
    expect((await lenient.publish('t')).kind).toBe('continue')
  })
})
