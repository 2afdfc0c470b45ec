/**
 * Who listens to what in the whole cluster: this node's copy of the routes and of the sessions that outlive their
 * connections. In a lane.
 *
 * Redis has the truth. Whoever changes it writes afterwards to one stream (`route:_log`) what has changed, and sync() reads
 * the stream from where it last was: one command when nothing has changed. Called before a message is routed, it makes
 * sure that whoever had his SUBACK before gets it.
 */
import { FilterTree } from '../../contracts/mqtt-topics.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from './keys.js'

export interface Session {
  /** The node that keeps it; empty: none. */
  readonly home: string
  /** Filter to QoS. */
  readonly subscriptions: ReadonlyMap<string, number>
}

export interface Matches {
  readonly nodes: ReadonlySet<string>
  /** Sessions that are to get the message when nobody is connected, with the highest QoS that they asked for; above 0. */
  readonly sessions: ReadonlyMap<string, number>
}

export interface RouteTable {
  /** Resolves when the table has everything that had changed when it was called. */
  sync(): Promise<void>
  /** Says to all nodes that a filter's routes, or a session, have changed. */
  announce(changed: { filters?: readonly string[]; sessions?: readonly string[] }): Promise<void>
  /** Reads everything anew. */
  reload(): Promise<void>
  match(topic: string): Matches
  session(clientId: string): Session | undefined
  sessionsOf(home: string): string[]
  filtersOf(nodeId: string): string[]
  /** Every node that has routes or sessions. */
  nodes(): Set<string>
}

/** Changes that a node may miss before it reads everything anew. */
const LOG_LENGTH = 10_000
const READ_AT_ONCE = 1_000

export function createRouteTable({ commands }: Pick<RedisConnection, 'commands'>, keys: Keys): RouteTable {
  const routes = new Map<string, ReadonlySet<string>>()
  const sessions = new Map<string, Session>()
  const sessionsByFilter = new Map<string, Set<string>>()
  const tree = new FilterTree()
  let last = ''
  let running: Promise<void> | null = null
  let following: Promise<void> | null = null

  function plant(filter: string): void {
    if (routes.has(filter) || sessionsByFilter.has(filter)) tree.add(filter)
    else tree.delete(filter)
  }

  function setRoute(filter: string, nodes: readonly string[]): void {
    if (nodes.length === 0) routes.delete(filter)
    else routes.set(filter, new Set(nodes))
    plant(filter)
  }

  function setSession(clientId: string, session: Session | null): void {
    for (const filter of sessions.get(clientId)?.subscriptions.keys() ?? []) {
      const clients = sessionsByFilter.get(filter)
      clients?.delete(clientId)
      if (clients?.size === 0) sessionsByFilter.delete(filter)
      plant(filter)
    }
    if (session === null) {
      sessions.delete(clientId)
      return
    }
    sessions.set(clientId, session)
    for (const filter of session.subscriptions.keys()) {
      const clients = sessionsByFilter.get(filter) ?? new Set()
      sessionsByFilter.set(filter, clients.add(clientId))
      plant(filter)
    }
  }

  async function readSession(clientId: string): Promise<void> {
    const [[home, clean], subscriptions] = await Promise.all([
      commands.hmget(keys.session(clientId), 'node', 'clean') as Promise<[string | null, string | null]>,
      commands.hgetall(keys.subs(clientId)),
    ])
    const isKept = clean === '0'
    const entries = Object.entries(subscriptions).map(([filter, qos]) => [filter, Number(qos)] as const)
    setSession(clientId, isKept ? { home: home ?? '', subscriptions: new Map(entries) } : null)
  }

  async function read(filters: readonly string[], clients: readonly string[]): Promise<void> {
    for (let at = 0; at < filters.length; at += READ_AT_ONCE) {
      const part = filters.slice(at, at + READ_AT_ONCE)
      await Promise.all(part.map(async (filter) => setRoute(filter, await commands.smembers(keys.route(filter)))))
    }
    for (let at = 0; at < clients.length; at += READ_AT_ONCE) {
      await Promise.all(clients.slice(at, at + READ_AT_ONCE).map(readSession))
    }
  }

  async function reload(): Promise<void> {
    // Where to go on from, before anything is read: what changes meanwhile is read again.
    const start = (await commands.xadd(keys.routeLog, 'MAXLEN', '~', LOG_LENGTH, '*', 'start', '')) as string
    const [filters, clients] = await Promise.all([
      commands.smembers(keys.routeIndex),
      commands.smembers(keys.sessionIndex),
    ])
    const [oldFilters, oldClients] = [[...routes.keys()], [...sessions.keys()]]
    await read([...new Set([...filters, ...oldFilters])], [...new Set([...clients, ...oldClients])])
    last = start
  }

  async function pull(): Promise<void> {
    for (;;) {
      if (last === '') return reload()
      const entries = await commands.xrange(keys.routeLog, last, '+', 'COUNT', READ_AT_ONCE)
      // The entry from which it goes on is gone: the log has been cut, or Redis has lost it.
      if (entries[0]?.[0] !== last) return reload()
      const changed = { filter: new Set<string>(), session: new Set<string>() }
      for (const [, fields] of entries.slice(1)) {
        const [kind, name] = fields
        if ((kind === 'filter' || kind === 'session') && name !== undefined) changed[kind].add(name)
      }
      await read([...changed.filter], [...changed.session])
      last = entries.at(-1)?.[0] as string
      if (entries.length < READ_AT_ONCE) return
    }
  }

  function sync(): Promise<void> {
    if (running === null) {
      running = pull().finally(() => {
        running = null
      })
      return running
    }
    // One that begins after this call; all who wait share it.
    following ??= running
      .catch(() => {})
      .then(() => {
        following = null
        return sync()
      })
    return following
  }

  return {
    sync,
    async announce({ filters = [], sessions: clients = [] }) {
      const write = (kind: string, name: string) =>
        commands.xadd(keys.routeLog, 'MAXLEN', '~', LOG_LENGTH, '*', kind, name)
      await Promise.all([
        ...filters.map((filter) => write('filter', filter)),
        ...clients.map((clientId) => write('session', clientId)),
      ])
    },
    reload() {
      last = ''
      return sync()
    },
    match(topic) {
      const nodes = new Set<string>()
      const matching = new Map<string, number>()
      for (const filter of tree.match(topic)) {
        for (const node of routes.get(filter) ?? []) nodes.add(node)
        for (const clientId of sessionsByFilter.get(filter) ?? []) {
          const qos = sessions.get(clientId)?.subscriptions.get(filter) ?? 0
          if (qos > (matching.get(clientId) ?? 0)) matching.set(clientId, qos)
        }
      }
      return { nodes, sessions: matching }
    },
    session: (clientId) => sessions.get(clientId),
    sessionsOf: (home) => [...sessions].filter(([, session]) => session.home === home).map(([clientId]) => clientId),
    filtersOf: (nodeId) => [...routes].filter(([, nodes]) => nodes.has(nodeId)).map(([filter]) => filter),
    nodes() {
      const nodes = new Set<string>()
      for (const of of routes.values()) for (const node of of) nodes.add(node)
      for (const { home } of sessions.values()) if (home !== '') nodes.add(home)
      return nodes
    },
  }
}
