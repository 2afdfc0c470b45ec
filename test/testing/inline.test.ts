import { defineContract, gate, observe, respond, transform } from 'hookring/contracts'
import { definePlugin, reject, replace } from 'hookring/plugin'
import { runInline } from 'hookring/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { refusalOf } from '../support/lab.js'

const event = z.object({ text: z.string(), tags: z.array(z.string()).default([]) })
const even = z.object({ size: z.int().refine((size) => size % 2 === 0, 'must be even') })
const shop = defineContract('shop', 1, {
  onAsk: gate(event),
  onTold: observe(event),
  onChange: transform(event, { maxReplyBytes: 64 }),
  onEven: transform(even),
  onAnswer: respond(event, even, { maxReplyBytes: 64 }),
})
type Shop = typeof shop.hookpoints

/** A plugin whose hooks all return what `result` gives them. */
const returning = (result: (event: { text: string }) => unknown) =>
  definePlugin(shop, {
    name: 'returning',
    setup: () => ({
      onAsk: result as never,
      onTold: result as never,
      onChange: result as never,
      onEven: result as never,
      onAnswer: result as never,
    }),
  })

const inline = (result: (event: { text: string }) => unknown) => runInline(returning(result), { contract: shop })
const ask = (text: string) => ({ text })

test('verdicts have the shapes that an engine gives', async () => {
  const { hooks } = await runInline(
    definePlugin(shop, {
      name: 'clerk',
      setup: () => ({
        onAsk: ({ text }) =>
          text === 'no' ? reject('said no', 7) : text === 'never' ? reject('said never') : undefined,
        onChange: async (event) => replace({ ...event.copy(), text: `${event.text}!` }),
        onAnswer: ({ text }) => ({ size: text.length }),
      }),
    }),
    { contract: shop },
  )
  expect(await hooks.onAsk(ask('yes'))).toEqual({ kind: 'continue' })
  expect(await hooks.onAsk(ask('no'))).toEqual({ kind: 'reject', reason: 'said no', code: 7, plugin: 'clerk' })
  expect(await hooks.onAsk(ask('never'))).toEqual({ kind: 'reject', reason: 'said never', plugin: 'clerk' })
  expect(await hooks.onChange({ text: 'so', tags: ['a'] })).toEqual({
    kind: 'replace',
    event: { text: 'so!', tags: ['a'] },
    plugin: 'clerk',
  })
  expect(await hooks.onAnswer(ask('four'))).toEqual({ kind: 'respond', value: { size: 4 }, plugin: 'clerk' })
})

test('a hookpoint without a hook continues, or is told, without looking at the event', async () => {
  const { hooks } = await runInline(definePlugin(shop, { name: 'idle', setup: () => ({}) }), { contract: shop })
  expect(await hooks.onAsk('nonsense' as never)).toEqual({ kind: 'continue' })
  expect(await hooks.onTold(ask('something'))).toBeUndefined()
})

test('config is parsed by the plugin’s schema, and refused by its path', async () => {
  const plugin = definePlugin(shop, {
    name: 'limited',
    config: z.object({ max: z.int().default(3), deep: z.object({ on: z.boolean() }).optional() }),
    setup: ({ config, plugin }) => ({
      onAsk: (_, ctx) => reject(`${plugin} ${config.max} ${ctx.plugin} ${ctx.config.max}`),
    }),
  })
  const { hooks } = await runInline(plugin, { contract: shop, config: {}, name: 'renamed' })
  expect(await hooks.onAsk(ask(''))).toMatchObject({ reason: 'renamed 3 renamed 3', plugin: 'renamed' })
  const refusal = await refusalOf(runInline(plugin, { contract: shop, config: { deep: { on: 'yes' } } as never }))
  expect(refusal).toMatchObject({ code: 'PLUGIN_CONFIG_INVALID', path: ['config', 'deep', 'on'] })
  expect(refusal.message).toMatch(/^plugin limited: config\.deep\.on: /)
  expect(await refusalOf(inlineWith({ config: { max: 1 } }))).toMatchObject({
    code: 'PLUGIN_CONFIG_INVALID',
    message: 'plugin returning takes no config',
  })
})

const inlineWith = (options: object) =>
  runInline(
    returning(() => undefined),
    { contract: shop, ...options } as never,
  )

test('a module is taken by its default export; anything else is refused with the codes of an engine', async () => {
  const { hooks } = await runInline({ default: returning(() => reject('from a module')) }, { contract: shop })
  expect(await hooks.onAsk(ask(''))).toMatchObject({ reason: 'from a module' })
  const code = async (plugin: unknown) => (await refusalOf(runInline(plugin as never, { contract: shop }))).code
  expect(await code({})).toBe('PLUGIN_NO_EXPORT')
  expect(await code({ default: undefined })).toBe('PLUGIN_NO_EXPORT')
  expect(await code(undefined)).toBe('PLUGIN_NO_EXPORT')
  expect(await code(definePlugin(shop, { name: 'no name', setup: () => ({}) }))).toBe('PLUGIN_NO_EXPORT')
  const newer = defineContract('shop', 2, { onAsk: gate(event) })
  expect(await code(definePlugin(newer, { name: 'newer', setup: () => ({}) }))).toBe('PLUGIN_CONTRACT_MISMATCH')
  expect(await code(definePlugin(shop, { name: 'odd', setup: () => ({ onSale() {} }) as never }))).toBe(
    'HOOKPOINT_UNKNOWN',
  )
  expect(await code(definePlugin(shop, { name: 'none', setup: () => undefined as never }))).toBe('PLUGIN_SETUP_FAILED')
})

