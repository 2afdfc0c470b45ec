/**
 * Runs a plugin's hooks in a test's own thread: no lane, no ring, no failure policy, but the plugin's own config schema,
 * its setup, and the real codec on both ways. What a hook throws reaches the test as it is.
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

/** A function per hookpoint of the contract. One that the plugin has no hook for continues, as in an engine. */
export type InlineHooks<Points extends Hookpoints> = {
  readonly [Name in keyof Points]: (
    event: EventInput<Points[Name]>,
    options?: CallOptions,
  ) => Promise<Points[Name]['kind'] extends 'observe' ? void : VerdictOf<Points[Name]>>
}

export interface InlineOptions<Points extends Hookpoints, Schema extends AnySchema> {
  /** The contract that the plugin is written for. */
  contract: Contract<Points>
  /** As the operator writes it, not yet parsed. */
  config?: SchemaInput<Schema> | undefined
  /** What stands in for host services, by name; the others are not granted. */
  services?: PluginServices | undefined
  /** The operator's name for the plugin; default: its own. */
  name?: string | undefined
  /** Milliseconds until a hook's deadline. Default 100, as in an engine. */
  timeoutMs?: number | undefined
}

export interface InlineRun<Points extends Hookpoints> extends AsyncDisposable {
  /** The hook runs at once, in the caller's stack; the promise settles when it has, an observe hook's too. */
  readonly hooks: InlineHooks<Points>
  /** What the plugin has logged through `log` so far. */
  readonly logs: readonly LogEntry[]
  /** Runs onShutdown, once. Rejects with what it throws. */
  shutdown(): Promise<void>
  /** shutdown(), waits for hooks under way, then destroy, once. Hooks called from then on reject with ENGINE_CLOSED. */
  close(): Promise<void>
}

/**
 * Sets a plugin up and gives its hooks. `plugin` is what definePlugin returned, or the module that exports it by default.
 *
 * A call resolves to the plugin's verdict. It rejects with what the hook threw; with EVENT_INVALID or EVENT_TOO_LARGE for
 * an event that no engine would take; with CALL_ABORTED when `options.signal` ends it; and with PLUGIN_FAILED when the
 * result is no verdict (the message says what a lane would say) or a promise is pending at the deadline. A lane also cuts
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
