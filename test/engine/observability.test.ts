/** What an operator sees: metrics, traces, the plugins' log lines, and what plugins see of a call. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { type CallTraceMessage, createHookEngine } from 'hookring'
import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { lab } from '../fixtures/lab/contract.mjs'
import { pluginFile } from '../support/broken-plugins.js'
import { actor, createTrail, openLab, readTrail, refusalOf, scrape, until } from '../support/lab.js'

describe('metrics', () => {
  it('say after known traffic what it was', async () => {
    const { hooks, engine, metric } = await openLab({ plugins: [actor('a', { priority: 1 }), actor('b', { bulkhead: 'b', onFailure: 'allow' })] })
    await hooks.onGate({})
    await hooks.onGate({ acts: { a: 'rejects no' } })
    await hooks.onGate({ acts: { b: 'throws x' } })
    await hooks.onTransform({ acts: { b: 'marks' } })
    await hooks.onRespond({})
    await hooks.onRespond({ acts: { a: 'answers x' } })
    hooks.onObserve({})
    await engine.flush()

    const seen: Record<string, number> = {}
    for (const { name, labels, value } of await scrape(engine)) {
      expect(labels).toMatchObject({ engine: '1', contract: 'lab@1' })
      const { engine: _engine, contract: _contract, le, ...rest } = labels
      if (le === undefined && value !== 0) seen[[name, ...Object.values(rest)].join(' ')] = value
    }
    const times = Object.keys(seen).filter((name) => name.endsWith('_sum') || /_sum /.test(name))
    for (const name of times) {
      expect(seen[name]).toBeLessThan(5)
      delete seen[name]
    }
    expect(seen).toEqual({
      'calls_total onGate': 3,
      'calls_total onTransform': 1,
      'calls_total onRespond': 2,
      'calls_total onObserve': 1,
      'calls_unanswered_total onRespond': 1,
      'verdicts_total onGate continue': 2,
      'verdicts_total onGate reject': 1,
      'verdicts_total onTransform replace': 1,
      'verdicts_total onRespond continue': 1,
      'verdicts_total onRespond respond': 1,
      // Once for each hop.
      'call_waiting_seconds_count onGate': 5,
      'call_waiting_seconds_count onTransform': 2,
      'call_waiting_seconds_count onRespond': 3,
      'call_waiting_seconds_count onObserve': 2,
      'plugin_calls_total onGate a': 3,
      'plugin_calls_total onGate b': 2,
      'plugin_calls_total onTransform a': 1,
      'plugin_calls_total onTransform b': 1,
      'plugin_calls_total onRespond a': 2,
      'plugin_calls_total onRespond b': 1,
      'plugin_calls_total onObserve a': 1,
      'plugin_calls_total onObserve b': 1,
      'plugin_verdicts_total onGate a continue': 2,
      'plugin_verdicts_total onGate a reject': 1,
      'plugin_verdicts_total onGate b continue': 1,
      'plugin_verdicts_total onTransform a continue': 1,
      'plugin_verdicts_total onTransform b replace': 1,
      'plugin_verdicts_total onRespond a continue': 1,
      'plugin_verdicts_total onRespond a respond': 1,
      'plugin_verdicts_total onRespond b continue': 1,
      'plugin_verdicts_total onObserve a continue': 1,
      'plugin_verdicts_total onObserve b continue': 1,
      'plugin_failures_total onGate b error': 1,
      'plugin_running_seconds_count onGate a': 3,
      'plugin_running_seconds_count onGate b': 1,
      'plugin_running_seconds_count onTransform a': 1,
      'plugin_running_seconds_count onTransform b': 1,
      'plugin_running_seconds_count onRespond a': 2,
      'plugin_running_seconds_count onRespond b': 1,
      'plugin_running_seconds_count onObserve a': 1,
      'plugin_running_seconds_count onObserve b': 1,
    })
    expect(await metric('in_flight')).toBe(0)
  })

  it('tell waiting and running apart', async () => {
    const { hooks, metric } = await openLab({ hangMs: 5_000, plugins: [actor('a', { timeoutMs: 5_000 })] })
    await Promise.all([hooks.onGate({ acts: { a: 'blocks 100' } }), hooks.onGate({ acts: { a: 'blocks 50' } })])
    const ran = await metric('plugin_running_seconds_sum', { plugin: 'a' })
    expect(ran).toBeGreaterThan(0.14)
    expect(ran).toBeLessThan(0.5)
    // The second one waited for the first.
    expect(await metric('call_waiting_seconds_sum')).toBeGreaterThan(0.09)
  })

  it('follow queue depth, calls in flight and the ring as they change', async () => {
    const { hooks, metric } = await openLab({ hangMs: 5_000, plugins: [actor('a', { timeoutMs: 5_000, limits: { slots: 4 } })] })
    const calls = Array.from({ length: 6 }, () => hooks.onGate({ acts: { a: 'blocks 30' } }))
    expect(await metric('in_flight', { bulkhead: 'a-0' })).toBe(4)
    expect(await metric('queue_depth', { bulkhead: 'a-0' })).toBe(2)
    expect(await metric('ring_occupancy_ratio', { bulkhead: 'a-0', lane: '0' })).toBe(1)
    await Promise.all(calls)
    expect(await metric('queue_depth')).toBe(0)
    await until('the slots', async () => (await metric('ring_occupancy_ratio')) === 0)
  })

  it('go to the registry that they are given, next to others, and leave it with the engine', async () => {
    const registry = new Registry()
    const { hooks, engine } = await openLab({ registry, metricsPrefix: 'shop_', plugins: [actor('a')] })
    const other = await openLab({ registry, metricsPrefix: 'shop_', plugins: [actor('a')] })
    expect(engine.registry).toBe(registry)
    await hooks.onGate({})
    await other.hooks.onGate({})
    await other.hooks.onGate({})
    const text = await registry.metrics()
    expect(text).toMatch(/^shop_calls_total\{engine="1",contract="lab@1",hookpoint="onGate"\} 1$/m)
    expect(text).toMatch(/^shop_calls_total\{engine="2",contract="lab@1",hookpoint="onGate"\} 2$/m)
    await engine.close()
    expect(await registry.metrics()).not.toMatch(/engine="1"/)
    await other.engine.close()
    expect(await registry.metrics()).not.toMatch(/shop_/)
  })

  it('forget a plugin that is removed, and keep the counts of one that is reloaded', async () => {
    const { hooks, engine, metric } = await openLab({ plugins: [actor('a'), actor('b', { bulkhead: 'b' })] })
    await hooks.onGate({})
    await engine.reload('a')
    await hooks.onGate({})
    await engine.remove('b')
    expect(await metric('plugin_calls_total', { plugin: 'a' })).toBe(2)
    expect((await scrape(engine)).filter(({ labels }) => labels.plugin === 'b')).toEqual([])
    expect(await refusalOf(engine.add(actor('c', { bulkhead: 'c', config: { setup: 'throws no' } })))).toMatchObject({ code: 'PLUGIN_SETUP_FAILED' })
    expect((await scrape(engine)).filter(({ labels }) => labels.plugin === 'c' || labels.bulkhead === 'c')).toEqual([])
  })
})

describe('the tracing channel hookring:call', () => {
  const storage = new AsyncLocalStorage<string>()

  function listen() {
    const channel = tracingChannel<string, CallTraceMessage>('hookring:call')
    const heard: { event: string; message: CallTraceMessage; request: string | undefined }[] = []
    const hear = (event: string) => (message: unknown) => {
      heard.push({ event, message: message as CallTraceMessage, request: storage.getStore() })
    }
    const subscribers = { start: hear('start'), end: hear('end'), asyncStart: hear('asyncStart'), asyncEnd: hear('asyncEnd'), error: hear('error') }
    channel.subscribe(subscribers)
    const stop = () => channel.unsubscribe(subscribers)
    onTestFinished(stop)
    return { heard, stop, events: () => heard.map(({ event }) => event) }
  }

  it('follows a call from start to verdict, in the context of its caller', async () => {
    const { hooks } = await openLab({ plugins: [actor('a')] })
    const { heard, stop, events } = listen()
    const event = { id: 1, acts: { a: 'waits 5 rejects no' } }
    await storage.run('request 1', () => hooks.onGate(event, { traceId: 'trace-1' }))
    expect(events()).toEqual(['start', 'end', 'asyncStart', 'asyncEnd'])
    for (const { message, request } of heard) {
      expect(request).toBe('request 1')
      expect(message).toBe(heard[0]?.message)
    }
    expect(heard[0]?.message).toMatchObject({ contract: 'lab@1', hookpoint: 'onGate', event, traceId: 'trace-1', result: { kind: 'reject', reason: 'no', plugin: 'a' } })
    stop()
    await hooks.onGate({})
    expect(heard).toHaveLength(4)
  })

  it('keeps contexts apart that run at the same time', async () => {
    const { hooks } = await openLab({ plugins: [actor('a')] })
    const { heard } = listen()
    await Promise.all(Array.from({ length: 20 }, (_, id) => storage.run(`request ${id}`, () => hooks.onGate({ id, acts: { a: id % 2 === 0 ? 'waits 5' : 'continues' } }))))
    for (const { message, request } of heard) expect(request).toBe(`request ${(message.event as { id: number }).id}`)
    expect(heard.filter(({ event }) => event === 'asyncEnd')).toHaveLength(20)
  })

  it('has the error of a call that is rejected', async () => {
    const { hooks } = await openLab({ plugins: [actor('a', { timeoutMs: 5_000 })] })
    const { heard, events } = listen()
    const raised = await storage.run('request 1', () => refusalOf(hooks.onRespond({ acts: { a: 'throws x' } })))
    expect(events()).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
    expect(heard[2]).toMatchObject({ request: 'request 1', message: { error: raised } })
    heard.length = 0
    await refusalOf(hooks.onGate({ id: -1 }))
    expect(events()).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
    heard.length = 0
    await refusalOf(hooks.onGate({ acts: { a: 'pends' } }, { signal: AbortSignal.timeout(30) }))
    expect(events()).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
  })

  it('follows one call as one, however many hops and shadows it has', async () => {
    const { hooks, engine } = await openLab({ plugins: [actor('a', { bulkhead: 'a' }), actor('b', { bulkhead: 'b' }), actor('shadow', { mode: 'shadow' })] })
    const { events } = listen()
    const whole = ['start', 'end', 'asyncStart', 'asyncEnd']
    await hooks.onParallel({})
    expect(events()).toEqual(whole)
    await hooks.onGate({})
    expect(events()).toEqual([...whole, ...whole])
    hooks.onObserve({})
    await engine.flush()
    expect(events()).toEqual([...whole, ...whole, ...whole])
  })
})

describe('log lines of plugins', () => {
  it('reach the host’s logger with level, fields and name', async () => {
    const from = pluginFile(`export default definePlugin(lab, { name: 'talker', setup({ log }) {
      log.debug('setting up')
      return {
        onGate(event, ctx) {
          ctx.log.info('info', { id: event.id, nested: { list: [1, 'two'] }, none: undefined })
          ctx.log.warn('warn', { big: 5n, when: new Date(0), error: new RangeError('inner'), run() {} })
          const cycle = {}
          cycle.self = cycle
          ctx.log.error('error', { cycle, get bad() { return Symbol('bad') } })
          ctx.log.info('x'.repeat(100_000), { long: 'y'.repeat(100_000) })
          ctx.log.info({ not: 'a string' })
        },
      }
    } })`)
    const { hooks, lines, line } = await openLab({ plugins: [{ from }] })
    await hooks.onGate({ id: 7 })
    await line(({ message }) => message.includes('not'))
    const own = lines.filter(({ fields }) => fields.plugin === 'talker')
    expect(own.map(({ level }) => level)).toEqual(['debug', 'info', 'warn', 'error', 'info', 'info'])
    const [, info, warn, error, long] = own
    expect(info).toEqual({ level: 'info', message: 'info', fields: { plugin: 'talker', bulkhead: 'trusted', id: 7, nested: { list: [1, 'two'] }, none: undefined } })
    expect(warn?.fields).toMatchObject({ big: '5', when: '1970-01-01T00:00:00.000Z', error: expect.stringContaining('RangeError: inner') })
    expect(error?.fields).toMatchObject({ cycle: expect.stringContaining('Circular'), bad: expect.stringContaining('Symbol') })
    expect(long?.message.length).toBeLessThan(10_000)
    expect(long?.message).toContain('100000 characters')
  })

  it('are what plugins print, too', async () => {
    const { hooks, line } = await openLab({ plugins: [actor('a'), actor('b')] })
    const printed: readonly (readonly [string, string])[] = [
      ['console', 'info'],
      ['warn', 'warn'],
      ['stdout', 'info'],
      ['stderr', 'error'],
    ]
    for (const [how, level] of printed) {
      for (const plugin of ['a', 'b']) {
        await hooks.onGate({ acts: { [plugin]: `prints ${how} by ${plugin} to ${how}` } })
        expect(await line(({ message }) => message === `by ${plugin} to ${how}`)).toMatchObject({ level, fields: { plugin } })
      }
    }
  })

  it('have the right name after an await, with several plugins in a lane', async () => {
    const { hooks, line } = await openLab({ plugins: [actor('a', { timeoutMs: 5_000 }), actor('b', { timeoutMs: 5_000 })] })
    // The first time tells the lane that these hooks are async.
    await hooks.onGate({ acts: { a: 'later', b: 'later' } })
    await Promise.all(Array.from({ length: 10 }, (_, id) => hooks.onGate({ id, acts: { a: `waits 5 prints console a ${id}`, b: `waits 3 prints console b ${id}` } })))
    for (const plugin of ['a', 'b']) {
      for (let id = 0; id < 10; id += 1) expect(await line(({ message }) => message === `${plugin} ${id}`)).toMatchObject({ fields: { plugin } })
    }
  })

  it('arrive although their lane has gone to sleep', async () => {
    const { hooks, line } = await openLab({ wait: 'park', plugins: [actor('a'), actor('b'), actor('c')] })
    await hooks.onGate({ acts: { a: 'tells one', b: 'tells two', c: 'tells three' } })
    for (const message of ['one', 'two', 'three']) await line((logged) => logged.message === message)
  })

  it('are dropped when there are too many, and the dropped ones counted', async () => {
    const { hooks, lines, metric } = await openLab({ hangMs: 10_000, plugins: [actor('a', { timeoutMs: 10_000 })] })
    const flood = 20_000
    await hooks.onGate({ acts: { a: `prints flood ${flood}` } })
    const printed = () => lines.filter(({ message }) => /^line \d+$/.test(message)).length
    await until('all to be accounted for', async () => printed() + (await metric('log_lines_dropped_total')) === flood)
    expect(printed()).toBeLessThan(flood / 2)
    expect(lines).toContainEqual(expect.objectContaining({ level: 'warn', message: 'log lines of plugins were dropped' }))
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
  })

  it('that the logger throws at harm nobody', async () => {
    const refuse = () => {
      throw new Error('disk full')
    }
    const engine = await createHookEngine({ contract: lab, logger: { debug: refuse, info: refuse, warn: refuse, error: refuse }, plugins: [actor('a')] })
    onTestFinished(() => engine.close())
    for (let id = 0; id < 3; id += 1) expect(await engine.hooks.onGate({ acts: { a: 'tells x' } })).toEqual({ kind: 'continue' })
  })
})

describe('ctx', () => {
  it('has the caller’s trace id, in every hop, also after waiting', async () => {
    const trail = createTrail()
    const traceId = 'trace-é-'.repeat(20)
    const { hooks, engine } = await openLab({
      hangMs: 5_000,
      plugins: [actor('a', { timeoutMs: 5_000, limits: { slots: 1 }, config: { trail } }), actor('b', { bulkhead: 'b', timeoutMs: 5_000, config: { trail } })],
    })
    const acts = { a: 'context trace', b: 'context trace' }
    const busy = hooks.onGate({ id: 1, acts: { a: 'blocks 50' } })
    const short = traceId.slice(0, 30)
    hooks.onObserve({ id: 2, acts }, { traceId: short })
    await Promise.all([busy, hooks.onTransform({ id: 3, acts: { a: 'marks', b: 'context trace' } }, { traceId: short }), hooks.onGate({ id: 4, acts })])
    await engine.flush()
    const lines = readTrail(trail)
    for (const line of [`a 2 ${short}`, `b 2 ${short}`, `b 3 ${short}`, 'a 4 undefined', 'b 4 undefined']) expect(lines).toContain(line)
  })

  it('has the time that is left', async () => {
    const trail = createTrail()
    const { hooks, engine } = await openLab({ plugins: [actor('a', { timeoutMs: 5_000, config: { trail } }), actor('b', { timeoutMs: 300, config: { trail } })] })
    await hooks.onGate({ id: 1, acts: { a: 'context deadline', b: 'context deadline' } })
    await hooks.onGate({ id: 2, acts: { a: 'context deadline' } }, { timeoutMs: 1_000 })
    hooks.onObserve({ id: 3, acts: { a: 'context deadline' } })
    await engine.flush()
    const left = (prefix: string) => Number(readTrail(trail).find((line) => line.startsWith(prefix) && line.split(' ').length === 3)?.split(' ')[2])
    const about = (value: number, ms: number) => {
      expect(value).toBeLessThanOrEqual(ms + 1)
      expect(value).toBeGreaterThan(ms - 250)
    }
    about(left('a 1 '), 5_000)
    about(left('b 1 '), 300)
    about(left('a 2 '), 1_000)
    about(left('a 3 '), 5_000)
  })

  it('has the plugin’s registered name and parsed config', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: [actor('renamed', { config: { trail, version: 'v7' } })] })
    await hooks.onGate({ id: 1, acts: { renamed: 'context plugin' } })
    await hooks.onGate({ id: 2, acts: { renamed: 'context version' } })
    expect(readTrail(trail)).toEqual(expect.arrayContaining(['renamed 1 renamed', 'renamed 2 v7']))
  })
})
