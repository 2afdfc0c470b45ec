/**
 * Messages on their way into the broker: onPublish, onPublishReceived, onWillPublish, storeRetained. Host's thread only.
 *
 * The hooks are asked after the broker's own `authorizePublish` (and its guard of `$SYS/`), and before anything is stored
 * or routed. A publisher's messages stand in a line: some are asked about at once, all go on in the order in which they
 * came, and until they have, the broker reads no more from their connection. Other publishers do not wait for them.
 *
 * An error at `authorizePublish` would end the connection. So a refused message is let through there and routed nowhere in
 * `broker.publish`: QoS 1 and 2 are acknowledged, since MQTT 3.1.1 has no other answer, and the client does not repeat it.
 * A message whose publisher is gone when its verdict comes is routed all the same: it was received.
 *
 * A will is asked about at onWillPublish, in place of onPublish, and then at onPublishReceived like any message. What the
 * application publishes by `broker.publish` is asked about with `client: null`; `$SYS/` topics of the broker's own are not.
 *
 * storeRetained is asked here as well, not where Aedes stores: a message has its counter by then, and one that waits is
 * taken for a copy of those that have overtaken it. One that a plugin has stored is routed without its retain flag, which
 * the subscribers of 3.1.1 do not see.
 */
import type { MqttClientInfo } from '../../contracts/index.js'
import { type Asker, packetOf, type Refusal, replacedPacket } from './asking.js'
import type { Client, Done, Packet, Persistence } from './broker.js'
import { ownerOf } from './connections.js'
import { createLine, type Line } from './line.js'

/** Enough to keep a lane busy, few enough that a hook of a millisecond or two has answered the last of them in time. */
const PUBLISHES_AT_ONCE = 32

export interface Publishing {
  /** After the broker's own handler has agreed. */
  authorize(client: Client | null, packet: Packet, isWill: boolean, done: Done): void
  /** In place of broker.publish. */
  publish(packet: Packet, client: Client | null, done: Done | undefined): void
  /** As the broker itself: no hook of publishing is asked. */
  publishUnasked(packet: Packet, done: Done): void
  hasPublishes(client: Client): boolean
}

export interface PublishingOptions {
  readonly asker: Asker
  readonly persistence: Persistence
  readonly route: (packet: Packet, client: Client | null, done: Done | undefined) => void
  infoOf(client: Client): MqttClientInfo
  /** A client's line has become empty. */
  onSettled(client: Client): void
}

/** What is asked: of a message, of a will, or where it is stored alone. */
type Question = 'message' | 'will' | 'store'

interface Entry {
  readonly client: Client | null
  readonly packet: Packet
  readonly question: Question
  /** Goes on with what is to be routed: null, nothing. */
  readonly goOn: (routed: Packet | null) => void
}

type Outcome = { readonly kind: 'route'; readonly packet: Packet } | Refusal

