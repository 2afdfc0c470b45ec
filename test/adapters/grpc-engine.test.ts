import { status } from '@grpc/grpc-js'
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { hookInterceptor } from 'hookring/grpc'
import { expect, test, vi } from 'vitest'
import { messageEvent } from '../support/delivery-events.js'
import { recordingLogger } from '../support/recording-logger.js'
import { type Order, startShop } from '../support/rpc-service.js'

async function startWithEngine() {
  const engine = await createHookEngine({
    contract: delivery,
    plugins: [{ from: new URL('./fixtures/moody-gate.mjs', import.meta.url), timeoutMs: 60 }],
    hangMs: 0,
    logger: recordingLogger(),
  })
  const handled = vi.fn()
  const shop = await startShop(
    {
      Buy(call, respond) {
        handled(call.request.total)
        respond(null, { text: 'ok' })
      },
    },
    [
      hookInterceptor(engine, {
        '/shop.v1.Shop/Buy': {
          before: {
            hookpoint: 'onMessageEnqueue',
            event: ({ item, total }: Order) =>
              messageEvent({ payloadLen: total, recipientKey: new Uint8Array(item.length) }),
          },
        },
      }),
    ],
  )
  const buy = (total: number, options: { keyBytes?: number; deadlineMs?: number } = {}) => {
    const { keyBytes = 32, ...callOptions } = options
    return shop.buy({ item: 'k'.repeat(keyBytes), total }, callOptions)
  }
  return {
    engine,
    handled,
    buy,
    async [Symbol.asyncDispose]() {
      await shop[Symbol.asyncDispose]()
      await engine.close()
    },
  }
}

const HOOKPOINT = { 'hookring-plugin': 'moody-gate', 'hookring-hookpoint': 'onMessageEnqueue' }

test.each([
  ['a reject with a code of its own', 1, status.FAILED_PRECONDITION, 'not today', undefined],
  ['a hook that throws', 2, status.UNAVAILABLE, 'a hook is not available', 'error'],
  ['a hook that never settles', 3, status.DEADLINE_EXCEEDED, 'a hook gave no verdict in time', 'timeout'],
  ['a hook that never ends', 4, status.DEADLINE_EXCEEDED, 'a hook gave no verdict in time', 'timeout'],
] as const)('%s, in a lane, becomes its status, and RPCs pass again', async (_, total, code, details, failure) => {
  await using server = await startWithEngine()
  const seen = await server.buy(total).ended
  expect({ code: seen.code, details: seen.details }).toEqual({ code, details })
  expect(seen.trailers.getMap()).toMatchObject(HOOKPOINT)
  expect(seen.trailers.get('hookring-failure')).toEqual(failure === undefined ? [] : [failure])
  expect(server.handled).not.toHaveBeenCalled()
  // A lane that was lost takes a while to be replaced.
  await vi.waitFor(async () => expect((await server.buy(100).ended).code).toBe(status.OK), { timeout: 10_000 })
})

test('a request that makes no valid event is the fault of its client, and the field is named', async () => {
  await using server = await startWithEngine()
  const { code, details } = await server.buy(100, { keyBytes: 31 }).ended
  expect(code).toBe(status.INVALID_ARGUMENT)
  expect(details).toMatch(/onMessageEnqueue.*recipientKey.*32 bytes/)
})

test("a client's deadline and its cancellation end the question in the engine", async () => {
  await using server = await startWithEngine()
  expect((await server.buy(3, { deadlineMs: 25 }).ended).code).toBe(status.DEADLINE_EXCEEDED)
  const { call, ended } = server.buy(3)
  setTimeout(() => call.cancel(), 20)
  expect((await ended).code).toBe(status.CANCELLED)
  expect((await server.buy(100).ended).code).toBe(status.OK)
  expect(server.handled.mock.calls).toEqual([[100]])
})

test('an engine that has closed makes its RPCs unavailable', async () => {
  await using server = await startWithEngine()
  await server.engine.close()
  const { code, details } = await server.buy(100).ended
  expect({ code, details }).toEqual({ code: status.UNAVAILABLE, details: 'the server is shutting down' })
})
