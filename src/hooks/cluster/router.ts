/**
 * Where messages go: into the queues of sessions that stay, before anything else, and to the nodes whose clients are
 * subscribed. In a lane.
 *
 * A publisher's messages go in the order in which they came: what comes while some are on their way goes with the next
 * batch, and what comes behind one that failed fails too, until that one has been asked for again. So nothing overtakes.
 */
import type { MqttClientInfo, MqttPublishPacket } from '../../contracts/mqtt.js'
import type { PluginLogger } from '../../plugin/index.js'
import { packPacket, type Wire } from '../redis/wire.js'
import type { NodeChannel } from './channel.js'
import type { Beginning, Entry, SessionQueue } from './queue.js'
import type { RouteTable } from './route-table.js'
import type { Sessions } from './sessions.js'

/** A message of QoS 1 or 2 on its way in, as the broker tells it from others of its client. */
export interface Exchange {
  readonly packetId: number
  /** Of QoS 2: stands for what the client has sent. */
  readonly digest: string
  /** Higher for each message that the broker has had, of any client; the same when it asks again. */
  readonly ordinal: number
}

interface Item {
  readonly packet: MqttPublishPacket
  readonly exchange: Exchange | null
  resolve(): void
  reject(error: unknown): void
}

const MAX_BATCH = 64
const MAX_BATCH_BYTES = 1024 * 1024
const MAX_ENDED = 10_000
/** How long what was of a connection is told from what is of the next. */
const FORGET_MS = 60_000

export interface MessageRouterOptions {
  readonly nodeId: string
  /** Names this lane among all that there ever were. */
  readonly broker: string
  readonly table: RouteTable
  readonly sessions: Sessions
  readonly queue: SessionQueue
  readonly channel: NodeChannel
  readonly wire: Wire
  readonly log: PluginLogger
  /** There is something new in the queue of a session that is here. */
  look(clientId: string): void
}

export class MessageRouter {
  readonly #options: MessageRouterOptions
  readonly #publishers = new Map<string, Publisher>()
  /** Whose sessions have gone to other nodes. */
  readonly #ended = new Set<string>()

  constructor(options: MessageRouterOptions) {
    this.#options = options
  }

