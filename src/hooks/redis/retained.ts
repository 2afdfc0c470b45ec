/**
 * Retained messages in Redis, for the plugins `redis` and `cluster`: `retained:TOPIC` has the message, `retained:_idx` the
 * topics, for wildcards. In a lane. The two are different keys, in a Redis Cluster on different servers: each change is
 * ordered so that no message is ever there without its entry in the index.
 */
import type { MqttPublishPacket } from '../../contracts/mqtt.js'
import { hasWildcard, matchesTopic, parseFilter } from '../../contracts/mqtt-topics.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { RedisConnection } from './connection.js'
import { packPacket, unpackPacket, type Wire } from './wire.js'

export interface RetainedKeys {
  retained(topic: string): string
  readonly retainedIndex: string
}

/** What one answer holds: the contract's room for it, less its frame. */
const MAX_ANSWER_BYTES = 1024 * 1024 - 16 * 1024
/** Beside topic and payload. */
const FRAME_BYTES = 64
const READ_AT_ONCE = 256

type Commands = Pick<RedisConnection, 'commands'>

export class RetainedStore {
  readonly #commands: RedisConnection['commands']
  readonly #keys: RetainedKeys
  readonly #wire: Wire
  readonly #log: PluginLogger

  constructor({ commands }: Commands, { keys, wire, log }: { keys: RetainedKeys; wire: Wire; log: PluginLogger }) {
    this.#commands = commands
    this.#keys = keys
    this.#wire = wire
    this.#log = log
  }

  /** An empty payload removes the topic's message. */
  async store(packet: MqttPublishPacket): Promise<void> {
    const { topic, payload } = packet
    if (payload.byteLength === 0) {
      await this.#commands.del(this.#keys.retained(topic))
      await this.#removeFromIndex(topic)
      return
    }
    await this.#commands.set(this.#keys.retained(topic), this.#wire.encode(packPacket({ ...packet, retain: true })))
    await this.#commands.sadd(this.#keys.retainedIndex, topic)
  }

  /** Those that match, by topic. */
  async find(filter: string): Promise<MqttPublishPacket[]> {
    const topics = await this.#topicsOf(filter)
    const found: MqttPublishPacket[] = []
    let bytes = 0
    for (let at = 0; at < topics.length; at += READ_AT_ONCE) {
      const part = topics.slice(at, at + READ_AT_ONCE)
      for (const packet of await Promise.all(part.map((topic) => this.#read(topic)))) {
        if (packet === null) continue
        bytes += packet.topic.length * 3 + packet.payload.byteLength + FRAME_BYTES
        if (bytes > MAX_ANSWER_BYTES) {
          const counts = { matching: topics.length, sent: found.length }
          this.#log.warn('more retained messages match than one answer holds', counts)
          return found
        }
        found.push(packet)
      }
    }
    return found
  }

  async #removeFromIndex(topic: string): Promise<void> {
    await this.#commands.srem(this.#keys.retainedIndex, topic)
    // Another node may have stored one meanwhile.
    if ((await this.#commands.exists(this.#keys.retained(topic))) === 1) {
      await this.#commands.sadd(this.#keys.retainedIndex, topic)
    }
  }

  async #read(topic: string): Promise<MqttPublishPacket | null> {
    const bytes = await this.#commands.getBuffer(this.#keys.retained(topic))
    if (bytes === null) return null
    const packet = unpackPacket(this.#wire.decode(bytes))
    if (packet === null) {
      this.#log.warn('a retained message in Redis cannot be read', { key: this.#keys.retained(topic) })
    }
    return packet
  }

  async #topicsOf(filter: string): Promise<string[]> {
    const levels = parseFilter(filter)
    if (levels === null) return []
    if (!hasWildcard(levels)) return [levels.join('/')]
    const topics = await this.#commands.smembers(this.#keys.retainedIndex)
    return topics.filter((topic) => matchesTopic(levels, topic)).sort()
  }
}
