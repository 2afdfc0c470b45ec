/** The engine as a server holds it: each method calls the part that does it. Host's thread only. */
import type { EventEmitter } from 'node:events'
import type { Contract, Hookpoints, ProvidedServices, Services } from '../contracts/contract.js'
import { HookringError } from '../contracts/errors.js'
import type { PluginOptions } from '../contracts/options.js'
import { monotonicMs } from '../ring/clock.js'
import type { HookEngine } from './api.js'
import type { Dispatcher } from './calls/dispatcher.js'
import type { EngineHooks } from './calls/hooks.js'
import type { HookpointState } from './model/hookpoint-state.js'
import type { PluginChange, PluginChanges } from './plugins/plugin-changes.js'
import type { PluginLookup, PluginStatus } from './plugins/plugin-lookup.js'
import type { PluginWatches, Watching, WatchOptions } from './plugins/plugin-watch.js'
import type { ServiceRegistry } from './plugins/services.js'
import type { Recording, Recordings, RecordOptions } from './recordings.js'
import type { Openness, Shutdown } from './shutdown.js'
import type { EngineEvents } from './telemetry/events.js'
import type { MetricsRegistry } from './telemetry/metrics.js'

export interface EngineParts {
  readonly contract: Contract
  readonly openness: Openness
  readonly emitter: EventEmitter
  readonly services: ServiceRegistry
  readonly registry: MetricsRegistry
  readonly hookpoints: readonly HookpointState[]
  readonly dispatcher: Dispatcher
  readonly lookup: PluginLookup
  readonly changes: PluginChanges
  readonly recordings: Recordings
  readonly watches: PluginWatches
  readonly shutdown: Shutdown
  readonly hooks: object
}

export class RunningEngine<Points extends Hookpoints, Offered extends Services> implements HookEngine<Points, Offered> {
  readonly contract: Contract<Points, Offered>
  readonly hooks: EngineHooks<Points>
  readonly registry: MetricsRegistry
  readonly #parts: EngineParts
  readonly #hookpoints: ReadonlyMap<unknown, HookpointState>

  constructor(parts: EngineParts) {
    this.#parts = parts
    this.contract = parts.contract as Contract<Points, Offered>
    this.hooks = parts.hooks as EngineHooks<Points>
    this.registry = parts.registry
    this.#hookpoints = new Map(parts.hookpoints.map((hookpoint) => [hookpoint.name, hookpoint]))
  }

  get plugins(): readonly PluginStatus[] {
    return this.#parts.lookup.list()
  }

  isSubscribed(name: keyof Points & string): boolean {
    const hookpoint = this.#hookpoints.get(name)
    if (hookpoint !== undefined) return hookpoint.route !== null || !this.#parts.openness.isOpen
    const known = [...this.#hookpoints.keys()].join(', ')
    throw new HookringError(
      'HOOKPOINT_UNKNOWN',
      `${this.contract.id} has no hookpoint ${String(name)}; it has ${known}`,
    )
  }

  async add(plugin: PluginOptions): Promise<void> {
    await this.#open().changes.add(plugin)
  }

  async remove(name: string): Promise<void> {
    await this.#open().changes.remove(name)
  }

  async reload(name: string, changes: Partial<PluginOptions> | PluginChange = {}): Promise<void> {
    await this.#open().changes.reload(name, changes)
  }

  provide(services: ProvidedServices<Offered>): void {
    this.#open().services.provide(services as ProvidedServices<Services>)
  }

  async watch(options: WatchOptions = {}): Promise<Watching> {
    return await this.#open().watches.begin(options)
  }

  async record(file: string | URL, options?: RecordOptions<Points>): Promise<Recording> {
    return await this.#open().recordings.start(file, options)
  }

  quarantine(name: string): void {
    this.#parts.lookup.found(name).breaker.hold(monotonicMs())
  }

  release(name: string): void {
    this.#parts.lookup.found(name).breaker.release(monotonicMs())
  }

  flush(): Promise<void> {
    return this.#parts.dispatcher.flush()
  }

  shutdown(): Promise<void> {
    return this.#parts.shutdown.begin()
  }

  close(): Promise<void> {
    return this.#parts.shutdown.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  on<Name extends keyof EngineEvents>(name: Name, listen: (...args: EngineEvents[Name]) => void): this {
    this.#parts.emitter.on(name, listen as (...args: unknown[]) => void)
    return this
  }

  once<Name extends keyof EngineEvents>(name: Name, listen: (...args: EngineEvents[Name]) => void): this {
    this.#parts.emitter.once(name, listen as (...args: unknown[]) => void)
    return this
  }

  off<Name extends keyof EngineEvents>(name: Name, listen: (...args: EngineEvents[Name]) => void): this {
    this.#parts.emitter.off(name, listen as (...args: unknown[]) => void)
    return this
  }

  /** @throws HookringError ENGINE_CLOSED */
  #open(): EngineParts {
    if (this.#parts.openness.isOpen) return this.#parts
    throw new HookringError('ENGINE_CLOSED', 'the engine is closing or closed')
  }
}
