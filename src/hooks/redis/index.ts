/**
 * The redis plugin of mqtt@1: retained messages in Redis, and messages between the nodes of a broker by one channel that
 * all listen to. Runs in a lane. For sessions that move and messages that go only where somebody listens, there is the
 * cluster plugin.
 */
import { randomUUID } from 'node:crypto'
import { z } from 'zod/v4'
import { type MqttPublishPacket, mqtt } from '../../contracts/mqtt.js'
import type { RedisConfig, Takes } from '../../contracts/plugin-configs.js'
import { definePlugin, type PluginLogger } from '../../plugin/index.js'
import { redisAddress } from './address.js'
import { connectRedis, type RedisConnection } from './connection.js'
import { Inbox } from './inbox.js'
import { escapeName } from './names.js'
import { RetainedStore } from './retained.js'
import { openWire, packPacket, unpackPacket, type Wire } from './wire.js'

export type { RedisConfig }

export const redisConfig = z
  .strictObject({
    ...redisAddress,
    /** This broker's name among the nodes; empty: messages do not cross. */
    nodeId: z.string().max(128).default(''),
    /** Tells brokers apart that were given one name; set by redis(). */
    instance: z.string().max(64).default(''),
  })
  .prefault({})
true satisfies Takes<typeof redisConfig, RedisConfig>

const envelope = z.union([
  /** A message, from node `n`. */
  z.object({ n: z.string(), m: z.unknown() }),
  /** Lane `l` of broker `i` listens from here on, in place of the one before. */
  z.object({ l: z.string(), i: z.string() }),
])

/** Messages of this node to all others, and theirs to it. */
class Broadcast {
  readonly #connection: RedisConnection
  readonly #wire: Wire
  readonly #log: PluginLogger
  readonly #inbox: Inbox
  readonly #channel: string
  readonly #nodeId: string
  readonly #broker: string
  readonly #lane = randomUUID()
  /** During a reload two lanes would listen, and each message come twice. */
  #isOurs = false

  constructor(options: {
    config: z.output<typeof redisConfig>
    connection: RedisConnection
    wire: Wire
    log: PluginLogger
    publish(packet: MqttPublishPacket): Promise<unknown>
  }) {
    const { config, connection, wire, log, publish } = options
    this.#connection = connection
    this.#wire = wire
    this.#log = log
    this.#inbox = new Inbox({ publish, log })
    this.#channel = `${config.keyPrefix}fanout`
    this.#nodeId = config.nodeId
    this.#broker = `${config.nodeId}/${config.instance}`
  }

  async start(): Promise<void> {
    this.#connection.onMessage((bytes) => this.#hear(bytes))
    await this.#connection.subscribe(this.#channel)
    await this.#connection.publish(this.#channel, this.#wire.encode({ l: this.#lane, i: this.#broker }))
  }

  async send({ topic, payload, qos, retain }: MqttPublishPacket): Promise<void> {
    const message = { n: this.#nodeId, m: packPacket({ topic, payload, qos, retain }) }
    await this.#connection.publish(this.#channel, this.#wire.encode(message))
  }

  #hear(bytes: Uint8Array): void {
    const said = envelope.safeParse(this.#wire.decode(bytes)).data
    if (said !== undefined && 'l' in said) {
      if (said.i === this.#broker) this.#isOurs = said.l === this.#lane
      return
    }
    const packet = said === undefined ? null : unpackPacket(said.m)
    if (packet === null) this.#log.warn('another node sent what is no message', { channel: this.#channel })
    else if (this.#isOurs && said?.n !== this.#nodeId) this.#inbox.add(packet)
  }
}

export default definePlugin(mqtt, {
  name: 'redis',
  config: redisConfig,
  async setup({ config, plugin, log, services: { publish } }) {
    const { nodeId, keyPrefix } = config
    if (nodeId !== '' && publish === undefined) {
      throw new Error("redis needs the host service publish: register it with services: ['publish']")
    }
    const wire = await openWire(plugin)
    const connection = await connectRedis(config, { plugin, log, subscribes: nodeId !== '' })
    const keys = {
      retained: (topic: string) => `${keyPrefix}retained:${escapeName(topic)}`,
      retainedIndex: `${keyPrefix}retained:_idx`,
    }
    const retained = new RetainedStore(connection, { keys, wire, log })
    const isAlone = nodeId === '' || publish === undefined
    const broadcast = isAlone ? null : new Broadcast({ config, connection, wire, log, publish })
    await broadcast?.start()
    return {
      ...(broadcast !== null && {
        async onPublishReceived({ packet }) {
          if (!packet.topic.startsWith('$SYS/')) await broadcast.send(packet)
        },
      }),
      async storeRetained({ packet: { topic, payload, qos, retain } }) {
        await retained.store({ topic, payload, qos, retain })
        return true as const
      },
      getRetained: ({ filter }) => retained.find(filter),
      destroy: () => connection.close(),
    }
  },
})
