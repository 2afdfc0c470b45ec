import { AggregatorRegistry, Counter, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import type { BreakerState } from '../../../dist/host/primitives/circuit-breaker.js'
import { BUCKET_BOUNDS_US, FAMILIES } from '../../../dist/host/telemetry/metric-families.js'
import { Metrics } from '../../../dist/host/telemetry/metrics.js'
import { FAILURE_INDEX, VERDICT_INDEX } from '../../../dist/host/telemetry/recorders.js'

const contract = {
  id: 'delivery@1',
  hookpoints: {
    onMessageEnqueue: { kind: 'gate' },
    onAuth: { kind: 'observe' },
    onPublish: { kind: 'transform' },
    onGet: { kind: 'respond' },
  },
} as const

const create = (registry?: object, over: object = {}) =>
  new Metrics({ prefix: 'hookring_', contract, registry, ...over })

const emptyBulkhead = { queueDepth: () => 0, inFlight: () => 0, lanes: () => [] }

interface Scraped {
  readonly types: ReadonlyMap<string, string>
  readonly samples: ReadonlyMap<string, number>
  /** The value of the one sample of this name whose labels include these. */
  value(name: string, labels?: Record<string, string>): number | undefined
  count(name: string, labels?: Record<string, string>): number
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/gy

/** Reads the text format strictly: every line, every label, no sample twice, none before its TYPE. */
function parse(text: string): Scraped {
  const types = new Map<string, string>()
  const samples = new Map<string, number>()
  const rows: { name: string; labels: Record<string, string>; value: number }[] = []
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ') || line === '# EOF') continue
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line)
    if (type !== null) {
      expect(types.has(type[1]!)).toBe(false)
      types.set(type[1]!, type[2]!)
      continue
    }
    const match = SAMPLE.exec(line)
    if (match === null) throw new Error(`not a sample: ${line}`)
    const [, name, labelText = '', value] = match
    const labels: Record<string, string> = {}
    let read = 0
    for (const label of labelText.matchAll(LABEL)) {
      labels[label[1]!] = label[2]!
      read += label[0].length
    }
    expect(read).toBe(labelText.length)
    expect(
      types.has(name!.replace(/_(bucket|sum|count)$/, '')) ||
        types.has(name!) ||
        types.has(name!.replace(/_total$/, '')),
    ).toBe(true)
    const key = `${name}{${Object.entries(labels)
      .map(([label, text]) => `${label}="${text}"`)
      .sort()
      .join(',')}}`
    expect(samples.has(key)).toBe(false)
    expect(Number.isFinite(Number(value))).toBe(true)
    samples.set(key, Number(value))
    rows.push({ name: name!, labels, value: Number(value) })
  }
  const find = (name: string, labels: Record<string, string> = {}) =>
    rows.filter(
      (row) => row.name === name && Object.entries(labels).every(([label, text]) => row.labels[label] === text),
    )
  return {
    types,
    samples,
    value(name, labels) {
      const found = find(name, labels)
      expect(found.length).toBeLessThanOrEqual(1)
      return found[0]?.value
    },
    count: (name, labels) => find(name, labels).length,
  }
}

const scrape = async (metrics: Pick<Metrics, 'registry'>) => parse(await metrics.registry.metrics())

