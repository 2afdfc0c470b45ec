/**
 * Sessions of the cluster: which node has which, and how one moves. In a lane.
 *
 * A session has an `owner`, the node that opened it last, and a home (`node`), the node whose broker has its subscriptions
 * and queues messages for it; while there is none, whoever publishes puts messages into its queue. Opening swaps the owner
 * in one step, so that of two nodes one comes second and asks the other to let go.
 */
import type { MqttClientInfo, MqttSubscription } from '../../contracts/mqtt.js'
import { isTopicFilter } from '../../contracts/mqtt-topics.js'
import { KeyedQueue } from '../../primitives/keyed-queue.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from './keys.js'
import type { OwnRoutes } from './own-routes.js'
import type { SessionQueue } from './queue.js'
import type { RouteTable } from './route-table.js'

type Who = Pick<MqttClientInfo, 'clientId' | 'clean'>

export interface Sessions {
  /** The session is this node's from now on. */
  open(client: MqttClientInfo): Promise<{ subscriptions: MqttSubscription[] }>
  /** This node is its home. @throws Error when another node has opened it meanwhile */
  settle(clientId: string): Promise<void>
  /** The client of a broker that opens no sessions is connected. */
  connected(client: MqttClientInfo): Promise<void>
  disconnected(client: Who): Promise<void>
  ended(clientId: string): Promise<void>
  subscribe(client: MqttClientInfo, subscriptions: readonly MqttSubscription[]): Promise<void>
  unsubscribe(client: Who, filters: readonly string[]): Promise<void>
  /** Another node has opened it. Settled when nothing more is queued for it here. */
  release(clientId: string, letGo: () => Promise<unknown>): Promise<void>
  /** Whether this node's broker queues messages for it. */
  isHere(clientId: string): boolean
  /** A lane of this broker had these before. */
  adopt(clientIds: readonly string[]): void
  /** Forgets what belongs to connections that were opened and have come to nothing. */
  tidy(): Promise<void>
  /** Writes all homes again. */
  restore(): Promise<void>
  /** What a dead node had. */
  bury(nodeId: string): Promise<void>
  /** Lets go of all. */
  leave(): Promise<void>
}

// Each takes one key; a session may change hands between two commands.
const SWAP_OWNER = "local o=redis.call('HGET',KEYS[1],'owner') redis.call('HSET',KEYS[1],'owner',ARGV[1]) return o"
const SET_HOME =
  "if redis.call('HGET',KEYS[1],'owner')==ARGV[1] then redis.call('HSET',KEYS[1],'node',ARGV[1]) return 1 end return 0"
const CLEAR_HOME =
  "if redis.call('HGET',KEYS[1],'node')==ARGV[1] then redis.call('HSET',KEYS[1],'node','') return 1 end return 0"
const REMOVE_OWNED = "if redis.call('HGET',KEYS[1],'owner')==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0"

const READ_AT_ONCE = 500
/** A connection that was opened and has no CONNACK after this long will have none. */
const OPENING_MS = 60_000

