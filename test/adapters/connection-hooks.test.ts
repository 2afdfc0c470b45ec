/** Rayforce's five `.ipc.on.*` hooks, in a lane and in the host: when each fires, what it decides, what its errors become. */
import type { ConnectionServer, HostHooks } from 'hookring/connection'
import { describe, expect, test, vi } from 'vitest'
import { journal, raw, type Served, seenBy, serve } from '../support/connections.js'
import { metricOf, refusalOf, until } from '../support/lab.js'

type Message = { do?: string; value?: unknown; text?: string } | null

/** What the journal does, as hooks of the host. */
function hostJournal(handle: () => number): HostHooks {
  const seen: unknown[][] = []
  const note = (hook: string, rest: unknown) => seen.push([hook, handle(), rest])
  const trouble = (text = '') => new Error(text)
  return {
    open: (h) => note('open', h),
    close: (h) => note('close', h),
    async(message) {
      note('async', message)
      if ((message as Message)?.do === 'throws') throw trouble((message as Message)?.text)
    },
    sync(message) {
      const { do: act, value, text } = (message ?? {}) as NonNullable<Message>
      if (act !== 'seen') note('sync', act)
      if (act === 'seen') return seen
      if (act === 'throws') throw trouble(text)
      if (act === 'throwsLater') return Promise.reject(trouble(text))
      return act === 'nothing' ? undefined : value
    },
    auth(user, password) {
      note('auth', user)
      if (password === 'boom') throw trouble('auth broke')
      return user !== 'ban'
    },
  }
}

const PLACES: [string, (given?: Parameters<typeof serve>[0]) => Promise<Served>][] = [
  ['a plugin in a lane', (given) => serve({ plugins: [journal({ config: { banned: 'ban' } })], ...given })],
  [
    'the host',
    async (given) => {
      let server: ConnectionServer | null = null
      const served = await serve({ ...given, hooks: hostJournal(() => server?.handle ?? -1) })
      server = served.server
      return served
    },
  ],
]
const users = { ada: 'secret', ban: 'secret', odd: 'boom' }
const ada = { user: 'ada', password: 'secret' }