  /** Resolves when the message is in every queue that it belongs in, and on its way to everybody else. */
  route(client: MqttClientInfo | null, packet: MqttPublishPacket, exchange: Exchange | null): Promise<void> {
    const clientId = client?.clientId ?? ''
    if (exchange !== null && this.#ended.has(clientId)) {
      return Promise.reject(new Error('the publisher’s session is another node’s by now'))
    }
    // A will, and what is of QoS 0, does not wait for what is to be acknowledged, nor go with it.
    const line = exchange === null ? `0 ${clientId}` : `1 ${clientId}`
    let publisher = this.#publishers.get(line)
    if (publisher === undefined) {
      publisher = new Publisher((batch) => this.#routeAll(clientId, batch))
      this.#publishers.set(line, publisher)
    }
    const own = publisher
    return own.add(packet, exchange).finally(() => this.#forgetLater(line, own))
  }

  /** Puts a message into the queues of these sessions, whatever they are subscribed to. */
  async queueFor(clientIds: readonly string[], packet: MqttPublishPacket & { readonly qos: 1 | 2 }): Promise<void> {
    const entry = { token: '', bytes: this.#pack(packet, packet.qos) }
    this.#tellNodes(await Promise.all(clientIds.map((clientId) => this.#enqueue(clientId, [entry]))))
  }

  /** The client connects anew: what its last connection brought and is not routed it will send again, in its order. */
  open(clientId: string): void {
    this.#ended.delete(clientId)
    this.#publishers.get(`1 ${clientId}`)?.begin()
  }

  /** The client's session is another node's: what its connection here has brought comes there. */
  end(clientId: string): void {
    this.#ended.add(clientId)
    const [oldest] = this.#ended
    if (this.#ended.size > MAX_ENDED && oldest !== undefined) this.#ended.delete(oldest)
  }

  #forgetLater(line: string, publisher: Publisher): void {
    publisher.forgetAfter(FORGET_MS, () => {
      if (this.#publishers.get(line) === publisher) this.#publishers.delete(line)
    })
  }

  async #routeAll(clientId: string, batch: readonly Item[]): Promise<void> {
    const { table } = this.#options
    const [tokens] = await Promise.all([this.#begin(clientId, batch), table.sync()])
    // From here to the commands nothing waits: messages go out in the order in which they came.
    const queued = new Map<string, Entry[]>()
    const sending: Promise<unknown>[] = []
    for (const [index, { packet }] of batch.entries()) {
      const token = tokens[index]
      // It has been routed before: the client has missed the answer alone.
      if (token === undefined) continue
      const { nodes, sessions } = table.match(packet.topic)
      for (const [session, qos] of packet.qos === 0 ? [] : sessions) {
        const entry = { token, bytes: this.#pack(packet, Math.min(packet.qos, qos) as 1 | 2) }
        queued.set(session, [...(queued.get(session) ?? []), entry])
      }
      for (const node of nodes) {
        if (node !== this.#options.nodeId) sending.push(this.#options.channel.send(node, packet, token))
      }
    }
    const adding = Promise.all([...queued].map(([session, entries]) => this.#enqueue(session, entries)))
    await Promise.all([adding.then((added) => this.#tellNodes(added)), ...sending])
  }

  /** The tokens of the messages, empty where there is no need of one; undefined: it has been routed. */
  async #begin(clientId: string, batch: readonly Item[]): Promise<(string | undefined)[]> {
    const { sessions, queue, broker } = this.#options
    const held = sessions.held(clientId)
    // It went while this waited: what the client has no answer to it sends again, to wherever it is.
    const isAnswered = batch.some(({ exchange }) => exchange !== null)
    if (isAnswered && held === undefined && this.#ended.has(clientId)) throw new Error('the publisher has gone')
    const isTwice = ({ packet, exchange }: Item) => held !== undefined && packet.qos === 2 && exchange !== null
    const begun: Beginning[] = batch.filter(isTwice).map(({ exchange }) => {
      const { packetId, digest, ordinal } = exchange as Exchange
      return { packetId, digest, token: `${broker}:${ordinal}` }
    })
    if (begun.length === 0 || held === undefined) return batch.map(() => '')
    const tokens = await queue.begin(held, begun)
    if (tokens === null) {
      await sessions.lost(held)
      throw new Error('the publisher’s session is another node’s by now')
    }
    let next = 0
    return batch.map((item) => {
      if (!isTwice(item)) return ''
      const token = tokens[next]
      next += 1
      return token === '' ? undefined : token
    })
  }

  #pack({ topic, payload }: MqttPublishPacket, qos: 1 | 2): Buffer {
    return this.#options.wire.encode(packPacket({ topic, payload, qos, retain: false }))
  }

  async #enqueue(clientId: string, entries: readonly Entry[]): Promise<{ clientId: string; node: string }> {
    const node = await this.#options.queue.add(clientId, entries)
    // It has expired, or begun anew, since the table was read.
    if (node === null) await this.#options.sessions.removeFromIndex(clientId)
    return { clientId, node: node ?? '' }
  }

  #tellNodes(added: readonly { clientId: string; node: string }[]): void {
    const { nodeId, channel, look } = this.#options
    const byNode = new Map<string, string[]>()
    for (const { clientId, node } of added) {
      if (node === nodeId) look(clientId)
      else if (node !== '') byNode.set(node, [...(byNode.get(node) ?? []), clientId])
    }
    for (const [node, clientIds] of byNode) channel.tellQueued(node, clientIds)
  }
}

/** What one client has published and is not routed yet. */
class Publisher {
  readonly #routeAll: (batch: readonly Item[]) => Promise<void>
  readonly #pending: Item[] = []
  /** Messages that have failed, by ordinal: whether they have been asked for again. */
  readonly #failed = new Map<number, 'failed' | 'asked again'>()
  /** Messages that are on their way, by ordinal: one that is asked for again meanwhile is not routed twice. */
  readonly #underWay = new Map<number, Promise<void>>()
  #isRouting = false
  /** Messages up to it are of connections that are over. */
  #floor = Number.NEGATIVE_INFINITY
  #highest = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(routeAll: (batch: readonly Item[]) => Promise<void>) {
    this.#routeAll = routeAll
  }

  get isIdle(): boolean {
    return !this.#isRouting && this.#pending.length === 0 && this.#failed.size === 0
  }

  /** A new connection. */
  begin(): void {
    this.#floor = this.#highest
    this.#failed.clear()
  }

  forgetAfter(ms: number, forget: () => void): void {
    if (!this.isIdle) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.isIdle && forget(), ms).unref()
  }

  add(packet: MqttPublishPacket, exchange: Exchange | null): Promise<void> {
    if (exchange === null) return this.#push(packet, null)
    const { ordinal } = exchange
    const underWay = this.#underWay.get(ordinal)
    if (underWay !== undefined) return underWay
    if (ordinal <= this.#floor) return Promise.reject(new Error('the connection that brought it is over'))
    this.#highest = Math.max(this.#highest, ordinal)
    if (!this.#mayGo(ordinal)) {
      this.#failed.set(ordinal, 'failed')
      return Promise.reject(new Error('a message that its client sent before it is not routed yet'))
    }
    const routed = this.#push(packet, exchange)
    this.#underWay.set(ordinal, routed)
    const over = () => void this.#underWay.delete(ordinal)
    routed.then(over, over)
    return routed
  }

  #push(packet: MqttPublishPacket, exchange: Exchange | null): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ packet, exchange, resolve, reject })
      if (!this.#isRouting) void this.#work()
    })
  }

  /** Whether all that was before it, and failed, has been asked for again. */
  #mayGo(ordinal: number): boolean {
    for (const [earlier, state] of this.#failed) {
      if (earlier < ordinal && state === 'failed') return false
    }
    if (this.#failed.has(ordinal)) this.#failed.set(ordinal, 'asked again')
    return true
  }

  async #work(): Promise<void> {
    this.#isRouting = true
    while (this.#pending.length > 0) {
      const batch = this.#takeBatch()
      try {
        await this.#routeAll(batch)
        this.#succeed(batch)
      } catch (error) {
        this.#fail([...batch, ...this.#pending.splice(0)], error)
      }
    }
    this.#isRouting = false
  }

  #takeBatch(): Item[] {
    let bytes = 0
    let count = 0
    for (const { packet } of this.#pending) {
      bytes += packet.payload.byteLength
      if (count === MAX_BATCH || (count > 0 && bytes > MAX_BATCH_BYTES)) break
      count += 1
    }
    return this.#pending.splice(0, count)
  }

  #succeed(batch: readonly Item[]): void {
    for (const { exchange, resolve } of batch) {
      if (exchange !== null) this.#failed.delete(exchange.ordinal)
      resolve()
    }
  }

  #fail(all: readonly Item[], error: unknown): void {
    for (const { exchange, reject } of all) {
      if (exchange !== null) this.#failed.set(exchange.ordinal, 'failed')
      reject(error)
    }
  }
}
