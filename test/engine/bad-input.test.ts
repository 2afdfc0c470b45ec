/** Bad options, contracts and names: each is refused with a coded error that says where it is wrong. */
import { createHookEngine, defineContract, type HookringError } from 'hookring'
import { gate } from 'hookring/contracts'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { lab, otherLab } from '../fixtures/lab/contract.mjs'
import { actor, openLab, refusalOf, silent } from '../support/lab.js'

describe('options', () => {
  const engineCases: readonly (readonly [what: string, options: object, path: string])[] = [
    ['no contract', { contract: undefined }, 'contract'],
    ['a contract that is none', { contract: {} }, 'contract'],
    [
      'a contract that only looks like one',
      { contract: { id: 'x@1', name: 'x', version: 1, hookpoints: { onX: {} } } },
      'contract',
    ],
    ['an unknown option', { timeoutms: 5 }, 'timeoutms'],
    ['a timeout of 0', { timeoutMs: 0 }, 'timeoutMs'],
    ['a timeout in words', { timeoutMs: '5' }, 'timeoutMs'],
    ['a timeout that is no number', { timeoutMs: Number.NaN }, 'timeoutMs'],
    ['a timeout without end', { timeoutMs: Number.POSITIVE_INFINITY }, 'timeoutMs'],
    ['a negative hangMs', { hangMs: -1 }, 'hangMs'],
    ['plugins that are no list', { plugins: {} }, 'plugins'],
    ['an unknown failure policy', { onFailure: 'explode' }, 'onFailure'],
    ['a policy for an unknown failure', { onFailure: { explosion: 'deny' } }, 'onFailure'],
    ['no workers', { workers: 0 }, 'workers'],
    ['half a spare', { spares: 0.5 }, 'spares'],
    ['an unknown way of waiting', { wait: 'sleep' }, 'wait'],
    ['events of no bytes', { maxEventBytes: 0 }, 'maxEventBytes'],
    ['a Map of quarantine options', { quarantine: new Map() }, 'quarantine'],
    ['a quarantine from no failures', { quarantine: { ratio: 0 } }, 'quarantine'],
    ['a heap too small to start', { limits: { memoryMb: 1 } }, 'limits.memoryMb'],
    ['a negative queue', { limits: { queue: -1 } }, 'limits.queue'],
    ['a logger that cannot warn', { logger: { debug() {}, info() {}, error() {} } }, 'logger'],
    ['a registry that is none', { registry: {} }, 'registry'],
    ['a prefix that no metric may have', { metricsPrefix: '9-' }, 'metricsPrefix'],
  ]
  it.each(engineCases)('of an engine with %s are refused by path', async (_, options, path) => {
    const error = await refusalOf(createHookEngine({ contract: lab, logger: silent, ...options } as never))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining(path) })
  })

  const pluginCases: readonly (readonly [what: string, options: unknown, path: string])[] = [
    ['that is a string', './plugin.mjs', 'plugins[0]'],
    ['from nowhere', {}, 'plugins[0].from'],
    ['from a number', { from: 5 }, 'plugins[0].from'],
    ['with an unknown option', { timeout: 5 }, 'plugins[0]'],
    ['with a name of two words', { name: 'two words' }, 'plugins[0].name'],
    ['with a negative timeout', { timeoutMs: -1 }, 'plugins[0].timeoutMs'],
    ['with half a priority', { priority: 0.5 }, 'plugins[0].priority'],
    ['with an unknown mode', { mode: 'ghost' }, 'plugins[0].mode'],
    ['with an unknown trust', { trust: 'somewhat' }, 'plugins[0].trust'],
    ['with an unknown runtime', { runtime: 'basic' }, 'plugins[0].runtime'],
    ['with a sample above 1', { sample: 1.5 }, 'plugins[0].sample'],
    ['with no workers', { workers: 0 }, 'plugins[0].workers'],
    ['with an unknown limit', { limits: { disk: 1 } }, 'plugins[0].limits'],
    ['with an unknown policy', { onFailure: { timeout: 'wait' } }, 'plugins[0].onFailure'],
    ['with a match that is a number', { match: 5 }, 'plugins[0].match'],
    ...[/^adm/, new Set(['admin']), new Map(), new Date(), new Error('x'), {}].map(
      (condition) =>
        [
          `with ${condition.constructor.name} for a condition`,
          { match: { text: condition } },
          'plugins[0].match',
        ] as const,
    ),
    ['with a Map of conditions', { match: new Map([['text', 'x']]) }, 'plugins[0].match'],
    ['with a Map of policies', { onFailure: new Map([['timeout', 'deny']]) }, 'plugins[0].onFailure'],
    ['with a Map of limits', { limits: new Map([['queue', 1]]) }, 'plugins[0].limits'],
    ['with a match on a field that no event has', { match: { colour: 'red' } }, 'match'],
    ['with a match that can never hold', { match: { id: 'one' } }, 'match'],
    ['with a malformed topic filter', { match: { topic: { mqtt: 'a/#/b' } } }, 'match'],
    ['with a partition by a field that no event has', { partitionBy: 'colour' }, 'partitionBy'],
    ['with a partition by an object', { partitionBy: 'acts' }, 'partitionBy'],
    ['with a function in its config', { config: { setup: () => {} } }, 'config'],
  ]
  it.each(pluginCases)('of a plugin %s are refused by path', async (_, options, path) => {
    const plugin =
      typeof options === 'string' || Object.keys(options as object).length === 0
        ? options
        : { ...actor('odd'), ...(options as object) }
    const error = await refusalOf(createHookEngine({ contract: lab, logger: silent, plugins: [plugin] } as never))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining(path) })
  })

  it('are refused when a plugin is added or reloaded too, and nothing has changed', async () => {
    const { engine, hooks } = await openLab({ plugins: [actor('a')] })
    expect(await refusalOf(engine.add({ ...actor('b'), sample: 2 }))).toMatchObject({
      code: 'OPTIONS_INVALID',
      path: ['sample'],
    })
    expect(await refusalOf(engine.add(undefined as never))).toMatchObject({ code: 'OPTIONS_INVALID' })
    expect(await refusalOf(engine.reload('a', { match: { colour: 'red' } }))).toMatchObject({ code: 'OPTIONS_INVALID' })
    expect(engine.plugins.map(({ name }) => name)).toEqual(['a'])
    expect(await hooks.onGate({ acts: { a: 'rejects here' } })).toMatchObject({ reason: 'here' })
  })
})

