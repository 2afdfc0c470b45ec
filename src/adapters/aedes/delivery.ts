/**
 * Messages on their way to a subscriber: canRead and onPublishDeliver. Host's thread only.
 *
 * Aedes decides about a delivery synchronously, inside the callback of its emitter, of which only so many (100) may be
 * pending for all clients together. A delivery that waited there for a hook would make everybody wait. So each client has a
 * line of its own: Aedes is told at once that the message is taken, the hooks are asked off-thread, some deliveries at a
 * time, and what they agree to is written in the order in which it came.
 *
 * What that costs: each delivery takes a trip through the ring for each of the two hookpoints with subscribers, and
 * deliveries that wait are held in memory, which Aedes does not do. Three things bound that. A publisher whose message went
 * to a line of more than CROWDED_DELIVERIES is not read from until that line is short again; nobody else waits. Retained
 * messages for a new subscription are taken as fast as the line moves. And past `maxQueuedDeliveries` or `maxQueuedBytes`
 * a delivery is dropped, counted and told (onMessageDropped); of a kept session it stays stored, and comes with the next connection.
 *
 * Without a subscriber at either hookpoint, and with an empty line, the path is Aedes' own.
 */
import type { MqttClientInfo, MqttPublishPacket } from '../../contracts/index.js'
import { type Asker, type Decision, packetOf, replacedPacket } from './asking.js'
import type { Broker, Client, Deliver, Done, Packet, Qos } from './broker.js'
import { createLine } from './line.js'

const DELIVERIES_AT_ONCE = 32
/** A line of more makes its publishers wait. */
const CROWDED_DELIVERIES = 256

/** A message that was stored before a queue was read is routed by then. */
const RESENT_MS = 1_000

export interface Deliveries {
  /** Before the client has subscriptions. */
  open(client: Client): void
  /** Routes a message, and calls `done` when the lines that it went to have room again. */
  routed(packet: Packet, done: Done | undefined, route: (done: Done | undefined) => void): void
  /** What waits in the offline queue, as the hooks let it through. */
  stored(client: Client, packets: AsyncIterable<Packet>): AsyncIterable<Packet>
  isAsked(): boolean
}

export interface DeliveryOptions {
  readonly broker: Broker
  readonly asker: Asker
  readonly maxQueuedDeliveries: number
  readonly maxQueuedBytes: number
  infoOf(client: Client): MqttClientInfo
}

interface Entry {
  readonly packet: Packet
  /** As subscribers of the filter get it: Aedes has a function for each. */
  readonly isQos0: boolean
}

type Verdict = Decision<{ readonly packet: MqttPublishPacket }>
type Crowd = (room: () => void) => void

