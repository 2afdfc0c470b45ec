/**
 * The engine as a server sees it: its options, its hooks, its methods. Types alone; engine.ts makes one.
 */
import type { Contract, Hookpoints, ProvidedServices, Services } from '../contracts/contract.js'
import type { EngineSettings, PluginOptions } from '../contracts/options.js'
import type { EngineHooks } from './calls/hooks.js'
import type { PluginChange } from './plugins/plugin-changes.js'
import type { PluginStatus } from './plugins/plugin-lookup.js'
import type { Recording, RecordOptions } from './recordings.js'
import type { EngineEvents } from './telemetry/events.js'
import type { MetricsRegistry } from './telemetry/metrics.js'

export interface EngineOptions<Points extends Hookpoints, Offered extends Services = Services> extends EngineSettings {
  /** What `defineContract` made, or a contract that ships: the engine has its hookpoints. */
  contract: Contract<Points, Offered>
  /** What the server does for plugins whose option `services` names it; more with `provide`. */
  services?: ProvidedServices<Offered>
  /** The plugins to start with; more with `add`. */
  plugins?: readonly PluginOptions[]
}

export interface HookEngine<Points extends Hookpoints = Hookpoints, Offered extends Services = Services>
  extends AsyncDisposable {
  readonly contract: Contract<Points, Offered>
  readonly hooks: EngineHooks<Points>
  /** The prom-client registry with the engine's metrics. */
  readonly registry: MetricsRegistry
  readonly plugins: readonly PluginStatus[]
  /**
   * Whether a call of the hookpoint would reach a plugin now: what a server reads that would do more for a call than make
   * it. True on a closed engine, whose calls fail. @throws HookringError HOOKPOINT_UNKNOWN
   */
  isSubscribed(hookpoint: keyof Points & string): boolean
  /** Starts a plugin beside the others; calls made from then on pass it. @throws HookringError */
  add(plugin: PluginOptions): Promise<void>
  /** Takes a plugin out; calls that are under way still pass it. @throws HookringError PLUGIN_UNKNOWN */
  remove(name: string): Promise<void>
  /**
   * Loads a plugin's file anew, with the options given in place of the old ones. Stays with the old one if that fails. The
   * lanes of its bulkhead are replaced, so that plugins beside it start anew as well.
   *
   * A function is given the options as they are when its turn comes, after the changes asked for before it, and says what
   * to change; null: nothing, and nothing is reloaded. @throws HookringError
   */
  reload(name: string, changes?: Partial<PluginOptions> | PluginChange): Promise<void>
  /** Host services, in place of those of the same name. @throws HookringError OPTIONS_INVALID */
  provide(services: ProvidedServices<Offered>): void
  /**
   * Writes the events of real calls to a new file, for `replayEvents` of hookring/testing, `hookring bench --replay` and
   * `hookring check --replay`. Its cost to the server is that of one more plugin in a lane of its own, whose calls nobody
   * waits for; what the lane has no room for is dropped and counted. `close()` stops it.
   *
   * @throws HookringError OPTIONS_INVALID (also for a file that exists), HOOKPOINT_UNKNOWN
   */
  record(file: string | URL, options?: RecordOptions<Points>): Promise<Recording>
  /** Calls the plugin no more until it is released. @throws HookringError PLUGIN_UNKNOWN */
  quarantine(name: string): void
  release(name: string): void
  /** Resolves when every observation made so far is delivered, or named as undelivered. */
  flush(): Promise<void>
  /** Tells the plugins that the server is shutting down, its connections still being open. Once; calls go on. */
  shutdown(): Promise<void>
  /** shutdown(), then refuses new calls, waits for those under way, destroys the plugins and ends the threads. */
  close(): Promise<void>
  on<Name extends keyof EngineEvents>(name: Name, listener: (...args: EngineEvents[Name]) => void): this
  once<Name extends keyof EngineEvents>(name: Name, listener: (...args: EngineEvents[Name]) => void): this
  off<Name extends keyof EngineEvents>(name: Name, listener: (...args: EngineEvents[Name]) => void): this
}
