/**
 * The cluster plugin of mqtt@1: brokers that share their routes, sessions, queues and retained messages through Redis.
 * Runs in one lane of its own per broker; docs/cluster.md says what it keeps under which key, and what it promises.
 *
 * It routes what other plugins have let through, so it comes last in the chain: cluster() gives it a low priority.
 */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { z } from 'zod'
import { mqtt } from '../../contracts/mqtt.js'
import { definePlugin } from '../../plugin/index.js'
import { redisAddress } from '../redis/address.js'
import { connectRedis } from '../redis/connection.js'
import { Inbox } from '../redis/inbox.js'
import { RetainedStore } from '../redis/retained.js'
import { openWire } from '../redis/wire.js'
import { createFanout } from './fanout.js'
import { keysOf } from './keys.js'
import { createNode } from './node.js'
import { createOwed } from './owed.js'
import { createOwnRoutes } from './own-routes.js'
import { createSessionQueue } from './queue.js'
import { createRouteTable } from './route-table.js'
import { createSessions } from './sessions.js'

export const clusterConfig = z
  .strictObject({
    ...redisAddress,
    /** This broker's name in the cluster; no two may have the same. */
    nodeId: z.string().min(1).max(128),
    heartbeatIntervalMs: z.int().min(50).max(3_600_000).default(3_000),
    /** A node that was not heard of for this long is dead. */
    nodeTtlMs: z.int().min(100).max(86_400_000).default(10_000),
    /** Messages in a session's queue; past it the oldest goes. */
    queueMax: z.int().min(1).max(1_000_000).default(1_000),
    /** How long the state of exchanges under way is kept after the last of them changed. */
    inflightTtlMs: z.int().min(1_000).default(60_000),
    /** How long a node waits for another one to let go of a session. */
    takeoverMs: z.int().min(1).max(60_000).default(500),
    /** Tells brokers of one process apart; set by cluster(). */
    instance: z.string().max(64).default(''),
  })
  .refine(({ heartbeatIntervalMs, nodeTtlMs }) => nodeTtlMs >= 2 * heartbeatIntervalMs, {
    path: ['nodeTtlMs'],
    message: 'must be at least twice heartbeatIntervalMs, or a late heartbeat is a death',
  })
export type ClusterConfig = z.input<typeof clusterConfig>

