/**
 * What nodes say to each other, each on the channel of the one that is meant. Nothing that must arrive is said here alone:
 * messages for sessions are in their queues before anybody is told of them. In a lane.
 */
import { z } from 'zod/v4'
import type { MqttPublishPacket } from '../../contracts/mqtt.js'
import type { PluginLogger } from '../../plugin/index.js'
import { LATE, within } from '../../primitives/within.js'
import type { RedisConnection } from '../redis/connection.js'
import { packPacket, unpackPacket, type Wire } from '../redis/wire.js'
import type { Keys } from './keys.js'

const envelope = z.discriminatedUnion('k', [
  /** A message for who is connected at the receiver; `x`: what a repetition of it is known by. */
  z.object({ k: z.literal('message'), m: z.unknown(), x: z.string().default('') }),
  /** There is something new in the queues of these sessions. */
  z.object({ k: z.literal('queued'), c: z.array(z.string()) }),
  /** Node `n` opens the session of `c`, or has opened it; `i`, where it waits for an answer. */
  z.object({ k: z.literal('release'), c: z.string(), n: z.string(), i: z.string().default('') }),
  z.object({ k: z.literal('released'), i: z.string() }),
  /** Lane `l` of the receiver's own broker has the channel from here on. */
  z.object({ k: z.literal('succeed'), l: z.string() }),
])
type Envelope = z.infer<typeof envelope>

/** Repetitions are known for so many messages. */
const MAX_KNOWN = 10_000

/** What a node does when it is told. */
export interface ChannelListener {
  /** What comes is for this lane, not for another one of the same broker. */
  isOurs(): boolean
  succeededBy(lane: string): void
  take(packet: MqttPublishPacket): void
  queued(clientId: string): void
  release(clientId: string): Promise<unknown>
}

export interface ChannelOptions {
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly wire: Wire
  readonly nodeId: string
  readonly log: PluginLogger
  /** How long another node may take to let go of a session. */
  readonly takeoverMs: number
  readonly listener: ChannelListener
}

export class NodeChannel {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #wire: Wire
  readonly #nodeId: string
  readonly #log: PluginLogger
  readonly #takeoverMs: number
  readonly #listener: ChannelListener
  readonly #awaited = new Map<string, () => void>()
  readonly #known = new Set<string>()
  #asked = 0

  constructor({ connection, keys, wire, nodeId, log, takeoverMs, listener }: ChannelOptions) {
    this.#connection = connection
    this.#keys = keys
    this.#wire = wire
    this.#nodeId = nodeId
    this.#log = log
    this.#takeoverMs = takeoverMs
    this.#listener = listener
    connection.onMessage((bytes) => this.#hear(bytes))
  }

  async open(): Promise<void> {
    await this.#connection.subscribe(this.#keys.fanout(this.#nodeId))
  }

  async leave(): Promise<void> {
    await this.#connection.unsubscribe(this.#keys.fanout(this.#nodeId))
  }

  /** A message for who is connected there. */
  async send(to: string, packet: MqttPublishPacket, token: string): Promise<void> {
    await this.#say(to, { k: 'message', m: packPacket(packet), x: token })
  }

  /** Whoever is not told finds it by himself, later. */
  tellQueued(to: string, clientIds: readonly string[]): void {
    this.#say(to, { k: 'queued', c: [...clientIds] }).catch(() => {})
  }

  /** Tells all lanes that listen as this node that it is this one's turn. */
  async succeed(lane: string): Promise<void> {
    await this.#say(this.#nodeId, { k: 'succeed', l: lane })
  }

  /** Asks a node to let go of a session; resolves when it has, when nobody listens, or after a time. */
  async takeOver(clientId: string, from: string): Promise<void> {
    this.#asked += 1
    const id = `${this.#nodeId}:${this.#asked}`
    const answered = new Promise<void>((resolve) => this.#awaited.set(id, resolve))
    try {
      if (!(await this.#say(from, { k: 'release', c: clientId, n: this.#nodeId, i: id }))) return
      if ((await within(answered, this.#takeoverMs)) !== LATE) return
      this.#log.warn('a node did not let go of a session in time: it is taken', { from })
    } finally {
      this.#awaited.delete(id)
    }
  }

  /** Tells a node that a session that it had is another one's. */
  tellTaken(clientId: string, by: string): void {
    this.#say(by, { k: 'release', c: clientId, n: this.#nodeId, i: '' }).catch(() => {})
  }

  /** Whether anybody got it. */
  async #say(to: string, said: Envelope): Promise<boolean> {
    return (await this.#connection.publish(this.#keys.fanout(to), this.#wire.encode(said))) > 0
  }

  #hear(bytes: Uint8Array): void {
    const { success, data } = envelope.safeParse(this.#wire.decode(bytes))
    if (success && data.k === 'succeed') this.#listener.succeededBy(data.l)
    else if (!this.#listener.isOurs()) return
    else if (success) this.#take(data)
    else this.#log.warn('another node sent what is no message')
  }

  #take(said: Envelope): void {
    switch (said.k) {
      case 'message':
        this.#takeMessage(said.m, said.x)
        return
      case 'queued':
        for (const clientId of said.c) this.#listener.queued(clientId)
        return
      case 'release':
        void this.#release(said.c, said.n, said.i)
        return
      case 'released':
        this.#awaited.get(said.i)?.()
    }
  }

  #takeMessage(packed: unknown, token: string): void {
    const packet = unpackPacket(packed)
    if (packet === null) {
      this.#log.warn('another node sent what is no message')
      return
    }
    if (token !== '' && !this.#isNew(token)) return
    this.#listener.take(packet)
  }

  #isNew(token: string): boolean {
    if (this.#known.has(token)) return false
    this.#known.add(token)
    const [oldest] = this.#known
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest)
    return true
  }

  async #release(clientId: string, asker: string, id: string): Promise<void> {
    try {
      await this.#listener.release(clientId)
      if (id !== '') await this.#say(asker, { k: 'released', i: id })
    } catch (error) {
      this.#log.warn('a session was not let go of in order', { error: String(error) })
    }
  }
}
