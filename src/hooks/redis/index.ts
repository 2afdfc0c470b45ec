/**
 * The redis plugin of mqtt@1: retained messages in Redis, and messages between the nodes of a broker by one channel that
 * all listen to. Runs in a lane. For sessions that move and messages that go only where somebody listens, there is the
 * cluster plugin.
 */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { mqtt } from '../../contracts/mqtt.js'
import { definePlugin } from '../../plugin/index.js'
import { connectRedis, redisAddress } from './connection.js'
import { createInbox } from './inbox.js'
import { escapeName } from './names.js'
import { createRetainedStore } from './retained.js'
import { openWire, packPacket, unpackPacket } from './wire.js'

export const redisConfig = z
  .strictObject({
    ...redisAddress,
    /** This broker's name among the nodes; empty: messages do not cross. */
    nodeId: z.string().max(128).default(''),
    /** Tells brokers apart that were given one name; set by redis(). */
    instance: z.string().max(64).default(''),
  })
  .prefault({})
export type RedisConfig = z.input<typeof redisConfig>

const envelope = z.union([
  /** A message, from node `n`. */
  z.object({ n: z.string(), m: z.unknown() }),
  /** Lane `l` of broker `i` listens from here on, in place of the one before. */
  z.object({ l: z.string(), i: z.string() }),
])

export default definePlugin(mqtt, {
  name: 'redis',
  config: redisConfig,
  async setup({ config, plugin, log, services: { publish } }) {
    const { nodeId, keyPrefix, instance } = config
    if (nodeId !== '' && publish === undefined) {
      throw new Error("redis needs the host service publish: register it with services: ['publish']")
    }
    const wire = await openWire(plugin)
    const connection = await connectRedis(config, { plugin, log, subscribes: nodeId !== '' })
    const { close } = connection
    const retained = createRetainedStore(connection, {
      keys: {
        retained: (topic) => `${keyPrefix}retained:${escapeName(topic)}`,
        retainedIndex: `${keyPrefix}retained:_idx`,
      },
      wire,
      log,
    })
    const channel = `${keyPrefix}fanout`

    if (nodeId !== '' && publish !== undefined) {
      const inbox = createInbox({ publish, log })
      const lane = randomUUID()
      const broker = `${nodeId}/${instance}`
      // During a reload two lanes would listen, and each message come twice.
      let isOurs = false
      connection.onMessage((bytes) => {
        const said = envelope.safeParse(wire.decode(bytes)).data
        if (said !== undefined && 'l' in said) {
          if (said.i === broker) isOurs = said.l === lane
          return
        }
        const packet = said === undefined ? null : unpackPacket(said.m)
        if (packet === null) log.warn('another node sent what is no message', { channel })
        else if (isOurs && said?.n !== nodeId) inbox.add(packet)
      })
      await connection.subscribe(channel)
      await connection.publish(channel, wire.encode({ l: lane, i: broker }))
    }

    return {
      ...(nodeId !== '' && {
        async onPublishReceived({ packet: { topic, payload, qos, retain } }) {
          if (topic.startsWith('$SYS/')) return
          await connection.publish(channel, wire.encode({ n: nodeId, m: packPacket({ topic, payload, qos, retain }) }))
        },
      }),
      async storeRetained({ packet: { topic, payload, qos, retain } }) {
        await retained.store({ topic, payload, qos, retain })
        return true as const
      },
      getRetained: ({ filter }) => retained.find(filter),
      destroy: close,
    }
  },
})