describe.each(PLACES)('a hook of %s', (place, open) => {
  test.each(['tcp', 'unix'] as const)(
    'open fires after the handshake and before the first message, over %s',
    async (over) => {
      const { client } = await open({ over })
      const c = await client()
      await c.async('first')
      expect(await seenBy(c)).toEqual([
        ['open', c.handle, c.handle],
        ['async', c.handle, 'first'],
      ])
    },
  )

  test('open does not fire for a connection whose handshake fails', async () => {
    const { client, socket } = await open({ users })
    await refusalOf(client({ user: 'ada', password: 'wrong' }))
    const bare = await socket()
    bare.frame(4, [0, 0, 0, 1, 1])
    await bare.error()
    bare.socket.destroy()
    const c = await client(ada)
    const seen = await seenBy(c)
    expect(seen.filter(([hook]) => hook === 'open' || hook === 'close')).toEqual([['open', c.handle, c.handle]])
  })

  test('close fires once, after the last message', async () => {
    const { client } = await open()
    const watcher = await client()
    const c = await client()
    for (const n of [1, 2, 3]) await c.async(n)
    await c.close()
    const seenOf = async () => (await seenBy(watcher)).filter(([, handle]) => handle === c.handle)
    await until('the close', async () => (await seenOf()).some(([hook]) => hook === 'close'))
    expect(await seenOf()).toEqual([
      ['open', c.handle, c.handle],
      ['async', c.handle, 1],
      ['async', c.handle, 2],
      ['async', c.handle, 3],
      ['close', c.handle, c.handle],
    ])
  })

  test('the value that sync returns is the response', async () => {
    const { client } = await open({ handler: () => 'the handler' })
    const c = await client()
    const value = [1n, 2 ** 40, new Uint8Array([1, 2]), 'x', null, { a: [] }]
    expect(await c.sync({ do: 'echo', value })).toEqual(value)
  })

  test('nothing that sync returns is a response too', async () => {
    const { client } = await open({ handler: () => 'the handler' })
    expect(await (await client()).sync({ do: 'nothing' })).toBe(null)
  })

  test.each(['throws', 'throwsLater'])('the error of a sync hook that %s is the response', async (act) => {
    const { client, server } = await open({ handler: () => 'the handler' })
    const c = await client()
    expect(await refusalOf(c.sync({ do: act, text: 'no such table' }))).toMatchObject({
      code: 'REQUEST_FAILED',
      message: 'no such table',
      cause: { code: 'REQUEST_FAILED', message: 'no such table' },
    })
    expect(await c.sync({ do: 'echo', value: 1 })).toBe(1)
    expect(server.counts).toMatchObject({ sync: 2, answered: 1, failed: 1 })
  })

  test('async is told, in place of the handler, and nothing is answered', async () => {
    const handler = vi.fn()
    const { client, server } = await open({ handler })
    const c = await client()
    await c.async({ note: 1 })
    expect(await seenBy(c)).toContainEqual(['async', c.handle, { note: 1 }])
    expect(handler).not.toHaveBeenCalled()
    expect(server.counts).toMatchObject({ async: 1, answered: 1 })
  })

  test('the error of an async hook is logged and dropped', async () => {
    const { client, lines } = await open()
    const c = await client()
    await c.async({ do: 'throws', text: 'lost in space' })
    await until('the line', () => lines.some(({ message }) => message.includes('lost in space')))
    expect(lines.filter(({ message }) => message.includes('lost in space'))).toMatchObject([{ level: 'error' }])
    expect(await c.sync({ do: 'echo', value: 1 })).toBe(1)
  })

  test('auth narrows: one of two users with right passwords is refused', async () => {
    const { client, server } = await open({ users })
    expect((await client(ada)).isOpen).toBe(true)
    expect(await refusalOf(client({ user: 'ban', password: 'secret' }))).toMatchObject({ code: 'CREDENTIALS_REFUSED' })
    expect(server.counts.refused.credentials).toBe(1)
  })

  test('auth is asked only about users that the server’s own check has passed', async () => {
    const { client } = await open({ users })
    await refusalOf(client({ user: 'ada', password: 'wrong' }))
    await refusalOf(client({ user: 'nobody', password: 'secret' }))
    await refusalOf(client())
    const seen = await seenBy(await client(ada))
    expect(seen.filter(([hook]) => hook === 'auth')).toEqual([['auth', expect.any(Number), 'ada']])
  })

  test('an error in auth refuses, in the words of a wrong password', async () => {
    const { client, lines } = await open({ users })
    const wrong = await refusalOf(client({ user: 'ada', password: 'wrong' }))
    const broken = await refusalOf(client({ user: 'odd', password: 'boom' }))
    const banned = await refusalOf(client({ user: 'ban', password: 'secret' }))
    for (const { code, message } of [broken, banned])
      expect({ code, message }).toEqual({ code: wrong.code, message: wrong.message })
    await until('the line', () => lines.some(({ message }) => message.includes('auth broke')))
  })

  test('auth is never asked on a server without users, and the operator is told so', async () => {
    const { client, lines } = await open()
    const c = await client({ user: 'ban', password: 'boom' })
    expect((await seenBy(c)).map(([hook]) => hook)).toEqual(['open'])
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: expect.stringMatching(/never asked/) }),
    )
  })

  test('the current handle is that of the connection in each hook', async () => {
    const { client, server } = await open({ users })
    const watcher = await client(ada)
    const c = await client(ada)
    await c.async('note')
    await c.sync({ do: 'echo' })
    await c.close()
    const own = async () => (await seenBy(watcher)).filter(([, handle]) => handle === c.handle).map(([hook]) => hook)
    await until('the close', async () => (await own()).includes('close'))
    expect(await own()).toEqual(['auth', 'open', 'async', 'sync', 'close'])
    expect(server.handle).toBe(-1)
    expect(place).toBeTypeOf('string')
  })
})

