/**
 * Messages on their way to subscribers: canRead and onPublishDeliver. Host's thread only.
 *
 * Aedes decides about a delivery synchronously, inside the callback of its emitter, of which only so many (100) may be
 * pending for all clients together. A delivery that waited there for a hook would make everybody wait. So each client has a
 * queue of its own (delivery-queue.ts): Aedes is told at once that the message is taken, the hooks are asked off-thread, and
 * what they agree to is written in the order in which it came.
 *
 * What that costs: each delivery takes a trip through the ring for each of the two hookpoints with subscribers, and
 * deliveries that wait are held in memory, which Aedes does not do. Three things bound that. A publisher whose message went
 * to a crowded queue is not read from until that queue is short again; nobody else waits. Retained messages for a new
 * subscription are taken as fast as the queue moves. And past `maxQueuedDeliveries` or `maxQueuedBytes` a delivery is
 * dropped, counted and told (onMessageDropped); of a kept session it stays stored, and comes with the next connection.
 *
 * Without a subscriber at either hookpoint, and with an empty queue, the path is Aedes' own.
 */
import type { MqttClientInfo } from '../../contracts/index.js'
import type { Broker, Client, Done, Packet, Qos } from './broker.js'
import {
  DELIVERIES_AT_ONCE,
  type Delivered,
  DeliveryQueue,
  type DeliveryRules,
  isStored,
  type WhenRoom,
} from './delivery-queue.js'
import { packetOf, replacedPacket } from './packets.js'
import type { Questions } from './questions.js'
import type { QueuedMessages } from './queued-messages.js'
import type { PacketRuling, Undecided } from './rulings.js'

/** A message that was stored before a queue was read is routed by then. */
const RESENT_MS = 1_000

export interface DeliveriesOptions {
  readonly broker: Broker
  readonly questions: Questions
  readonly maxQueuedDeliveries: number
  readonly maxQueuedBytes: number
  readonly holdMs: number
  readonly onUndecided: 'keep' | 'drop'
  readonly queued: QueuedMessages
  infoOf(client: Client): MqttClientInfo
  /** The broker's own. */
  publish(packet: Packet, client: Client | null, done: Done | undefined): void
}

/** A message being routed. */
interface Routing {
  /** The crowded queues that it went to. */
  readonly crowds: WhenRoom[]
  /** Told once: it is stored for whoever is away, or (an error) it could not be. */
  tellStored: ((error: Error | null) => void) | null
}

export class Deliveries {
  readonly #options: DeliveriesOptions
  readonly #rules: DeliveryRules
  /** By the broker's counter. */
  readonly #routings = new Map<number, Routing>()
  readonly #queues = new WeakMap<Client, DeliveryQueue>()

