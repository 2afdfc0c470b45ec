/** Where Redis is: behind Sentinels, behind an address that moves, behind TLS. Real servers, of the test's own. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { cluster, redis } from 'hookring/hooks'
import { describe, expect, onTestFinished, test } from 'vitest'
import { fixture, refusalOf, until } from '../support/lab.js'
import { client, message, startNode } from '../support/nodes.js'
import { noRedis, type RedisOptions, startRedis, startSentinel } from '../support/redis.js'

const LONG_MS = 60_000

async function started(options: RedisOptions = {}) {
  const server = await startRedis(options)
  onTestFinished(() => server.stop())
  return server
}

/** A primary and its replica, which has all that it had. */
async function pair() {
  const primary = await started()
  const replica = await started({ replicaOf: primary.port })
  const isLinked = async () => (await replica.client.info('replication')).includes('master_link_status:up')
  await until('the replica', isLinked, 20_000)
  return { primary, replica }
}

async function sentinelOf(primary: Awaited<ReturnType<typeof pair>>['primary']) {
  const sentinel = await startSentinel(primary)
  onTestFinished(() => sentinel.stop())
  return sentinel
}

const retained = (topic: string, text: string) => ({ packet: message(topic, text, { retain: true }) })
/** Whether it was stored; a respond that fails rejects. */
const stores = ({ hooks }: Awaited<ReturnType<typeof startNode>>, topic: string) =>
  hooks.storeRetained(retained(topic, 'x')).then(
    ({ kind }) => kind === 'respond',
    () => false,
  )

describe.skipIf(noRedis !== null)(`Redis behind Sentinels${noRedis === null ? '' : ` (${noRedis})`}`, () => {
  test('is followed when another server becomes the primary', { timeout: LONG_MS }, async () => {
    const { primary, replica } = await pair()
    const sentinel = await sentinelOf(primary)
    const at = { sentinels: [sentinel.addr], heartbeatIntervalMs: 200, nodeTtlMs: 5_000 }
    const nodes = ['a', 'b'].map((nodeId) => startNode(cluster({ ...at, nodeId }, { timeoutMs: 3_000 })))
    const [a, b] = (await Promise.all(nodes)) as [Awaited<(typeof nodes)[0]>, Awaited<(typeof nodes)[0]>]
    await b.hooks.onSubscribe({ client: client('x'), subscriptions: [{ filter: 't', qos: 0 }] })
    await a.publish('t', 'before')
    expect(await b.got(1)).toEqual(['t before'])
    await primary.kill()
    await until('the new primary', () => stores(a, 'r'), 30_000)
    expect((await replica.client.info('replication')).includes('role:master')).toBe(true)
    expect(await replica.client.exists('mqtt:retained:r')).toBe(1)
    // Both are nodes of the cluster still, and hear each other.
    const arrives = async () => {
      await a.publish('t', 'after')
      return b.published.includes('t after')
    }
    await until('a message across', arrives, 30_000)
    expect(a.engine.plugins.map(({ state }) => state)).toEqual(['active'])
  })

  test('is found at its start by the name that they know it by, or refused with a code', async () => {
    const { primary } = await pair()
    const { addr } = await sentinelOf(primary)
    const node = await startNode(redis({ sentinels: [`redis://${addr}`] }, { timeoutMs: 3_000 }))
    expect(await stores(node, 'r')).toBe(true)
    expect(await primary.client.exists('mqtt:retained:r')).toBe(1)
    const unknown = { sentinels: [addr], sentinelName: 'nobody', connectTimeoutMs: 1_000 }
    expect((await refusalOf(startNode(redis(unknown)))).code).toBe('REDIS_UNAVAILABLE')
    const refusal = await refusalOf(startNode(redis({ addr })))
    expect(refusal).toMatchObject({ code: 'REDIS_UNAVAILABLE', message: expect.stringContaining('`sentinels`') })
  })
})

describe.skipIf(noRedis !== null)('Redis behind an address that moves', () => {
  test('is left when it has become a read-only replica', { timeout: LONG_MS }, async () => {
    const [first, second] = [await started(), await started()]
    let target = first.port
    const proxy = createServer((socket) => {
      const up = connect(target, '127.0.0.1')
      socket.on('error', () => up.destroy()).on('close', () => up.destroy())
      up.on('error', () => socket.destroy()).on('close', () => socket.destroy())
      socket.pipe(up).pipe(socket)
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    onTestFinished(() => void proxy.close())
    const addr = `127.0.0.1:${(proxy.address() as { port: number }).port}`
    const node = await startNode(redis({ addr, nodeId: 'a' }, { timeoutMs: 3_000 }))
    expect(await stores(node, 'before')).toBe(true)
    // Connections that are open stay where they are.
    target = second.port
    await first.client.replicaof('127.0.0.1', String(second.port))
    await until('the new primary', () => stores(node, 'after'), 20_000)
    expect(await second.client.exists('mqtt:retained:after')).toBe(1)
  })

  test('is not taken at the start while it is a replica, and that is said', { timeout: LONG_MS }, async () => {
    const { replica } = await pair()
    const refusal = await refusalOf(startNode(redis({ addr: replica.addr, connectTimeoutMs: 1_000 })))
    expect(refusal).toMatchObject({ code: 'REDIS_UNAVAILABLE', message: expect.stringContaining('read-only replica') })
  })
})

describe.skipIf(noRedis !== null)('Redis behind TLS', () => {
  const file = (name: string) => fileURLToPath(fixture(`exhook/tls/${name}`))
  const pem = (name: string) => readFileSync(file(name), 'utf8')
  const tls = { cert: file('server.pem'), key: file('server.key'), ca: file('ca.pem') }
  const password = 'correct horse'
  const own = { cert: pem('broker.pem'), key: pem('broker.key') }
  const at = (config: object) =>
    startNode(redis({ password, connectTimeoutMs: 1_500, ...config }, { timeoutMs: 3_000 }))

  test('is believed by who signed its certificate, and by nobody else', { timeout: LONG_MS }, async () => {
    const { addr } = await started({ tls, password })
    const ca = pem('ca.pem')
    const good = [
      { addr, tls: { ca } },
      { addr: `rediss://:${encodeURIComponent(password)}@${addr}`, password: undefined, tls: { ca } },
      { addr, tls: { ca, servername: 'localhost', minVersion: 'TLSv1.3' } },
      { addr, tls: { rejectUnauthorized: false } },
    ]
    for (const config of good) expect(await stores(await at(config), 'r')).toBe(true)
    const bad = [
      { addr, tls: true },
      { addr: `rediss://${addr}` },
      { addr, tls: { ca: pem('other.pem') } },
      { addr, tls: { ca, servername: 'elsewhere' } },
      // Plain, where TLS is spoken.
      { addr },
    ]
    for (const config of bad) {
      const refusal = await refusalOf(at(config))
      expect(refusal.code).toBe('REDIS_UNAVAILABLE')
      expect(refusal.message).not.toContain(password)
    }
  })

  test('that asks for a certificate gets the one of the options', { timeout: LONG_MS }, async () => {
    const { addr } = await started({ tls: { ...tls, asksClients: true }, password })
    const ca = pem('ca.pem')
    expect(await stores(await at({ addr, tls: { ca, ...own } }), 'r')).toBe(true)
    const refusal = await refusalOf(at({ addr, tls: { ca } }))
    expect(refusal.code).toBe('REDIS_UNAVAILABLE')
  })
})
