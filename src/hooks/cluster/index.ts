/**
 * The cluster plugin of mqtt@1: brokers that share their routes, sessions, queues and retained messages through Redis.
 * Runs in one lane of its own per broker; docs/cluster.md says what it keeps under which key, and what it promises.
 *
 * It routes what other plugins have let through, so it comes last in the chain: cluster() gives it a low priority.
 */
import { MQTT_REASON, mqtt } from '../../contracts/mqtt.js'
import { definePlugin, reject } from '../../plugin/index.js'
import { connectRedis } from '../redis/connection.js'
import { openWire } from '../redis/wire.js'
import { clusterConfig } from './config.js'
import { ClusterMember } from './member.js'

export { type ClusterConfig, clusterConfig } from './config.js'

export default definePlugin(mqtt, {
  name: 'cluster',
  config: clusterConfig,
  async setup({ config, plugin, log, services }) {
    const { publish, disconnect } = services
    if (publish === undefined || disconnect === undefined) {
      throw new Error(
        "cluster needs host services of the broker: register it with services: ['publish', 'disconnect', ...]",
      )
    }
    const wire = await openWire(plugin)
    const connection = await connectRedis(config, { plugin, log, subscribes: true })
    const member = new ClusterMember({
      config,
      plugin,
      log,
      services: { ...services, publish, disconnect },
      wire,
      connection,
    })
    await member.join()
    const { sessions, queue, router } = member
    return {
      async onConnect() {
        if (!member.isMember) return reject('this node is not one of the cluster’s now', MQTT_REASON.serverUnavailable)
        // Its session is asked for when all have let it pass; without Redis that would fail, and nobody could say why.
        await connection.commands.ping()
      },
      openSession: ({ client: { clientId, clean, username } }) => member.openSession({ clientId, clean, username }),
      resumeSession: ({ clientId, after }) => member.resumeSession(clientId, after),
      onConnected: ({ client }) => sessions.connected(client),
      onDisconnect: ({ client: { clientId } }) => member.owed.write(sessions.disconnected(clientId)),
      onSessionEnded: ({ clientId }) => member.owed.write(sessions.ended(clientId)),
      async onSubscribe({ client, subscriptions }) {
        member.mustBeMember()
        await sessions.subscribe(client, [...subscriptions])
      },
      onUnsubscribe({ client: { clientId, clean }, filters }) {
        return member.owed.write(sessions.unsubscribe({ clientId, clean }, [...filters]))
      },
      async routeMessage({ client, packet: { topic, payload, qos, retain }, exchange }) {
        if (topic.startsWith('$SYS/')) return undefined
        member.mustBeMember()
        await router.route(client, { topic, payload, qos, retain }, exchange)
        return true as const
      },
      async queueMessage({ clientIds, packet: { topic, payload, qos } }) {
        if (qos > 0) await router.queueFor([...clientIds], { topic, payload, qos: qos as 1 | 2, retain: false })
        return true as const
      },
      async trackInflight({ clientId, packetId, id, state }) {
        const held = member.mustHold(clientId)
        const isDone =
          state === 'received' ? queue.noteReceived(held, packetId) : queue.release(held, packetId, id ?? '')
        if (!(await isDone)) await member.lose(held)
        return true as const
      },
      ackInflight: ({ clientId, direction, packetId, id }) => member.acknowledge({ clientId, direction, packetId, id }),
      async storeRetained({ packet: { topic, payload, qos, retain } }) {
        await member.retained.store({ topic, payload, qos, retain })
        return true as const
      },
      getRetained: ({ filter }) => member.retained.find(filter),
      inspectCluster: ({ clientId }) => member.inspect(clientId),
      destroy: () => member.end(),
    }
  },
})