describe('errors of open and close are logged and swallowed', () => {
  test('in the host', async () => {
    const { client, lines, server } = await serve({
      handler: () => 'fine',
      hooks: {
        open() {
          throw new Error('open broke')
        },
        close: () => Promise.reject(new Error('close broke')),
      },
    })
    const c = await client()
    expect(await c.sync(1)).toBe('fine')
    await c.close()
    await until('two lines', () => lines.length === 2)
    expect(lines.map(({ level, message, fields }) => [level, message, fields.handle])).toEqual([
      ['error', 'open: open broke', c.handle],
      ['error', 'close: close broke', c.handle],
    ])
    expect(server.counts.closed.client).toBe(1)
  })

  test('in a lane, where they are counted', async () => {
    const { client, engine } = await serve({
      plugins: [raw({ open: 'throws', close: 'throws' })],
      handler: () => 'fine',
    })
    const c = await client()
    expect(await c.sync(1)).toBe('fine')
    await c.close()
    await until('two failures', async () => (await metricOf(engine, 'plugin_failures_total', { plugin: 'raw' })) === 2)
  })
})

describe('a hook of a plugin as the engine calls it', () => {
  test.each([
    ['throws', { code: 'REQUEST_FAILED', message: expect.stringContaining('raw trouble') }],
    ['rejects', { code: 'REQUEST_FAILED', message: 'not today', cause: { status: 7 } }],
    ['hangs', { code: 'PLUGIN_FAILED', message: 'the hook gave no answer in time' }],
    ['large', { code: 'PLUGIN_FAILED', message: 'the hook gave no answer that can be sent' }],
    ['exits', { code: 'PLUGIN_FAILED', message: 'the hook is not available' }],
    ['garbage', { code: 'BODY_INVALID' }],
  ])('that %s becomes an error for the client', async (act, error) => {
    const { client, server } = await serve({ plugins: [raw({ sync: act }, { timeoutMs: 300 })] })
    const c = await client()
    const first = await refusalOf(c.sync(1))
    expect(first).toMatchObject({ ...error, code: error.code })
    expect(server.counts.sync).toBe(1)
    expect(c.isOpen).toBe(true)
  })

  test('that fails under a policy of allow leaves the answer to the handler', async () => {
    const { client } = await serve({
      plugins: [raw({ sync: 'throws' }, { onFailure: 'allow' })],
      handler: () => 'handled',
    })
    expect(await (await client()).sync(1)).toBe('handled')
  })

  test.each(['rejects', 'throws', 'hangs', 'exits'])(
    'auth that %s refuses, whatever the policy forgives',
    async (act) => {
      const { client } = await serve({ plugins: [raw({ auth: act }, { timeoutMs: 300, onFailure: 'allow' })], users })
      expect(await refusalOf(client(ada))).toMatchObject({ code: 'CREDENTIALS_REFUSED' })
    },
  )

  test('its async errors are counted as failures', async () => {
    const { client, engine } = await serve({ plugins: [raw({ async: 'throws', sync: 'echoes' })] })
    const c = await client()
    await c.async(1)
    expect(await c.sync(2)).toBe(2)
    await engine.flush()
    expect(
      await metricOf(engine, 'plugin_failures_total', { plugin: 'raw', hookpoint: 'async', failure: 'error' }),
    ).toBe(1)
  })
})