describe('metrics', () => {
  it('show what was recorded, by hookpoint and plugin', async () => {
    const metrics = create()
    const hookpoint = metrics.hookpointRecorder('onMessageEnqueue')
    hookpoint.calls += 5
    hookpoint.verdicts[VERDICT_INDEX.continue]! += 3
    hookpoint.verdicts[VERDICT_INDEX.reject]! += 2
    hookpoint.aborted++
    hookpoint.recordWaiting(30)
    const plugin = metrics.recorder({ hookpoint: 'onMessageEnqueue', plugin: 'limiter' })
    plugin.calls += 4
    plugin.verdicts[VERDICT_INDEX.reject]! += 2
    plugin.failures[FAILURE_INDEX.timeout]!++
    plugin.late++
    plugin.recordRunning(3)
    const scraped = await scrape(metrics)
    const at = { engine: '1', contract: 'delivery@1', hookpoint: 'onMessageEnqueue' }
    expect(scraped.value('hookring_calls_total', at)).toBe(5)
    expect(scraped.value('hookring_verdicts_total', { ...at, verdict: 'continue' })).toBe(3)
    expect(scraped.value('hookring_verdicts_total', { ...at, verdict: 'reject' })).toBe(2)
    expect(scraped.value('hookring_calls_aborted_total', at)).toBe(1)
    expect(scraped.value('hookring_call_waiting_seconds_count', at)).toBe(1)
    const of = { ...at, plugin: 'limiter' }
    expect(scraped.value('hookring_plugin_calls_total', of)).toBe(4)
    expect(scraped.value('hookring_plugin_verdicts_total', { ...of, verdict: 'reject' })).toBe(2)
    expect(scraped.value('hookring_plugin_failures_total', { ...of, failure: 'timeout' })).toBe(1)
    expect(scraped.value('hookring_plugin_failures_total', { ...of, failure: 'crash' })).toBe(0)
    expect(scraped.count('hookring_plugin_failures_total', of)).toBe(6)
    expect(scraped.value('hookring_plugin_late_completions_total', of)).toBe(1)
    expect(scraped.value('hookring_plugin_running_seconds_sum', of)).toBeCloseTo(3e-6, 12)
  })

  it('have a help text and a conventional name each', async () => {
    const text = await create().registry.metrics()
    for (const [key, family] of Object.entries(FAMILIES)) {
      expect(text).toContain(
        `# HELP hookring_${family.name} ${family.help}\n# TYPE hookring_${family.name} ${family.type}`,
      )
      expect(family.name, key).toMatch(/^[a-z_]+$/)
      expect(family.name.endsWith('_total'), key).toBe(family.type === 'counter')
      expect(family.name.endsWith('_seconds'), key).toBe((family.type as string) === 'histogram')
    }
  })

  it('only have rows for verdicts that a hookpoint of its kind can come to', async () => {
    const metrics = create()
    for (const hookpoint of Object.keys(contract.hookpoints)) {
      metrics.hookpointRecorder(hookpoint)
      metrics.recorder({ hookpoint, plugin: 'p' })
    }
    const scraped = await scrape(metrics)
    const verdicts = (hookpoint: string) => scraped.count('hookring_plugin_verdicts_total', { hookpoint })
    expect(Object.keys(contract.hookpoints).map(verdicts)).toEqual([2, 1, 3, 3])
    expect(scraped.count('hookring_verdicts_total', { hookpoint: 'onAuth' })).toBe(0)
    expect(scraped.count('hookring_calls_unanswered_total')).toBe(1)
  })

  it('count a duration in the first bucket that holds it, cumulated, in seconds', async () => {
    const metrics = create()
    const recorder = metrics.hookpointRecorder('onMessageEnqueue')
    const bounds = BUCKET_BOUNDS_US
    const durations = [0, 0.4, 1, 2, 2.01, 3, 4, 4.5, 1_000, 65_536, 65_536.5, bounds.at(-1)!, bounds.at(-1)! + 1, 1e8]
    for (const us of durations) recorder.recordWaiting(us)
    const scraped = await scrape(metrics)
    for (const boundUs of bounds) {
      const le = String(boundUs / 1e6)
      const expected = durations.filter((us) => us <= boundUs).length
      expect(scraped.value('hookring_call_waiting_seconds_bucket', { le }), le).toBe(expected)
    }
    expect(scraped.value('hookring_call_waiting_seconds_bucket', { le: '+Inf' })).toBe(durations.length)
    expect(scraped.value('hookring_call_waiting_seconds_count')).toBe(durations.length)
    const sumUs = durations.reduce((sum, us) => sum + us, 0)
    expect(scraped.value('hookring_call_waiting_seconds_sum')).toBeCloseTo(sumUs / 1e6, 9)
  })

  it('accept durations that a lane made up', async () => {
    const metrics = create()
    const recorder = metrics.recorder({ hookpoint: 'onMessageEnqueue', plugin: 'liar' })
    for (const us of [Number.NaN, -5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_VALUE])
      recorder.recordRunning(us)
    const scraped = await scrape(metrics)
    expect(scraped.value('hookring_plugin_running_seconds_count')).toBe(5)
    expect(scraped.value('hookring_plugin_running_seconds_sum')).toBe(2 * 24 * 3600)
  })

  it('compare a shadow with what was enforced, once there is something to compare', async () => {
    const metrics = create()
    const shadow = metrics.recorder({ hookpoint: 'onPublish', plugin: 'candidate' })
    expect((await scrape(metrics)).count('hookring_shadow_verdicts_total')).toBe(0)
    shadow.recordShadow('reject', 'continue')
    shadow.recordShadow('reject', 'continue')
    shadow.recordShadow('failure', 'replace')
    const scraped = await scrape(metrics)
    const name = 'hookring_shadow_verdicts_total'
    expect(scraped.value(name, { verdict: 'reject', enforced: 'continue' })).toBe(2)
    expect(scraped.value(name, { verdict: 'failure', enforced: 'replace' })).toBe(1)
    expect(scraped.value(name, { verdict: 'continue', enforced: 'reject' })).toBe(0)
    expect(scraped.count(name)).toBe(4 * 3)
  })

  it('read gauges when they are scraped', async () => {
    const metrics = create()
    let depth = 3
    let state: BreakerState = 'closed'
    const lanes = [{ lane: 0, occupancy: 0.25 }]
    const bulkhead = metrics.bulkheadRecorder('trusted', {
      queueDepth: () => depth,
      inFlight: () => 7,
      lanes: () => lanes,
    })
    metrics.watchQuarantine('limiter', () => state)
    metrics.zombies = 1
    bulkhead.dropped += 2
    bulkhead.undelivered++
    bulkhead.droppedLogLines += 9
    bulkhead.recordRestart('hang')
    bulkhead.recordViolation('bounds')
    const first = await scrape(metrics)
    expect(first.value('hookring_queue_depth', { bulkhead: 'trusted' })).toBe(3)
    expect(first.value('hookring_in_flight', { bulkhead: 'trusted' })).toBe(7)
    expect(first.value('hookring_ring_occupancy_ratio', { bulkhead: 'trusted', lane: '0' })).toBe(0.25)
    expect(first.value('hookring_quarantined', { plugin: 'limiter' })).toBe(0)
    expect(first.value('hookring_zombies')).toBe(1)
    expect(first.value('hookring_observations_dropped_total')).toBe(2)
    expect(first.value('hookring_observations_undelivered_total')).toBe(1)
    expect(first.value('hookring_log_lines_dropped_total')).toBe(9)
    expect(first.value('hookring_lane_restarts_total', { reason: 'hang' })).toBe(1)
    expect(first.value('hookring_lane_restarts_total', { reason: 'reload' })).toBe(0)
    expect(first.value('hookring_protocol_violations_total', { kind: 'bounds' })).toBe(1)
    depth = 0
    lanes.push({ lane: 1, occupancy: 1 })
    const seen: (number | undefined)[] = []
    for (state of ['half-open', 'open', 'held'] as const) {
      seen.push((await scrape(metrics)).value('hookring_quarantined'))
    }
    expect(seen).toEqual([1, 2, 3])
    const second = await scrape(metrics)
    expect(second.value('hookring_queue_depth')).toBe(0)
    expect(second.count('hookring_ring_occupancy_ratio')).toBe(2)
  })

  it('keep one recorder per place, and drop the rows of what is removed', async () => {
    const metrics = create()
    const before = (await scrape(metrics)).samples.size
    const at = { hookpoint: 'onMessageEnqueue', plugin: 'limiter' }
    const recorder = metrics.recorder(at)
    expect(metrics.recorder(at)).toBe(recorder)
    const bulkhead = metrics.bulkheadRecorder('own', emptyBulkhead)
    expect(metrics.bulkheadRecorder('own', { ...emptyBulkhead, queueDepth: () => 4 })).toBe(bulkhead)
    metrics.watchQuarantine('limiter', () => 'open')
    metrics.watchQuarantine('limiter', () => 'held')
    const scraped = await scrape(metrics)
    expect(scraped.value('hookring_queue_depth')).toBe(4)
    expect(scraped.value('hookring_quarantined')).toBe(3)
    metrics.removePlugin('limiter')
    metrics.removeBulkhead('own')
    metrics.removePlugin('limiter')
    recorder.calls++
    expect((await scrape(metrics)).samples.size).toBe(before)
    for (let round = 0; round < 100; round++) {
      metrics.recorder({ hookpoint: 'onMessageEnqueue', plugin: `plugin-${round}` }).calls++
      metrics.removePlugin(`plugin-${round}`)
    }
    expect((await scrape(metrics)).samples.size).toBe(before)
    expect(metrics.recorder(at)).not.toBe(recorder)
  })

  it('refuse a hookpoint that the contract does not have', () => {
    const metrics = create()
    for (const hookpoint of ['onNothing', 'constructor']) {
      const unknown = expect.objectContaining({ code: 'HOOKPOINT_UNKNOWN' })
      expect(() => metrics.hookpointRecorder(hookpoint)).toThrow(unknown)
      expect(() => metrics.recorder({ hookpoint, plugin: 'p' })).toThrow(unknown)
    }
  })

  it('write labels that need escaping', async () => {
    const metrics = create()
    const name = 'a "b" \\ c\nd'
    metrics.bulkheadRecorder(name, emptyBulkhead)
    expect((await scrape(metrics)).count('hookring_queue_depth', { bulkhead: 'a \\"b\\" \\\\ c\\nd' })).toBe(1)
  })
})

