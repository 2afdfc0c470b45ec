/** Both ways at any time: messages of the server, requests that are given up, flushes, and what has arrived before an end. */
import { once } from 'node:events'
import { connect } from 'hookring/connection'
import { expect, test } from 'vitest'
import { frame, journal, serve } from '../support/connections.js'
import { refusalOf, until } from '../support/lab.js'

const RESPONSE = 6
const MESSAGE = 9
const idOf = (id: number) => [0, 0, 0, id]

const tick = () => new Promise((resolve) => setImmediate(resolve))

test.each(['json', 'msgpack'] as const)(
  'post: a client of %s hears what the server says, in its order',
  async (codec) => {
    const { client, server } = await serve()
    const c = await client({ codec })
    const heard: unknown[] = []
    c.on('message', (message) => heard.push(message))
    for (let n = 0; n < 100; n += 1) expect(server.post(c.handle, { n })).toBe(true)
    await until('all of it', () => heard.length === 100)
    expect(heard).toEqual(Array.from({ length: 100 }, (_, n) => ({ n })))
    expect(server.counts.posted).toBe(100)
    expect(server.post(c.handle + 1, 'nobody')).toBe(false)
  },
)

test('post: from hooks of the host, and what comes before somebody listens is kept', async () => {
  const { client, server } = await serve({ handler: () => 'answer' })
  server.hooks.set('open', (handle) => void server.post(handle, 'welcome'))
  server.hooks.set('sync', (message, { handle }) => {
    server.post(handle, 'before the answer')
    return message
  })
  const c = await client()
  expect(await c.sync(1)).toBe(1)
  const heard: unknown[] = []
  c.on('message', (message) => heard.push(message))
  await until('both', () => heard.length === 2)
  expect(heard).toEqual(['welcome', 'before the answer'])
  expect(c.lostMessages).toBe(0)
})

test('post: from a plugin, to its own connection and to others, of other codecs too', async () => {
  const { client } = await serve({ plugins: [journal({ services: ['post'] })] })
  const [a, b] = [await client({ codec: 'msgpack' }), await client({ codec: 'json' })]
  const heard = { a: [] as unknown[], b: [] as unknown[] }
  a.on('message', (message) => heard.a.push(message))
  b.on('message', (message) => heard.b.push(message))
  expect(await a.sync({ do: 'post', message: { to: 'me' } })).toBe(true)
  expect(await a.sync({ do: 'post', message: { to: 'you' }, handle: b.handle })).toBe(true)
  expect(await a.sync({ do: 'post', message: 1, handle: 999 })).toBe(false)
  await until('both', () => heard.a.length === 1 && heard.b.length === 1)
  expect(heard).toEqual({ a: [{ to: 'me' }], b: [{ to: 'you' }] })
})

test('post: a plugin that was not granted it, and a restricted connection, are refused', async () => {
  const refused = await serve({ plugins: [journal()] })
  const c = await refused.client()
  expect((await refusalOf(c.sync({ do: 'post', message: 1 }))).message).toMatch(/not granted.*services: \['post'\]/)
  const { client, server } = await serve({ plugins: [journal({ services: ['post'] })], restricted: true })
  const [a, b] = [await client(), await client()]
  expect(await a.sync({ do: 'post', message: 1 })).toBe(true)
  expect((await refusalOf(a.sync({ do: 'post', message: 1, handle: b.handle }))).message).toMatch(
    /write to itself alone/,
  )
  server.hooks.set('sync', (_message, { handle }) => server.post(handle === a.handle ? b.handle : a.handle, 1))
  expect(await refusalOf(a.sync(1))).toMatchObject({ code: 'CONNECTION_RESTRICTED' })
})

test('post: what cannot be sent is refused', async () => {
  const { client, server } = await serve({ maxFrameBytes: 2_000 })
  const c = await client()
  const attempt = (message: unknown) => refusalOf((async () => server.post(c.handle, message))())
  expect(await attempt('x'.repeat(3_000))).toMatchObject({ code: 'FRAME_TOO_LARGE' })
  expect(await attempt(new Error('gone'))).toMatchObject({ code: 'BODY_INVALID' })
})

