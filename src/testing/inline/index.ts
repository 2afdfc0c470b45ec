/**
 * Runs a plugin's hooks in a test's own thread. There is no lane, ring or failure policy, but the plugin's own config
 * schema, its setup, and the real codec in both directions. What a hook throws reaches the test unchanged.
 */
import type { Contract, EventInput, Hookpoints, VerdictOf } from '../../contracts/contract.js'
import { DEFAULTS } from '../../contracts/options.js'
import type { Schema as AnySchema, SchemaInput } from '../../contracts/schema.js'
import type { CallOptions } from '../../index.js'
import type { Plugin } from '../../plugin/index.js'
import { definitionIn, ownNameOf, type PluginInstance, type PluginServices, setUpPlugin } from '../../plugin/setup.js'
import { InlinePlugin } from './inline-plugin.js'
import { createPluginLog, type LogEntry } from './logs.js'
import { InlinePoint } from './point.js'

/** A function for each hookpoint of the contract. If the plugin has no hook for it, the call continues, as in an engine. */
export type InlineHooks<Points extends Hookpoints> = {
  readonly [Name in keyof Points]: (
    event: EventInput<Points[Name]>,
    options?: CallOptions,
  ) => Promise<Points[Name]['kind'] extends 'observe' ? void : VerdictOf<Points[Name]>>
}

export interface InlineOptions<Points extends Hookpoints, Schema extends AnySchema> {
  /** The contract that the plugin is written for. */
  contract: Contract<Points>
  /** As the operator writes it, before it is parsed. */
  config?: SchemaInput<Schema> | undefined
  /** Stand-ins for host services, by name. The others are not granted. */
  services?: PluginServices | undefined
  /** The operator's name for the plugin; default: its own. */
  name?: string | undefined
  /** Milliseconds until a hook's deadline. Default 100, as in an engine. */
  timeoutMs?: number | undefined
}

export interface InlineRun<Points extends Hookpoints> extends AsyncDisposable {
  /** A hook runs synchronously in the call. The promise settles when the hook has, also for observations. */
  readonly hooks: InlineHooks<Points>
  /** What the plugin has logged through `log` so far. */
  readonly logs: readonly LogEntry[]
  /** Runs onShutdown, once. Rejects with what it throws. */
  shutdown(): Promise<void>
  /**
   * Does what shutdown() does, waits for hooks that are running, then runs destroy, once. Later calls reject with
   * ENGINE_CLOSED.
   */
  close(): Promise<void>
}

/**
 * Sets a plugin up and returns its hooks. `plugin` is what definePlugin returned, or a module that exports it by default.
 *
 * A call resolves with the plugin's verdict. It rejects with what the hook threw; with EVENT_INVALID or EVENT_TOO_LARGE
 * for an event that no engine would take; with CALL_ABORTED when `options.signal` ends it; and with PLUGIN_FAILED when
 * the result is not a verdict (the message is that of a lane) or a promise is pending at the deadline. A lane also cuts
 * reasons that are longer than 384 bytes.
 *
 * @throws HookringError PLUGIN_NO_EXPORT, PLUGIN_CONTRACT_MISMATCH, PLUGIN_CONFIG_INVALID, PLUGIN_SETUP_FAILED,
 * HOOKPOINT_UNKNOWN
 */
export async function runInline<Points extends Hookpoints, Schema extends AnySchema>(
  plugin: Plugin<Points, Schema> | { readonly default: Plugin<Points, Schema> },
  options: InlineOptions<Points, Schema>,
): Promise<InlineRun<Points>> {
  const { contract, config, services, timeoutMs = DEFAULTS.timeoutMs } = options
  const definition = definitionIn(exportIn(plugin), options.name ?? '(inline)')
  const name = options.name ?? ownNameOf(definition, '(inline)')
  const logs: LogEntry[] = []
  const points = Object.entries(contract.hookpoints).map(([key, point]) => new InlinePoint(key, point))
  const instance = await setUpPlugin(definition, {
    name,
    config,
    log: createPluginLog(name, logs),
    services,
    contract,
    hookpoints: points,
  })
  const inline = new InlinePlugin({ instance, timeoutMs })
  return {
    hooks: hooksOf<Points>(inline, points, instance.hooks),
    logs,
    shutdown: () => inline.shutdown(),
    close: () => inline.close(),
    [Symbol.asyncDispose]: () => inline.close(),
  }
}

function hooksOf<Points extends Hookpoints>(
  inline: InlinePlugin,
  points: readonly InlinePoint[],
  hooks: PluginInstance['hooks'],
): InlineHooks<Points> {
  const functions = points.map((point, index) => {
    const hook = hooks[index]
    const call = (event: unknown, options: CallOptions = {}) => inline.call(point, hook, event, options)
    return [
      point.name,
      point.kind === 'observe' ? (...args: Parameters<typeof call>) => call(...args).then(() => {}) : call,
    ]
  })
  return Object.freeze(Object.fromEntries(functions)) as InlineHooks<Points>
}

function exportIn(plugin: unknown): unknown {
  return typeof plugin === 'object' && plugin !== null && 'default' in plugin ? plugin.default : plugin
}