  constructor(options: DeliveriesOptions) {
    this.#options = options
    this.#rules = {
      brokerId: options.broker.id,
      questions: options.questions,
      maxQueuedDeliveries: options.maxQueuedDeliveries,
      maxQueuedBytes: options.maxQueuedBytes,
      onUndecided: options.onUndecided,
      infoOf: options.infoOf,
      isAsked: () => this.isAsked(),
      isKeptFrom: (clientId, packet) => options.queued.isKeptFrom(clientId, packet),
      ask: (client, packet, qos, before) => this.#ask(client, packet, qos, before),
      judge: (client, packet, qos, ruling) => this.#judge(client, packet, qos, ruling),
      crowd: (packet, whenRoom) => this.#crowd(packet, whenRoom),
    }
  }

  /** Before the client has subscriptions. */
  open(client: Client): void {
    this.#queues.set(client, new DeliveryQueue(client, this.#rules))
  }

  isAsked(): boolean {
    const { questions } = this.#options
    return questions.isSubscribed('canRead') || questions.isSubscribed('onPublishDeliver')
  }

  /**
   * Routes a message, and calls `done` when the queues that it went to have room again. `onStored`: told when it is stored
   * for those that are away, which is before it is delivered; never before the broker has it.
   */
  route(packet: Packet, client: Client | null, onStored: Routing['tellStored'], done: Done | undefined): void {
    const { broker, publish } = this.#options
    if (onStored === null && !this.isAsked()) {
      publish(packet, client, done)
      return
    }
    // The counter that the broker gives it first of all, if it has none.
    const counter = packet.brokerCounter || broker.counter + 1
    const routing: Routing = { crowds: [], tellStored: onStored }
    this.#routings.set(counter, routing)
    publish(packet, client, (error) => {
      this.#routings.delete(counter)
      tellStored(routing, error ?? null)
      whenAllHaveRoom(routing.crowds, () => done?.(error))
    })
  }

  /** The broker is about to deliver it, having stored it. */
  emitted({ brokerId, brokerCounter }: Packet): void {
    if (brokerId !== this.#options.broker.id) return
    const routing = this.#routings.get(brokerCounter ?? 0)
    if (routing !== undefined) tellStored(routing, null)
  }

  #crowd({ brokerId, brokerCounter }: Packet, whenRoom: WhenRoom): void {
    if (brokerId === this.#options.broker.id) this.#routings.get(brokerCounter ?? 0)?.crowds.push(whenRoom)
  }

  #ask(client: Client, packet: Packet, qos: Qos, before: Undecided | null): Promise<PacketRuling> {
    const { questions, infoOf } = this.#options
    const event = { client: infoOf(client), packet: packetOf(packet, qos) }
    return questions.askPacket(['canRead', 'onPublishDeliver'], event, before)
  }

  #judge(client: Client, packet: Packet, qos: Qos, ruling: PacketRuling): Delivered {
    const { questions, infoOf, onUndecided } = this.#options
    const { counts } = questions
    if (ruling.kind === 'allowed') return { kind: 'write', packet: deliverable(client, packet, qos, ruling) }
    if (ruling.kind === 'refused') {
      counts.deliveriesRefused += 1
    } else {
      counts.deliveriesUndecided += 1
      // What can never be asked about would stay for ever.
      const canDecide = ruling.cause !== 'too-large' && ruling.cause !== 'invalid'
      if (isStored(client, packet, qos) && onUndecided === 'keep' && canDecide) return { kind: 'stays' }
      counts.deliveriesDropped += 1
    }
    questions.dropped(infoOf(client), packet, ruling)
    if (isStored(client, packet, qos)) this.#forget(client, packet)
    return { kind: 'gone' }
  }

  /** What waits in the offline queue, as the hooks let it through. */
  async *stored(client: Client, packets: AsyncIterable<Packet>): AsyncGenerator<Packet> {
    const judging: Promise<Packet | null>[] = []
    const brought = new Set<number>()
    this.#queues.get(client)?.expectRepetitions(brought)
    client.once('connected', () => setTimeout(() => brought.clear(), RESENT_MS).unref())
    const endMs = performance.now() + this.#options.holdMs
    for await (const packet of packets) {
      if (packet.cmd === 'publish' && packet.brokerId === this.#options.broker.id)
        brought.add(packet.brokerCounter ?? 0)
      judging.push(this.#judgeStored(client, packet, endMs))
      if (judging.length < DELIVERIES_AT_ONCE) continue
      const next = await judging.shift()
      if (next) yield next
    }
    for (const judged of judging) {
      const next = await judged
      if (next) yield next
    }
  }

  async #judgeStored(client: Client, packet: Packet, endMs: number): Promise<Packet | null> {
    // A PUBREL waits there as well.
    if (packet.cmd !== 'publish' || !this.isAsked()) return packet
    const { questions } = this.#options
    const isOver = () => client.closed || performance.now() >= endMs
    const ask = (before: Undecided | null) => this.#ask(client, packet, packet.qos, before)
    const ruling = await questions.persist<PacketRuling>(ask, { isOver })
    if (client.closed) return null
    const delivered = this.#judge(client, packet, packet.qos, ruling)
    if (delivered.kind === 'stays') this.#queues.get(client)?.askLater(packet, ruling as Undecided)
    return delivered.kind === 'write' ? delivered.packet : null
  }

  /** Removes what a session will not get from what is stored for it, which the store finds by message id alone. */
  #forget(client: Client, packet: Packet): void {
    const { broker, questions } = this.#options
    const messageId = packet.messageId ?? client._nextId
    if (packet.messageId === undefined) client._nextId = messageId >= 65_535 ? 1 : messageId + 1
    const { persistence } = broker
    persistence
      .outgoingUpdate(client, { ...packet, messageId })
      .then(() => persistence.outgoingClearMessageId(client, { messageId }))
      .catch((error) => questions.report(error, 'a refused delivery stays stored'))
  }
}

function deliverable(
  client: Client,
  packet: Packet,
  qos: Qos,
  ruling: Extract<PacketRuling, { kind: 'allowed' }>,
): Packet {
  if (!ruling.isReplaced) return packet
  const replaced = replacedPacket(packet, ruling.event.packet)
  // An acknowledgement is what a stored message is removed by.
  replaced.qos = Math.max(isStored(client, packet, qos) ? 1 : 0, Math.min(qos, replaced.qos)) as Qos
  return replaced
}

function tellStored(routing: Routing, error: Error | null): void {
  const tell = routing.tellStored
  routing.tellStored = null
  tell?.(error)
}

function whenAllHaveRoom(crowds: readonly WhenRoom[], done: () => void): void {
  let left = crowds.length
  if (left === 0) done()
  for (const whenRoom of crowds) {
    whenRoom(() => {
      left -= 1
      if (left === 0) done()
    })
  }
}
