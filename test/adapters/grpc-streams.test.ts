import { status } from '@grpc/grpc-js'
import { hookInterceptor } from 'hookring/grpc'
import { expect, test, vi } from 'vitest'
import { type Order, type Receipt, startShop } from '../support/rpc-service.js'
import { scriptedEngine } from '../support/scripted-engine.js'

const onOrder = { hookpoint: 'onOrder', event: (order: Order) => order } as const
const reject = { kind: 'reject', reason: 'too dear', plugin: 'limits' }
const rejectAbove = (most: number) => ({ onOrder: ({ total }: Order) => (total > most ? reject : undefined) })
const orders = (count: number): Order[] => Array.from({ length: count }, (_, total) => ({ item: 'tea', total }))
const tick = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('each message of a client stream is asked about, in order, whatever its verdict takes', async () => {
  const { engine, asked } = scriptedEngine({ onOrder: ({ total }: Order) => tick((7 - total) % 3) })
  await using server = await startShop(
    {
      async Collect(call, respond) {
        const totals: number[] = []
        for await (const { total } of call as AsyncIterable<Order>) totals.push(total)
        respond(null, { text: totals.join() })
      },
    },
    [hookInterceptor(engine, { '/shop.v1.Shop/Collect': { before: onOrder } })],
  )
  const { call, ended } = server.collect()
  for (const order of orders(8)) call.write(order)
  call.end()
  expect((await ended).replies).toEqual([{ text: '0,1,2,3,4,5,6,7' }])
  expect(asked.map(({ event }) => event.total)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
})

test('a reject in the middle of a client stream ends the RPC and takes the stream from its handler', async () => {
  const { engine, asked, askedOf } = scriptedEngine(rejectAbove(1))
  const got: number[] = []
  const onCancelled = vi.fn()
  const respondLate = vi.fn()
  await using server = await startShop(
    {
      Collect(call, respond) {
        call.on('data', ({ total }: Order) => got.push(total))
        call.on('cancelled', () => {
          onCancelled()
          // A handler that does not care is not heard any more.
          respond(null, { text: 'all fine' })
          respondLate()
        })
        call.on('end', () => respond(null, { text: 'ended' }))
      },
    },
    [
      hookInterceptor(engine, {
        '/shop.v1.Shop/Collect': {
          before: onOrder,
          after: { hookpoint: 'onSeen', when: 'always', event: () => ({ item: 'never' }) },
        },
      }),
    ],
  )
  const { call, ended } = server.collect()
  for (const order of orders(5)) call.write(order)
  call.end()
  expect(await ended).toMatchObject({ code: status.PERMISSION_DENIED, details: 'too dear', replies: [] })
  await vi.waitFor(() => expect(respondLate).toHaveBeenCalled())
  expect(got).toEqual([0, 1])
  expect(askedOf('onOrder')).toHaveLength(3)
  expect(asked.filter(({ hookpoint }) => hookpoint === 'onSeen')).toEqual([])
})

test('a server stream is asked about its one request, and told with the number of its replies', async () => {
  const { engine, askedOf } = scriptedEngine(rejectAbove(10))
  const handler = vi.fn()
  await using server = await startShop(
    {
      List(call) {
        handler()
        for (let index = 0; index < call.request.total; index++) call.write({ text: `${index}` })
        call.end()
      },
    },
    [
      hookInterceptor(engine, {
        '/shop.v1.Shop/List': {
          before: onOrder,
          after: {
            hookpoint: 'onDone',
            event: ({ responseCount, status: { code }, isCancelled }) => ({ code, count: responseCount, isCancelled }),
          },
        },
      }),
    ],
  )
  const seen = await server.list({ item: 'tea', total: 3 }).ended
  expect(seen).toMatchObject({ code: status.OK, replies: [{ text: '0' }, { text: '1' }, { text: '2' }] })
  expect(askedOf('onDone').map(({ event }) => event)).toEqual([{ code: status.OK, count: 3, isCancelled: false }])
  expect(await server.list({ item: 'car', total: 11 }).ended).toMatchObject({
    code: status.PERMISSION_DENIED,
    replies: [],
  })
  expect(handler).toHaveBeenCalledTimes(1)
})

test('a conversation is asked about message by message while replies flow', async () => {
  const { engine } = scriptedEngine(rejectAbove(2))
  await using server = await startShop(
    {
      Chat(call) {
        call.on('data', ({ total }: Order) => call.write({ text: `got ${total}` }))
        call.on('end', () => call.end())
        call.on('error', () => {})
      },
    },
    [hookInterceptor(engine, { '/shop.v1.Shop/Chat': { before: onOrder } })],
  )
  {
    const { call, ended } = server.chat()
    for (const order of orders(3)) call.write(order)
    call.end()
    expect(await ended).toMatchObject({
      code: status.OK,
      replies: [{ text: 'got 0' }, { text: 'got 1' }, { text: 'got 2' }],
    })
  }
  const { call, ended } = server.chat()
  for (const order of orders(6)) call.write(order)
  const seen = await ended
  expect(seen).toMatchObject({ code: status.PERMISSION_DENIED, details: 'too dear' })
  expect(seen.replies).toEqual([{ text: 'got 0' }, { text: 'got 1' }, { text: 'got 2' }])
  expect(seen.trailers.get('hookring-plugin')).toEqual(['limits'])
})

test('respond ends a conversation with its answer', async () => {
  const { engine } = scriptedEngine({
    onQuote: ({ item }: { item: string }) =>
      item === 'quote' ? { kind: 'respond', value: { text: 'five' }, plugin: 'quotes' } : undefined,
  })
  await using server = await startShop(
    { Chat: (call) => void call.on('data', ({ item }: Order) => call.write({ text: item })) },
    [
      hookInterceptor(engine, {
        '/shop.v1.Shop/Chat': {
          before: { hookpoint: 'onQuote', event: ({ item }: Order) => ({ item }), answer: (value): Receipt => value },
        },
      }),
    ],
  )
  const { call, ended } = server.chat()
  for (const item of ['tea', 'quote', 'car']) call.write({ item, total: 1 })
  expect(await ended).toMatchObject({ code: status.OK, replies: [{ text: 'tea' }, { text: 'five' }] })
})