describe('a contract', () => {
  const unencodable: readonly (readonly [string, z.ZodType])[] = [
    ['a function', z.function() as unknown as z.ZodType],
    ['a map', z.map(z.string(), z.number())],
    ['a set', z.set(z.string())],
    ['a symbol', z.symbol()],
    ['a promise', z.promise(z.string())],
    ['a class of one’s own', z.instanceof(class Money {})],
    ['a file', z.file()],
  ]
  it.each(unencodable)('whose event holds %s is refused with the path to it', (_, schema) => {
    const define = () =>
      defineContract('shop', 1, { onOrder: gate(z.object({ lines: z.array(z.object({ what: schema })) })) })
    let error: HookringError | undefined
    try {
      define()
    } catch (thrown) {
      error = thrown as HookringError
    }
    expect(error).toMatchObject({
      name: 'HookringError',
      code: 'CONTRACT_UNENCODABLE',
      message: expect.stringMatching(/^onOrder\.lines.*what/),
    })
    expect(error?.path?.[0]).toBe('onOrder')
    expect(error?.path?.at(-1)).toBe('what')
  })

  const event = z.object({ id: z.int() })
  it.each([
    ['a name with capitals', () => defineContract('Shop', 1, { onOrder: gate(event) })],
    ['a version of 0', () => defineContract('shop', 0, { onOrder: gate(event) })],
    ['half a version', () => defineContract('shop', 1.5, { onOrder: gate(event) })],
    ['no hookpoints', () => defineContract('shop', 1, {})],
    ['a hookpoint that every object has', () => defineContract('shop', 1, { constructor: gate(event) as never })],
    ['a hookpoint that plugins need for themselves', () => defineContract('shop', 1, { destroy: gate(event) })],
    ['a hookpoint that cannot be called', () => defineContract('shop', 1, { 'on order': gate(event) })],
    ['a hookpoint that is none', () => defineContract('shop', 1, { onOrder: event as never })],
  ])('with %s is refused', (_, define) => {
    expect(define).toThrow(expect.objectContaining({ name: 'HookringError', code: 'CONTRACT_INVALID' }))
  })
})

describe('options of a call', () => {
  const cases: readonly (readonly [what: string, options: unknown, path: string])[] = [
    ['no time', { timeoutMs: 0 }, 'timeoutMs'],
    ['time that is no number', { timeoutMs: Number.NaN }, 'timeoutMs'],
    ['time in words', { timeoutMs: 'soon' }, 'timeoutMs'],
    ['a trace id that is too long', { traceId: 'é'.repeat(129) }, 'traceId'],
    ['a trace id that is a number', { traceId: 5 }, 'traceId'],
    ['a signal that is none', { signal: {} }, 'signal'],
    ['a signal that is a string', { signal: 'stop' }, 'signal'],
  ]
  it.each(cases)('with %s are refused', async (_, options, path) => {
    const { hooks, heard, said, metric } = await openLab({
      spares: 0,
      plugins: [actor('a'), actor('b', { bulkhead: 'b' })],
    })
    for (const hookpoint of ['onGate', 'onParallel', 'onTransform', 'onRespond'] as const) {
      expect(await refusalOf(hooks[hookpoint]({}, options as never))).toMatchObject({
        code: 'OPTIONS_INVALID',
        path: [path],
      })
    }
    hooks.onObserve({}, options as never)
    await heard('error')
    expect(said.error).toMatchObject([{ code: 'OPTIONS_INVALID', path: [path] }])
    expect(await metric('plugin_calls_total')).toBe(0)
  })
})

describe('a plugin that is not there', () => {
  it('is named, with those that are', async () => {
    const { engine } = await openLab({ plugins: [actor('a'), actor('b')] })
    const unknown = { code: 'PLUGIN_UNKNOWN', plugin: 'c', message: expect.stringContaining('a, b') }
    expect(await refusalOf(engine.remove('c'))).toMatchObject(unknown)
    expect(await refusalOf(engine.reload('c'))).toMatchObject(unknown)
    expect(() => engine.quarantine('c')).toThrow(expect.objectContaining(unknown))
    expect(() => engine.release('c')).toThrow(expect.objectContaining(unknown))
  })
})

it('a contract of another name than its plugins’ is refused', async () => {
  expect(
    await refusalOf(createHookEngine({ contract: otherLab, logger: silent, plugins: [actor('a')] })),
  ).toMatchObject({ code: 'PLUGIN_CONTRACT_MISMATCH', plugin: 'a' })
})
