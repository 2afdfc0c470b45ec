/**
 * Messages that are kept for sessions: the queue of each, a stream of bounded length and size, and what is under way of it,
 * to and from its client. In a lane.
 */
import type { MqttPublishPacket, MqttQueuedMessage } from '../../contracts/mqtt.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { RedisConnection } from '../redis/connection.js'
import { unpackPacket, type Wire } from '../redis/wire.js'
import type { Keys } from './keys.js'
import { ACKNOWLEDGE, BEGIN, COMPLETE, ENQUEUE, PULL, RECEIVED, RELEASE } from './scripts.js'

/** What names a session and shows that it is this node's. */
export interface Held {
  readonly clientId: string
  readonly lease: string
}

/** A message for a queue, packed, and what a repetition of it is known by (QoS 2; else empty). */
export interface Entry {
  readonly bytes: Buffer
  readonly token: string
}

/** A QoS 2 message from a client, before it is routed. */
export interface Beginning {
  readonly packetId: number
  readonly digest: string
  readonly token: string
}

/** `full`: as many are under way as may be; there is more when some are acknowledged. */
export interface Part {
  readonly messages: MqttQueuedMessage[]
  /** The last that was read; where to go on. */
  readonly last: string
  readonly left: 'end' | 'more' | 'full'
  readonly released: number[]
  readonly received: number[]
}

/** What one answer holds; the contract has room for twice that. */
const MAX_PART_BYTES = 512 * 1024
const READ_AT_ONCE = 64
/** Messages that a client may owe acknowledgements for; the rest wait in the queue. */
const MAX_UNDER_WAY = 256
const SAY_EVERY_MS = 5_000

export interface SessionQueueOptions {
  readonly keys: Keys
  readonly wire: Wire
  readonly log: PluginLogger
  readonly queueMax: number
  readonly queueMaxBytes: number
}

export class SessionQueue {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #wire: Wire
  readonly #log: PluginLogger
  readonly #queueMax: number
  readonly #queueMaxBytes: number
  #dropped = 0
  #saidAtMs = Number.NEGATIVE_INFINITY

  constructor(connection: RedisConnection, { keys, wire, log, queueMax, queueMaxBytes }: SessionQueueOptions) {
    this.#connection = connection
    this.#keys = keys
    this.#wire = wire
    this.#log = log
    this.#queueMax = queueMax
    this.#queueMaxBytes = queueMaxBytes
  }

  /** The node of the session's client, empty without one; null: there is no such session. */
  async add(clientId: string, entries: readonly Entry[]): Promise<string | null> {
    const keys = [this.#keys.session(clientId), this.#keys.queue(clientId), this.#keys.recent(clientId)]
    const args = [this.#queueMax, this.#queueMaxBytes, Date.now()]
    const all = entries.flatMap(({ token, bytes }) => [token, bytes])
    const answer = await ENQUEUE.run(this.#connection, keys, [...args, ...all])
    const [state, node, dropped] = answer as [number, string, number]
    if (state === 0) return null
    if (dropped > 0) this.#noteDropped(dropped)
    return node
  }

  /** Takes a part of the queue, behind `after`, to be sent. Null: the session is not this node's. */
  async pull({ clientId, lease }: Held, after: string): Promise<Part | null> {
    const args = [lease, after, MAX_UNDER_WAY, MAX_PART_BYTES, READ_AT_ONCE]
    const answer = (await PULL.runForBytes(this.#connection, this.#withInflight(clientId), args)) as unknown[]
    if (answer[0] === 0) return null
    const [, left, released, received, messages] = answer as [number, Buffer, Buffer[], Buffer[], Buffer[]]
    const read: MqttQueuedMessage[] = []
    let last = after
    for (let at = 0; at < messages.length; at += 3) {
      const [id, packetId, bytes] = messages.slice(at, at + 3) as [Buffer, Buffer, Buffer]
      last = id.toString()
      const packet = await this.#unpack(clientId, lease, { id: last, packetId: Number(packetId), bytes })
      if (packet !== null) read.push({ id: last, packetId: Number(packetId), packet })
    }
    const numbers = (ids: readonly Buffer[]) => ids.map(Number).filter((id) => id >= 1 && id <= 0xffff)
    const parts = { released: numbers(released), received: numbers(received) }
    return { messages: read, last, left: left.toString() as Part['left'], ...parts }
  }

  /** False, here and below: the session is not this node's. */
  async release({ clientId, lease }: Held, packetId: number, id: string): Promise<boolean> {
    return (await RELEASE.run(this.#connection, this.#withInflight(clientId), [lease, packetId, id])) === 1
  }

  async acknowledge({ clientId, lease }: Held, packetId: number, id: string | null): Promise<boolean> {
    const args = [lease, packetId, id ?? '']
    return (await ACKNOWLEDGE.run(this.#connection, this.#withInflight(clientId), args)) === 1
  }

  /** For each the token to route it under, empty for one that has been routed. Null: the session is not this node's. */
  async begin({ clientId, lease }: Held, all: readonly Beginning[]): Promise<string[] | null> {
    const args = all.flatMap(({ packetId, digest, token }) => [packetId, digest, token])
    const answer = await BEGIN.run(this.#connection, this.#ofExchanges(clientId), [lease, ...args])
    const [state, tokens] = answer as [number, string[]]
    return state === 1 ? tokens : null
  }

  async noteReceived({ clientId, lease }: Held, packetId: number): Promise<boolean> {
    return (await RECEIVED.run(this.#connection, this.#ofExchanges(clientId), [lease, packetId])) === 1
  }

  async complete({ clientId, lease }: Held, packetId: number): Promise<boolean> {
    return (await COMPLETE.run(this.#connection, this.#ofExchanges(clientId), [lease, packetId])) === 1
  }

  #withInflight(clientId: string): string[] {
    return [this.#keys.session(clientId), this.#keys.queue(clientId), this.#keys.inflight(clientId)]
  }

  #ofExchanges(clientId: string): string[] {
    return [this.#keys.session(clientId), this.#keys.inflight(clientId)]
  }

  async #unpack(
    clientId: string,
    lease: string,
    { id, packetId, bytes }: { id: string; packetId: number; bytes: Buffer },
  ): Promise<MqttPublishPacket | null> {
    const packet = unpackPacket(this.#wire.decode(bytes))
    if (packet !== null) return packet
    this.#log.warn('a queued message in Redis cannot be read, and is removed', { key: this.#keys.queue(clientId), id })
    await this.acknowledge({ clientId, lease }, packetId, id)
    return null
  }

  #noteDropped(count: number): void {
    this.#dropped += count
    if (performance.now() - this.#saidAtMs < SAY_EVERY_MS) return
    this.#saidAtMs = performance.now()
    this.#log.warn('queues of sessions are full: their oldest messages were dropped', {
      dropped: this.#dropped,
      queueMax: this.#queueMax,
      queueMaxBytes: this.#queueMaxBytes,
    })
  }
}
