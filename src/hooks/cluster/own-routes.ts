/**
 * This node's entries in the route index: a filter is routed here while a client that is connected here is subscribed to
 * it. In a lane.
 */
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from './keys.js'
import type { RouteTable } from './route-table.js'

export interface OwnRoutesOptions {
  readonly keys: Keys
  readonly nodeId: string
  readonly table: Pick<RouteTable, 'announce'>
}

export class OwnRoutes {
  readonly #commands: RedisConnection['commands']
  readonly #keys: Keys
  readonly #nodeId: string
  readonly #table: Pick<RouteTable, 'announce'>
  readonly #holders = new Map<string, Set<string>>()
  readonly #filtersByClient = new Map<string, Set<string>>()
  readonly #pinned = new Set<string>()
  /** Routes that are in Redis, or on their way: one more holder writes nothing. */
  readonly #written = new Map<string, Promise<void>>()

  constructor({ commands }: Pick<RedisConnection, 'commands'>, { keys, nodeId, table }: OwnRoutesOptions) {
    this.#commands = commands
    this.#keys = keys
    this.#nodeId = nodeId
    this.#table = table
  }

  get filters(): string[] {
    return [...new Set([...this.#holders.keys(), ...this.#pinned])]
  }

  /** Resolves when the routes are there. */
  async hold(clientId: string, filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return
    const own = this.#filtersByClient.get(clientId) ?? new Set()
    this.#filtersByClient.set(clientId, own)
    for (const filter of filters) {
      own.add(filter)
      this.#holders.set(filter, (this.#holders.get(filter) ?? new Set()).add(clientId))
    }
    await this.#write(filters)
  }

  async drop(clientId: string, filters: readonly string[]): Promise<void> {
    const own = this.#filtersByClient.get(clientId)
    const unused: string[] = []
    for (const filter of filters) {
      own?.delete(filter)
      const clients = this.#holders.get(filter)
      if (clients?.delete(clientId) !== true || clients.size > 0) continue
      this.#holders.delete(filter)
      this.#written.delete(filter)
      if (!this.#pinned.has(filter)) unused.push(filter)
    }
    if (own?.size === 0) this.#filtersByClient.delete(clientId)
    await this.remove(this.#nodeId, unused)
  }

  /** Without a word to Redis. */
  forget(clientId: string): void {
    for (const filter of this.#filtersByClient.get(clientId) ?? []) {
      const clients = this.#holders.get(filter)
      clients?.delete(clientId)
      if (clients?.size === 0) this.#holders.delete(filter)
      this.#written.delete(filter)
    }
    this.#filtersByClient.delete(clientId)
  }

  dropAll(clientId: string): Promise<void> {
    return this.drop(clientId, [...(this.#filtersByClient.get(clientId) ?? [])])
  }

  /** Routes that are there from before: nobody here knows who needs them, so they stay as long as the node. */
  pin(filters: readonly string[]): void {
    for (const filter of filters) this.#pinned.add(filter)
  }

  /** Writes all of them again: Redis, or another node, has lost them. */
  async restore(): Promise<void> {
    this.#written.clear()
    await this.#write(this.filters)
  }

  /** Removes a node's routes. */
  async remove(nodeId: string, filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return
    await Promise.all(filters.map((filter) => this.#removeOne(nodeId, filter)))
    await this.#table.announce({ filters })
  }

  async #write(filters: readonly string[]): Promise<void> {
    const missing = filters.filter((filter) => !this.#written.has(filter))
    const writing = this.#add(missing)
    for (const filter of missing) {
      this.#written.set(filter, writing)
      writing.catch(() => this.#written.get(filter) === writing && this.#written.delete(filter))
    }
    await Promise.all(filters.map((filter) => this.#written.get(filter)))
  }

  async #add(filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return
    await Promise.all(
      filters.flatMap((filter) => [
        this.#commands.sadd(this.#keys.route(filter), this.#nodeId),
        this.#commands.sadd(this.#keys.routeIndex, filter),
      ]),
    )
    await this.#table.announce({ filters })
  }

  async #removeOne(node: string, filter: string): Promise<void> {
    const key = this.#keys.route(filter)
    await this.#commands.srem(key, node)
    if ((await this.#commands.exists(key)) === 1) return
    await this.#commands.srem(this.#keys.routeIndex, filter)
    // Another node may have come meanwhile.
    if ((await this.#commands.exists(key)) === 1) await this.#commands.sadd(this.#keys.routeIndex, filter)
  }
}
