/** Bad options, bad events, bad calls, and calls that come too late: each has a coded error or a counted outcome. */
import { createHookEngine, defineContract, type HookringError } from 'hookring'
import { gate } from 'hookring/contracts'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { lab, otherLab } from '../fixtures/lab/contract.mjs'
import { actor, createTrail, openLab, readTrail, refusalOf, until } from '../support/lab.js'

const silent = { debug() {}, info() {}, warn() {}, error() {} }

describe('options', () => {
  const engineCases: readonly (readonly [what: string, options: object, path: string])[] = [
    ['no contract', { contract: undefined }, 'contract'],
    ['a contract that is none', { contract: {} }, 'contract'],
    ['a contract that only looks like one', { contract: { id: 'x@1', name: 'x', version: 1, hookpoints: { onX: {} } } }, 'contract'],
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
    ['with a match on a field that no event has', { match: { colour: 'red' } }, 'match'],
    ['with a match that can never hold', { match: { id: 'one' } }, 'match'],
    ['with a malformed topic filter', { match: { topic: { mqtt: 'a/#/b' } } }, 'match'],
    ['with a partition by a field that no event has', { partitionBy: 'colour' }, 'partitionBy'],
    ['with a partition by an object', { partitionBy: 'acts' }, 'partitionBy'],
    ['with a function in its config', { config: { setup: () => {} } }, 'config'],
  ]
  it.each(pluginCases)('of a plugin %s are refused by path', async (_, options, path) => {
    const plugin = typeof options === 'string' || Object.keys(options as object).length === 0 ? options : { ...actor('odd'), ...(options as object) }
    const error = await refusalOf(createHookEngine({ contract: lab, logger: silent, plugins: [plugin] } as never))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining(path) })
  })

  it('are refused when a plugin is added or reloaded too, and nothing has changed', async () => {
    const { engine, hooks } = await openLab({ plugins: [actor('a')] })
    expect(await refusalOf(engine.add({ ...actor('b'), sample: 2 }))).toMatchObject({ code: 'OPTIONS_INVALID', path: ['sample'] })
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
    const define = () => defineContract('shop', 1, { onOrder: gate(z.object({ lines: z.array(z.object({ what: schema })) })) })
    let error: HookringError | undefined
    try {
      define()
    } catch (thrown) {
      error = thrown as HookringError
    }
    expect(error).toMatchObject({ name: 'HookringError', code: 'CONTRACT_UNENCODABLE', message: expect.stringMatching(/^onOrder\.lines.*what/) })
    expect(error?.path?.[0]).toBe('onOrder')
    expect(error?.path?.at(-1)).toBe('what')
  })

  const event = z.object({ id: z.int() })
  it.each([
    ['a name with capitals', () => defineContract('Shop', 1, { onOrder: gate(event) })],
    ['a version of 0', () => defineContract('shop', 0, { onOrder: gate(event) })],
    ['half a version', () => defineContract('shop', 1.5, { onOrder: gate(event) })],
    ['no hookpoints', () => defineContract('shop', 1, {})],
    ['a hookpoint that every promise has', () => defineContract('shop', 1, { ['then']: gate(event) })],
    ['a hookpoint that plugins need for themselves', () => defineContract('shop', 1, { destroy: gate(event) })],
    ['a hookpoint that cannot be called', () => defineContract('shop', 1, { 'on order': gate(event) })],
    ['a hookpoint that is none', () => defineContract('shop', 1, { onOrder: event as never })],
  ])('with %s is refused', (_, define) => {
    expect(define).toThrow(expect.objectContaining({ name: 'HookringError', code: 'CONTRACT_INVALID' }))
  })
})

