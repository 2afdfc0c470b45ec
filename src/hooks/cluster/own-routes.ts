/**
 * This node's entries in the route index: a filter is routed here while a client of this broker, or a session that it
 * keeps, is subscribed to it. In a lane.
 */
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from './keys.js'
import type { RouteTable } from './route-table.js'

export interface OwnRoutes {
  /** Resolves when the routes are there. */
  hold(clientId: string, filters: readonly string[]): Promise<void>
  drop(clientId: string, filters: readonly string[]): Promise<void>
  dropAll(clientId: string): Promise<void>
  /** Routes that are there from before: nobody here knows who needs them, so they stay as long as the node. */
  pin(filters: readonly string[]): void
  /** Writes all of them again: Redis, or another node, has lost them. */
  restore(): Promise<void>
  /** Removes a node's routes. */
  remove(nodeId: string, filters: readonly string[]): Promise<void>
  readonly filters: readonly string[]
}

export function createOwnRoutes(
  { commands }: Pick<RedisConnection, 'commands'>,
  { keys, nodeId, table }: { keys: Keys; nodeId: string; table: Pick<RouteTable, 'announce'> },
): OwnRoutes {
  const holders = new Map<string, Set<string>>()
  const filtersByClient = new Map<string, Set<string>>()
  const pinned = new Set<string>()
  /** Routes that are in Redis, or on their way: one more holder writes nothing. */
  const written = new Map<string, Promise<void>>()

  async function add(filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return
    await Promise.all(
      filters.flatMap((filter) => [commands.sadd(keys.route(filter), nodeId), commands.sadd(keys.routeIndex, filter)]),
    )
    await table.announce({ filters })
  }

  function write(filters: readonly string[]): Promise<unknown> {
    const missing = filters.filter((filter) => !written.has(filter))
    const writing = add(missing)
    for (const filter of missing) {
      written.set(filter, writing)
      writing.catch(() => written.get(filter) === writing && written.delete(filter))
    }
    return Promise.all(filters.map((filter) => written.get(filter)))
  }

  async function removeOne(node: string, filter: string): Promise<void> {
    await commands.srem(keys.route(filter), node)
    if ((await commands.exists(keys.route(filter))) === 1) return
    await commands.srem(keys.routeIndex, filter)
    // Another node may have come meanwhile.
    if ((await commands.exists(keys.route(filter))) === 1) await commands.sadd(keys.routeIndex, filter)
  }

  async function remove(node: string, filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return
    await Promise.all(filters.map((filter) => removeOne(node, filter)))
    await table.announce({ filters })
  }

  function drop(clientId: string, filters: readonly string[]): Promise<void> {
    const own = filtersByClient.get(clientId)
    const unused: string[] = []
    for (const filter of filters) {
      own?.delete(filter)
      const clients = holders.get(filter)
      if (clients?.delete(clientId) !== true || clients.size > 0) continue
      holders.delete(filter)
      written.delete(filter)
      if (!pinned.has(filter)) unused.push(filter)
    }
    if (own?.size === 0) filtersByClient.delete(clientId)
    return remove(nodeId, unused)
  }

  return {
    async hold(clientId, filters) {
      const own = filtersByClient.get(clientId) ?? new Set()
      if (filters.length > 0) filtersByClient.set(clientId, own)
      for (const filter of filters) {
        own.add(filter)
        holders.set(filter, (holders.get(filter) ?? new Set()).add(clientId))
      }
      await write(filters)
    },
    drop,
    dropAll: (clientId) => drop(clientId, [...(filtersByClient.get(clientId) ?? [])]),
    pin(filters) {
      for (const filter of filters) pinned.add(filter)
    },
    async restore() {
      written.clear()
      await write([...new Set([...holders.keys(), ...pinned])])
    },
    remove,
    get filters() {
      return [...new Set([...holders.keys(), ...pinned])]
    },
  }
}