export function createDeliveries(options: DeliveryOptions): Deliveries {
  const { broker, asker, maxQueuedDeliveries, maxQueuedBytes, infoOf } = options
  /** Messages being routed, by their counter, and the crowded lines that each went to. */
  const underWay = new Map<number, Crowd[]>()

  /** Of a client that has just connected: what its offline queue has brought, by counter. It may come as new as well. */
  const resent = new WeakMap<Client, Set<number>>()

  const isAsked = () => asker.isSubscribed('canRead') || asker.isSubscribed('onPublishDeliver')

  const ask = (client: Client, packet: Packet, qos: Qos): Promise<Verdict> =>
    asker.askPacket(['canRead', 'onPublishDeliver'], { client: infoOf(client), packet: packetOf(packet, qos) })

  /** The packet to write, or null. */
  function judged(client: Client, packet: Packet, qos: Qos, verdict: Verdict): Packet | null {
    if (verdict.kind === 'refuse') {
      asker.counts.deliveriesRefused += 1
      asker.dropped(infoOf(client), packet, verdict)
      forget(client, packet)
      return null
    }
    if (!verdict.isReplaced) return packet
    const replaced = replacedPacket(packet, verdict.event.packet)
    // An acknowledgement is what a stored message is removed by.
    replaced.qos = Math.max(isStored(client, packet) ? 1 : 0, Math.min(qos, replaced.qos)) as Qos
    return replaced
  }

  /** Removes what a session will not get from what is stored for it, which the store finds by message id alone. */
  function forget(client: Client, packet: Packet): void {
    if (!isStored(client, packet)) return
    const messageId = packet.messageId ?? client._nextId
    if (packet.messageId === undefined) client._nextId = messageId >= 65_535 ? 1 : messageId + 1
    const { persistence } = broker
    persistence
      .outgoingUpdate(client, { ...packet, messageId })
      .then(() => persistence.outgoingClearMessageId(client, { messageId }))
      .catch((error) => asker.report(error, 'a refused delivery stays stored'))
  }

  function open(client: Client): void {
    const { deliver0, deliverQoS } = client
    const waitingForRoom: (() => void)[] = []
    let queuedBytes = 0
    let writing = 0
    let lastTaken: Pick<Packet, 'brokerId' | 'brokerCounter'> = {}

    const line = createLine<Entry, Verdict | 'resent' | null>({
      atOnce: DELIVERIES_AT_ONCE,
      async ask({ packet, isQos0 }) {
        if (client.connecting) await connected()
        if (
          packet.brokerId === broker.id &&
          isStored(client, packet) &&
          resent.get(client)?.delete(packet.brokerCounter ?? 0)
        )
          return 'resent'
        return client.closed ? null : ask(client, packet, isQos0 ? 0 : packet.qos)
      },
      settle(entry, verdict) {
        queuedBytes -= entry.packet.payload.length
        settle(entry, verdict)
        makeRoom()
      },
    })
    let whenConnected: Promise<void> | null = null
    /** What is new comes behind what has waited for the client: Aedes says connected when that is written. */
    function connected(): Promise<void> {
      whenConnected ??= new Promise((resolve) => {
        client.once('connected', resolve)
        client.conn.once('close', () => resolve())
      })
      return whenConnected
    }

    const crowdedBy = () => line.length + writing
    const whenRoom: Crowd = (room) => {
      if (crowdedBy() <= CROWDED_DELIVERIES) room()
      else waitingForRoom.push(room)
    }

    function makeRoom(): void {
      if (crowdedBy() > CROWDED_DELIVERIES / 2) return
      for (const room of waitingForRoom.splice(0)) room()
    }

    function settle({ packet, isQos0 }: Entry, verdict: Verdict | 'resent' | null): void {
      if (verdict === 'resent') return
      if (verdict === null || client.closed) {
        dropped(packet, 'the connection ended')
        return
      }
      const written = judged(client, packet, isQos0 ? 0 : packet.qos, verdict)
      if (written === null) return
      writing += 1
      deliverOnce(written.qos === 0 || isQos0 ? deliver0 : deliverQoS, written, () => {
        writing -= 1
        makeRoom()
      })
    }

    function dropped(packet: Packet, reason: string): void {
      if (isStored(client, packet)) return
      asker.counts.deliveriesDropped += 1
      asker.dropped(infoOf(client), packet, { reason })
    }

    /** Aedes takes for a copy what comes behind a higher counter: it need not be one, and copies do not get here. */
    function deliverOnce(deliver: Deliver, packet: Packet, done: () => void): void {
      const { brokerId, brokerCounter } = packet
      const { duplicates } = client
      const last = brokerId ? duplicates[brokerId] : undefined
      if (brokerId) duplicates[brokerId] = 0
      deliver(packet, done)
      if (brokerId) duplicates[brokerId] = Math.max(last ?? 0, brokerCounter ?? 0)
    }

    /** Copies of a message, one for each subscription that matches, come one right after the other. */
    function isCopy(packet: Packet): boolean {
      const { brokerId, brokerCounter } = packet
      if (!brokerId) return false
      if (brokerId === lastTaken.brokerId && (brokerCounter ?? 0) === lastTaken.brokerCounter) return true
      lastTaken = { brokerId, brokerCounter: brokerCounter ?? 0 }
      return false
    }

    const take = (packet: Packet, done: () => void, isQos0: boolean): void => {
      const isRetained = packet.brokerId === null
      // Of overlapping subscriptions one delivery is made, and the hooks are asked once.
      if (isCopy(packet) || (packet.nl && packet.clientId === client.id)) {
        setImmediate(done)
        return
      }
      const bytes = packet.payload.length
      const isFull = line.length >= maxQueuedDeliveries || (line.length > 0 && queuedBytes + bytes > maxQueuedBytes)
      if (isFull) {
        dropped(packet, 'too many deliveries wait for this subscriber')
        setImmediate(done)
        return
      }
      queuedBytes += bytes
      line.push({ packet, isQos0: isQos0 || packet.qos === 0 })
      if (isRetained) whenRoom(() => setImmediate(done))
      else setImmediate(done)
      if (crowdedBy() > CROWDED_DELIVERIES && packet.brokerId === broker.id) {
        underWay.get(packet.brokerCounter ?? 0)?.push(whenRoom)
      }
    }

    /** Past the hooks of delivery, which nobody has. */
    const pass = (deliver: Deliver, packet: Packet, done: () => void): void => {
      // Without plugins a message gets from its counter to its subscribers before another does.
      if (!asker.isSubscribed('queueMessage')) deliver(packet, done)
      else if (isCopy(packet)) setImmediate(done)
      else deliverOnce(deliver, packet, done)
    }

    client.deliver0 = (packet, done) => {
      if (line.length === 0 && !isAsked()) pass(deliver0, packet, done)
      else take(packet, done, true)
    }
    client.deliverQoS = (packet, done) => {
      if (packet.qos === 0) client.deliver0(packet, done)
      else if (line.length === 0 && !isAsked()) pass(deliverQoS, packet, done)
      else take(packet, done, false)
    }
  }

  return {
    open,
    isAsked,
    routed(packet, done, route) {
      if (!isAsked()) {
        route(done)
        return
      }
      // The counter that the broker gives it first of all, if it has none.
      const counter = packet.brokerCounter || broker.counter + 1
      const crowds: Crowd[] = []
      underWay.set(counter, crowds)
      route((error) => {
        underWay.delete(counter)
        let left = crowds.length
        if (left === 0) done?.(error)
        for (const whenRoom of crowds) {
          whenRoom(() => {
            left -= 1
            if (left === 0) done?.(error)
          })
        }
      })
    },
    async *stored(client, packets) {
      const judging: Promise<Packet | null>[] = []
      const brought = new Set<number>()
      resent.set(client, brought)
      client.once('connected', () => setTimeout(() => resent.delete(client), RESENT_MS).unref())
      const judge = async (packet: Packet) => {
        // A PUBREL waits there as well.
        if (packet.cmd !== 'publish') return packet
        if (packet.brokerId === broker.id) brought.add(packet.brokerCounter ?? 0)
        if (!isAsked()) return packet
        return judged(client, packet, packet.qos, await ask(client, packet, packet.qos))
      }
      for await (const packet of packets) {
        judging.push(judge(packet))
        if (judging.length < DELIVERIES_AT_ONCE) continue
        const next = await judging.shift()
        if (next) yield next
      }
      for (const judged of judging) {
        const next = await judged
        if (next) yield next
      }
    },
  }
}

/** Whether the broker keeps the message for the session until it is acknowledged. */
function isStored({ clean }: Client, { qos, brokerId }: Packet): boolean {
  return !clean && qos > 0 && Boolean(brokerId)
}
