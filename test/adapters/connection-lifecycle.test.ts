/** From the first connection to the last: balance of open and close, order, bounds, timeouts, shutting down. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createHookEngine } from 'hookring'
import { connect, createConnectionServer } from 'hookring/connection'
import { delivery } from 'hookring/contracts'
import { describe, expect, onTestFinished, test } from 'vitest'
import { journal, raw, seenBy, serve, socketPath } from '../support/connections.js'
import { refusalOf, silent, until } from '../support/lab.js'

const pending = <T = void>() => {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

describe('open and close', () => {
  test.each(['tcp', 'unix'] as const)(
    'come once for each of many connections, however they end, over %s',
    async (over) => {
      const told: string[] = []
      const { client, socket, server } = await serve({
        over,
        plugins: [journal()],
        hooks: { open: (h) => void told.push(`open ${h}`), close: (h) => void told.push(`close ${h}`) },
      })
      const watcher = await client()
      const ends = [
        async () => (await client()).close(),
        async () => {
          const bare = await socket()
          bare.hello()
          await bare.next()
          if (over === 'tcp') bare.socket.resetAndDestroy()
          else bare.socket.destroy()
        },
        async () => {
          const bare = await socket()
          bare.hello()
          bare.frame(99)
          await bare.next()
          expect(await bare.error()).toMatchObject({ type: 8, code: 'FRAME_INVALID' })
        },
        async () => server.disconnect((await client()).handle),
      ]
      await Promise.all(Array.from({ length: 20 }, (_, i) => ends[i % ends.length]!()))
      const inLanes = async () => (await seenBy(watcher)).filter(([hook]) => hook === 'open' || hook === 'close')
      await until('21 times open and 20 times close', async () => (await inLanes()).length === 41 && told.length === 41)
      for (const list of [told, (await inLanes()).map(([hook, handle]) => `${hook} ${handle}`)]) {
        for (let handle = 1; handle <= 21; handle += 1) {
          const own = list.filter((line) => line.endsWith(` ${handle}`))
          expect(own).toEqual(handle === watcher.handle ? [`open ${handle}`] : [`open ${handle}`, `close ${handle}`])
        }
      }
      expect(server.counts.opened).toBe(21)
      expect(Object.values(server.counts.closed).reduce((sum, count) => sum + count)).toBe(20)
      expect(server.counts.closed).toMatchObject({ protocol: 5, server: 5 })
    },
  )

  test('close comes before the socket is let go of, with the reason', async () => {
    const reasons: string[] = []
    const { client, engine, server } = await serve({ plugins: [journal()] })
    server.hooks.set('close', () => void reasons.push(`${server.connections.length} left`))
    const c = await client()
    await c.close()
    await until('the close', () => reasons.length === 1)
    expect(reasons).toEqual(['0 left'])
    await engine.flush()
  })

  test('requests under way when the client goes are abandoned, and close comes after them', async () => {
    const order: string[] = []
    const { client, server } = await serve({
      plugins: [raw({ sync: 'hangs' })],
      hooks: { close: () => void order.push('close') },
    })
    const c = await client()
    const given = refusalOf(c.sync(1))
    await until('the request', () => server.counts.sync === 1)
    await c.close()
    expect(await given).toMatchObject({ code: 'CONNECTION_CLOSED' })
    await until('the close', () => order.length === 1 && server.counts.abandoned === 1)
    expect(server.counts).toMatchObject({ sync: 1, answered: 0, failed: 0, abandoned: 1 })
  })

  test('a handler is told by its signal that nobody waits any more', async () => {
    const begun = pending()
    const ended = pending<unknown>()
    const { client } = await serve({
      handler: (_message, { signal }) => {
        signal.addEventListener('abort', () => ended.resolve('aborted'))
        begun.resolve()
        return new Promise(() => {})
      },
    })
    const c = await client()
    const given = refusalOf(c.sync(1))
    await begun.promise
    await c.close()
    expect(await ended.promise).toBe('aborted')
    expect(await given).toMatchObject({ code: 'CONNECTION_CLOSED' })
  })
})

describe('bounds', () => {
  test('past maxOutstanding a connection is read no further, and others are', async () => {
    const asked: unknown[] = []
    const release = pending()
    const { client, server } = await serve({
      maxOutstanding: 2,
      async handler(message) {
        asked.push(message)
        if (message !== 'other') await release.promise
        return message
      },
    })
    const c = await client()
    const answers = [1, 2, 3, 4, 5].map((n) => c.sync(n))
    await until('two', () => asked.length === 2)
    expect(await (await client()).sync('other')).toBe('other')
    expect(asked).toEqual([1, 2, 'other'])
    release.resolve()
    expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5])
    expect(server.counts.answered).toBe(6)
  })

  test('past maxPendingAsync connections wait for the lanes, and no message is lost', async () => {
    const { client, engine } = await serve({
      maxPendingAsync: 16,
      plugins: [journal({ limits: { slots: 16, queue: 32 } })],
    })
    const letters: unknown[] = []
    engine.on('deadLetter', (letter) => letters.push(letter))
    const [a, b] = [await client(), await client()]
    const count = 500
    await Promise.all(
      [a, b].map(async (c) => {
        for (let n = 0; n < count; n += 1) await c.async(n)
      }),
    )
    for (const c of [a, b]) {
      const own = (await seenBy(c)).filter(([hook, handle]) => hook === 'async' && handle === c.handle)
      expect(own.map(([, , n]) => n)).toEqual(Array.from({ length: count }, (_, n) => n))
    }
    expect(letters).toEqual([])
  })

  test('past maxConnections a connection is refused', async () => {
    const { client, server } = await serve({ maxConnections: 1, handler: () => 1 })
    const c = await client()
    expect(await refusalOf(client())).toMatchObject({ code: 'CONNECTION_LIMIT' })
    expect(server.counts.refused.limit).toBe(1)
    await c.close()
    await until('room', () => server.connections.length === 0)
    await until('a place', async () => {
      const next = await client().catch(() => null)
      return (await next?.sync(0)) === 1
    })
  })

  test('a client that does not take its answers is not kept for ever', async () => {
    const { socket, server } = await serve({
      stallTimeoutMs: 100,
      handler: () => 'x'.repeat(900_000),
      maxOutstanding: 4,
    })
    const bare = await socket()
    bare.hello()
    await bare.next()
    bare.socket.pause()
    for (let id = 0; id < 40; id += 1) bare.frame(4, [0, 0, 0, id, 0xc0])
    await until('the end', () => server.counts.closed.stalled === 1)
    expect(server.connections).toEqual([])
    expect(server.counts.sync).toBeLessThan(40)
  })

  test('a handler that never settles is a timeout for the client', async () => {
    const { client } = await serve({ requestTimeoutMs: 50, handler: () => new Promise(() => {}) })
    expect(await refusalOf((await client()).sync(1))).toMatchObject({ code: 'REQUEST_TIMEOUT' })
  })

  test('a connection without messages is idle, one with a request under way is not', async () => {
    const release = pending()
    const { client, server } = await serve({ idleTimeoutMs: 100, handler: () => release.promise.then(() => 'late') })
    const [idle, busy] = [await client(), await client()]
    const answer = busy.sync(1)
    expect(await idle.closed).toMatchObject({ code: 'CONNECTION_TIMEOUT' })
    expect(busy.isOpen).toBe(true)
    release.resolve()
    expect(await answer).toBe('late')
    expect(server.counts.closed.idle).toBe(1)
  })
})

describe('closing', () => {
  test('answers what is under way, tells close of each connection, and says goodbye', async () => {
    const release = pending()
    const closes: number[] = []
    const { client, server } = await serve({
      plugins: [journal()],
      handler: () => release.promise.then(() => 'done'),
      hooks: { close: (handle) => void closes.push(handle) },
    })
    const [a, b] = [await client(), await client()]
    const answer = a.sync({ not: 'known' })
    await until('the request', () => server.counts.sync === 1)
    const closed = server.close()
    release.resolve()
    expect(await answer).toBe('done')
    await closed
    expect(await b.closed).toMatchObject({ code: 'CONNECTION_CLOSED', message: 'the server is shutting down' })
    expect(closes.sort()).toEqual([a.handle, b.handle])
    expect(server.connections).toEqual([])
    expect(await refusalOf(server.listen({ port: 0 }))).toMatchObject({ code: 'LISTEN_FAILED' })
  })

  test('gives up what takes longer than its grace', async () => {
    const { client, server } = await serve({ handler: () => new Promise(() => {}) })
    const c = await client()
    const given = refusalOf(c.sync(1))
    await until('the request', () => server.counts.sync === 1)
    await server.close({ graceMs: 20 })
    expect(await given).toMatchObject({ code: 'CONNECTION_CLOSED' })
    expect(server.counts.abandoned).toBe(1)
  })

  test('onShutdown comes while connections are open, close before destroy', async () => {
    const { client, server, engine } = await serve({ plugins: [journal()] })
    const c = await client()
    await engine.shutdown()
    expect(await c.sync({ do: 'echo', value: 1 })).toBe(1)
    await server.close()
    await engine.close()
    expect(server.counts.closed.server).toBe(1)
  })

  test('a server whose engine was closed first answers with a code', async () => {
    const { client, engine } = await serve({ plugins: [journal()] })
    const c = await client()
    await engine.close()
    expect(await refusalOf(c.sync(1))).toMatchObject({ code: 'ENGINE_CLOSED' })
  })
})

describe('where a server listens', () => {
  test('may be several addresses, whose connections share their handles', async () => {
    const { client, server } = await serve({ handler: (_message, { handle }) => handle })
    const path = socketPath()
    expect(await server.listen({ path })).toEqual({ path })
    const [a, b] = [await client(), await connect({ path })]
    onTestFinished(() => b.close())
    expect([await a.sync(0), await b.sync(0)]).toEqual([a.handle, b.handle])
    expect(a.handle).not.toBe(b.handle)
    expect(server.connections.map(({ transport }) => transport)).toEqual(['tcp', 'unix'])
  })

  test('two servers of one engine share its handles too', async () => {
    const { client, engine } = await serve({ handler: () => 1 })
    const other = createConnectionServer({ engine, handler: () => 2, logger: silent })
    onTestFinished(() => other.close())
    const c = await connect(await other.listen({ port: 0 }))
    onTestFinished(() => c.close())
    expect(await c.sync(0)).toBe(2)
    expect((await client()).handle).not.toBe(c.handle)
  })

  test('a socket that a killed server left behind is taken over', async () => {
    const path = socketPath()
    const program = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    expect(spawnSync(process.execPath, ['-e', program], { timeout: 10_000 }).signal).toBe('SIGKILL')
    const { server } = await serve({ handler: () => 'taken over' })
    await server.listen({ path })
    await using c = await connect({ path })
    expect(await c.sync(0)).toBe('taken over')
  })

  test('an address that is taken is refused, and what stands there stays', async () => {
    const { server, address } = await serve({ over: 'unix', handler: () => 'first' })
    const file = socketPath()
    writeFileSync(file, 'a letter')
    const tcp = await server.listen({ port: 0 })
    for (const where of [address, { path: file }, tcp]) {
      expect(await refusalOf(server.listen(where))).toMatchObject({ code: 'LISTEN_FAILED' })
    }
    expect(readFileSync(file, 'utf8')).toBe('a letter')
    await using c = await connect(address as { path: string })
    expect(await c.sync(0)).toBe('first')
  })

  test.each([{}, { port: 0, path: '/tmp/x' }, { port: 1.5 }, { path: 5 }, { port: 0, hots: 'x' }])(
    '%j is no address',
    async (where) => {
      const { server } = await serve()
      expect(await refusalOf(server.listen(where as never))).toMatchObject({ code: 'OPTIONS_INVALID' })
    },
  )
})

describe('options', () => {
  test.each([
    ['maxFrameBytes', 10],
    ['maxOutstanding', 0],
    ['handshakeTimeoutMs', 1.5],
    ['handler', 'eval'],
    ['hooks', 5],
    ['users', { 'a:b': 'x' }],
    ['users', { ada: 5 }],
    ['restricted', 'yes'],
    ['logger', {}],
    ['max', 5],
    ['engine', null],
  ])('%s: %j is refused', async (name, value) => {
    const { engine } = await serve()
    expect(() => createConnectionServer({ engine, [name]: value } as never)).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', path: [name] }),
    )
  })

  test('hooks of other names are refused', async () => {
    const { engine } = await serve()
    expect(() => createConnectionServer({ engine, hooks: { handle: () => 1 } as never })).toThrow(
      expect.objectContaining({ code: 'HOOK_NAME_RESERVED' }),
    )
  })

  test('an engine of another contract is refused', async () => {
    await using engine = await createHookEngine({ contract: delivery, spares: 0, logger: silent })
    expect(() => createConnectionServer({ engine: engine as never })).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining('delivery@1') }),
    )
  })
})
