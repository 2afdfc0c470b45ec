/** Finds an engine's plugins by name. Host's thread only. */
import { HookringError } from '../../contracts/errors.js'
import type { MatchOption } from '../../contracts/options.js'
import type { Registration } from '../model/plugin.js'
import type { Registry } from './registry.js'

export interface PluginStatus {
  /** The name that the operator gave it. */
  readonly name: string
  /** The bulkhead whose lanes run it. */
  readonly bulkhead: string
  /** The hookpoints that it has hooks for. */
  readonly hooks: readonly string[]
  /** `shadow`: it is asked and measured, never obeyed. */
  readonly mode: 'enforce' | 'shadow'
  /** The operator's option `match`. */
  readonly match: MatchOption | undefined
  /** What its failures become, by kind of hookpoint: from the operator's `onFailure` and the defaults. */
  readonly policies: Registration['policies']
  /** `quarantined` after failures, `probing` when one call tries it again, `held` by an operator. */
  readonly state: 'active' | 'probing' | 'quarantined' | 'held'
}

const STATES = { closed: 'active', 'half-open': 'probing', open: 'quarantined', held: 'held' } as const

export class PluginLookup {
  readonly #registry: Pick<Registry, 'find' | 'registrations'>

  constructor(registry: Pick<Registry, 'find' | 'registrations'>) {
    this.#registry = registry
  }

  list(): PluginStatus[] {
    return this.#registry.registrations.flatMap(({ name }) => {
      const plugin = this.#registry.find(name)
      if (plugin === undefined) return []
      const { options, policies } = plugin.registration
      const { mode, match } = options
      const state = STATES[plugin.breaker.state]
      return [{ name, bulkhead: plugin.bulkhead.name, hooks: [...plugin.hooks], mode, match, policies, state }]
    })
  }

  /** @throws HookringError PLUGIN_UNKNOWN */
  found(name: string): Registration {
    const plugin = this.#registry.find(name)
    if (plugin !== undefined) return plugin.registration
    throw this.unknown(name)
  }

  /** The error PLUGIN_UNKNOWN, which names the plugins that there are. */
  unknown(name: unknown): HookringError {
    const known = this.#registry.registrations.map((registration) => registration.name).join(', ') || 'none'
    if (typeof name !== 'string') {
      return new HookringError(
        'PLUGIN_UNKNOWN',
        `a plugin's name is a string, got a ${typeof name}; there are: ${known}`,
      )
    }
    return new HookringError('PLUGIN_UNKNOWN', `there is no plugin ${name}; there are: ${known}`, { plugin: name })
  }
}
