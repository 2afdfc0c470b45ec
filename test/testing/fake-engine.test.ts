/** The engine that stands in for a real one in a server's unit tests. */
import { createHookEngine, type HookEngine } from 'hookring'
import { defineContract, gate, isUndecided, observe, respond, transform } from 'hookring/contracts'
import { reject, replace } from 'hookring/plugin'
import { fakeEngine, undecided } from 'hookring/testing'
import { describe, expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'

const shop = defineContract('shop', 1, {
  onOrder: gate(z.object({ id: z.string(), cents: z.number().int().min(0), gift: z.boolean().default(false) })),
  onPrice: respond(z.object({ cents: z.number() }), z.object({ cents: z.number() })),
  onNote: transform(z.object({ text: z.string().max(20) })),
  onPaid: observe(z.object({ cents: z.number() })),
})
const ORDER = { id: 'a', cents: 5 }

test('everything continues by default, and each call is recorded as plugins would see it', async () => {
  const engine = fakeEngine(shop)
  expect(await engine.hooks.onOrder(ORDER, { traceId: 't' })).toEqual({ kind: 'continue' })
  expect(await engine.hooks.onPrice({ cents: 1 })).toEqual({ kind: 'continue' })
  expect(await engine.hooks.onNote({ text: 'x' })).toEqual({ kind: 'continue' })
  expect(engine.hooks.onPaid({ cents: 1 })).toBeUndefined()
  expect(engine.calls).toEqual([
    { hookpoint: 'onOrder', event: { ...ORDER, gift: false }, options: { traceId: 't' } },
    { hookpoint: 'onPrice', event: { cents: 1 }, options: {} },
    { hookpoint: 'onNote', event: { text: 'x' }, options: {} },
    { hookpoint: 'onPaid', event: { cents: 1 }, options: {} },
  ])
  expect(engine.isSubscribed('onOrder')).toBe(true)
})

test('handlers return what plugins return, at once or later', async () => {
  const { hooks } = fakeEngine(shop, {
    onOrder: ({ cents }) => (cents > 10 ? reject('too dear', 7) : undefined),
    onPrice: async ({ cents }) => ({ cents: cents * 2 }),
    onNote: (event) => replace({ ...event, text: event.text.trim() }),
  })
  expect(await hooks.onOrder({ id: 'a', cents: 11 })).toEqual({
    kind: 'reject',
    reason: 'too dear',
    code: 7,
    plugin: 'fake',
  })
  expect(await hooks.onOrder(ORDER)).toEqual({ kind: 'continue' })
  expect(await hooks.onPrice({ cents: 2 })).toEqual({ kind: 'respond', value: { cents: 4 }, plugin: 'fake' })
  expect(await hooks.onNote({ text: ' x ' })).toEqual({ kind: 'replace', event: { text: 'x' }, plugin: 'fake' })
})

describe('a failure may be made up', () => {
  test.each(['timeout', 'crash', 'error', 'overload', 'quarantined', 'invalid'] as const)(
    '%s, denied',
    async (kind) => {
      const verdict = await fakeEngine(shop, { onOrder: () => undecided(kind) }).hooks.onOrder(ORDER)
      expect(isUndecided(verdict)).toBe(true)
      expect(verdict).toMatchObject({
        kind: 'reject',
        reason: 'the operation could not be checked',
        failure: { kind, hookpoint: 'onOrder', plugin: 'fake' },
      })
    },
  )

  test('allowed', async () => {
    const { hooks } = fakeEngine(shop, { onOrder: async () => undecided('timeout', { policy: 'allow', message: 'm' }) })
    expect(await hooks.onOrder(ORDER)).toMatchObject({ kind: 'continue', failure: { kind: 'timeout', message: 'm' } })
  })

  test('raised', async () => {
    const { hooks } = fakeEngine(shop, { onPrice: () => undecided('crash', { policy: 'raise' }) })
    await expect(hooks.onPrice({ cents: 1 })).rejects.toMatchObject({ code: 'PLUGIN_FAILED', hookpoint: 'onPrice' })
  })
})

describe('a call is refused as an engine refuses it', () => {
  test('an event that does not fit', async () => {
    const engine = fakeEngine(shop)
    await expect(engine.hooks.onOrder({ id: 'a', cents: -1 })).rejects.toMatchObject({ code: 'EVENT_INVALID' })
    expect(engine.calls).toEqual([])
  })

  test('a result that is no verdict', async () => {
    const { hooks } = fakeEngine(shop, {
      onOrder: () => 'no' as never,
      onNote: () => replace({ text: 'x'.repeat(21) }),
    })
    await expect(hooks.onOrder(ORDER)).rejects.toMatchObject({ code: 'PLUGIN_FAILED' })
    await expect(hooks.onNote({ text: 'x' })).rejects.toMatchObject({ code: 'PLUGIN_FAILED' })
  })

  test('an aborted one', async () => {
    const controller = new AbortController()
    const { hooks } = fakeEngine(shop, { onOrder: () => new Promise<undefined>(() => {}) })
    const call = hooks.onOrder(ORDER, { signal: controller.signal })
    controller.abort()
    await expect(call).rejects.toMatchObject({ code: 'CALL_ABORTED' })
  })

  test('one that takes longer than its own time', async () => {
    const { hooks } = fakeEngine(shop, { onOrder: () => new Promise<undefined>(() => {}) })
    await expect(hooks.onOrder(ORDER, { timeoutMs: 1 })).rejects.toMatchObject({ code: 'PLUGIN_FAILED' })
  })

  test('one after the end', async () => {
    const engine = fakeEngine(shop)
    const errors: unknown[] = []
    engine.on('error', (error) => errors.push(error.code))
    await engine.shutdown()
    await engine.close()
    await expect(engine.hooks.onOrder(ORDER)).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
    engine.hooks.onPaid({ cents: 1 })
    await engine.flush().catch(() => {})
    expect(errors).toEqual(['ENGINE_CLOSED'])
  })

  test('one of a name that the contract does not have', () => {
    const { hooks } = fakeEngine(shop)
    expect(() => (hooks as unknown as { onOder(): void }).onOder()).toThrow(/has no hookpoint onOder; it has onOrder/)
    expect((hooks as unknown as { then?: unknown }).then).toBeUndefined()
    expect(() => fakeEngine(shop, { onOder: () => {} } as object)).toThrow(
      expect.objectContaining({ code: 'HOOKPOINT_UNKNOWN' }),
    )
  })
})

test('what a handler throws reaches the caller', async () => {
  const thrown = new Error('no database')
  const { hooks } = fakeEngine(shop, {
    onOrder: () => {
      throw thrown
    },
  })
  await expect(hooks.onOrder(ORDER)).rejects.toBe(thrown)
})

test('an observation’s error never reaches its caller; the engine emits it, and flush tells', async () => {
  const thrown = new Error('no disk')
  const heard = vi.fn()
  const engine = fakeEngine(shop, { onPaid: () => Promise.reject(thrown) }).on('error', heard)
  engine.hooks.onPaid({ cents: 1 })
  engine.hooks.onPaid({ cents: 'x' as never })
  await expect(engine.flush()).rejects.toMatchObject({ code: 'EVENT_INVALID' })
  await engine.flush()
  expect(heard.mock.calls.map(([{ code, cause }]) => [code, cause])).toEqual([
    ['EVENT_INVALID', undefined],
    ['PLUGIN_FAILED', thrown],
  ])
})

test('flush waits for observers under way', async () => {
  let isDone = false
  const engine = fakeEngine(shop, {
    onPaid: async () => {
      await new Promise(setImmediate)
      isDone = true
    },
  })
  engine.hooks.onPaid({ cents: 1 })
  await engine.flush()
  expect(isDone).toBe(true)
})

test('a test emits an engine’s events', () => {
  const engine = fakeEngine(shop)
  const heard = vi.fn()
  engine.once('pluginReleased', heard)
  engine.emit('pluginReleased', { plugin: 'p' })
  engine.emit('pluginReleased', { plugin: 'q' })
  expect(heard.mock.calls).toEqual([[{ plugin: 'p' }]])
})

describe('hooks can be spied on', () => {
  test('of a fake engine', async () => {
    const engine = fakeEngine(shop)
    const spy = vi.spyOn(engine.hooks, 'onOrder')
    await engine.hooks.onOrder(ORDER)
    expect(spy).toHaveBeenCalledWith(ORDER)
    spy.mockResolvedValue({ kind: 'reject', reason: 'no', plugin: 'p' })
    expect(await engine.hooks.onOrder(ORDER)).toMatchObject({ reason: 'no' })
    spy.mockRestore()
    expect(await engine.hooks.onOrder(ORDER)).toEqual({ kind: 'continue' })
  })

  test('of a real one', async () => {
    await using engine = await createHookEngine({ contract: shop })
    const spy = vi.spyOn(engine.hooks, 'onOrder').mockResolvedValue({ kind: 'reject', reason: 'no', plugin: 'p' })
    expect(await engine.hooks.onOrder(ORDER)).toMatchObject({ reason: 'no' })
    expect(spy).toHaveBeenCalledOnce()
  })
})

test('its methods may be taken off it, and it ends with its block', async () => {
  const { hooks, close, flush } = fakeEngine(shop)
  await flush()
  await close()
  await expect(hooks.onOrder(ORDER)).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
  await using engine = fakeEngine(shop)
  expect(await engine.registry.metrics()).toBe('')
})

test('it fits where an engine is meant, with the types of its contract', () => {
  const engine = fakeEngine(shop, {
    // @ts-expect-error: a gate answers nothing
    onOrder: () => ({ cents: 1 }),
    onPrice: ({ cents }) => {
      expectTypeOf(cents).toBeNumber()
      return { cents }
    },
  })
  expectTypeOf(engine).toExtend<HookEngine<typeof shop.hookpoints>>()
  expectTypeOf(engine.hooks).toEqualTypeOf<HookEngine<typeof shop.hookpoints>['hooks']>()
  for (const call of engine.calls) {
    if (call.hookpoint === 'onOrder')
      expectTypeOf(call.event).toEqualTypeOf<{ id: string; cents: number; gift: boolean }>()
  }
})
