/** Restricted connections stay restricted, whoever acts on their behalf. */

import type { Handler } from 'hookring/connection'
import { HookringError } from 'hookring/contracts'
import { expect, test } from 'vitest'
import { journal, seenBy, serve } from '../support/connections.js'
import { refusalOf } from '../support/lab.js'

const users = { root: 'x', guest: 'x' }
const restricted = ({ user }: { user: string | null }) => user !== 'root'
const as = (user: string) => ({ user, password: 'x' })

/** May be told `write`, unless the connection is restricted. */
const handler: Handler = (message, request) => {
  if (message === 'write' && request.restricted) {
    throw new HookringError('CONNECTION_RESTRICTED', 'a restricted connection may not write')
  }
  return [message, request.kind, request.handle, request.restricted]
}

const plugins = [journal({ services: ['evaluate', 'disconnect'] })]

test('the client, the events and the handler are told', async () => {
  const { client, server } = await serve({ users, restricted, handler, plugins })
  const [root, guest] = [await client(as('root')), await client(as('guest'))]
  expect([root.restricted, guest.restricted]).toEqual([false, true])
  expect([await root.sync({ do: 'restricted' }), await guest.sync({ do: 'restricted' })]).toEqual([false, true])
  expect(await guest.sync('read')).toEqual(['read', 'sync', guest.handle, true])
  expect(server.connections.map(({ user, restricted }) => [user, restricted])).toEqual([
    ['root', false],
    ['guest', true],
  ])
})

test('a sync hook that evaluates for a restricted connection gets what the connection gets', async () => {
  const { client } = await serve({ users, restricted, handler, plugins })
  const [root, guest] = [await client(as('root')), await client(as('guest'))]
  expect(await root.sync({ do: 'evaluate', value: 'write' })).toEqual(['write', 'sync', root.handle, false])
  expect(await guest.sync({ do: 'evaluate', value: 'read' })).toEqual(['read', 'sync', guest.handle, true])
  expect(await refusalOf(guest.sync({ do: 'evaluate', value: 'write' }))).toMatchObject({
    code: 'REQUEST_FAILED',
    message: expect.stringContaining('a restricted connection may not write'),
  })
})

test('a hook of the host that evaluates for a restricted connection is restricted too, across awaits', async () => {
  const { client, server } = await serve({ users, restricted, handler })
  server.hooks.set('sync', async (message) => {
    await null
    return server.evaluate(message)
  })
  const [root, guest] = [await client(as('root')), await client(as('guest'))]
  expect(await root.sync('write')).toEqual(['write', 'sync', root.handle, false])
  expect(await refusalOf(guest.sync('write'))).toMatchObject({ code: 'CONNECTION_RESTRICTED' })
  expect(await server.evaluate('write')).toEqual(['write', 'sync', -1, false])
})

test('on behalf of a restricted connection no other is closed', async () => {
  const { client, server } = await serve({ users, restricted, handler, plugins: [disconnecter()] })
  const [root, guest] = [await client(as('root')), await client(as('guest'))]
  expect(await refusalOf(guest.sync(root.handle))).toMatchObject({
    message: expect.stringContaining('may close itself alone'),
  })
  expect(root.isOpen).toBe(true)
  expect(await root.sync(12345)).toBe(false)
  expect(await root.sync(guest.handle)).toBe(true)
  expect(await guest.closed).toMatchObject({ code: 'CONNECTION_CLOSED' })
  expect(server.counts.closed.server).toBe(1)
})

test('a plugin that was granted nothing evaluates nothing', async () => {
  const { client } = await serve({ handler, plugins: [journal()] })
  expect(await refusalOf((await client()).sync({ do: 'evaluate', value: 1 }))).toMatchObject({
    message: expect.stringMatching(/was not granted/),
  })
})

test('a ticket holds until the hooks that have it have settled, and no longer', async () => {
  const { client, engine } = await serve({ handler, plugins: [journal({ services: ['evaluate'] }), keeper()] })
  const watcher = await client()
  const c = await client()
  await c.async('keep')
  await c.close()
  // The hook waits until it is told to, and its connection has long gone.
  expect(await watcher.sync('evaluate')).toBe('evaluated')
  await engine.flush()
  expect(await watcher.sync('evaluate again')).toMatch(/no connection of this ticket/)
  expect((await seenBy(watcher)).some(([hook]) => hook === 'close')).toBe(true)
})

test('when it cannot be told whether a connection is restricted, it is refused', async () => {
  const { client, lines } = await serve({
    handler,
    restricted() {
      throw new Error('no idea')
    },
  })
  expect(await refusalOf(client())).toMatchObject({ code: 'CREDENTIALS_REFUSED' })
  expect(lines.map(({ message }) => message)).toEqual(['a user could not be checked: no idea'])
})

const file = (name: string) => new URL(`fixtures/connection/${name}.mjs`, import.meta.url)
const disconnecter = () => ({ from: file('disconnecter'), services: ['disconnect'], timeoutMs: 5_000 })
const keeper = () => ({ from: file('keeper'), services: ['evaluate'], timeoutMs: 5_000, priority: 1 })
