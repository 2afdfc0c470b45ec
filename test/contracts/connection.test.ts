import { createHookEngine } from 'hookring'
import {
  CONNECTION_HOOKS,
  type ConnectionMessageEvent,
  connection,
  connectionContract,
  type HookringError,
} from 'hookring/contracts'
import { expect, expectTypeOf, test } from 'vitest'
import { journal, raw } from '../support/connections.js'
import { refusalOf, silent } from '../support/lab.js'

const peer = { handle: 1, user: null, restricted: false }
const message = { ...peer, codec: 'json' as const, body: Buffer.from('1'), ticket: 5n }
const accepts = (name: keyof typeof connection.hookpoints, event: unknown) =>
  connection.hookpoints[name].event.safeParse(event).success

test('connection@1 has five hooks, each of its kind', () => {
  expect(connection.id).toBe('connection@1')
  const kinds = Object.entries(connection.hookpoints).map(([name, { kind }]) => [name, kind])
  expect(Object.fromEntries(kinds)).toEqual({
    open: 'observe',
    close: 'observe',
    sync: 'respond',
    async: 'observe',
    auth: 'gate',
  })
  expect(kinds.map(([name]) => name)).toEqual([...CONNECTION_HOOKS])
  expect(Object.keys(connection.services)).toEqual(['evaluate', 'disconnect', 'post'])
})

test('events of connections are accepted as documented', () => {
  const where = { transport: 'tcp', remoteAddress: '127.0.0.1:5' }
  expect(accepts('open', { ...peer, ...where, codec: 'msgpack' })).toBe(true)
  expect(accepts('close', { ...peer, user: 'ada', reason: 'client' })).toBe(true)
  expect(accepts('sync', message)).toBe(true)
  expect(accepts('async', { ...message, body: new Uint8Array(0) })).toBe(true)
  expect(accepts('auth', { ...peer, ...where, user: 'ada', password: '' })).toBe(true)
})

test.each([
  ['a handle that is no integer', 'sync', { ...message, handle: 1.5 }],
  ['a body that is no bytes', 'sync', { ...message, body: 'text' }],
  ['another codec', 'async', { ...message, codec: 'xml' }],
  ['another reason', 'close', { ...peer, reason: 'bored' }],
  ['no user', 'auth', { ...peer, password: '', transport: 'tcp', remoteAddress: '' }],
] as const)('an event with %s is refused', (_, name, event) => {
  expect(accepts(name, event)).toBe(false)
})

test('bodies are bytes and tickets exact for plugins', () => {
  expectTypeOf<ConnectionMessageEvent['body']>().toEqualTypeOf<Uint8Array<ArrayBuffer>>()
  expectTypeOf<ConnectionMessageEvent['ticket']>().toEqualTypeOf<bigint>()
})

test('a plugin of connection fits an engine with room for other answers', async () => {
  const large = { ...message, body: new Uint8Array(100_000) }
  for (const [contract, kind] of [
    [connection, 'failed'],
    [connectionContract({ maxResponseBytes: 128 * 1024 }), 'respond'],
  ] as const) {
    await using engine = await createHookEngine({
      contract,
      plugins: [raw({ sync: 'echoes' })],
      spares: 0,
      logger: silent,
    })
    const verdict = await engine.hooks.sync(large).catch((error: HookringError) => error)
    expect(verdict instanceof Error ? 'failed' : verdict.kind).toBe(kind)
  }
})

test('an answer of a size that nobody has room for is refused', () => {
  expect(() => connectionContract({ maxResponseBytes: -1 })).toThrow(
    expect.objectContaining({ code: 'CONTRACT_INVALID' }),
  )
})

test('a plugin that sets a name besides the five is refused', async () => {
  const open = (from: URL) => createHookEngine({ contract: connection, plugins: [{ from }], spares: 0, logger: silent })
  const named = (name: string) => new URL(`../adapters/fixtures/connection/${name}.mjs`, import.meta.url)
  expect(await refusalOf(open(named('sets-handle')))).toMatchObject({
    code: 'HOOK_NAME_RESERVED',
    message: expect.stringMatching(/handle cannot be set; the hooks are open, close, sync, async, auth/),
  })
  expect(await refusalOf(open(named('sets-send')))).toMatchObject({ code: 'HOOKPOINT_UNKNOWN' })
})

test('calls of one connection stay in order in one of several lanes', async () => {
  await using engine = await createHookEngine({
    contract: connection,
    plugins: [journal({ workers: 2, partitionBy: 'handle', bulkhead: 'own' })],
    spares: 0,
    logger: silent,
  })
  const seen = async (handle: number) => {
    const verdict = await engine.hooks.sync({ ...message, handle, body: Buffer.from('{"do":"seen"}') })
    const lines = JSON.parse(Buffer.from((verdict as { value: { body: Uint8Array } }).value.body).toString())
    return (lines as unknown[][]).filter(([, whose]) => whose === handle).map(([hook, , rest]) => `${hook} ${rest}`)
  }
  const handles = [1, 2, 3, 4, 5, 6]
  for (const handle of handles) {
    engine.hooks.open({ ...peer, handle, transport: 'unix', remoteAddress: '', codec: 'json' })
    for (const n of [1, 2, 3]) engine.hooks.async({ ...message, handle, body: Buffer.from(String(n)) })
    engine.hooks.close({ ...peer, handle, reason: 'client' })
  }
  for (const handle of handles) {
    expect(await seen(handle)).toEqual([`open ${handle}`, 'async 1', 'async 2', 'async 3', `close ${handle}`])
  }
})