export default definePlugin(mqtt, {
  name: 'cluster',
  config: clusterConfig,
  async setup({ config, plugin, log, services }) {
    const { publish, disconnect, releaseSession, deliverQueued } = services
    if (publish === undefined) {
      throw new Error(
        "cluster needs the host service publish: register it with services: ['publish', 'disconnect', ...]",
      )
    }
    const { nodeId } = config
    const keys = keysOf(config.keyPrefix)
    const wire = await openWire(plugin)
    const connection = await connectRedis(config, { plugin, log, subscribes: true })
    const { commands } = connection
    const channel = keys.fanout(nodeId)
    const lane = randomUUID()
    /** Of the lanes of one broker, one listens: during a reload there are two. */
    let turn: 'not yet' | 'ours' | 'over' = 'not yet'
    /** No other lane of this broker was there before. */
    let isFirst = true

    const table = createRouteTable(connection, keys)
    const routes = createOwnRoutes(connection, { keys, nodeId, table })
    const queue = createSessionQueue(connection, { ...config, keys, wire, log })
    const retained = new RetainedStore(connection, { keys, wire, log })
    const inbox = new Inbox({ publish, log })
    const owed = createOwed({ log, isThere: () => commands.status === 'ready' })
    const sessions = createSessions(connection, {
      keys,
      nodeId,
      table,
      routes,
      queue,
      takeOver: (clientId, from) => fanout.takeOver(clientId, from),
    })
    const fanout = createFanout(connection, {
      keys,
      wire,
      nodeId,
      table,
      queue,
      inbox,
      log,
      takeoverMs: config.takeoverMs,
      isHere: sessions.isHere,
      isOurs: () => turn === 'ours',
      succeededBy(other) {
        if (other === lane) turn = 'ours'
        else if (turn === 'ours') stepBack()
      },
      release: (clientId) => sessions.release(clientId, () => letGo(clientId)),
      deliver,
    })
    const node = createNode(connection, keys, {
      ...config,
      // The same for every lane that this broker starts, also in other processes.
      broker: `${hostname()}/${config.instance === '' ? process.pid : config.instance}`,
      lane,
      plugin,
      log,
      async known() {
        await sessions.tidy()
        await table.sync()
        return new Set([...table.nodes(), ...(await commands.smembers(keys.nodeIndex))])
      },
      async bury(dead) {
        log.warn('a node is dead: its routes and clients are removed', { node: dead })
        await sessions.bury(dead)
        await routes.remove(dead, table.filtersOf(dead))
        await commands.srem(keys.nodeIndex, dead)
      },
      revive,
      succeeded: stepBack,
    })

    function stepBack(): void {
      turn = 'over'
      connection.unsubscribe(channel).catch(() => {})
    }

    async function letGo(clientId: string): Promise<void> {
      // A broker without a session store has only the connection to give up.
      if (releaseSession !== undefined) await releaseSession({ clientId }).catch(() => disconnect?.({ clientId }))
      else await disconnect?.({ clientId })
    }

    async function deliver(clientId: string): Promise<void> {
      if (!sessions.isHere(clientId) || deliverQueued === undefined) return
      let after: string | null = ''
      while (after !== null) {
        const { messages, next }: Awaited<ReturnType<typeof queue.read>> = await queue.read(clientId, after)
        if (messages.length > 0) await deliverQueued({ clientId, messages })
        after = next
      }
    }

    /** Writes again what others may have removed, or Redis may have lost. */
    async function revive(): Promise<void> {
      if (turn === 'over' && node.isOwner) {
        // The lane that came after this one did not stay.
        await connection.subscribe(channel)
        turn = 'ours'
      }
      await commands.sadd(keys.nodeIndex, nodeId)
      await routes.restore()
      await sessions.restore()
      await owed.pay()
      await table.reload()
      // Of clients that have gone while nothing could be written. A later lane does not know all that there are.
      if (!isFirst) return
      const own = new Set(routes.filters)
      await routes.remove(
        nodeId,
        table.filtersOf(nodeId).filter((filter) => !own.has(filter)),
      )
    }

    /** What the node's last broker left behind, as far as it is not this one's. */
    async function begin(): Promise<'new' | 'again'> {
      const came = await node.register()
      isFirst = came === 'new'
      await commands.sadd(keys.nodeIndex, nodeId)
      await table.reload()
      if (came === 'again') {
        sessions.adopt(table.sessionsOf(nodeId))
        routes.pin(table.filtersOf(nodeId))
        await fanout.succeed(lane)
      } else {
        await sessions.bury(nodeId)
        await routes.remove(nodeId, table.filtersOf(nodeId))
        await table.reload()
      }
      return came
    }

    connection.onMessage(fanout.receive)
    try {
      await connection.subscribe(channel)
      if ((await begin()) === 'new') turn = 'ours'
    } catch (error) {
      await node.leave().catch(() => {})
      connection.close()
      throw error
    }
    connection.onReturn(() => {
      node
        .beat()
        .then(revive)
        .catch((error: unknown) => log.warn('the node could not be announced again', { error: String(error) }))
    })
    node.start()

    return {
      async onConnect() {
        // Its session is asked for when all have let it pass; without Redis that would fail, and nobody could say why.
        await commands.ping()
      },
      openSession: ({ client }) => sessions.open(client),
      async resumeSession({ clientId, after }) {
        if (after !== '') return { ...(await queue.read(clientId, after)), released: [], received: [] }
        await sessions.settle(clientId)
        const { released, received, sent } = await queue.inflight(clientId)
        const { messages, next } = await queue.read(clientId, after)
        const known = messages.map((message) => ({ ...message, packetId: sent.get(message.id) ?? null }))
        return { messages: known, released, received, next }
      },
      onConnected: ({ client }) => sessions.connected(client),
      onDisconnect: ({ client: { clientId, clean } }) => owed.write(() => sessions.disconnected({ clientId, clean })),
      onSessionEnded: ({ clientId }) => owed.write(() => sessions.ended(clientId)),
      async onSubscribe({ client, subscriptions }) {
        await sessions.subscribe(client, [...subscriptions])
      },
      onUnsubscribe({ client: { clientId, clean }, filters }) {
        const all = [...filters]
        return owed.write(() => sessions.unsubscribe({ clientId, clean }, all))
      },
      async onPublishReceived({ packet: { topic, payload, qos, retain } }) {
        if (!topic.startsWith('$SYS/')) await fanout.route({ topic, payload, qos, retain })
      },
      queueMessage: ({ clientIds, packet: { topic, payload, qos, retain } }) =>
        Promise.all([...clientIds].map((clientId) => queue.add(clientId, { topic, payload, qos, retain }))),
      trackInflight: ({ clientId, direction, packetId, id, state }) =>
        owed.write(() => queue.track({ clientId, direction, packetId, id, state })),
      ackInflight: ({ clientId, direction, packetId, id }) =>
        owed.write(() => queue.settle({ clientId, direction, packetId, id })),
      async storeRetained({ packet: { topic, payload, qos, retain } }) {
        await retained.store({ topic, payload, qos, retain })
        return true as const
      },
      getRetained: ({ filter }) => retained.find(filter),
      async destroy() {
        await owed.pay()
        // A lane that another one of this broker has succeeded leaves everything to it.
        await node.beat().catch(() => {})
        if (node.isOwner) {
          await sessions.leave().catch((error: unknown) => log.warn('leaving failed', { error: String(error) }))
          await commands.srem(keys.nodeIndex, nodeId).catch(() => {})
        }
        await node.leave().catch(() => {})
        owed.close()
        connection.close()
      },
    }
  },
})