test('what setup throws is the cause of the refusal, and what it opened before a bad hook is destroyed', async () => {
  const cause = new RangeError('no socket')
  const failing = definePlugin(shop, {
    name: 'failing',
    setup() {
      throw cause
    },
  })
  expect(await refusalOf(runInline(failing, { contract: shop }))).toMatchObject({ code: 'PLUGIN_SETUP_FAILED', cause })
  let destroyed = 0
  const halfway = definePlugin(shop, {
    name: 'halfway',
    setup: () => ({ onAsk: 5 as never, destroy: () => void destroyed++ }),
  })
  expect(await refusalOf(runInline(halfway, { contract: shop }))).toMatchObject({ code: 'PLUGIN_SETUP_FAILED' })
  expect(destroyed).toBe(1)
})

test('what a hook throws reaches the test as it is', async () => {
  const thrown = new TypeError('as it is')
  const sync = await inline(() => {
    throw thrown
  })
  await expect(sync.hooks.onAsk(ask(''))).rejects.toBe(thrown)
  await expect(sync.hooks.onTold(ask(''))).rejects.toBe(thrown)
  const later = await inline(() => Promise.reject(thrown))
  await expect(later.hooks.onAsk(ask(''))).rejects.toBe(thrown)
})

test('a result that is no verdict is refused in the words of a lane', async () => {
  const says = async (name: keyof Shop, result: unknown) => {
    const { hooks } = await inline(() => result)
    const refusal = await refusalOf(
      hooks[name]((name === 'onEven' ? { size: 2 } : ask('x')) as never) as Promise<unknown>,
    )
    expect(refusal).toMatchObject({ code: 'PLUGIN_FAILED', plugin: 'returning', hookpoint: name })
    return refusal.message
  }
  expect(await says('onAsk', 42)).toBe('a gate hook returns nothing or reject(...), got a number')
  expect(await says('onAsk', { kind: 'reject' })).toBe('a gate hook returns nothing or reject(...), got an object')
  expect(await says('onAsk', replace({}))).toBe('a gate hook returns nothing or reject(...), got replace')
  expect(await says('onChange', true)).toBe(
    'a transform hook returns nothing, reject(...) or replace(...), got a boolean',
  )
  expect(await says('onAnswer', replace({}))).toBe('a respond hook returns nothing or reject(...), got replace')
  expect(await says('onAsk', reject(undefined as never))).toBe('reject needs a reason in words, got a undefined')
  expect(await says('onAsk', reject('no', -1))).toBe('the code of a reject must be an integer from 0 to 2147483647')
  expect(await says('onChange', replace({ text: 1 }))).toMatch(/^onChange: replacement.*text/)
  expect(await says('onChange', replace({ text: 'x'.repeat(1000) }))).toMatch(
    /^the replacement takes at least \d+ bytes, there is room for \d+; raise maxReplyBytes in the contract$/,
  )
  expect(await says('onEven', replace({ size: 3 }))).toMatch(/^the replacement does not fit: .*must be even$/)
  expect(await says('onAnswer', { size: 3 })).toMatch(/^the answer does not fit: .*must be even$/)
  expect(await says('onAnswer', { size: 'x' })).toMatch(/^onAnswer: answer.*size/)
  const { hooks } = await inline(() => 42)
  expect(await hooks.onTold(ask('an observer may return anything'))).toBeUndefined()
})

test('an event that no engine would take is refused before the hook runs', async () => {
  const { hooks } = await inline(() => {
    throw new Error('it ran')
  })
  expect(await refusalOf(hooks.onAsk({ text: 5 } as never))).toMatchObject({
    code: 'EVENT_INVALID',
    path: ['text'],
  })
  expect(await refusalOf(hooks.onEven({ size: 3 }))).toMatchObject({ code: 'EVENT_INVALID' })
  expect(await refusalOf(hooks.onAsk(ask('x'.repeat(2 ** 20))))).toMatchObject({ code: 'EVENT_TOO_LARGE' })
  const { hooks: large } = await inline(({ text }) => reject(`${text.length} characters`))
  expect(await large.onAsk(ask('x'.repeat(2 ** 20 - 100)))).toMatchObject({ reason: `${2 ** 20 - 100} characters` })
})

