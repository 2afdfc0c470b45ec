import { status } from '@grpc/grpc-js'
import { HookringError } from 'hookring/contracts'
import { hookInterceptor, type InterceptorOptions, type MethodRules } from 'hookring/grpc'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Order, pending, startShop } from '../support/rpc-service.js'
import { scriptedEngine, type shop } from '../support/scripted-engine.js'

type Script = Parameters<typeof scriptedEngine>[0]
type ShopRules = MethodRules<(typeof shop)['hookpoints']>

const BUY = '/shop.v1.Shop/Buy'
const ORDER = { item: 'tea', total: 12 }
const asksOnOrder = { before: { hookpoint: 'onOrder', event: (order: Order) => order } } as const satisfies ShopRules

async function startBuying(script: Script, rules: ShopRules, options: InterceptorOptions = {}) {
  const scripted = scriptedEngine(script)
  const handled: Order[] = []
  const server = await startShop(
    {
      Buy(call, respond) {
        handled.push(call.request)
        respond(null, { text: `${call.request.item}: ${call.request.total}` })
      },
    },
    [hookInterceptor(scripted.engine, { [BUY]: rules }, options)],
  )
  return { ...scripted, ...server, handled, [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}

test('a gate that continues lets the handler run', async () => {
  await using server = await startBuying({}, asksOnOrder)
  const { code, replies } = await server.buy(ORDER).ended
  expect({ code, replies }).toEqual({ code: status.OK, replies: [{ text: 'tea: 12' }] })
  expect(server.askedOf('onOrder').map(({ event }) => event)).toEqual([ORDER])
})

test('a reject reaches the client with its reason and the names of plugin and hookpoint, and no handler runs', async () => {
  await using server = await startBuying(
    { onOrder: () => ({ kind: 'reject', reason: 'too dear', plugin: 'limits' }) },
    asksOnOrder,
  )
  const { code, details, trailers } = await server.buy(ORDER).ended
  expect({ code, details }).toEqual({ code: status.PERMISSION_DENIED, details: 'too dear' })
  expect(trailers.getMap()).toMatchObject({ 'hookring-plugin': 'limits', 'hookring-hookpoint': 'onOrder' })
  expect(trailers.get('hookring-failure')).toEqual([])
  expect(server.handled).toEqual([])
})

test('a reject beside another plugin’s failure, which was allowed, is the plugin’s', async () => {
  const failure = { kind: 'timeout', plugin: 'slow', hookpoint: 'onOrder', message: 'late', waitedMs: 0, ranMs: 50 }
  const reject = { kind: 'reject', reason: 'too dear', plugin: 'limits', code: status.FAILED_PRECONDITION, failure }
  await using server = await startBuying({ onOrder: () => reject }, asksOnOrder)
  const { code, details, trailers } = await server.buy(ORDER).ended
  expect({ code, details }).toEqual({ code: status.FAILED_PRECONDITION, details: 'too dear' })
  expect(trailers.get('hookring-failure')).toEqual([])
})

test.each(['EVENT_INVALID', 'EVENT_TOO_LARGE'] as const)(
  'a request of which a plugin has made %s is not its client’s fault, and the operator is told',
  async (code) => {
    const errors: unknown[] = []
    const rules: ShopRules = {
      before: [
        {
          hookpoint: 'onPrice',
          event: (order: Order) => order,
          replace: (order: Order, event) => ({ ...order, total: event.total }),
        },
        asksOnOrder.before,
      ],
    }
    const script: Script = {
      onPrice: () => ({ kind: 'replace', event: { total: 99 }, plugin: 'pricer' }),
      onOrder: () => Promise.reject(new HookringError(code, 'onOrder: no event can be made of it')),
    }
    await using server = await startBuying(script, rules, { onError: (error) => void errors.push(error) })
    const ended = await server.buy(ORDER).ended
    expect({ code: ended.code, details: ended.details }).toEqual({
      code: status.UNAVAILABLE,
      details: 'a hook is not available',
    })
    expect(errors).toMatchObject([{ code }])
    expect(server.handled).toEqual([])
  },
)

test('the names stay with the server when trailers are off', async () => {
  const reject = { kind: 'reject', reason: 'no', plugin: 'limits' }
  await using server = await startBuying({ onOrder: () => reject }, asksOnOrder, { trailers: false })
  const { trailers } = await server.buy(ORDER).ended
  expect(Object.keys(trailers.getMap()).filter((key) => key.startsWith('hookring'))).toEqual([])
})

test.each([
  [status.FAILED_PRECONDITION, status.FAILED_PRECONDITION],
  [1, status.CANCELLED],
  [16, status.UNAUTHENTICATED],
  [0, status.PERMISSION_DENIED],
  [17, status.PERMISSION_DENIED],
  [135, status.PERMISSION_DENIED],
  [2.5, status.PERMISSION_DENIED],
])("a plugin's code %d becomes the status %d", async (given, expected) => {
  const reject = { kind: 'reject', reason: 'no', plugin: 'limits', code: given }
  await using server = await startBuying({ onOrder: () => reject }, asksOnOrder)
  expect((await server.buy(ORDER).ended).code).toBe(expected)
})

test.each([
  ['timeout', status.DEADLINE_EXCEEDED],
  ['overload', status.RESOURCE_EXHAUSTED],
  ['crash', status.UNAVAILABLE],
  ['error', status.UNAVAILABLE],
  ['quarantined', status.UNAVAILABLE],
  ['invalid', status.UNAVAILABLE],
] as const)('a reject by the failure policy for %s has its own status and tells no insides', async (kind, expected) => {
  const failure = { kind, plugin: 'slow', hookpoint: 'onOrder', message: '/etc/secret', waitedMs: 1, ranMs: 20 }
  const reject = { kind: 'reject', reason: 'threw: /etc/secret', plugin: 'slow', failure }
  await using server = await startBuying({ onOrder: () => reject }, asksOnOrder)
  const { code, details, trailers } = await server.buy(ORDER).ended
  expect(code).toBe(expected)
  expect(details).not.toContain('secret')
  expect(trailers.getMap()).toMatchObject({ 'hookring-plugin': 'slow', 'hookring-failure': kind })
})

test('toStatus has the last word, and keeps the default where it has none', async () => {
  const reject = { kind: 'reject', reason: 'no', plugin: 'limits' }
  const toStatus: InterceptorOptions['toStatus'] = ({ reason }, { hookpoint }) => ({
    code: status.ABORTED,
    details: `${hookpoint}: ${reason}`,
  })
  {
    await using server = await startBuying({ onOrder: () => reject }, asksOnOrder, { toStatus })
    expect(await server.buy(ORDER).ended).toMatchObject({ code: status.ABORTED, details: 'onOrder: no' })
  }
  await using server = await startBuying({ onOrder: () => reject }, asksOnOrder, { toStatus: () => undefined })
  expect(await server.buy(ORDER).ended).toMatchObject({ code: status.PERMISSION_DENIED, details: 'no' })
})

test.each([
  ['half a surrogate pair', 'bad \ud800 text', 'bad \ufffd text'],
  ['a line feed', 'two\nlines', 'two\nlines'],
  ['ten thousand wide characters', '\u6f22'.repeat(10_000), '\u6f22'.repeat(512)],
])('a reason with %s reaches the client whole or cut, and the server lives', async (_, reason, expected) => {
  const reject = { kind: 'reject', reason, plugin: 'n\u00e4me\nwith line feed' }
  await using server = await startBuying({ onOrder: () => reject }, asksOnOrder)
  const { code, details, trailers } = await server.buy(ORDER).ended
  expect({ code, details }).toEqual({ code: status.PERMISSION_DENIED, details: expected })
  expect(trailers.get('hookring-plugin')).toEqual(['n?me?with?line?feed'])
})

test.each([
  ['EVENT_INVALID', status.INVALID_ARGUMENT, 'onOrder: total must be a number'],
  ['EVENT_TOO_LARGE', status.RESOURCE_EXHAUSTED, 'onOrder: total must be a number'],
  ['ENGINE_CLOSED', status.UNAVAILABLE, 'the server is shutting down'],
  ['PLUGIN_FAILED', status.UNAVAILABLE, 'a hook is not available'],
] as const)('%s becomes status %d', async (errorCode, expected, details) => {
  const fail = () => {
    throw new HookringError(errorCode, 'onOrder: total must be a number')
  }
  await using server = await startBuying({ onOrder: fail }, asksOnOrder)
  expect(await server.buy(ORDER).ended).toMatchObject({ code: expected, details })
  expect(server.handled).toEqual([])
})

test('an unexpected error is INTERNAL without details, and the operator is told', async () => {
  const onError = vi.fn()
  const fail = () => {
    throw new Error('password=hunter2')
  }
  await using server = await startBuying({ onOrder: fail }, asksOnOrder, { onError })
  const { code, details } = await server.buy(ORDER).ended
  expect({ code, details }).toEqual({ code: status.INTERNAL, details: 'a hook could not be asked' })
  expect(onError).toHaveBeenCalledWith(expect.objectContaining({ message: 'password=hunter2' }), {
    hookpoint: 'onOrder',
    call: expect.objectContaining({ path: BUY }),
  })
})

test('an error in a rule is INTERNAL, and an onError that throws harms nothing', async () => {
  const onError = () => {
    throw new Error('no logger')
  }
  const rules: ShopRules = {
    before: {
      hookpoint: 'onOrder',
      event() {
        throw new Error('a bug')
      },
    },
  }
  const warn = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined)
  onTestFinished(() => warn.mockRestore())
  await using server = await startBuying({}, rules, { onError })
  expect(await server.buy(ORDER).ended).toMatchObject({ code: status.INTERNAL })
  expect(await server.buy(ORDER).ended).toMatchObject({ code: status.INTERNAL })
  // Once for each place: a broken rule must not flood the log.
  expect(warn.mock.calls).toEqual([[expect.stringContaining('a bug'), 'HookringWarning']])
})

test('transform replaces the request that later rules and the handler see', async () => {
  await using server = await startBuying(
    { onPrice: ({ total }: { total: number }) => ({ kind: 'replace', event: { total: total * 2 }, plugin: 'prices' }) },
    {
      before: [
        {
          hookpoint: 'onPrice',
          event: ({ total }: Order) => ({ total }),
          replace: (order: Order, { total }) => ({ ...order, total }),
        },
        { hookpoint: 'onOrder', event: (order: Order) => order },
      ],
    },
  )
  expect((await server.buy(ORDER).ended).replies).toEqual([{ text: 'tea: 24' }])
  expect(server.askedOf('onOrder')[0]?.event).toEqual({ item: 'tea', total: 24 })
})

test('respond answers the RPC in place of the handler', async () => {
  await using server = await startBuying(
    { onQuote: () => ({ kind: 'respond', value: { text: 'five' }, plugin: 'quotes' }) },
    {
      before: {
        hookpoint: 'onQuote',
        event: ({ item }: Order) => ({ item }),
        answer: ({ text }, { item }: Order) => ({ text: `${item} for ${text}` }),
      },
      after: { hookpoint: 'onSeen', when: 'always', event: () => ({ item: 'never' }) },
    },
  )
  expect(await server.buy(ORDER).ended).toMatchObject({ code: status.OK, replies: [{ text: 'tea for five' }] })
  expect(server.handled).toEqual([])
  expect(server.askedOf('onSeen')).toEqual([])
})

test('rules are asked in order, and the first reject ends them', async () => {
  await using server = await startBuying(
    { onOrder: () => ({ kind: 'reject', reason: 'no', plugin: 'limits' }) },
    {
      before: [
        { hookpoint: 'onSeen', event: ({ item }: Order) => ({ item }) },
        { hookpoint: 'onOrder', event: (order: Order) => order },
        { hookpoint: 'onPrice', event: ({ total }: Order) => ({ total }), replace: (order) => order },
      ],
    },
  )
  await server.buy(ORDER).ended
  expect(server.asked.map(({ hookpoint }) => hookpoint)).toEqual(['onSeen', 'onOrder'])
})

test('a rule without an event asks nothing', async () => {
  await using server = await startBuying(
    { onOrder: () => ({ kind: 'reject', reason: 'no', plugin: 'limits' }) },
    { before: { hookpoint: 'onOrder', event: (order: Order) => (order.total > 100 ? order : undefined) } },
  )
  expect((await server.buy(ORDER).ended).code).toBe(status.OK)
  expect((await server.buy({ item: 'car', total: 101 }).ended).code).toBe(status.PERMISSION_DENIED)
})

test('several events are asked in one turn, and the first reject in their order decides', async () => {
  const late = pending<unknown>()
  let askedAtOnce = 0
  await using server = await startBuying(
    {
      onOrder({ total }: Order) {
        askedAtOnce++
        if (total === 1) return late.promise
        if (total === 2) {
          setTimeout(() => late.resolve({ kind: 'reject', reason: 'first', plugin: 'limits' }), 20)
          return { kind: 'reject', reason: 'second', plugin: 'limits' }
        }
        return undefined
      },
    },
    { before: { hookpoint: 'onOrder', events: ({ item }: Order) => [0, 1, 2, 3].map((total) => ({ item, total })) } },
  )
  expect(await server.buy(ORDER).ended).toMatchObject({ details: 'first' })
  expect(askedAtOnce).toBe(4)
})

test('a hundred events of one request listen to one signal without a warning, and no more than 64 are asked at once', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined)
  onTestFinished(() => warn.mockRestore())
  let open = 0
  let most = 0
  await using server = await startBuying(
    {
      async onOrder(_: Order, { signal }) {
        signal?.addEventListener('abort', () => {})
        most = Math.max(most, ++open)
        await new Promise((resolve) => setTimeout(resolve, 5))
        open--
      },
    },
    {
      before: {
        hookpoint: 'onOrder',
        events: ({ item }: Order) => Array.from({ length: 100 }, (_, total) => ({ item, total })),
      },
    },
  )
  expect((await server.buy(ORDER).ended).code).toBe(status.OK)
  expect(server.asked).toHaveLength(100)
  expect(most).toBe(64)
  expect(warn).not.toHaveBeenCalled()
})