export function createSessions(
  { commands }: Pick<RedisConnection, 'commands'>,
  options: {
    keys: Keys
    nodeId: string
    table: RouteTable
    routes: OwnRoutes
    queue: SessionQueue
    /** Asks the node to let go; resolves when it has, or cannot be reached. */
    takeOver(clientId: string, from: string): Promise<void>
  },
): Sessions {
  const { keys, nodeId, table, routes, queue, takeOver } = options
  const here = new Set<string>()
  // Not for what another node asks for: two that open one session would wait for each other.
  const turns = new KeyedQueue<string>()
  /** Opened, and not connected: what ends in between is the connection before. */
  const opening = new Map<string, { readonly sinceMs: number; readonly clean: boolean }>()

  async function swapOwner(clientId: string): Promise<string> {
    return ((await commands.eval(SWAP_OWNER, 1, keys.session(clientId), nodeId)) as string | null) ?? ''
  }

  async function removeOwned(clientId: string, owner: string): Promise<boolean> {
    if ((await commands.eval(REMOVE_OWNED, 1, keys.session(clientId), owner)) !== 1) return false
    await commands.srem(keys.sessionIndex, clientId)
    // Another node may have opened it meanwhile.
    if ((await commands.exists(keys.session(clientId))) === 1) await commands.sadd(keys.sessionIndex, clientId)
    return true
  }

  async function forget(clientId: string): Promise<void> {
    await Promise.all([commands.del(keys.subs(clientId)), queue.clear(clientId)])
    await table.announce({ sessions: [clientId] })
  }

  async function note(client: MqttClientInfo, home: string | null): Promise<void> {
    const fields = { clean: client.clean ? '1' : '0', username: client.username ?? '', seenAtMs: String(Date.now()) }
    await Promise.all([
      commands.hset(keys.session(client.clientId), home === null ? fields : { ...fields, node: home }),
      commands.sadd(keys.sessionIndex, client.clientId),
    ])
  }

  async function clearHome(clientId: string, home: string): Promise<void> {
    await commands.eval(CLEAR_HOME, 1, keys.session(clientId), home)
  }

  async function subscriptionsOf(clientId: string): Promise<MqttSubscription[]> {
    const stored = Object.entries(await commands.hgetall(keys.subs(clientId)))
    return stored.map(([filter, qos]) => ({ filter, qos: qos === '2' ? 2 : qos === '1' ? 1 : 0 }))
  }

  const sessions: Sessions = {
    async open(client) {
      const { clientId, clean } = client
      opening.set(clientId, { sinceMs: performance.now(), clean })
      const owner = await swapOwner(clientId)
      if (owner !== '' && owner !== nodeId) await takeOver(clientId, owner)
      if (clean) {
        here.delete(clientId)
        await routes.dropAll(clientId)
        const wasKept = (await commands.hget(keys.session(clientId), 'clean')) === '0'
        await note(client, nodeId)
        if (wasKept) await forget(clientId)
        return { subscriptions: [] }
      }
      // A home that is gone, or did not answer, is none.
      await note(client, owner === nodeId && here.has(clientId) ? nodeId : '')
      await table.announce({ sessions: [clientId] })
      const subscriptions = await subscriptionsOf(clientId)
      here.add(clientId)
      return { subscriptions }
    },
    async settle(clientId) {
      await routes.hold(
        clientId,
        (await subscriptionsOf(clientId)).map(({ filter }) => filter),
      )
      const isOwner = await commands.eval(SET_HOME, 1, keys.session(clientId), nodeId)
      if (isOwner !== 1) throw new Error('another node has opened this session')
      here.add(clientId)
      await table.announce({ sessions: [clientId] })
    },
    async connected(client) {
      // Of one that was opened all is written, and it may be another node's by now.
      if (opening.delete(client.clientId)) return
      const owner = await swapOwner(client.clientId)
      if (owner !== '' && owner !== nodeId) await takeOver(client.clientId, owner)
      if (client.clean || !here.has(client.clientId)) await note(client, client.clean ? nodeId : null)
    },
    async disconnected({ clientId, clean }) {
      if (!clean || opening.has(clientId)) return
      await routes.dropAll(clientId)
      await removeOwned(clientId, nodeId)
    },
    async ended(clientId) {
      if (opening.has(clientId)) return
      here.delete(clientId)
      await routes.dropAll(clientId)
      if (await removeOwned(clientId, nodeId)) await forget(clientId)
    },
    async subscribe({ clientId, clean }, subscriptions) {
      const valid = subscriptions.filter(({ filter }) => isTopicFilter(filter))
      if (valid.length === 0) return
      const fields = valid.flatMap(({ filter, qos }) => [filter, String(qos)])
      if (!clean) await commands.hset(keys.subs(clientId), ...fields)
      await routes.hold(
        clientId,
        valid.map(({ filter }) => filter),
      )
      if (!clean) await table.announce({ sessions: [clientId] })
    },
    async unsubscribe({ clientId, clean }, filters) {
      if (filters.length === 0) return
      if (!clean) {
        await commands.hdel(keys.subs(clientId), ...filters)
        await table.announce({ sessions: [clientId] })
      }
      await routes.drop(clientId, filters)
    },
    async release(clientId, letGo) {
      // First: what comes for it from now on goes to its queue.
      here.delete(clientId)
      await letGo()
      await clearHome(clientId, nodeId)
      await table.announce({ sessions: [clientId] })
      await routes.dropAll(clientId)
    },
    isHere: (clientId) => here.has(clientId),
    adopt(clientIds) {
      for (const clientId of clientIds) here.add(clientId)
    },
    async tidy() {
      const beforeMs = performance.now() - OPENING_MS
      for (const [clientId, { sinceMs, clean }] of opening) {
        if (sinceMs > beforeMs) return
        opening.delete(clientId)
        if (clean) await removeOwned(clientId, nodeId)
      }
    },
    async restore() {
      const clientIds = [...here]
      for (let at = 0; at < clientIds.length; at += READ_AT_ONCE) {
        const part = clientIds.slice(at, at + READ_AT_ONCE)
        await Promise.all(part.map((clientId) => commands.eval(SET_HOME, 1, keys.session(clientId), nodeId)))
        await table.announce({ sessions: part })
      }
    },
    async bury(dead) {
      const all = await commands.smembers(keys.sessionIndex)
      for (let at = 0; at < all.length; at += READ_AT_ONCE) {
        const kept: string[] = []
        await Promise.all(
          all.slice(at, at + READ_AT_ONCE).map(async (clientId) => {
            const [owner, home, clean] = await commands.hmget(keys.session(clientId), 'owner', 'node', 'clean')
            if (owner === dead && clean === '1') await removeOwned(clientId, dead)
            else if (home === dead) {
              await clearHome(clientId, dead)
              kept.push(clientId)
            }
          }),
        )
        await table.announce({ sessions: kept })
      }
    },
    async leave() {
      const clientIds = [...here]
      here.clear()
      for (let at = 0; at < clientIds.length; at += READ_AT_ONCE) {
        const part = clientIds.slice(at, at + READ_AT_ONCE)
        await Promise.all(part.map((clientId) => clearHome(clientId, nodeId)))
        await table.announce({ sessions: part })
      }
      await routes.remove(nodeId, routes.filters)
    },
  }
  return {
    ...sessions,
    open: (client) => turns.run(client.clientId, () => sessions.open(client)),
    settle: (clientId) => turns.run(clientId, () => sessions.settle(clientId)),
    connected: (client) => turns.run(client.clientId, () => sessions.connected(client)),
    disconnected: (client) => turns.run(client.clientId, () => sessions.disconnected(client)),
    ended: (clientId) => turns.run(clientId, () => sessions.ended(clientId)),
    subscribe: (client, all) => turns.run(client.clientId, () => sessions.subscribe(client, all)),
    unsubscribe: (client, all) => turns.run(client.clientId, () => sessions.unsubscribe(client, all)),
  }
}
