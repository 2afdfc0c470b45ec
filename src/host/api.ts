/**
 * The engine as a server sees it: its options, its hooks, its methods. Types alone; engine.ts makes one.
 */
import type { z } from 'zod'
import type { Contract, EventInput, Hookpoints, VerdictOf } from '../contracts/contract.js'
import type { engineOptionsSchema, PluginOptions } from '../contracts/options.js'
import type { FailurePolicy } from '../contracts/policy.js'
import type { CallOptions } from './dispatcher.js'
import type { EngineEvents } from './events.js'
import type { MetricsRegistry } from './metrics.js'

/** `engine.hooks`: a function per hookpoint of the contract. */
export type EngineHooks<Points extends Hookpoints> = {
  readonly [Name in keyof Points]: Points[Name]['kind'] extends 'observe'
    ? (event: EventInput<Points[Name]>, options?: CallOptions) => void
    : (event: EventInput<Points[Name]>, options?: CallOptions) => Promise<VerdictOf<Points[Name]>>
}

export interface EngineOptions<Points extends Hookpoints>
  extends Omit<z.input<typeof engineOptionsSchema>, 'contract' | 'plugins' | 'onFailure'> {
  contract: Contract<Points>
  plugins?: readonly PluginOptions[]
  onFailure?: FailurePolicy | undefined
}

export interface PluginStatus {
  readonly name: string
  readonly bulkhead: string
  readonly hooks: readonly string[]
  readonly mode: 'enforce' | 'shadow'
  readonly state: 'active' | 'probing' | 'quarantined' | 'held'
}

export interface HookEngine<Points extends Hookpoints = Hookpoints> extends AsyncDisposable {
  readonly contract: Contract<Points>
  readonly hooks: EngineHooks<Points>
  /** The prom-client registry with the engine's metrics. */
  readonly registry: MetricsRegistry
  readonly plugins: readonly PluginStatus[]
  /** Starts a plugin beside the others; calls made from then on pass it. @throws HookringError */
  add(plugin: PluginOptions): Promise<void>
  /** Takes a plugin out; calls that are under way still pass it. @throws HookringError PLUGIN_UNKNOWN */
  remove(name: string): Promise<void>
  /** Loads a plugin's file anew, with the options given in place of the old ones. Stays with the old one if that fails. @throws HookringError */
  reload(name: string, changes?: Partial<PluginOptions>): Promise<void>
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