describe('who answers', () => {
  test('without a hook the handler does, sync and async', async () => {
    const handler = vi.fn((message: unknown, { kind }: { kind: string }) => ({ [kind]: message }))
    const { client, server } = await serve({ handler })
    const c = await client()
    await c.async('a')
    expect(await c.sync('b')).toEqual({ sync: 'b' })
    expect(handler.mock.results.map(({ value }) => value)).toEqual([{ async: 'a' }, { sync: 'b' }])
    expect(server.hooks.has('sync')).toBe(false)
  })

  test('without a hook and a handler nobody does, and the client is told so', async () => {
    const { client, lines } = await serve()
    const c = await client()
    expect(await refusalOf(c.sync(1))).toMatchObject({ code: 'REQUEST_UNHANDLED' })
    await c.async(1)
    await until('the line', () => lines.some(({ message }) => message.startsWith('async: ')))
  })

  test('plugins are asked first, then the hook of the host, then the handler', async () => {
    const { client, server } = await serve({
      plugins: [journal({ config: { only: ['sync'] } })],
      hooks: { sync: () => 'host' },
      handler: () => 'handler',
    })
    const c = await client()
    expect(await c.sync({ do: 'echo', value: 'plugin' })).toBe('plugin')
    expect(await c.sync({ do: 'pass' })).toBe('host')
    server.hooks.clear('sync')
    expect(await c.sync({ do: 'pass' })).toBe('handler')
  })

  test('a shadow decides nothing: its answer is not sent, and async stays the handler’s', async () => {
    const handler = vi.fn(() => 'handler')
    const { client } = await serve({ plugins: [journal({ mode: 'shadow' })], handler })
    const c = await client()
    await c.async('a')
    expect(await c.sync({ do: 'echo', value: 'shadow' })).toBe('handler')
    expect(handler).toHaveBeenCalledTimes(2)
  })

  test('a plugin that is removed leaves the default behind', async () => {
    const { client, engine } = await serve({ plugins: [journal()], handler: () => 'default' })
    const c = await client()
    expect(await c.sync({ do: 'echo', value: 'plugin' })).toBe('plugin')
    await engine.remove('journal')
    expect(await c.sync({ do: 'echo', value: 'plugin' })).toBe('default')
    await engine.add(journal())
    expect(await c.sync({ do: 'echo', value: 'again' })).toBe('again')
  })
})

describe('setting a hook', () => {
  test.each([0, null, undefined, 'x', {}])('to %j clears it, and the default is back', async (nothing) => {
    const { client, server } = await serve({ handler: () => 'default' })
    const c = await client()
    server.hooks.set('sync', () => 'hooked')
    expect(await c.sync(1)).toBe('hooked')
    server.hooks.set('sync', nothing as never)
    expect(server.hooks.has('sync')).toBe(false)
    expect(await c.sync(1)).toBe('default')
  })

  test('takes effect for connections that are open, for each of the five', async () => {
    const { client, server } = await serve({ users, handler: () => 'default' })
    const seen: string[] = []
    const c = await client(ada)
    for (const name of ['open', 'close', 'async', 'sync', 'auth'] as const) {
      server.hooks.set(name, (() => {
        seen.push(name)
        return true
      }) as never)
    }
    await c.async(1)
    expect(await c.sync(1)).toBe(true)
    await c.close()
    await until('the close', () => seen.includes('close'))
    await client(ada)
    expect(seen).toEqual(['async', 'sync', 'close', 'auth', 'open'])
    for (const name of ['open', 'close', 'async', 'sync', 'auth'] as const) server.hooks.clear(name)
    expect(await (await client(ada)).sync(1)).toBe('default')
    expect(seen).toHaveLength(5)
  })

  test.each(['handle', 'send', 'on', 'Sync', 'constructor', '__proto__', ''])(
    'of the reserved name %j is refused',
    async (name) => {
      const { server } = await serve()
      const refused = expect.objectContaining({ code: 'HOOK_NAME_RESERVED' })
      expect(() => server.hooks.set(name as never, (() => 1) as never)).toThrow(refused)
      expect(() => server.hooks.clear(name as never)).toThrow(refused)
      expect(() => server.hooks.has(name as never)).toThrow(refused)
    },
  )

  test('auth is told to be in vain on a server without users', async () => {
    const { server, lines } = await serve()
    server.hooks.set('auth', () => false)
    server.hooks.clear('auth')
    expect(lines.map(({ level, message }) => [level, message])).toEqual([
      ['warn', 'auth is hooked, and never asked: the server has no users'],
    ])
  })

  test('the handle can be read and not set', async () => {
    const { server } = await serve()
    expect(() => Object.assign(server, { handle: 5 })).toThrow(TypeError)
    expect(server.handle).toBe(-1)
  })
})

test('a sync hook that refuses beside the failure of another, which was allowed, refuses in its own words', async () => {
  const { client } = await serve({
    plugins: [
      raw({ sync: 'throws' }, { name: 'fails', onFailure: 'allow', priority: 1 }),
      raw({ sync: 'rejects' }, { name: 'refuses' }),
    ],
  })
  const c = await client()
  expect(await refusalOf(c.sync('x'))).toMatchObject({
    code: 'REQUEST_FAILED',
    message: 'not today',
    cause: { status: 7 },
  })
})
