/**
 * Who listens to what in the whole cluster: this node's copy of the routes, and of the subscriptions of sessions that
 * outlive their connections. In a lane.
 *
 * Redis has the truth. Whoever changes it writes afterwards to one stream (`route:_log`) what has changed, and sync() reads
 * the stream from where it last was: one command when nothing has changed. Called before a message is routed, it makes
 * sure that whoever had his SUBACK before gets it.
 */
import { FilterTree } from '../../contracts/mqtt-topics.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from './keys.js'

/** Filter to QoS. */
export type Subscriptions = ReadonlyMap<string, number>

export interface Matches {
  readonly nodes: ReadonlySet<string>
  /** Sessions that are to get the message also when nobody is connected, with the highest QoS that they asked for; above 0. */
  readonly sessions: ReadonlyMap<string, number>
}

/** Changes that a node may miss before it reads everything anew. */
const LOG_LENGTH = 10_000
const READ_AT_ONCE = 1_000

interface Waiting {
  resolve(): void
  reject(error: unknown): void
}

type Commands = Pick<RedisConnection, 'commands'>

export function createRouteTable(connection: Commands, keys: Keys): RouteTable {
  return new RouteTable(connection, keys)
}

export class RouteTable {
  readonly #commands: RedisConnection['commands']
  readonly #keys: Keys
  readonly #routes = new Map<string, ReadonlySet<string>>()
  readonly #sessions = new Map<string, Subscriptions>()
  readonly #sessionsByFilter = new Map<string, Set<string>>()
  readonly #tree = new FilterTree()
  #last = ''
  #waiting: Waiting[] = []
  #isPulling = false

  constructor({ commands }: Commands, keys: Keys) {
    this.#commands = commands
    this.#keys = keys
  }

  /** Resolves when the table has everything that had changed when it was called: who calls first goes on first. */
  sync(): Promise<void> {
    const synced = new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }))
    if (!this.#isPulling) void this.#serve()
    return synced
  }

  /** Says to all nodes that a filter's routes, or a session's subscriptions, have changed. */
  async announce({ filters = [], sessions = [] }: { filters?: readonly string[]; sessions?: readonly string[] }) {
    const write = (kind: string, name: string) =>
      this.#commands.xadd(this.#keys.routeLog, 'MAXLEN', '~', LOG_LENGTH, '*', kind, name)
    await Promise.all([
      ...filters.map((filter) => write('filter', filter)),
      ...sessions.map((clientId) => write('session', clientId)),
    ])
  }

  /** Reads everything anew. */
  reload(): Promise<void> {
    this.#last = ''
    return this.sync()
  }

  match(topic: string): Matches {
    const nodes = new Set<string>()
    const matching = new Map<string, number>()
    for (const filter of this.#tree.match(topic)) {
      for (const node of this.#routes.get(filter) ?? []) nodes.add(node)
      for (const clientId of this.#sessionsByFilter.get(filter) ?? []) {
        const qos = this.#sessions.get(clientId)?.get(filter) ?? 0
        if (qos > (matching.get(clientId) ?? 0)) matching.set(clientId, qos)
      }
    }
    return { nodes, sessions: matching }
  }

  filtersOf(nodeId: string): string[] {
    return [...this.#routes].filter(([, nodes]) => nodes.has(nodeId)).map(([filter]) => filter)
  }

  /** Every node that has routes. */
  nodes(): Set<string> {
    return new Set([...this.#routes.values()].flatMap((nodes) => [...nodes]))
  }

  /** Calls that come while one pull runs share the next one, behind those that wait already. */
  async #serve(): Promise<void> {
    this.#isPulling = true
    while (this.#waiting.length > 0) {
      const served = this.#waiting
      this.#waiting = []
      try {
        await this.#pull()
        for (const { resolve } of served) resolve()
      } catch (error) {
        for (const { reject } of served) reject(error)
      }
    }
    this.#isPulling = false
  }

  async #pull(): Promise<void> {
    for (;;) {
      if (this.#last === '') return this.#readAll()
      const entries = await this.#commands.xrange(this.#keys.routeLog, this.#last, '+', 'COUNT', READ_AT_ONCE)
      // The entry from which it goes on is gone: the log has been cut, or Redis has lost it.
      if (entries[0]?.[0] !== this.#last) return this.#readAll()
      const changed = { filter: new Set<string>(), session: new Set<string>() }
      for (const [, [kind, name]] of entries.slice(1)) {
        if ((kind === 'filter' || kind === 'session') && name !== undefined) changed[kind].add(name)
      }
      await this.#read([...changed.filter], [...changed.session])
      this.#last = entries.at(-1)?.[0] as string
      if (entries.length < READ_AT_ONCE) return
    }
  }

  async #readAll(): Promise<void> {
    // Where to go on from, before anything is read: what changes meanwhile is read again.
    const start = await this.#commands.xadd(this.#keys.routeLog, 'MAXLEN', '~', LOG_LENGTH, '*', 'start', '')
    const [filters, clients] = await Promise.all([
      this.#commands.smembers(this.#keys.routeIndex),
      this.#commands.smembers(this.#keys.sessionIndex),
    ])
    await this.#read(
      [...new Set([...filters, ...this.#routes.keys()])],
      [...new Set([...clients, ...this.#sessions.keys()])],
    )
    this.#last = start as string
  }

  async #read(filters: readonly string[], clients: readonly string[]): Promise<void> {
    for (let at = 0; at < filters.length; at += READ_AT_ONCE) {
      const part = filters.slice(at, at + READ_AT_ONCE)
      await Promise.all(part.map((filter) => this.#readRoute(filter)))
    }
    for (let at = 0; at < clients.length; at += READ_AT_ONCE) {
      const part = clients.slice(at, at + READ_AT_ONCE)
      await Promise.all(part.map((clientId) => this.#readSession(clientId)))
    }
  }

  async #readRoute(filter: string): Promise<void> {
    const nodes = await this.#commands.smembers(this.#keys.route(filter))
    if (nodes.length === 0) this.#routes.delete(filter)
    else this.#routes.set(filter, new Set(nodes))
    this.#plant(filter)
  }

  async #readSession(clientId: string): Promise<void> {
    const [clean, subscriptions] = await Promise.all([
      this.#commands.hget(this.#keys.session(clientId), 'clean'),
      this.#commands.hgetall(this.#keys.subs(clientId)),
    ])
    const entries = Object.entries(subscriptions).map(([filter, qos]) => [filter, Number(qos)] as const)
    this.#setSession(clientId, clean === '0' ? new Map(entries) : null)
  }

  #setSession(clientId: string, subscriptions: Subscriptions | null): void {
    for (const filter of this.#sessions.get(clientId)?.keys() ?? []) {
      const clients = this.#sessionsByFilter.get(filter)
      clients?.delete(clientId)
      if (clients?.size === 0) this.#sessionsByFilter.delete(filter)
      this.#plant(filter)
    }
    // One without subscriptions gets nothing: it need not be known.
    if (subscriptions === null || subscriptions.size === 0) {
      this.#sessions.delete(clientId)
      return
    }
    this.#sessions.set(clientId, subscriptions)
    for (const filter of subscriptions.keys()) {
      const clients = this.#sessionsByFilter.get(filter) ?? new Set()
      this.#sessionsByFilter.set(filter, clients.add(clientId))
      this.#plant(filter)
    }
  }

  #plant(filter: string): void {
    if (this.#routes.has(filter) || this.#sessionsByFilter.has(filter)) this.#tree.add(filter)
    else this.#tree.delete(filter)
  }
}