test('an event is read while its hook runs, not after', async () => {
  const kept: { text: string; tags?: readonly string[]; copy(): unknown }[] = []
  const { hooks } = await inline((event) => void kept.push(event as never))
  await hooks.onAsk(ask('sync'))
  expect(() => kept[0]?.text).toThrow(expect.objectContaining({ code: 'EVENT_EXPIRED' }))
  expect(() => kept[0]?.copy()).toThrow(expect.objectContaining({ code: 'EVENT_EXPIRED' }))

  const { hooks: patient } = await inline(async (event) => {
    kept.push(event as never)
    await new Promise(setImmediate)
    return reject(event.text)
  })
  expect(await patient.onAsk(ask('async'))).toMatchObject({ reason: 'async' })
  expect(kept[1]?.text).toBe('async')
  expect(() => kept[1]?.tags).toThrow(expect.objectContaining({ code: 'EVENT_EXPIRED' }))
})

test('ctx has the trace id, the deadline and a signal that ends at it', async () => {
  const reasons: unknown[] = []
  const { hooks } = await runInline(
    definePlugin(shop, {
      name: 'waiting',
      setup: () => ({
        onAsk: (_, { traceId, deadline }) => reject(`${traceId} ${Math.round((deadline - Date.now()) / 1000)}`),
        onTold: (_, { signal }) =>
          new Promise((_, fail) => {
            signal.addEventListener('abort', () => {
              reasons.push(signal.reason)
              fail(new Error('too late to matter'))
            })
          }),
      }),
    }),
    { contract: shop, timeoutMs: 60_000 },
  )
  expect(await hooks.onAsk(ask(''), { traceId: 'trace-1' })).toMatchObject({ reason: 'trace-1 60' })
  expect(await hooks.onAsk(ask(''), { traceId: '', timeoutMs: 5_000 })).toMatchObject({ reason: 'undefined 5' })
  const refusal = await refusalOf(hooks.onTold(ask(''), { timeoutMs: 5 }))
  expect(refusal).toMatchObject({ code: 'PLUGIN_FAILED', plugin: 'waiting', hookpoint: 'onTold' })
  expect(refusal.message).toBe('plugin waiting timed out after 5 ms at onTold: its promise was pending at the deadline')
  expect(reasons).toMatchObject([{ name: 'TimeoutError' }])
})

test('a caller that gives up gets CALL_ABORTED, the hook is told and may still read its event', async () => {
  const seen: unknown[] = []
  const { hooks, close } = await runInline(
    definePlugin(shop, {
      name: 'thorough',
      setup: () => ({
        onAsk: async (event, { signal }) => {
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
          await new Promise(setImmediate)
          seen.push(signal.reason.name, event.text)
        },
      }),
    }),
    { contract: shop },
  )
  const controller = new AbortController()
  const call = hooks.onAsk(ask('read late'), { signal: controller.signal })
  controller.abort('enough')
  expect(await refusalOf(call)).toMatchObject({ code: 'CALL_ABORTED', cause: 'enough', hookpoint: 'onAsk' })
  expect(await refusalOf(hooks.onAsk(ask('x'), { signal: controller.signal }))).toMatchObject({ code: 'CALL_ABORTED' })
  await close()
  expect(seen).toEqual(['AbortError', 'read late'])
})

test('logs are kept with their level, plugin and fields', async () => {
  const { hooks, logs } = await runInline(
    definePlugin(shop, {
      name: 'talker',
      setup({ log }) {
        log.debug('set up')
        return { onTold: ({ text }, ctx) => ctx.log.warn('told', { text }) }
      },
    }),
    { contract: shop },
  )
  await hooks.onTold(ask('news'))
  expect(logs).toEqual([
    { level: 'debug', plugin: 'talker', message: 'set up', fields: {} },
    { level: 'warn', plugin: 'talker', message: 'told', fields: { text: 'news' } },
  ])
})

test('shutdown and destroy run once and in that order, after hooks under way; then calls are refused', async () => {
  const life: string[] = []
  const inline = await runInline(
    definePlugin(shop, {
      name: 'mortal',
      setup: () => ({
        async onTold() {
          await new Promise(setImmediate)
          life.push('told')
        },
        onShutdown: () => void life.push('onShutdown'),
        destroy: () => void life.push('destroy'),
      }),
    }),
    { contract: shop },
  )
  const told = inline.hooks.onTold(ask(''))
  await Promise.all([inline.shutdown(), inline.shutdown(), inline.close(), inline.close(), told])
  expect(life.filter((what) => what !== 'told')).toEqual(['onShutdown', 'destroy'])
  expect(life.indexOf('told')).toBeLessThan(life.indexOf('destroy'))
  expect(await refusalOf(inline.hooks.onAsk(ask('')))).toMatchObject({ code: 'ENGINE_CLOSED' })
})

test('an onShutdown that throws is told to the test, and destroy runs all the same', async () => {
  const life: string[] = []
  const thrown = new Error('not now')
  const plugin = definePlugin(shop, {
    name: 'stubborn',
    setup: () => ({
      onShutdown() {
        throw thrown
      },
      destroy: () => void life.push('destroy'),
    }),
  })
  const { close } = await runInline(plugin, { contract: shop })
  await expect(close()).rejects.toBe(thrown)
  expect(life).toEqual(['destroy'])
})