test('post: a client that does not take what it is sent is bounded, counted, and ended in time', async () => {
  const { socket, server } = await serve({ stallTimeoutMs: 200, maxUnsentBytes: 1_000_000 })
  const bare = await socket()
  bare.hello()
  await bare.next()
  bare.socket.pause()
  const { handle } = server.connections[0] as { handle: number }
  const body = 'x'.repeat(500_000)
  const refusal = await refusalOf(
    (async () => {
      for (let n = 0; n < 100; n += 1) {
        server.post(handle, body)
        await tick()
      }
    })(),
  )
  expect(refusal).toMatchObject({ code: 'REQUEST_OVERLOAD' })
  expect(server.counts.unposted).toBe(1)
  await until('the end', () => server.counts.closed.stalled === 1)
})

test('a listener that throws ends neither the connection nor what others hear', async () => {
  const { client, server } = await serve({ handler: (message) => message })
  const c = await client()
  const thrown = once(process, 'uncaughtException')
  const others = process.listeners('uncaughtException').slice(0, -1)
  for (const listener of others) process.off('uncaughtException', listener)
  c.once('message', () => {
    throw new Error('a listener of the test')
  })
  server.post(c.handle, 1)
  expect(await thrown).toMatchObject([{ message: 'a listener of the test' }, 'uncaughtException'])
  for (const listener of others) process.on('uncaughtException', listener)
  expect(await c.sync('well?')).toBe('well?')
})

test.each(['its signal', 'its time', 'the end of its client'])(
  'a request that is given up by %s is cancelled',
  async (by) => {
    const signals: AbortSignal[] = []
    const { client, server } = await serve({
      handler(message, { signal }) {
        if (message !== 'hang') return message
        signals.push(signal)
        return new Promise(() => {})
      },
    })
    const c = await client()
    const controller = new AbortController()
    const given = refusalOf(c.sync('hang', { signal: controller.signal, timeoutMs: by === 'its time' ? 300 : 20_000 }))
    await until('it is asked', () => signals.length === 1)
    if (by === 'its signal') controller.abort()
    if (by === 'the end of its client') await c.close()
    await given
    await until('the abort', () => signals[0]?.aborted === true && server.counts.abandoned === 1)
    if (by === 'the end of its client') return
    expect(await c.sync('well?')).toBe('well?')
    expect(server.counts).toMatchObject({ sync: 2, answered: 1, failed: 0, abandoned: 1 })
  },
)

test('a cancel of nothing is nothing, and a number that is under way is no other request’s', async () => {
  const { socket, server } = await serve({ handler: () => new Promise(() => {}) })
  const bare = await socket()
  bare.hello()
  await bare.next()
  bare.frame(10, idOf(9))
  bare.frame(4, [...idOf(1), 1])
  bare.frame(4, [...idOf(1), 1])
  expect(await bare.error()).toMatchObject({
    type: 8,
    code: 'FRAME_INVALID',
    message: 'request 1 is under way already',
  })
  await until('both are counted', () => server.counts.closed.protocol === 1 && server.counts.abandoned === 1)
})

test('flush resolves when all that was sent before it has been handled, in the host and in lanes', async () => {
  const handled: unknown[] = []
  const { client } = await serve({
    async handler(message) {
      for (let turn = 0; turn < 3; turn += 1) await tick()
      handled.push(message)
    },
  })
  const c = await client()
  for (let n = 0; n < 50; n += 1) void c.async(n)
  await c.flush()
  expect(handled).toHaveLength(50)
  await c.flush()
  const lanes = await serve({ plugins: [journal()] })
  const other = await lanes.client()
  for (let n = 0; n < 50; n += 1) void other.async(n)
  await other.flush()
  const seen = (await other.sync({ do: 'seen' })) as unknown[][]
  expect(seen.filter(([hook]) => hook === 'async')).toHaveLength(50)
})

test('flush waits for no longer than it is told, and for nothing that comes after it', async () => {
  const held: (() => void)[] = []
  const { client } = await serve({ handler: () => new Promise<void>((resolve) => held.push(resolve)) })
  const c = await client()
  void c.async(1)
  expect(await refusalOf(c.flush({ timeoutMs: 50 }))).toMatchObject({ code: 'REQUEST_TIMEOUT' })
  const flushed = c.flush()
  void c.async(2)
  await until('both', () => held.length === 2)
  held[0]?.()
  await flushed
  held[1]?.()
})