test('a trace id comes from traceparent, or from where the operator says', async () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  {
    await using server = await startBuying({}, asksOnOrder)
    await server.buy(ORDER, { metadata: { traceparent } }).ended
    await server.buy(ORDER, { metadata: { traceparent: 'nonsense' } }).ended
    await server.buy(ORDER).ended
    const ids = server.asked.map(({ options }) => options.traceId)
    expect(ids).toEqual(['0af7651916cd43dd8448eb211c80319c', undefined, undefined])
  }
  await using server = await startBuying({}, asksOnOrder, {
    traceId: ({ metadata }) => metadata.get('x-request-id')[0]?.toString(),
  })
  await server.buy(ORDER, { metadata: { 'x-request-id': 'r1' } }).ended
  await server.buy(ORDER, { metadata: { 'x-request-id': 'r'.repeat(300) } }).ended
  expect(server.asked.map(({ options }) => options.traceId)).toEqual(['r1', undefined])
})

test('an RPC without rules is not touched', async () => {
  const { engine, asked } = scriptedEngine()
  await using server = await startShop({ Buy: (_, respond) => respond(null, { text: 'ok' }) }, [
    hookInterceptor(engine, { '/shop.v1.Shop/Other': asksOnOrder }),
  ])
  expect((await server.buy(ORDER).ended).replies).toEqual([{ text: 'ok' }])
  expect(asked).toEqual([])
})