describe('engines that share a registry', () => {
  it('have rows of their own, of the same contract and of another', async () => {
    const registry = new Registry()
    const other = { id: 'shop@1', hookpoints: { onOrder: { kind: 'gate' } } } as const
    const engines = [create(registry), create(registry), create(registry, { contract: other })]
    expect(engines.map(({ engine }) => engine)).toEqual(['1', '2', '3'])
    engines[0]!.hookpointRecorder('onMessageEnqueue').calls = 10
    engines[1]!.hookpointRecorder('onMessageEnqueue').calls = 20
    engines[2]!.hookpointRecorder('onOrder').calls = 30
    const scraped = parse(await registry.metrics())
    expect(scraped.value('hookring_calls_total', { engine: '1' })).toBe(10)
    expect(scraped.value('hookring_calls_total', { engine: '2' })).toBe(20)
    expect(scraped.value('hookring_calls_total', { engine: '3', contract: 'shop@1' })).toBe(30)
  })

  it('leave nothing behind when they close, and their label to the next', async () => {
    const registry = new Registry()
    const mine = new Counter({ name: 'mine_total', help: 'x', registers: [registry] })
    mine.inc()
    const before = await registry.metrics()
    const [first, second] = [create(registry), create(registry)]
    for (const metrics of [first, second]) {
      metrics.recorder({ hookpoint: 'onMessageEnqueue', plugin: 'p' }).calls++
      metrics.hookpointRecorder('onMessageEnqueue').calls++
      metrics.bulkheadRecorder('b', emptyBulkhead)
      metrics.watchQuarantine('p', () => 'closed')
    }
    first.close()
    const scraped = parse(await registry.metrics())
    expect([...scraped.samples.keys()].some((key) => key.includes('engine="1"'))).toBe(false)
    expect(scraped.value('hookring_calls_total', { engine: '2' })).toBe(1)
    const third = create(registry)
    expect(third.engine).toBe('1')
    first.close()
    first.recorder({ hookpoint: 'onMessageEnqueue', plugin: 'late' })
    expect(parse(await registry.metrics()).count('hookring_zombies')).toBe(2)
    second.close()
    third.close()
    expect(await registry.metrics()).toBe(before)
  })

  it('may use prefixes of their own', async () => {
    const registry = new Registry()
    create(registry)
    create(registry, { prefix: 'edge_hooks_' }).hookpointRecorder('onMessageEnqueue').calls = 3
    expect(parse(await registry.metrics()).value('edge_hooks_calls_total')).toBe(3)
  })

  it('are told when another metric has the name, and register nothing then', async () => {
    const registry = new Registry()
    new Counter({ name: 'hookring_zombies', help: 'x', registers: [registry] })
    const before = registry.getMetricsAsArray().length
    expect(() => create(registry)).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining('hookring_zombies') }),
    )
    expect(registry.getMetricsAsArray().length).toBe(before)
    expect(() => create({ registerMetric() {} })).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }))
  })

  it('survive a registry that was cleared', async () => {
    const registry = new Registry()
    const lost = create(registry)
    registry.clear()
    const metrics = create(registry)
    metrics.hookpointRecorder('onMessageEnqueue').calls = 2
    lost.close()
    expect(parse(await registry.metrics()).value('hookring_calls_total')).toBe(2)
  })
})

