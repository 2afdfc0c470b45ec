/** The current handle: that of the connection inside any hook, under nesting and concurrency; -1 outside. */
import { currentHandle, withHandle } from 'hookring/connection-plugin'
import { describe, expect, test } from 'vitest'
import { guest, journal, seenBy, serve } from '../support/connections.js'
import { until } from '../support/lab.js'

describe('in a lane', () => {
  test('it holds across awaits and timers, and nested calls give it back', async () => {
    const { client } = await serve({ plugins: [journal()] })
    const a = await client()
    const b = await client()
    const both = await Promise.all([a, b, a, b].map((c) => c.sync({ do: 'handles' })))
    const expected = ({ handle }: { handle: number }) => [handle, 900, handle, handle, 901, handle]
    expect(both).toEqual([a, b, a, b].map(expected))
  })

  test('hooks of many connections that wait for each other each have their own', async () => {
    const { client } = await serve({ plugins: [journal()] })
    const clients = await Promise.all(Array.from({ length: 8 }, () => client()))
    const held = clients.map((c, i) => c.sync({ do: 'holds', name: `h${i}` }))
    const areHeld = async () =>
      (await seenBy(clients[0]!)).filter(([, , act]) => act === 'holds').length === held.length
    await until('all to be held', areHeld)
    const releases = clients.map((c, i) => c.sync({ do: 'releases', name: `h${clients.length - 1 - i}` }))
    expect(await Promise.all(releases)).toEqual(clients.map(() => true))
    expect(await Promise.all(held)).toEqual(clients.map(({ handle }) => handle))
  })

  test.each(['quickjs', 'compartment'] as const)('it is there for a guest in %s', async (runtime) => {
    const { client } = await serve({ plugins: [guest({ runtime })], users: { ada: 'x', ban: 'x' } })
    const c = await client({ user: 'ada', password: 'x' })
    expect(await c.sync({ list: [1, 'zwei'] })).toEqual({
      message: { list: [1, 'zwei'] },
      handle: c.handle,
      current: c.handle,
    })
    await expect(client({ user: 'ban', password: 'x' })).rejects.toMatchObject({ code: 'CREDENTIALS_REFUSED' })
  })

  test('outside of hooks it is -1', async () => {
    expect(currentHandle()).toBe(-1)
    expect(withHandle(3, () => withHandle(4, currentHandle) + currentHandle())).toBe(7)
    expect(() =>
      withHandle(3, () => {
        throw new Error('thrown')
      }),
    ).toThrow('thrown')
    expect(currentHandle()).toBe(-1)
  })
})

describe('in the host', () => {
  test('it holds across awaits, with many connections at once', async () => {
    const found: Record<string, number[]> = {}
    const { client, server } = await serve({
      hooks: {
        async sync(message, { handle }) {
          const handles = [server.handle]
          await null
          handles.push(server.handle)
          await new Promise((resolve) => setImmediate(resolve))
          handles.push(server.handle)
          found[String(message)] = handles
          return handle
        },
      },
    })
    const clients = await Promise.all(Array.from({ length: 6 }, () => client()))
    await Promise.all(clients.map((c, i) => c.sync(i)))
    expect(server.handle).toBe(-1)
    clients.forEach(({ handle }, i) => {
      expect(found[i]).toEqual([handle, handle, handle])
    })
  })

  test('a hook that calls its own server is inside its own connection, and the called hook inside the other', async () => {
    const { client, server } = await serve({
      hooks: {
        async sync(message) {
          if (message === 'inner') return server.handle
          const before = server.handle
          const inner = await other.sync('inner')
          return [before, inner, server.handle]
        },
      },
    })
    const other = await client()
    const c = await client()
    expect(await c.sync('outer')).toEqual([c.handle, other.handle, c.handle])
  })

  test('a connection made inside a hook is none of that hook’s', async () => {
    const { client, server, address } = await serve({
      hooks: {
        open: () => void handles.push(server.handle),
        async sync(message) {
          if (message !== 'listen') return server.handle
          return server.listen({ port: 0 })
        },
      },
    })
    const handles: number[] = []
    const c = await client()
    const second = (await c.sync('listen')) as typeof address
    const d = await client(second)
    expect(await d.sync(1)).toBe(d.handle)
    expect(handles).toEqual([c.handle, d.handle])
  })

  test('two servers know their own handles alone', async () => {
    const inner = await serve({ handler: () => null })
    const outer = await serve({ hooks: { sync: () => [outer.server.handle, inner.server.handle] } })
    const c = await outer.client()
    expect(await c.sync(1)).toEqual([c.handle, -1])
  })

  test('a handler has it too', async () => {
    const { client, server } = await serve({ handler: () => server.handle })
    const c = await client()
    expect(await c.sync(1)).toBe(c.handle)
  })
})
