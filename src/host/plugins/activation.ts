/** Makes the plugin that the engine runs, once its lanes have said what it hooks. Host's thread only. */
import { HookringError } from '../../contracts/errors.js'
import type { EventShape } from '../fields/event-field.js'
import { compileMatch } from '../fields/match.js'
import type { Bulkhead } from '../model/bulkhead.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import type { ActivePlugin, Registration } from '../model/plugin.js'
import type { Emit } from '../telemetry/events.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { PluginRecorder } from '../telemetry/recorders.js'

export interface ActivationOptions {
  readonly registration: Registration
  readonly bulkhead: Bulkhead
  /** The plugin's index in its bulkhead. */
  readonly index: number
  readonly hooks: ReadonlySet<string>
  readonly hookpoints: readonly HookpointState[]
  readonly metrics: Pick<Metrics, 'recorder'>
  readonly emit: Emit
}

/** @throws HookringError OPTIONS_INVALID for a `match` that does not fit the events of its hookpoints */
export function activate(options: ActivationOptions): ActivePlugin {
  const { registration, bulkhead, index, hooks, hookpoints, metrics, emit } = options
  const { name, options: chosen, timeoutMs, breaker } = registration
  const recorders: PluginRecorder[] = []
  for (const hookpoint of hookpoints) {
    if (hooks.has(hookpoint.name))
      recorders[hookpoint.index] = metrics.recorder({ hookpoint: hookpoint.name, plugin: name })
  }
  const onError = (error: unknown) => emit('error', matchFailure(name, error))
  return {
    registration,
    name,
    timeoutMs,
    breaker,
    bulkhead,
    index,
    hooks,
    match:
      chosen.match === undefined ? null : compileMatch(chosen.match, { shapes: shapesOf(hookpoints, hooks), onError }),
    sample: chosen.sample,
    isShadow: chosen.mode === 'shadow',
    recorders,
  }
}

/** The events of the hookpoints in `hooks`. */
export function shapesOf(hookpoints: readonly HookpointState[], hooks: ReadonlySet<string>): EventShape[] {
  return hookpoints
    .filter(({ name }) => hooks.has(name))
    .map(({ name, definition }) => ({ hookpoint: name, plan: definition.plan }))
}

function matchFailure(plugin: string, cause: unknown): HookringError {
  const message = `match of plugin ${plugin} threw, the plugin is called: ${String(cause)}`
  return new HookringError('OPTIONS_INVALID', message, { plugin, cause })
}

/** By priority, then by order of registration. */
export function inChainOrder(a: ActivePlugin, b: ActivePlugin): number {
  const { registration: first } = a
  const { registration: second } = b
  return second.options.priority - first.options.priority || first.order - second.order
}

/** @throws HookringError PLUGIN_NAME_TAKEN when two plugins have one name */
export function checkNames(plugins: readonly ActivePlugin[]): void {
  const seen = new Set<string>()
  for (const { name } of plugins) {
    if (seen.has(name)) {
      throw new HookringError(
        'PLUGIN_NAME_TAKEN',
        `two plugins are called ${name}; give one another name in its options`,
        { plugin: name },
      )
    }
    seen.add(name)
  }
}