describe('a registry', () => {
  it('that writes OpenMetrics gets counters and histograms of the right names', async () => {
    const registry = new Registry()
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never)
    const metrics = create(registry)
    metrics.hookpointRecorder('onMessageEnqueue').calls = 4
    for (let round = 0; round < 2; round++) {
      const text = await registry.metrics()
      expect(text).toContain('# TYPE hookring_calls counter')
      expect(text).toMatch(/^hookring_calls_total\{.*\} 4$/m)
      expect(text).toMatch(/^hookring_call_waiting_seconds_bucket\{.*le="\+Inf"\} 0$/m)
      expect(text.endsWith('# EOF\n')).toBe(true)
    }
    expect(create(registry).engine).toBe('2')
  })

  it('that is reset starts again at zero', async () => {
    const metrics = create()
    const hookpoint = metrics.hookpointRecorder('onMessageEnqueue')
    const plugin = metrics.recorder({ hookpoint: 'onMessageEnqueue', plugin: 'p' })
    hookpoint.calls = 5
    hookpoint.recordWaiting(10)
    plugin.failures[FAILURE_INDEX.crash] = 3
    plugin.recordShadow('reject', 'continue')
    metrics.bulkheadRecorder('b', { ...emptyBulkhead, queueDepth: () => 6 })
    ;(metrics.registry as Registry).resetMetrics()
    const scraped = await scrape(metrics)
    const left = [...scraped.samples].filter(([, value]) => value !== 0).map(([key]) => key)
    expect(left).toEqual([expect.stringContaining('hookring_queue_depth')])
    hookpoint.calls++
    expect((await scrape(metrics)).value('hookring_calls_total')).toBe(1)
  })

  it('adds default labels, and adds up the processes of a cluster', async () => {
    const processes = [1, 2].map((calls) => {
      const registry = new Registry()
      registry.setDefaultLabels({ region: 'eu' })
      const metrics = create(registry)
      metrics.hookpointRecorder('onMessageEnqueue').calls = calls
      metrics.hookpointRecorder('onMessageEnqueue').recordWaiting(10)
      metrics.watchQuarantine('p', () => (calls === 1 ? 'held' : 'closed'))
      return registry
    })
    const scraped = parse(
      await AggregatorRegistry.aggregate(await Promise.all(processes.map((one) => one.getMetricsAsJSON()))).metrics(),
    )
    expect(scraped.value('hookring_calls_total', { region: 'eu' })).toBe(3)
    expect(scraped.value('hookring_call_waiting_seconds_bucket', { le: '+Inf' })).toBe(2)
    expect(scraped.value('hookring_quarantined')).toBe(3)
  })
})

