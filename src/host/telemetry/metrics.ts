/**
 * Metrics: what an engine counts, and how a prom-client registry comes to see it. The dispatcher and the lanes bump
 * plain numbers and preallocated arrays (recorders.ts); labels are made when a recorder is made, and values are read
 * when the registry is scraped. Made by the engine, on the host's thread alone.
 */
import { Registry } from 'prom-client'
import type { HookpointKind } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import type { BreakerState } from '../primitives/circuit-breaker.js'
import { closeFamilies, type Labels, type MetricsRegistry, openFamilies, type Row } from './metric-families.js'
import {
  type BulkheadEntry,
  type BulkheadGauges,
  type BulkheadRecorder,
  createBulkhead,
  createHookpointRecorder,
  createPluginRecorder,
  type HookpointRecorder,
  type PluginRecorder,
  type RowScope,
} from './recorders.js'

export type { MetricsRegistry } from './metric-families.js'

export interface Metrics {
  readonly registry: MetricsRegistry
  /** The engine's own label, a small number that no other open engine of the registry has. */
  readonly engine: string
  /** Threads that were told to terminate and have not. They outlive their lanes and bulkheads. */
  zombies: number
  /** One per hookpoint; made at the first request. @throws HookringError HOOKPOINT_UNKNOWN */
  hookpointRecorder(hookpoint: string): HookpointRecorder
  /** One per plugin and hookpoint, kept over reloads. @throws HookringError HOOKPOINT_UNKNOWN */
  recorder(at: { hookpoint: string; plugin: string }): PluginRecorder
  /** `state` is read at scrape, until the plugin is removed. */
  watchQuarantine(plugin: string, state: () => BreakerState): void
  /** Drops every row of the plugin. Its recorders still count, unseen. */
  removePlugin(plugin: string): void
  /** One per bulkhead; asked again, it keeps its counts and takes the new gauges. */
  bulkheadRecorder(bulkhead: string, gauges: BulkheadGauges): BulkheadRecorder
  removeBulkhead(bulkhead: string): void
  /** Takes the engine's rows out of the registry, and the metrics with the last engine. */
  close(): void
}

export interface MetricsOptions {
  /** Of prom-client, or one that takes the same metrics; without one a registry is made. */
  registry?: object | undefined
  prefix: string
  contract: { readonly id: string; readonly hookpoints: Readonly<Record<string, { readonly kind: HookpointKind }>> }
}

const QUARANTINE_VALUE: Readonly<Record<BreakerState, number>> = { closed: 0, 'half-open': 1, open: 2, held: 3 }

/**
 * @throws HookringError OPTIONS_INVALID when the registry is none, or another metric in it has one of the names.
 */
export function createMetrics(options: MetricsOptions): Metrics {
  const { prefix, contract } = options
  const registry = options.registry === undefined ? new Registry() : checkRegistry(options.registry)
  const families = openFamilies(registry, prefix)
  const engine = freeLabel(families.zombies.rows)
  const base: Labels = { engine, contract: contract.id }
  const hookpoints = new Map<string, HookpointRecorder>()
  const plugins = new Map<string, PluginEntry>()
  const bulkheads = new Map<string, BulkheadEntry>()
  const ownRows = createScope()
  let isClosed = false

  function createScope(): RowScope {
    const drops: (() => void)[] = []
    return {
      add(key, row) {
        if (isClosed) return
        const { rows } = families[key]
        rows.add(row)
        drops.push(() => rows.delete(row))
      },
      drop() {
        for (const drop of drops.splice(0)) drop()
      },
    }
  }

  function kindOf(hookpoint: string): HookpointKind {
    if (!Object.hasOwn(contract.hookpoints, hookpoint)) {
      throw new HookringError('HOOKPOINT_UNKNOWN', `contract ${contract.id} has no hookpoint ${hookpoint}`, {
        hookpoint,
      })
    }
    return contract.hookpoints[hookpoint]!.kind
  }

  function pluginEntry(plugin: string): PluginEntry {
    return getOrMake(plugins, plugin, () => ({ scope: createScope(), recorders: new Map(), breakerState: null }))
  }

  const metrics: Metrics = {
    registry,
    engine,
    zombies: 0,
    hookpointRecorder: (hookpoint) =>
      getOrMake(hookpoints, hookpoint, () =>
        createHookpointRecorder(ownRows, { ...base, hookpoint }, kindOf(hookpoint)),
      ),
    recorder({ hookpoint, plugin }) {
      const kind = kindOf(hookpoint)
      const { scope, recorders } = pluginEntry(plugin)
      return getOrMake(recorders, hookpoint, () => createPluginRecorder(scope, { ...base, hookpoint, plugin }, kind))
    },
    watchQuarantine(plugin, state) {
      const entry = pluginEntry(plugin)
      if (entry.breakerState === null) {
        const read = () => QUARANTINE_VALUE[entry.breakerState!()]
        entry.scope.add('quarantined', { labels: { ...base, plugin }, read })
      }
      entry.breakerState = state
    },
    removePlugin(plugin) {
      plugins.get(plugin)?.scope.drop()
      plugins.delete(plugin)
    },
    bulkheadRecorder(bulkhead, gauges) {
      const entry = getOrMake(bulkheads, bulkhead, () => createBulkhead(createScope(), { ...base, bulkhead }, gauges))
      entry.gauges = gauges
      return entry.recorder
    },
    removeBulkhead(bulkhead) {
      bulkheads.get(bulkhead)?.scope.drop()
      bulkheads.delete(bulkhead)
    },
    close() {
      if (isClosed) return
      isClosed = true
      for (const { scope } of [...plugins.values(), ...bulkheads.values()]) scope.drop()
      ownRows.drop()
      if (families.zombies.rows.size === 0) closeFamilies(registry, prefix, families)
    },
  }
  ownRows.add('zombies', { labels: base, read: () => metrics.zombies })
  return metrics
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