export function createPublishing(options: PublishingOptions): Publishing {
  const { asker, persistence, route, infoOf, onSettled } = options
  const lines = new WeakMap<Client, Line<Entry>>()
  const ownLine = openLine(null)
  const serviceLine = openLine(null)
  /** What is to be routed in place of a packet that the hooks have been asked about; null: nothing. */
  const decided = new WeakMap<Packet, Packet | null>()

  function openLine(client: Client | null): Line<Entry> {
    return createLine<Entry, Outcome>({
      atOnce: PUBLISHES_AT_ONCE,
      ask,
      settle,
      // A turn for each, as messages come from connections. Routed between two steps of another's way into the broker, one
      // would make Aedes take the other for a copy.
      schedule: setImmediate,
      ...(client !== null && { onEmpty: () => onSettled(client) }),
    })
  }

  function lineOf(client: Client | null): Line<Entry> {
    if (client === null) return ownLine
    let line = lines.get(client)
    if (line === undefined) {
      line = openLine(client)
      lines.set(client, line)
    }
    return line
  }

  async function ask({ client, packet, question }: Entry): Promise<Outcome> {
    if (question === 'store') return { kind: 'route', packet: await stored(packet) }
    if (client !== null && packet.qos === 2 && packet.dup && (await isReceived(client, packet))) {
      return { kind: 'route', packet }
    }
    const owner = client !== null ? infoOf(client) : question === 'will' ? ownerOf(packet) : null
    const first = question === 'will' ? 'onWillPublish' : 'onPublish'
    const event = { client: owner, packet: packetOf(packet) }
    const decision = await asker.askPacket([first, 'onPublishReceived'], event)
    if (decision.kind === 'refuse') return decision
    const routed = decision.isReplaced ? replacedPacket(packet, decision.event.packet) : packet
    return { kind: 'route', packet: await stored(routed) }
  }

  /** The broker has it, and waits for PUBREL: what comes is a repetition, which it will not route again. */
  function isReceived(client: Client, packet: Packet): Promise<boolean> {
    return persistence.incomingGetPacket(client, packet).then(
      (found) => Boolean(found),
      () => false,
    )
  }

  /** What is left for the broker to store, and to route. */
  async function stored(packet: Packet): Promise<Packet> {
    if (!packet.retain || !asker.isSubscribed('storeRetained')) return packet
    const answer = await asker.request('storeRetained', { packet: packetOf(packet) })
    if (answer.kind === 'none') return packet
    if (answer.kind === 'refuse') {
      asker.counts.retainedRefused += 1
      asker.report(new Error(`${packet.topic}: ${answer.reason}`), 'a retained message was not stored')
    }
    return { ...packet, retain: false }
  }

  function settle({ packet, question, goOn }: Entry, outcome: Outcome): void {
    if (outcome.kind === 'route') {
      goOn(outcome.packet)
      return
    }
    if (question === 'will') asker.counts.willsRefused += 1
    else asker.counts.publishesRefused += 1
    asker.dropped(null, packet, outcome)
    goOn(null)
  }

  function mustAsk(packet: Packet, question: Question): boolean {
    if (packet.retain && asker.isSubscribed('storeRetained')) return true
    if (question === 'store') return false
    return (
      asker.isSubscribed(question === 'will' ? 'onWillPublish' : 'onPublish') || asker.isSubscribed('onPublishReceived')
    )
  }

  return {
    authorize(client, packet, isWill, done) {
      const question = isWill ? 'will' : 'message'
      const isWaiting = client === null ? ownLine.length > 0 : this.hasPublishes(client)
      if (!isWaiting && !mustAsk(packet, question)) {
        // An old broker's will is published without a client: it must not be taken for the application's.
        if (isWill) decided.set(packet, packet)
        done(null)
        return
      }
      const goOn = (routed: Packet | null): void => {
        if (client?.closed && !isWill && packet.qos === 1) {
          // Its acknowledgement can no longer be written, and without one Aedes would not route it.
          if (routed !== null) route(routed, client, undefined)
          return
        }
        if (routed !== packet || isWill) decided.set(packet, routed)
        done(null)
      }
      lineOf(client).push({ client, packet, question, goOn })
    },
    publish(packet, client, done) {
      const routed = decided.get(packet)
      if (routed !== undefined) {
        decided.delete(packet)
        if (routed === null) done?.(null)
        else route(routed, client, done)
        return
      }
      const isOwn = client === null && !packet.topic.startsWith('$SYS/')
      if (!isOwn || (ownLine.length === 0 && !mustAsk(packet, 'message'))) {
        route(packet, client, done)
        return
      }
      const goOn = (goes: Packet | null): void => {
        if (goes === null) done?.(null)
        else route(goes, null, done)
      }
      ownLine.push({ client: null, packet, question: 'message', goOn })
    },
    publishUnasked(packet, done) {
      serviceLine.push({ client: null, packet, question: 'store', goOn: (goes) => route(goes ?? packet, null, done) })
    },
    hasPublishes: (client) => (lines.get(client)?.length ?? 0) > 0,
  }
}