describe('recording', () => {
  it('allocates nothing, labels least of all', async () => {
    const metrics = create()
    const hookpoint = metrics.hookpointRecorder('onMessageEnqueue')
    const plugin = metrics.recorder({ hookpoint: 'onMessageEnqueue', plugin: 'p' })
    const record = (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        // Whole numbers: an engine that has not inlined the call yet puts a fraction into a box to pass it on.
        const us = round & 0xffff
        hookpoint.calls++
        hookpoint.verdicts[VERDICT_INDEX.continue]!++
        hookpoint.recordWaiting(us)
        plugin.calls++
        plugin.verdicts[VERDICT_INDEX.continue]!++
        plugin.recordRunning(us)
        plugin.recordShadow('continue', 'reject')
      }
    }
    record(200_000)
    // What is allocated per record is allocated in every part. What the engine allocates of its own accord (boxes,
    // until it has compiled the loop) is in some parts, and a collection makes one shrink; neither is in all.
    const parts = 8
    const rounds = 250_000
    const grownBytes: number[] = []
    for (let part = 0; part < parts; part++) {
      const beforeBytes = process.memoryUsage().heapUsed
      record(rounds)
      const grown = process.memoryUsage().heapUsed - beforeBytes
      if (grown >= 0) grownBytes.push(grown)
    }
    // A label object per record would be 16 bytes at the very least.
    expect(Math.min(...grownBytes) / rounds).toBeLessThan(1)
    expect((await scrape(metrics)).value('hookring_calls_total')).toBe(parts * rounds + 200_000)
  })
})
