/**
 * Retained messages in Redis, for the plugins `redis` and `cluster`: `retained:TOPIC` has the message, `retained:_idx` the
 * topics, for wildcards. In a lane. The two are different keys, in a cluster on different servers: each change is ordered
 * so that no message is ever there without its entry in the index.
 */
import type { MqttPublishPacket } from '../../contracts/mqtt.js'
import { hasWildcard, matchesTopic, parseFilter } from '../../contracts/mqtt-topics.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { RedisConnection } from './connection.js'
import { packPacket, unpackPacket, type Wire } from './wire.js'

export interface RetainedStore {
  /** An empty payload removes the topic's message. */
  store(packet: MqttPublishPacket): Promise<void>
  /** Those that match, by topic. */
  find(filter: string): Promise<MqttPublishPacket[]>
}

export interface RetainedKeys {
  retained(topic: string): string
  readonly retainedIndex: string
}

/** What one answer holds: the contract's room for it, less its frame. */
const MAX_ANSWER_BYTES = 1024 * 1024 - 16 * 1024
/** Beside topic and payload. */
const FRAME_BYTES = 64
const READ_AT_ONCE = 256

export function createRetainedStore(
  { commands }: Pick<RedisConnection, 'commands'>,
  { keys, wire, log }: { keys: RetainedKeys; wire: Wire; log: PluginLogger },
): RetainedStore {
  async function removeFromIndex(topic: string): Promise<void> {
    await commands.srem(keys.retainedIndex, topic)
    // Another node may have stored one meanwhile.
    if ((await commands.exists(keys.retained(topic))) === 1) await commands.sadd(keys.retainedIndex, topic)
  }

  async function read(topic: string): Promise<MqttPublishPacket | null> {
    const bytes = await commands.getBuffer(keys.retained(topic))
    if (bytes === null) return null
    const packet = unpackPacket(wire.decode(bytes))
    if (packet === null) log.warn('a retained message in Redis cannot be read', { key: keys.retained(topic) })
    return packet
  }

  async function topicsOf(filter: string): Promise<string[]> {
    const levels = parseFilter(filter)
    if (levels === null) return []
    if (!hasWildcard(levels)) return [levels.join('/')]
    return (await commands.smembers(keys.retainedIndex)).filter((topic) => matchesTopic(levels, topic)).sort()
  }

  return {
    async store(packet) {
      const { topic, payload } = packet
      if (payload.byteLength === 0) {
        await commands.del(keys.retained(topic))
        await removeFromIndex(topic)
        return
      }
      await commands.set(keys.retained(topic), wire.encode(packPacket({ ...packet, retain: true })))
      await commands.sadd(keys.retainedIndex, topic)
    },
    async find(filter) {
      const topics = await topicsOf(filter)
      const found: MqttPublishPacket[] = []
      let bytes = 0
      for (let at = 0; at < topics.length; at += READ_AT_ONCE) {
        for (const packet of await Promise.all(topics.slice(at, at + READ_AT_ONCE).map(read))) {
          if (packet === null) continue
          bytes += packet.topic.length * 3 + packet.payload.byteLength + FRAME_BYTES
          if (bytes > MAX_ANSWER_BYTES) {
            log.warn('more retained messages match than one answer holds', {
              matching: topics.length,
              sent: found.length,
            })
            return found
          }
          found.push(packet)
        }
      }
      return found
    },
  }
}
