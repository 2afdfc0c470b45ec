/**
 * Messages on their way into the broker: onPublish, onPublishReceived, onWillPublish. Host's thread only.
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
 * application publishes by `broker.publish` is asked about with `client: null`; `$SYS/` topics are the broker's own, and are not.
 */
import type { MqttClientInfo, MqttPublishPacket } from '../../contracts/index.js'
import { type Asker, type Decision, packetOf, replacedPacket } from './asking.js'
import type { Client, Done, Packet } from './broker.js'
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
  readonly route: (packet: Packet, client: Client | null, done: Done | undefined) => void
  infoOf(client: Client): MqttClientInfo
  /** A client's line has become empty. */
  onSettled(client: Client): void
}

interface Entry {
  readonly client: Client | null
  readonly packet: Packet
  readonly isWill: boolean
  /** Goes on with what is to be routed: null, nothing. */
  readonly goOn: (routed: Packet | null) => void
}

type Verdict = Decision<{ readonly packet: MqttPublishPacket }>

export function createPublishing(options: PublishingOptions): Publishing {
  const { asker, route, infoOf, onSettled } = options
  const lines = new WeakMap<Client, Line<Entry>>()
  const ownLine = lineOf(null)
  /** What is to be routed in place of a packet that the hooks have been asked about; null: nothing. */
  const decided = new WeakMap<Packet, Packet | null>()

  function lineOf(client: Client | null): Line<Entry> {
    return createLine<Entry, Verdict>({
      atOnce: PUBLISHES_AT_ONCE,
      ask,
      settle,
      ...(client !== null && { onEmpty: () => onSettled(client) }),
    })
  }

  async function ask({ client, packet, isWill }: Entry): Promise<Verdict> {
    if (!isWill) {
      const event = { client: client === null ? null : infoOf(client), packet: packetOf(packet) }
      return asker.askPacket(['onPublish', 'onPublishReceived'], event)
    }
    const owner = client === null ? ownerOf(packet) : infoOf(client)
    return asker.askPacket(['onWillPublish', 'onPublishReceived'], { client: owner, packet: packetOf(packet) })
  }

  function settle({ packet, isWill, goOn }: Entry, verdict: Verdict): void {
    if (verdict.kind === 'refuse') {
      if (isWill) asker.counts.willsRefused += 1
      else asker.counts.publishesRefused += 1
      asker.dropped(null, packet, verdict.reason)
      goOn(null)
      return
    }
    goOn(verdict.isReplaced ? replacedPacket(packet, verdict.event.packet) : packet)
  }

  function isAsked(isWill: boolean): boolean {
    return asker.isSubscribed(isWill ? 'onWillPublish' : 'onPublish') || asker.isSubscribed('onPublishReceived')
  }

  return {
    authorize(client, packet, isWill, done) {
      const line = client === null ? ownLine : lines.get(client)
      const isWaiting = line !== undefined && line.length > 0
      // _clearWills publishes without a client: it must not be asked about again.
      if (!isAsked(isWill) && !isWaiting) {
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
      let own = line
      if (own === undefined) {
        own = lineOf(client)
        lines.set(client as Client, own)
      }
      own.push({ client, packet, isWill, goOn })
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
      if (!isOwn || (!isAsked(false) && ownLine.length === 0)) {
        route(packet, client, done)
        return
      }
      const goOn = (goes: Packet | null): void => {
        if (goes === null) done?.(null)
        else route(goes, null, done)
      }
      ownLine.push({ client: null, packet, isWill: false, goOn })
    },
    publishUnasked: (packet, done) => route(packet, null, done),
    hasPublishes: (client) => (lines.get(client)?.length ?? 0) > 0,
  }
}