describe('an event', () => {
  const huge = 'x'.repeat(5_000)
  const cases: readonly (readonly [what: string, event: unknown, code: string, at: string])[] = [
    ['is a string', 'event', 'EVENT_INVALID', 'onGate'],
    ['is null', null, 'EVENT_INVALID', 'onGate'],
    ['is undefined', undefined, 'EVENT_INVALID', 'onGate'],
    ['is a list', [], 'EVENT_INVALID', 'onGate'],
    ['has a number below its range', { id: -1 }, 'EVENT_INVALID', 'id'],
    ['has a number above its range', { id: 2 ** 32 }, 'EVENT_INVALID', 'id'],
    ['has half a number', { id: 1.5 }, 'EVENT_INVALID', 'id'],
    ['has a number in words', { id: '1' }, 'EVENT_INVALID', 'id'],
    ['has a string that is none', { text: 5 }, 'EVENT_INVALID', 'text'],
    ['has bytes that are none', { blob: [1, 2] }, 'EVENT_INVALID', 'blob'],
    ['has a wrong value in a record', { acts: { a: 1 } }, 'EVENT_INVALID', 'acts.a'],
    ['has a field that only the schema refuses', { even: 3 }, 'EVENT_INVALID', 'even'],
    ['throws when it is read', { get text(): string { throw new RangeError('no') } }, 'EVENT_INVALID', 'onGate'],
    ['has a string that is too long', { text: huge }, 'EVENT_TOO_LARGE', 'maxEventBytes is 2048'],
    ['has bytes that are too many', { blob: Buffer.alloc(5_000) }, 'EVENT_TOO_LARGE', 'maxEventBytes is 2048'],
    ['is too large as a whole', { text: 'x'.repeat(1_100), key: 'x'.repeat(1_100) }, 'EVENT_TOO_LARGE', 'maxEventBytes is 2048'],
  ]
  // One engine for all: none of them may leave anything taken.
  let shared: ReturnType<typeof openLab> | undefined
  const opened = () => (shared ??= openLab({ maxEventBytes: 2048, limits: { slots: 2 }, plugins: [actor('a'), actor('b', { bulkhead: 'b' })] }, { keep: true }))

  it.each(cases)('that %s is refused at the call', async (_, event, code, at) => {
    const { hooks } = await opened()
    const refusal = await refusalOf(hooks.onGate(event as never))
    expect(refusal).toMatchObject({ name: 'HookringError', code, message: expect.stringContaining(at) })
    expect(refusal.message).toContain('onGate')
    expect(await refusalOf(hooks.onParallel(event as never))).toMatchObject({ code })
    expect(await refusalOf(hooks.onRespond(event as never))).toMatchObject({ code })
  })

  it.each(cases)('that %s is reported, once, when it is an observation', async (_, event, code) => {
    const { hooks, said, heard } = await opened()
    said.error.length = 0
    expect(hooks.onObserve(event as never)).toBeUndefined()
    await heard('error')
    await new Promise((resolve) => setImmediate(resolve))
    expect(said.error).toMatchObject([{ code, message: expect.stringContaining('onObserve') }])
  })

  it('that was refused has cost nothing', async () => {
    const { hooks, metric, engine } = await opened()
    for (let round = 0; round < 2_000; round += 1) await hooks.onGate({ id: 1, text: 5 as never }).catch(() => {})
    for (let round = 0; round < 100; round += 1) await hooks.onGate({ text: huge }).catch(() => {})
    expect(await hooks.onTransform({ text: 'fine', blob: Buffer.alloc(500), acts: { a: 'marks', b: 'marks' } })).toMatchObject({ event: { text: 'fine+a+b' } })
    await engine.flush()
    expect([await metric('in_flight'), await metric('queue_depth')]).toEqual([0, 0])
    await engine.close()
  })

  it('of the largest size crosses, there and back', async () => {
    const { hooks } = await openLab({ plugins: [actor('a', { timeoutMs: 5_000 })] })
    const blob = Buffer.alloc(1024 * 1024 - 4096, 7)
    const verdicts = await Promise.all(Array.from({ length: 8 }, () => hooks.onTransform({ blob, acts: { a: 'marks' } })))
    for (const verdict of verdicts) {
      if (verdict.kind !== 'replace') throw new Error(JSON.stringify(verdict))
      expect(verdict.event.text).toBe('+a')
      expect(blob.equals(verdict.event.blob as Uint8Array)).toBe(true)
    }
  })

  it('to a hookpoint that the contract does not have is refused by name', async () => {
    const { hooks } = await openLab()
    expect(() => (hooks as unknown as { onGatee(event: object): void }).onGatee({})).toThrow(
      expect.objectContaining({ code: 'HOOKPOINT_UNKNOWN', hookpoint: 'onGatee', message: expect.stringContaining('onGate, onParallel') }),
    )
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
    const { hooks, heard, said, metric } = await openLab({ spares: 0, plugins: [actor('a'), actor('b', { bulkhead: 'b' })] })
    for (const hookpoint of ['onGate', 'onParallel', 'onTransform', 'onRespond'] as const) {
      expect(await refusalOf(hooks[hookpoint]({}, options as never))).toMatchObject({ code: 'OPTIONS_INVALID', path: [path] })
    }
    hooks.onObserve({}, options as never)
    await heard('error')
    expect(said.error).toMatchObject([{ code: 'OPTIONS_INVALID', path: [path] }])
    expect(await metric('plugin_calls_total')).toBe(0)
  })
})

