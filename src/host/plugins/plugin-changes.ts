/** Adds, removes and reloads plugins by name. Host's thread only. */
import type { PluginOptions } from '../../contracts/options.js'
import type { PluginLookup } from './plugin-lookup.js'
import type { Registrations } from './registrations.js'
import type { Registry } from './registry.js'

/** Returns the changes to a plugin's options, given the present ones; null: change nothing. Must be synchronous. */
export type PluginChange = (present: Readonly<PluginOptions>) => Partial<PluginOptions> | null

export interface PluginChangesOptions {
  readonly registry: Registry
  readonly registrations: Registrations
  readonly lookup: PluginLookup
}

export class PluginChanges {
  readonly #registry: Registry
  readonly #registrations: Registrations
  readonly #lookup: PluginLookup

  constructor({ registry, registrations, lookup }: PluginChangesOptions) {
    this.#registry = registry
    this.#registrations = registrations
    this.#lookup = lookup
  }

  /** Adds the engine's first plugins, all at once. */
  async addFirst(plugins: readonly unknown[]): Promise<void> {
    const first = await this.#registrations.createAll(plugins)
    await this.#registry.change(() => first)
  }

  /** Changes are made one after the other, so plugins that are added at the same time keep the order of the calls. */
  async add(plugin: unknown): Promise<void> {
    await this.#registry.change(async (current) => [...current, await this.#registrations.create(plugin, 'plugin')])
  }

  async remove(name: string): Promise<void> {
    const registration = this.#lookup.found(name)
    await this.#registry.change((current) => current.filter((other) => other.order !== registration.order))
  }

  /** Several, in one change. Those that are gone by then are left out. */
  async reloadAll(orders: ReadonlySet<number>): Promise<void> {
    await this.#registry.change((current) => this.#registrations.renewAll(current, ({ order }) => orders.has(order)))
  }

  async reload(name: string, changes: Partial<PluginOptions> | PluginChange): Promise<void> {
    const { order } = this.#lookup.found(name)
    await this.#registry.change(async (current) => {
      // Read it now: earlier changes have been applied.
      const present = current.find((other) => other.order === order)
      if (present === undefined) throw this.#lookup.unknown(name)
      const wanted = typeof changes === 'function' ? changes(present.options) : changes
      if (wanted === null) return current
      const renewed = await this.#registrations.renew(present, wanted)
      return current.map((other) => (other === present ? renewed : other))
    })
  }
}
