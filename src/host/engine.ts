/**
 * The engine: what a server holds. Its parts are made here, in the order in which they need each other. Host's thread
 * only.
 */
import { EventEmitter } from 'node:events'
import type { Contract, Hookpoints, Services } from '../contracts/contract.js'
import { engineOptionsSchema, type ResolvedEngineOptions } from '../contracts/option-schemas.js'
import { DEFAULTS } from '../contracts/options.js'
import { parseOptions } from '../contracts/parse-options.js'
import { bindMethods } from '../primitives/bind-methods.js'
import { monotonicMs } from '../ring/clock.js'
import type { EngineOptions, HookEngine } from './api.js'
import { createCallPath } from './calls/call-path.js'
import { createHooks } from './calls/hooks.js'
import { LaneThreads } from './lanes/lane-threads.js'
import { createSupervision } from './lanes/supervision.js'
import { createHookpointStates } from './model/hookpoint-state.js'
import { planDefaults } from './plugins/bulkhead-plan.js'
import { PluginChanges } from './plugins/plugin-changes.js'
import { PluginLookup } from './plugins/plugin-lookup.js'
import { PluginWatches } from './plugins/plugin-watch.js'
import { Registrations } from './plugins/registrations.js'
import { Registry } from './plugins/registry.js'
import { ServiceRegistry } from './plugins/services.js'
import { findPackageFiles } from './primitives/package-files.js'
import { Recordings } from './recordings.js'
import { type EngineParts, RunningEngine } from './running-engine.js'
import { Shutdown } from './shutdown.js'
import { Compiler } from './sources/compiler/index.js'
import { createPluginSources } from './sources/locate.js'
import { createDefaultLogger } from './telemetry/default-logger.js'
import { createEmit } from './telemetry/events.js'
import { Metrics } from './telemetry/metrics.js'
import { PluginLogs } from './telemetry/plugin-logs.js'
import { createQuarantineNews } from './telemetry/quarantine-news.js'

/**
 * Makes an engine and starts its plugins. Resolves when every lane serves.
 *
 * @throws HookringError OPTIONS_INVALID, UNTRUSTED_RUNTIME, PLUGIN_..., HOOKPOINT_UNKNOWN, BULKHEAD_FULL,
 * TYPESCRIPT_UNSUPPORTED, LANE_ENTRY_MISSING. Nothing is left running then.
 */
export async function createHookEngine<Points extends Hookpoints, Offered extends Services = Services>(
  options: EngineOptions<Points, Offered>,
): Promise<HookEngine<Points, Offered>> {
  const resolved = parseOptions(engineOptionsSchema, options, 'options')
  findPackageFiles(resolved.workerUrl)
  const parts = createParts(resolved)
  const engine = bindMethods(new RunningEngine<Points, Offered>(parts))
  try {
    await parts.changes.addFirst(resolved.plugins)
  } catch (error) {
    await engine.close()
    throw error
  }
  return engine
}

function createParts(resolved: ResolvedEngineOptions): EngineParts {
  const contract = resolved.contract as Contract
  const { wait, spinUs, setupTimeoutMs, shutdownTimeoutMs, closeTimeoutMs, maxServiceBytes } = resolved
  const openness = { isOpen: true }
  const services = new ServiceRegistry({ contract, maxServiceBytes })
  services.provide((resolved.services ?? {}) as Parameters<typeof services.provide>[0])
  const logger = resolved.logger ?? createDefaultLogger()
  const emitter = new EventEmitter()
  const emit = createEmit(emitter, (error) => logger.error({ code: error.code, plugin: error.plugin }, error.message))
  const metrics = new Metrics({ registry: resolved.registry, prefix: resolved.metricsPrefix, contract })
  const hookpoints = createHookpointStates(contract, metrics, DEFAULTS.maxReplyBytes)
  const blame = (plugin: string) => registry.find(plugin)?.breaker.record('failure', monotonicMs())

  const compiler = new Compiler()
  const sources = createPluginSources({ timeoutMs: setupTimeoutMs, compiler, root: resolved.root })
  const callPath = createCallPath({ ...resolved, contract, emit })
  const threads = new LaneThreads({ spares: resolved.spares, contract: contract.id, compiler })
  const supervisor = createSupervision({
    ...resolved,
    ...{ callPath, threads, hookpoints, emit, blame },
    onLog: (bulkhead, batch) => logs.receive(bulkhead, batch),
    servicesFor: (bulkhead) => services.forLane(bulkhead),
    ensureSources: (urls) => sources.ensure(urls),
    onZombie(change) {
      metrics.zombies += change
    },
  })
  const registry = new Registry({
    ...{ contract, hookpoints, metrics, supervisor, emit },
    defaults: planDefaults(resolved),
    lane: { wait, spinUs, setupTimeoutMs, shutdownTimeoutMs, maxServiceBytes },
    onBulkhead: (bulkhead) => callPath.open(bulkhead),
    releaseSources: (urls) => void sources.release(urls),
  })
  const tellOfQuarantine = createQuarantineNews(emit, logger)
  const registrations = new Registrations({
    ...{ engine: resolved, sources, services },
    onBreaker({ name }, change) {
      registry.refreshGuards()
      tellOfQuarantine(name, change)
    },
  })
  const lookup = new PluginLookup(registry)
  const changes = new PluginChanges({ registry, registrations, lookup })
  const watches = new PluginWatches({ registry, changes, sources, compiler, emit })
  const recordings = new Recordings({
    ...{ contract, logger, stopTimeoutMs: closeTimeoutMs },
    add: (plugin) => changes.add(plugin),
    remove: (name) => changes.remove(name),
    recordersOf: (name) => Object.values(registry.find(name)?.recorders ?? []),
  })
  const logs = new PluginLogs({ logger, blame, hears: (line) => recordings.hears(line) })
  const { dispatcher, expiry, timer } = callPath
  const held = { registry, supervisor, expiry, recordings, watches, threads, timer, sources, metrics, closeTimeoutMs }
  const shutdown = new Shutdown(openness, held)
  const hooks = createHooks({ contract, hookpoints, dispatcher, engine: openness, emit })
  return {
    ...{ contract, openness, emitter, services, hookpoints, dispatcher, lookup },
    ...{ changes, recordings, watches, shutdown, hooks, registry: metrics.registry },
  }
}