describe('a full queue', () => {
  it('refuses further calls at once and forgets none that it took', async () => {
    const { hooks, metric } = await openLab({ hangMs: 5_000, plugins: [actor('a', { timeoutMs: 5_000, limits: { slots: 1, queue: 2 } })] })
    const kinds: string[] = []
    const taken = Array.from({ length: 6 }, async (_, index) => {
      const verdict = await hooks.onGate({ acts: { a: index === 0 ? 'blocks 100' : 'rejects seen' } })
      kinds.push(verdict.failure?.kind ?? verdict.kind)
    })
    await Promise.all(taken)
    expect(kinds).toEqual(['overload', 'overload', 'overload', 'continue', 'reject', 'reject'])
    expect(await metric('plugin_failures_total', { failure: 'overload' })).toBe(3)
  })

  it('drops further observations, counted and reported, and delivers the ones that it took', async () => {
    const trail = createTrail()
    const { hooks, engine, metric, said, heard } = await openLab({ hangMs: 5_000, plugins: [actor('a', { timeoutMs: 5_000, limits: { slots: 1, queue: 2 }, config: { trail } })] })
    for (let id = 1; id <= 5; id += 1) hooks.onObserve({ id, acts: { a: id === 1 ? 'blocks 100' : 'continues' } })
    await engine.flush()
    await heard('deadLetter', 2)
    expect(readTrail(trail).filter((line) => /\d$/.test(line))).toEqual(['a 1', 'a 2', 'a 3'])
    expect(said.deadLetter).toMatchObject([4, 5].map((id) => ({ plugin: 'a', event: { id }, reason: 'overload' })))
    expect(await metric('observations_dropped_total')).toBe(2)
  })
})

