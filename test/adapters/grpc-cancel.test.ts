import { ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js'
import { HookringError } from 'hookring/contracts'
import { hookInterceptor, type RpcOutcome } from 'hookring/grpc'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Order, pending, type Receipt, type ShopHandlers, startShop } from '../support/rpc-service.js'
import { scriptedEngine } from '../support/scripted-engine.js'

const BUY = '/shop.v1.Shop/Buy'
const ORDER = { item: 'tea', total: 12 }
const onOrder = { hookpoint: 'onOrder', event: (order: Order) => order } as const
const onDone = {
  hookpoint: 'onDone',
  event: ({ status: { code }, responseCount, isCancelled }: RpcOutcome) => ({
    code,
    count: responseCount,
    isCancelled,
  }),
} as const

let unhandled: unknown[] = []
const keep = (error: unknown) => unhandled.push(error)
beforeEach(() => {
  unhandled = []
  process.on('unhandledRejection', keep)
})
afterEach(() => {
  process.off('unhandledRejection', keep)
  expect(unhandled).toEqual([])
})

const tick = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms))

test('a call that is cancelled while its verdict is pending aborts the question and never reaches the handler', async () => {
  const verdict = pending<unknown>()
  const isAsked = pending<void>()
  const { engine, asked } = scriptedEngine({
    onOrder() {
      isAsked.resolve()
      return verdict.promise
    },
  })
  const handler = vi.fn()
  const rules = { [BUY]: { before: onOrder, after: { ...onDone, when: 'always' as const } } }
  await using server = await startShop({ Buy: handler }, [hookInterceptor(engine, rules)])
  const { call, ended } = server.buy(ORDER)
  await isAsked.promise
  const signal = asked[0]?.options.signal
  expect(signal?.aborted).toBe(false)
  call.cancel()
  expect((await ended).code).toBe(status.CANCELLED)
  await vi.waitFor(() => expect(signal?.aborted).toBe(true))
  verdict.resolve({ kind: 'continue' })
  await tick(20)
  expect(handler).not.toHaveBeenCalled()
  expect(asked.map(({ hookpoint }) => hookpoint)).toEqual(['onOrder'])
})

test('an engine that throws because of the abort is no unhandled rejection', async () => {
  const { engine, asked } = scriptedEngine({
    onOrder: (_: Order, { signal }) =>
      new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => reject(new HookringError('CALL_ABORTED', 'aborted'))),
      ),
  })
  const handler = vi.fn()
  await using server = await startShop({ Buy: handler }, [hookInterceptor(engine, { [BUY]: { before: onOrder } })])
  const { call, ended } = server.buy(ORDER)
  await vi.waitFor(() => expect(asked).toHaveLength(1))
  call.cancel()
  await ended
  await vi.waitFor(() => expect(asked[0]?.options.signal?.aborted).toBe(true))
  await tick(10)
  expect(handler).not.toHaveBeenCalled()
})

test("the RPC's deadline bounds the question", async () => {
  const { engine, asked } = scriptedEngine({ onOrder: () => tick(200) })
  const handler = vi.fn()
  await using server = await startShop({ Buy: handler }, [hookInterceptor(engine, { [BUY]: { before: onOrder } })])
  expect((await server.buy(ORDER, { deadlineMs: 60 }).ended).code).toBe(status.DEADLINE_EXCEEDED)
  const { timeoutMs, signal } = asked[0]?.options ?? {}
  expect(timeoutMs).toBeGreaterThan(0)
  expect(timeoutMs).toBeLessThanOrEqual(60)
  await vi.waitFor(() => expect(signal?.aborted).toBe(true))
  await tick(200)
  expect(handler).not.toHaveBeenCalled()
})

test('the smaller of deadline and timeoutMs is passed on, and nothing when there is neither', async () => {
  const handlers: ShopHandlers = { Buy: (_, respond) => respond(null, { text: 'ok' }) }
  const bounds: (number | undefined)[] = []
  for (const options of [{}, { timeoutMs: 50 }]) {
    const { engine, asked } = scriptedEngine()
    await using server = await startShop(handlers, [hookInterceptor(engine, { [BUY]: { before: onOrder } }, options)])
    await server.buy(ORDER).ended
    await server.buy(ORDER, { deadlineMs: 10_000 }).ended
    bounds.push(...asked.map((call) => call.options.timeoutMs))
  }
  expect(bounds).toEqual([undefined, expect.closeTo(10_000, -3), 50, 50])
})