test.each([
  ['maxOutstanding', { maxOutstanding: 1 }],
  ['a handler that takes its time', {}],
])('what a client sent before it closed is handled before close is told: %s', async (_, options) => {
  const told: unknown[] = []
  const { client, server } = await serve({
    ...options,
    async handler(message) {
      await tick()
      told.push(message)
    },
    hooks: { close: () => void told.push('close') },
  })
  const c = await client()
  for (let n = 0; n < 300; n += 1) void c.async(n)
  await c.close()
  expect(told).toEqual([...Array.from({ length: 300 }, (_, n) => n), 'close'])
  expect(server.counts.closed.client).toBe(1)
})

test('what waits for lanes is handled before close is told, too', async () => {
  const { client } = await serve({ maxPendingAsync: 16, plugins: [journal({ limits: { slots: 16, queue: 32 } })] })
  const [c, watcher] = [await client(), await client()]
  for (let n = 0; n < 300; n += 1) void c.async(n)
  await c.close()
  const own = async () =>
    ((await watcher.sync({ do: 'seen' })) as unknown[][]).filter(([, handle]) => handle === c.handle)
  await until('its close', async () => (await own()).at(-1)?.[0] === 'close')
  expect((await own()).filter(([hook]) => hook === 'async').map(([, , n]) => n)).toEqual(
    Array.from({ length: 300 }, (_, n) => n),
  )
})

test('a client that ends its side is answered what it has asked', async () => {
  const { socket, server } = await serve({
    maxOutstanding: 2,
    async handler(message) {
      await tick()
      return message
    },
  })
  const bare = await socket()
  bare.hello()
  for (let id = 1; id <= 10; id += 1) bare.frame(4, [...idOf(id), id])
  bare.socket.end()
  expect((await bare.next())?.type).toBe(2)
  for (let id = 1; id <= 10; id += 1) {
    const { type, payload } = (await bare.next()) as { type: number; payload: Buffer }
    expect([type, ...payload]).toEqual([RESPONSE, ...idOf(id), id])
  }
  expect(await bare.next()).toBe(null)
  expect(server.counts).toMatchObject({ answered: 10, abandoned: 0, closed: { client: 1 } })
})

test('messages that have arrived are handled though their connection broke', async () => {
  let release = () => {}
  const first = new Promise<void>((resolve) => {
    release = resolve
  })
  const told: unknown[] = []
  const { socket, server } = await serve({
    maxOutstanding: 1,
    async handler(message) {
      if (told.length === 0) await first
      told.push(message)
    },
    hooks: { close: () => void told.push('close') },
  })
  const bare = await socket()
  bare.hello()
  await bare.next()
  bare.write(Buffer.concat([...[1, 2, 3].map((n) => frame(5, [n])), frame(4, [...idOf(1), 4]), frame(5, [5])]))
  await until('the first', () => server.counts.async === 1)
  bare.socket.resetAndDestroy()
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(told).toEqual([])
  release()
  await until('the end', () => told.at(-1) === 'close')
  expect(told).toEqual([1, 2, 3, 5, 'close'])
  expect(server.counts).toMatchObject({ sync: 1, abandoned: 1, closed: { broken: 1 } })
})

test('close says that messages may not have been handled: a server that ends, and one that takes for ever', async () => {
  const { address, server } = await serve({ handler: () => new Promise(() => {}) })
  const [ended, slow] = [await connect({ ...address }), await connect({ ...address, closeTimeoutMs: 100 })]
  for (const c of [ended, slow]) void c.async(1)
  await until('both', () => server.counts.async === 2)
  const given = refusalOf(ended.close())
  expect(await refusalOf(slow.close())).toMatchObject({
    code: 'CONNECTION_TIMEOUT',
    message: expect.stringMatching(/^1 messages .* may not/),
  })
  server.disconnect(ended.handle)
  expect(await given).toMatchObject({
    code: 'CONNECTION_CLOSED',
    message: expect.stringMatching(/may not have been handled/),
  })
})

test('a frame of the server’s reaches a client that is not hookring’s', async () => {
  const { socket, server } = await serve()
  const bare = await socket()
  bare.hello()
  await bare.next()
  server.post(server.connections[0]?.handle as number, 5)
  const { type, payload } = (await bare.next()) as { type: number; payload: Buffer }
  expect([type, ...payload]).toEqual([MESSAGE, 5])
})
