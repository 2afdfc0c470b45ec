/**
 * Metrics: what an engine counts, and how a prom-client registry reads it. The call path increments plain numbers and
 * preallocated arrays (recorders.ts). Labels are made when a recorder is made; values are read at scrape. Host's thread
 * only.
 */
import { Registry } from 'prom-client'
import type { HookpointKind } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import type { BreakerState } from '../primitives/circuit-breaker.js'
import {
  closeFamilies,
  type Labels,
  type MetricFamilies,
  type MetricsRegistry,
  openFamilies,
  type Row,
} from './metric-families.js'
import { type BulkheadGauges, BulkheadRecorder, HookpointRecorder, PluginRecorder, type RowScope } from './recorders.js'

export type { MetricsRegistry } from './metric-families.js'

export interface MetricsOptions {
  /** A prom-client registry, or one that takes the same metrics. Default: a new one. */
  registry?: object | undefined
  prefix: string
  contract: { readonly id: string; readonly hookpoints: Readonly<Record<string, { readonly kind: HookpointKind }>> }
}

const QUARANTINE_VALUE: Readonly<Record<BreakerState, number>> = { closed: 0, 'half-open': 1, open: 2, held: 3 }

export class Metrics {
  readonly registry: MetricsRegistry
  /** The engine's own label, a small number that no other open engine of the registry has. */
  readonly engine: string
  /** Threads that were told to terminate and have not exited. They outlive their lanes and bulkheads. */
  zombies = 0
  readonly #prefix: string
  readonly #contract: MetricsOptions['contract']
  readonly #families: MetricFamilies
  readonly #base: Labels
  readonly #ownRows: RowScope
  readonly #hookpoints = new Map<string, HookpointRecorder>()
  readonly #plugins = new Map<string, PluginEntry>()
  readonly #bulkheads = new Map<string, { readonly scope: RowScope; readonly recorder: BulkheadRecorder }>()
  #isClosed = false

  /** @throws HookringError OPTIONS_INVALID when `registry` is not a registry, or another metric in it has one of the names */
  constructor({ registry, prefix, contract }: MetricsOptions) {
    this.registry = registry === undefined ? new Registry() : checkRegistry(registry)
    this.#prefix = prefix
    this.#contract = contract
    this.#families = openFamilies(this.registry, prefix)
    this.engine = freeLabel(this.#families.zombies.rows)
    this.#base = { engine: this.engine, contract: contract.id }
    this.#ownRows = this.#createScope()
    this.#ownRows.add('zombies', { labels: this.#base, read: () => this.zombies })
  }

  /**
   * One for each hookpoint, made when first asked for.
   * @throws HookringError HOOKPOINT_UNKNOWN
   */
  hookpointRecorder(hookpoint: string): HookpointRecorder {
    const labels = { ...this.#base, hookpoint }
    return getOrMake(
      this.#hookpoints,
      hookpoint,
      () => new HookpointRecorder(this.#ownRows, labels, this.#kindOf(hookpoint)),
    )
  }

  /**
   * One for each plugin and hookpoint, kept over reloads.
   * @throws HookringError HOOKPOINT_UNKNOWN
   */
  recorder({ hookpoint, plugin }: { hookpoint: string; plugin: string }): PluginRecorder {
    const kind = this.#kindOf(hookpoint)
    const { scope, recorders } = this.#pluginEntry(plugin)
    const labels = { ...this.#base, hookpoint, plugin }
    return getOrMake(recorders, hookpoint, () => new PluginRecorder(scope, labels, kind))
  }

  /** `state` is read at scrape until the plugin is removed. */
  watchQuarantine(plugin: string, state: () => BreakerState): void {
    const entry = this.#pluginEntry(plugin)
    if (entry.breakerState === null) {
      const read = () => QUARANTINE_VALUE[entry.breakerState!()]
      entry.scope.add('quarantined', { labels: { ...this.#base, plugin }, read })
    }
    entry.breakerState = state
  }

  /** Removes every row of the plugin. Its recorders go on counting, unseen. */
  removePlugin(plugin: string): void {
    this.#plugins.get(plugin)?.scope.drop()
    this.#plugins.delete(plugin)
  }

  /** One for each bulkhead. Asked again, it keeps its counts and takes the new gauges. */
  bulkheadRecorder(bulkhead: string, gauges: BulkheadGauges): BulkheadRecorder {
    const labels = { ...this.#base, bulkhead }
    const { recorder } = getOrMake(this.#bulkheads, bulkhead, () => {
      const scope = this.#createScope()
      return { scope, recorder: new BulkheadRecorder(scope, labels, gauges) }
    })
    recorder.gauges = gauges
    return recorder
  }

  removeBulkhead(bulkhead: string): void {
    this.#bulkheads.get(bulkhead)?.scope.drop()
    this.#bulkheads.delete(bulkhead)
  }

  /** Takes the engine's rows out of the registry, and with the last engine the metrics. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const { scope } of [...this.#plugins.values(), ...this.#bulkheads.values()]) scope.drop()
    this.#ownRows.drop()
    if (this.#families.zombies.rows.size === 0) closeFamilies(this.registry, this.#prefix, this.#families)
  }

  #createScope(): RowScope {
    const drops: (() => void)[] = []
    return {
      add: (key, row) => {
        if (this.#isClosed) return
        const { rows } = this.#families[key]
        rows.add(row)
        drops.push(() => rows.delete(row))
      },
      drop() {
        for (const drop of drops.splice(0)) drop()
      },
    }
  }

  #kindOf(hookpoint: string): HookpointKind {
    const { id, hookpoints } = this.#contract
    if (Object.hasOwn(hookpoints, hookpoint)) return hookpoints[hookpoint]!.kind
    throw new HookringError('HOOKPOINT_UNKNOWN', `contract ${id} has no hookpoint ${hookpoint}`, { hookpoint })
  }

  #pluginEntry(plugin: string): PluginEntry {
    return getOrMake(this.#plugins, plugin, () => ({
      scope: this.#createScope(),
      recorders: new Map(),
      breakerState: null,
    }))
  }
}

interface PluginEntry {
  readonly scope: RowScope
  readonly recorders: Map<string, PluginRecorder>
  breakerState: (() => BreakerState) | null
}

/** The lowest number that no open engine of the registry has: engines that come and go make no new time series. */
function freeLabel(rows: Iterable<Row>): string {
  const taken = new Set<string | undefined>()
  for (const row of rows) if ('labels' in row) taken.add(row.labels.engine)
  let number = 1
  while (taken.has(String(number))) number++
  return String(number)
}

function checkRegistry(registry: object): MetricsRegistry {
  for (const method of ['registerMetric', 'getSingleMetric', 'removeSingleMetric'] as const) {
    if (typeof (registry as Partial<Record<typeof method, unknown>>)[method] !== 'function') {
      throw new HookringError('OPTIONS_INVALID', `registry has no ${method}(); it must be a prom-client Registry`, {
        path: ['registry'],
      })
    }
  }
  return registry as MetricsRegistry
}

function getOrMake<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}