test('a conversation that its handler ends aborts the question about the next message', async () => {
  const { engine, asked } = scriptedEngine({ onOrder: ({ total }: Order) => (total === 0 ? undefined : tick(10_000)) })
  await using server = await startShop(
    { Chat: (call) => void call.on('data', () => setTimeout(() => call.end(), 20)) },
    [hookInterceptor(engine, { '/shop.v1.Shop/Chat': { before: onOrder } })],
  )
  const { call, ended } = server.chat()
  for (const total of [0, 1]) call.write({ item: 'tea', total })
  expect((await ended).code).toBe(status.OK)
  await vi.waitFor(() => expect(asked.map(({ options }) => options.signal?.aborted)).toEqual([true, true]))
})

// Reads on without waiting for the handler: messages and the half-close arrive while a verdict is pending.
const readAhead: ServerInterceptor = (_, next) =>
  new ServerInterceptingCall(next, {
    start: (start) =>
      start({
        onReceiveMessage(message, forward) {
          forward(message)
          next.startRead()
        },
      }),
  })

test('a half-close that arrives early does not overtake a pending verdict', async () => {
  const verdict = pending<unknown>()
  const { engine, asked } = scriptedEngine({ onOrder: () => verdict.promise })
  const handler = vi.fn<NonNullable<ShopHandlers['Buy']>>((_, respond) => respond(null, { text: 'ok' }))
  const rules = { [BUY]: { before: onOrder } }
  await using server = await startShop({ Buy: handler }, [readAhead, hookInterceptor(engine, rules)])
  const { ended } = server.buy(ORDER)
  await vi.waitFor(() => expect(asked).toHaveLength(1))
  await tick(30)
  expect(handler).not.toHaveBeenCalled()
  verdict.resolve({ kind: 'continue' })
  expect((await ended).replies).toEqual([{ text: 'ok' }])
})

test('messages that arrive early stay in order, and the half-close comes last', async () => {
  const { engine } = scriptedEngine({ onOrder: ({ total }: Order) => tick(total % 3) })
  const got: unknown[] = []
  await using server = await startShop(
    {
      Collect(call, respond) {
        call.on('data', ({ total }: Order) => got.push(total))
        call.on('end', () => {
          got.push('end')
          respond(null, { text: 'ok' })
        })
      },
    },
    [readAhead, hookInterceptor(engine, { '/shop.v1.Shop/Collect': { before: onOrder } })],
  )
  const { call, ended } = server.collect()
  const totals = Array.from({ length: 40 }, (_, total) => total)
  for (const total of totals) call.write({ item: 'tea', total })
  call.end()
  expect((await ended).code).toBe(status.OK)
  expect(got).toEqual([...totals, 'end'])
})

test('an operation that finishes after its client has gone is told as the success it was', async () => {
  const { engine, askedOf } = scriptedEngine()
  const respondNow = pending<() => void>()
  const rules = { [BUY]: { before: onOrder, after: onDone } }
  await using server = await startShop(
    { Buy: (_, respond) => respondNow.resolve(() => respond(null, { text: 'stored' })) },
    [hookInterceptor(engine, rules)],
  )
  const { call, ended } = server.buy(ORDER)
  const finish = await respondNow.promise
  call.cancel()
  await ended
  await tick(20)
  expect(askedOf('onDone')).toEqual([])
  finish()
  expect(askedOf('onDone').map(({ event }) => event)).toEqual([{ code: status.OK, count: 1, isCancelled: true }])
})

test('a stream that its client breaks off is told as cancelled, once', async () => {
  const { engine, askedOf } = scriptedEngine()
  const rules = { '/shop.v1.Shop/List': { after: { ...onDone, when: 'failure' as const } } }
  const first = pending<Receipt>()
  await using server = await startShop({ List: (call) => void call.write({ text: 'one' }) }, [
    hookInterceptor(engine, rules),
  ])
  const { call, ended } = server.list(ORDER)
  call.once('data', first.resolve)
  await first.promise
  call.cancel()
  expect((await ended).code).toBe(status.CANCELLED)
  await vi.waitFor(() => expect(askedOf('onDone')).toHaveLength(1))
  await tick(20)
  expect(askedOf('onDone').map(({ event }) => event)).toEqual([{ code: status.CANCELLED, count: 1, isCancelled: true }])
})
