/** What an operator sees: metrics and traces. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import type { CallTraceMessage } from 'hookring'
import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { actor, openLab, refusalOf, scrape, until } from '../support/lab.js'

describe('metrics', () => {
  it('say after known traffic what it was', async () => {
    const { hooks, engine, metric } = await openLab({
      plugins: [actor('a', { priority: 1 }), actor('b', { bulkhead: 'b', onFailure: 'allow' })],
    })
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
    const { hooks, metric } = await openLab({
      hangMs: 5_000,
      plugins: [actor('a', { timeoutMs: 5_000, limits: { slots: 4 } })],
    })
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
    expect(await refusalOf(engine.add(actor('c', { bulkhead: 'c', config: { setup: 'throws no' } })))).toMatchObject({
      code: 'PLUGIN_SETUP_FAILED',
    })
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
    const subscribers = {
      start: hear('start'),
      end: hear('end'),
      asyncStart: hear('asyncStart'),
      asyncEnd: hear('asyncEnd'),
      error: hear('error'),
    }
    channel.subscribe(subscribers)
    const stop = () => channel.unsubscribe(subscribers)
    onTestFinished(stop)
    return { heard, stop, events: () => heard.map(({ event }) => event) }
  }

  it('has the store that a tracer binds to start at every later event of the call, and nowhere else', async () => {
    const { hooks, engine } = await openLab({ plugins: [actor('a')] })
    const channel = tracingChannel<string, CallTraceMessage>('hookring:call')
    const spans = new AsyncLocalStorage<string>()
    channel.start.bindStore(spans, (message) => `span of ${(message as unknown as CallTraceMessage).traceId}`)
    const seen: string[] = []
    const note = (event: string) => () => seen.push(`${event}: ${spans.getStore()}`)
    const subscribers = {
      ...{ start: note('start'), end: note('end') },
      ...{ asyncStart: note('asyncStart'), asyncEnd: note('asyncEnd'), error: note('error') },
    }
    channel.subscribe(subscribers)
    onTestFinished(() => {
      channel.unsubscribe(subscribers)
      channel.start.unbindStore(spans)
    })
    await hooks.onGate({ acts: { a: 'waits 5' } }, { traceId: '1' })
    expect(seen.splice(0)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd'].map((event) => `${event}: span of 1`))
    expect(spans.getStore()).toBeUndefined()
    await refusalOf(hooks.onRespond({ acts: { a: 'throws x' } }, { traceId: '2' }))
    expect(seen.splice(0)).toContain('error: span of 2')
    hooks.onObserve({}, { traceId: '3' })
    await engine.flush()
    expect(seen).toContain('asyncEnd: span of 3')
  })

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
    expect(heard[0]?.message).toMatchObject({
      contract: 'lab@1',
      hookpoint: 'onGate',
      event,
      traceId: 'trace-1',
      result: { kind: 'reject', reason: 'no', plugin: 'a' },
    })
    stop()
    await hooks.onGate({})
    expect(heard).toHaveLength(4)
  })

  it('keeps contexts apart that run at the same time', async () => {
    const { hooks } = await openLab({ plugins: [actor('a')] })
    const { heard } = listen()
    await Promise.all(
      Array.from({ length: 20 }, (_, id) =>
        storage.run(`request ${id}`, () => hooks.onGate({ id, acts: { a: id % 2 === 0 ? 'waits 5' : 'continues' } })),
      ),
    )
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
    const { hooks, engine } = await openLab({
      plugins: [actor('a', { bulkhead: 'a' }), actor('b', { bulkhead: 'b' }), actor('shadow', { mode: 'shadow' })],
    })
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
