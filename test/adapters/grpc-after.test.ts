import { ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js'
import { hookInterceptor, type InterceptorOptions, type RpcOutcome } from 'hookring/grpc'
import { expect, test, vi } from 'vitest'
import { type Order, type Receipt, type ShopHandlers, startShop } from '../support/rpc-service.js'
import { scriptedEngine } from '../support/scripted-engine.js'

const BUY = '/shop.v1.Shop/Buy'
const onOrder = { hookpoint: 'onOrder', event: (order: Order) => order } as const
const done = (when?: 'success' | 'failure' | 'always') =>
  ({
    hookpoint: 'onDone',
    event: ({ status: { code }, responseCount, isCancelled }: RpcOutcome) => ({
      code,
      count: responseCount,
      isCancelled,
    }),
    ...(when !== undefined && { when }),
  }) as const

const buying: ShopHandlers = {
  Buy(call, respond) {
    if (call.request.item === 'ghost') respond({ code: status.NOT_FOUND, details: 'no such item' })
    else if (call.request.item === 'bomb') throw new Error('boom')
    else respond(null, { text: `sold ${call.request.item}` })
  },
}

async function startBuying(after: ReturnType<typeof done>, options: InterceptorOptions = {}) {
  const scripted = scriptedEngine({
    onOrder: ({ total }: Order) => (total > 99 ? { kind: 'reject', reason: 'no', plugin: 'limits' } : undefined),
  })
  const server = await startShop(buying, [
    hookInterceptor(scripted.engine, { [BUY]: { before: onOrder, after } }, options),
  ])
  const codes = () => scripted.askedOf('onDone').map(({ event }) => event.code)
  return { ...server, codes, [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}

test.each([
  [undefined, [status.OK]],
  ['success', [status.OK]],
  ['failure', [status.NOT_FOUND, status.UNKNOWN]],
  ['always', [status.OK, status.NOT_FOUND, status.UNKNOWN]],
] as const)(
  'an observer of %s is told of the endings it asked for, and never of a refused RPC',
  async (when, expected) => {
    await using server = await startBuying(done(when))
    for (const item of ['tea', 'ghost', 'bomb']) await server.buy({ item, total: 1 }).ended
    expect((await server.buy({ item: 'car', total: 100 }).ended).code).toBe(status.PERMISSION_DENIED)
    expect(server.codes()).toEqual(expected)
  },
)

test('an observer sees the request after transforms, the response and the call', async () => {
  const { engine, askedOf } = scriptedEngine({
    onPrice: () => ({ kind: 'replace', event: { total: 5 }, plugin: 'prices' }),
  })
  const outcomes: RpcOutcome<Order, Receipt>[] = []
  await using server = await startShop(buying, [
    hookInterceptor(engine, {
      [BUY]: {
        before: {
          hookpoint: 'onPrice',
          event: ({ total }: Order) => ({ total }),
          replace: (order: Order, { total }) => ({ ...order, total }),
        },
        after: {
          hookpoint: 'onSeen',
          event(outcome: RpcOutcome<Order, Receipt>) {
            outcomes.push(outcome)
            return { item: outcome.response.text }
          },
        },
      },
    }),
  ])
  await server.buy({ item: 'tea', total: 9 }, { metadata: { 'x-who': 'ada' } }).ended
  expect(askedOf('onSeen').map(({ event }) => event)).toEqual([{ item: 'sold tea' }])
  expect(outcomes[0]).toMatchObject({ request: { item: 'tea', total: 5 }, requestCount: 1, responseCount: 1 })
  expect(outcomes[0]?.call.path).toBe(BUY)
  expect(outcomes[0]?.call.peer).toMatch(/^127\.0\.0\.1:\d+$/)
  expect(outcomes[0]?.call.metadata.get('x-who')).toEqual(['ada'])
})

test('an observer that throws harms no RPC, and the operator is told', async () => {
  const onError = vi.fn()
  const after = {
    ...done(),
    event() {
      throw new Error('a bug')
    },
  }
  await using server = await startBuying(after, { onError })
  expect((await server.buy({ item: 'tea', total: 1 }).ended).replies).toEqual([{ text: 'sold tea' }])
  expect(onError).toHaveBeenCalledTimes(1)
})

test('hookpoints are not asked about what an earlier interceptor refused', async () => {
  const { engine, asked } = scriptedEngine()
  const authenticate: ServerInterceptor = (_, next) =>
    new ServerInterceptingCall(next, {
      start: (start) =>
        start({
          onReceiveMetadata(metadata, forward) {
            if (metadata.get('token').length > 0) forward(metadata)
            else next.sendStatus({ code: status.UNAUTHENTICATED, details: 'who are you?' })
          },
        }),
    })
  await using server = await startShop(buying, [
    authenticate,
    hookInterceptor(engine, { [BUY]: { before: onOrder, after: done('always') } }),
  ])
  expect((await server.buy({ item: 'tea', total: 1 }).ended).code).toBe(status.UNAUTHENTICATED)
  expect(asked).toEqual([])
  expect((await server.buy({ item: 'tea', total: 1 }, { metadata: { token: 't' } }).ended).code).toBe(status.OK)
  expect(asked).toHaveLength(2)
})
