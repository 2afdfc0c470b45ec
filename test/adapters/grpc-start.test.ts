/** Rules of a call's beginning, which a stream that sends nothing meets too, and rules by prefix. */
import { type Metadata, status } from '@grpc/grpc-js'
import { hookInterceptor, type RpcCall } from 'hookring/grpc'
import { describe, expect, test, vi } from 'vitest'
import { type ShopHandlers, startShop } from '../support/rpc-service.js'
import { scriptedEngine } from '../support/scripted-engine.js'

const reject = { kind: 'reject', reason: 'not you', plugin: 'doorman' }
const who = ({ metadata }: RpcCall) => String(metadata.get('who')[0] ?? 'nobody')
const start = { hookpoint: 'onOrder', event: (call: RpcCall) => ({ item: who(call), total: 0 }) } as const
const onlyAda = { onOrder: ({ item }: { item: string }) => (item === 'ada' ? undefined : reject) }
const ada = { metadata: { who: 'ada' } }

function openShop(rules: object, script: object = onlyAda) {
  const begun = vi.fn<(rpc: string) => void>()
  const handlers: ShopHandlers = {
    Buy: (_, respond) => {
      begun('Buy')
      respond(null, { text: 'bought' })
    },
    Collect: (call, respond) => {
      begun('Collect')
      call.on('data', () => {})
      call.on('end', () => respond(null, { text: 'collected' }))
    },
    List: (call) => {
      begun('List')
      call.end()
    },
    Chat: (call) => {
      begun('Chat')
      call.on('data', () => {})
      call.on('end', () => call.end())
    },
  }
  const scripted = scriptedEngine(script)
  return startShop(handlers, [hookInterceptor(scripted.engine, rules as never)]).then((server) => ({
    server,
    begun,
    ...scripted,
  }))
}

describe('a rule of the start', () => {
  test.each(['Collect', 'Chat'] as const)('is met by a %s stream that sends nothing', async (name) => {
    const { server, begun, askedOf } = await openShop({ [`/shop.v1.Shop/${name}`]: { start } })
    await using _ = server
    const open = name === 'Collect' ? server.collect : server.chat
    const stranger = open({})
    // It neither sends nor ends.
    expect(await stranger.ended).toMatchObject({ code: status.PERMISSION_DENIED, details: 'not you' })
    expect(begun).not.toHaveBeenCalled()
    const known = open(ada)
    known.call.end()
    expect(await known.ended).toMatchObject({ code: status.OK })
    expect(begun).toHaveBeenCalledTimes(1)
    expect(askedOf('onOrder').map(({ event }) => event.item)).toEqual(['nobody', 'ada'])
  })

  test('is asked before those of the first message, and once', async () => {
    const before = { hookpoint: 'onOrder', event: ({ item }: { item: string }) => ({ item, total: 1 }) }
    const { server, askedOf } = await openShop({ '/shop.v1.Shop/Collect': { start, before } }, {})
    await using _ = server
    const { call, ended } = server.collect(ada)
    for (const item of ['tea', 'milk']) call.write({ item, total: 0 })
    call.end()
    await ended
    expect(askedOf('onOrder').map(({ event }) => event)).toEqual([
      { item: 'ada', total: 0 },
      { item: 'tea', total: 1 },
      { item: 'milk', total: 1 },
    ])
  })

  test('may observe, and may ask nothing', async () => {
    const rules = {
      '/shop.v1.Shop/Buy': { start: [{ hookpoint: 'onSeen', event: (call: RpcCall) => ({ item: who(call) }) }] },
      '/shop.v1.Shop/List': { start: { ...start, event: () => undefined } },
    }
    const { server, asked } = await openShop(rules)
    await using _ = server
    expect(await server.buy({ item: 'tea', total: 1 }).ended).toMatchObject({ replies: [{ text: 'bought' }] })
    expect(await server.list({ item: 'tea', total: 1 }).ended).toMatchObject({ code: status.OK })
    expect(asked.map(({ hookpoint, event }) => [hookpoint, event])).toEqual([['onSeen', { item: 'nobody' }]])
  })

  test('that refuses leaves nothing to tell afterwards', async () => {
    const after = { hookpoint: 'onSeen', when: 'always', event: () => ({ item: 'x' }) }
    const { server, askedOf } = await openShop({ '/shop.v1.Shop/Buy': { start, after } })
    await using _ = server
    expect(await server.buy({ item: 'tea', total: 1 }).ended).toMatchObject({ code: status.PERMISSION_DENIED })
    await server.buy({ item: 'tea', total: 1 }, ada).ended
    await vi.waitFor(() => expect(askedOf('onSeen')).toHaveLength(1))
  })

  test('sees the metadata of its call while it is asked, and is taken back when the client goes', async () => {
    let signal: AbortSignal | undefined
    const seen: Metadata[] = []
    const { server } = await openShop(
      {
        '/shop.v1.Shop/Chat': {
          start: {
            hookpoint: 'onOrder',
            event(call: RpcCall) {
              seen.push(call.metadata)
              signal = call.signal
              return { item: 'x', total: 0 }
            },
          },
        },
      },
      { onOrder: () => new Promise(() => {}) },
    )
    await using _ = server
    const { call } = server.chat(ada)
    await vi.waitFor(() => expect(signal).toBeDefined())
    call.cancel()
    await vi.waitFor(() => expect(signal?.aborted).toBe(true))
    expect(seen.map((metadata) => metadata.get('who'))).toEqual([['ada']])
  })
})

describe('rules by prefix', () => {
  const named = (item: string) => ({ start: { hookpoint: 'onSeen', event: () => ({ item }) } })

  test('the full name goes before every prefix, a longer prefix before a shorter one', async () => {
    const { server, asked } = await openShop({
      '/*': named('all'),
      '/shop.*': named('package'),
      '/shop.v1.Shop/C*': named('C'),
      '/shop.v1.Shop/Chat': named('Chat'),
    })
    await using _ = server
    await server.buy({ item: 'tea', total: 1 }).ended
    for (const { call, ended } of [server.collect(), server.chat()]) {
      call.end()
      await ended
    }
    expect(asked.map(({ event }) => event.item)).toEqual(['package', 'C', 'Chat'])
  })

  test('a method that none fits is left alone', async () => {
    const { server, asked } = await openShop({ '/other.*': named('other') })
    await using _ = server
    await server.buy({ item: 'tea', total: 1 }).ended
    expect(asked).toEqual([])
  })
})

test.each([
  ['a transform', { '/a.B/C': { start: { hookpoint: 'onPrice', event: () => undefined } } }, /onPrice is a transform/],
  ['no event', { '/a.B/C': { start: { hookpoint: 'onOrder' } } }, /\["event"\]: must be a function/],
  ['a star in the middle', { '/a.*/C': {} }, /must be a full method name, .* or a prefix/],
  ['a star without a slash', { '*': {} }, /must be a full method name/],
])('rules with %s are refused', (_, rules, message) => {
  expect(() => hookInterceptor(scriptedEngine().engine, rules as never)).toThrow(
    expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringMatching(message) }),
  )
})