describe('an engine that closes', () => {
  it('finishes what it has accepted, and refuses what comes after', async () => {
    const trail = createTrail()
    const { hooks, engine, heard, said } = await openLab({ hangMs: 5_000, plugins: [actor('a', { timeoutMs: 2_000, config: { trail } })] })
    const settled: string[] = []
    const note = async (name: string, promise: Promise<{ kind: string }>) => {
      const { kind } = await promise.catch((error: HookringError) => ({ kind: error.code }))
      settled.push(`${name} ${kind}`)
    }
    const calls = [note('async', hooks.onGate({ id: 1, acts: { a: 'waits 80' } })), note('sync', hooks.onGate({ id: 2, acts: { a: 'blocks 30 rejects no' } }))]
    for (let id = 10; id < 20; id += 1) hooks.onObserve({ id })
    const closing = note('close', engine.close().then(() => ({ kind: 'closed' })))
    await until('it to refuse', async () => (await hooks.onGate({ id: 3 }).catch((error: HookringError) => error)) instanceof Error)
    expect(await refusalOf(hooks.onGate({ id: 4 }))).toMatchObject({ code: 'ENGINE_CLOSED', hookpoint: 'onGate' })
    hooks.onObserve({ id: 5 })
    await Promise.all([...calls, closing])
    expect(settled).toEqual(['sync reject', 'async continue', 'close closed'])
    await heard('error')
    expect(said.error).toMatchObject([{ code: 'ENGINE_CLOSED', hookpoint: 'onObserve' }])
    expect(said.deadLetter).toEqual([])
    for (const id of [1, 2, 10, 19]) expect(readTrail(trail)).toContain(`a ${id}`)
  })

  it('waits no longer than it was told to, and names what is left', async () => {
    const { hooks, engine, said, metric } = await openLab({
      closeTimeoutMs: 100,
      hangMs: 60_000,
      shutdownTimeoutMs: 100,
      plugins: [actor('a', { timeoutMs: 60_000, limits: { slots: 2 } })],
    })
    const refused = Promise.all([hooks.onGate({ acts: { a: 'pends' } }), hooks.onRespond({ acts: { a: 'pends' } }), hooks.onTransform({})].map(refusalOf))
    hooks.onObserve({ id: 7 })
    await until('them to be under way', async () => (await metric('queue_depth')) === 2)
    const began = performance.now()
    await engine.close()
    expect(performance.now() - began).toBeLessThan(3_000)
    for (const error of await refused) expect(error).toMatchObject({ code: 'ENGINE_CLOSED' })
    expect(said.deadLetter).toMatchObject([{ hookpoint: 'onObserve', plugin: 'a', event: { id: 7 }, reason: 'close' }])
  })

  it('does so once, however often it is told', async () => {
    const trail = createTrail()
    const { engine } = await openLab({ plugins: [actor('a', { config: { trail } })] })
    await Promise.all([engine.close(), engine.close(), engine.shutdown()])
    await engine.close()
    await engine[Symbol.asyncDispose]()
    expect(readTrail(trail)).toEqual(['a setup', 'a onShutdown', 'a destroy'])
  })

  it('answers everything afterwards with ENGINE_CLOSED or with nothing to do', async () => {
    const { engine, hooks, said, heard } = await openLab({ plugins: [actor('a')] })
    await engine.close()
    for (const hookpoint of ['onGate', 'onParallel', 'onTransform', 'onRespond'] as const) {
      expect(await refusalOf(hooks[hookpoint]({}))).toMatchObject({ code: 'ENGINE_CLOSED', hookpoint })
    }
    hooks.onObserve({})
    await heard('error')
    expect(said.error).toMatchObject([{ code: 'ENGINE_CLOSED' }])
    expect(await refusalOf(engine.add(actor('b')))).toMatchObject({ code: 'ENGINE_CLOSED' })
    expect(await refusalOf(engine.remove('a'))).toMatchObject({ code: 'ENGINE_CLOSED' })
    expect(await refusalOf(engine.reload('a'))).toMatchObject({ code: 'ENGINE_CLOSED' })
    await engine.flush()
    await engine.shutdown()
  })

  it('while a plugin is being added ends that one too', async () => {
    const trail = createTrail()
    const { engine } = await openLab({ plugins: [actor('a', { config: { trail } })] })
    const adding = engine.add(actor('b', { bulkhead: 'b', config: { trail, setup: 'waits 100' } })).then(
      () => 'added',
      (error: HookringError) => error.code,
    )
    await until('its setup', () => readTrail(trail).includes('b setup'))
    await engine.close()
    expect(['added', 'ENGINE_CLOSED']).toContain(await adding)
    const lived = readTrail(trail)
    for (const name of ['a', 'b']) expect(lived.filter((line) => line === `${name} destroy`)).toHaveLength(1)
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
  expect(await refusalOf(createHookEngine({ contract: otherLab, logger: silent, plugins: [actor('a')] }))).toMatchObject({ code: 'PLUGIN_CONTRACT_MISMATCH', plugin: 'a' })
})
