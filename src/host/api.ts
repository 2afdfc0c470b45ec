/** The engine as a server sees it: its options, its hooks, its methods. Types only; engine.ts makes an engine. */
import type { Contract, Hookpoints, ProvidedServices, Services } from '../contracts/contract.js'
import type { EngineSettings, PluginOptions } from '../contracts/options.js'
import type { EngineHooks } from './calls/hooks.js'
import type { PluginChange } from './plugins/plugin-changes.js'
import type { PluginStatus } from './plugins/plugin-lookup.js'
import type { Watching, WatchOptions } from './plugins/plugin-watch.js'
import type { Recording, RecordOptions } from './recordings.js'
import type { EngineEvents } from './telemetry/events.js'
import type { MetricsRegistry } from './telemetry/metrics.js'

export interface EngineOptions<Points extends Hookpoints, Offered extends Services = Services> extends EngineSettings {
  /** The contract, from `defineContract` or one that ships. The engine has its hookpoints. */
  contract: Contract<Points, Offered>
  /** Host services, for plugins whose option `services` names them. Add more with `provide`. */
  services?: ProvidedServices<Offered>
  /** The plugins to start with. Add more with `add`. */
  plugins?: readonly PluginOptions[]
}

export interface HookEngine<Points extends Hookpoints = Hookpoints, Offered extends Services = Services>
  extends AsyncDisposable {
  /** The contract that it was made with. */
  readonly contract: Contract<Points, Offered>
  /** A function for each hookpoint. All but observe return a promise of a verdict, which rejects with EVENT_INVALID, EVENT_TOO_LARGE, CALL_ABORTED, ENGINE_CLOSED, or PLUGIN_FAILED where a policy is `raise`. */
  readonly hooks: EngineHooks<Points>
  /** The prom-client registry with the engine's metrics. */
  readonly registry: MetricsRegistry
  /** The plugins that it has now, in the order in which they were added. */
  readonly plugins: readonly PluginStatus[]
  /**
   * Whether a call of the hookpoint would reach a plugin now. Ask it before work that only plugins need. True on a closed
   * engine, whose calls fail.
   * @throws HookringError HOOKPOINT_UNKNOWN
   */
  isSubscribed(hookpoint: keyof Points & string): boolean
  /**
   * Starts a plugin beside the others. Calls made after it has started pass it.
   * @throws HookringError
   */
  add(plugin: PluginOptions): Promise<void>
  /**
   * Removes a plugin. Calls that are under way still pass it.
   * @throws HookringError PLUGIN_UNKNOWN
   */
  remove(name: string): Promise<void>
  /**
   * Loads a plugin's file again, with `changes` in place of its present options. If that fails, the old plugin stays. The
   * lanes of its bulkhead are replaced, so the other plugins of the bulkhead start again too.
   *
   * A function gets the plugin's options when all earlier changes have been applied, and returns the changes; null:
   * reload nothing.
   * @throws HookringError
   */
  reload(name: string, changes?: Partial<PluginOptions> | PluginChange): Promise<void>
  /**
   * For development: plugins whose files change are reloaded, the files that they import included, packages left out. Each reload
   * is told by the event `pluginReloaded`; what does not load is told by `error`, and the version before goes on. Lanes of
   * modules start anew, to say what they import. Again: the same, until it is closed; `close()` of the engine closes it.
   *
   * @throws HookringError OPTIONS_INVALID
   */
  watch(options?: WatchOptions): Promise<Watching>
  /**
   * Adds host services; one of the same name is replaced.
   * @throws HookringError OPTIONS_INVALID
   */
  provide(services: ProvidedServices<Offered>): void
  /**
   * Records the events of real calls in a new file, for `replayEvents` of hookring/testing, `hookring bench --replay` and
   * `hookring check --replay`. It costs the server as much as one more plugin in a lane of its own whose calls nobody
   * waits for. Events for which that lane has no room are dropped and counted. `stop()` ends the recording.
   *
   * @throws HookringError OPTIONS_INVALID (also for a file that exists), HOOKPOINT_UNKNOWN
   */
  record(file: string | URL, options?: RecordOptions<Points>): Promise<Recording>
  /**
   * Stops calling the plugin until `release`.
   * @throws HookringError PLUGIN_UNKNOWN
   */
  quarantine(name: string): void
  /** Calls a quarantined plugin again. @throws HookringError PLUGIN_UNKNOWN */
  release(name: string): void
  /** Resolves when every observation made so far has been delivered, or reported as a dead letter. */
  flush(): Promise<void>
  /**
   * Tells the plugins that the server is shutting down, while its connections are still open. Calls go on. It happens
   * once.
   */
  shutdown(): Promise<void>
  /**
   * Does what shutdown() does, then refuses new calls, waits for those under way, destroys the plugins and ends the
   * threads.
   */
  close(): Promise<void>
  /** Listens for one of the engine's events; see EngineEvents. */
  on<Name extends keyof EngineEvents>(name: Name, listener: (...args: EngineEvents[Name]) => void): this
  /** The same, for the first one only. */
  once<Name extends keyof EngineEvents>(name: Name, listener: (...args: EngineEvents[Name]) => void): this
  /** Stops listening. */
  off<Name extends keyof EngineEvents>(name: Name, listener: (...args: EngineEvents[Name]) => void): this
}
