/**
 * Packets on their way from a client to the broker, and onSubscribe. Stands before the parser's listener, because Aedes
 * has no door that is asked about a SUBSCRIBE as a whole, or that may lower a granted QoS. Host's thread only.
 *
 * What must not overtake what the hooks are asked about is held, in order: everything until the CONNACK is on its way;
 * SUBSCRIBE and UNSUBSCRIBE until the hooks are through with what the client published before; and what follows a held
 * packet. Acknowledgements and pings pass. Each packet held counts as one that the broker works on, so that nothing more is
 * read from the connection: what is held is at most what one read brought, before the CONNACK the broker's `queueLimit`.
 */
import type { MqttClientInfo } from '../../contracts/index.js'
import type { Asker } from './asking.js'
import type { Client, ParsedPacket, Subscription } from './broker.js'
import { isSubscribable } from './topics.js'

export interface Inboxes {
  open(client: Client): void
  /** The CONNACK is on its way. */
  accepted(client: Client): void
  /** The hooks are through with what the client has published. */
  publishesSettled(client: Client): void
  /** The hooks have refused this subscription, of this packet. */
  isRefused(subscription: Subscription): boolean
}

export interface InboxOptions {
  readonly asker: Asker
  readonly queueLimit: number
  readonly maxTopicLevels: number
  infoOf(client: Client): MqttClientInfo
  /** The hooks are asked about what this client has published. */
  hasPublishes(client: Client): boolean
  onPacket(client: Client, packet: ParsedPacket): void
}

interface Inbox {
  readonly client: Client
  readonly handOn: (packet: ParsedPacket) => void
  readonly held: ParsedPacket[]
  isAccepted: boolean
  /** The first of `held` is a SUBSCRIBE, and the hooks are asked about it, or have been. */
  asking: 'no' | 'asked' | 'answered'
}

export function createInboxes(options: InboxOptions): Inboxes {
  const { asker, queueLimit, maxTopicLevels, infoOf, hasPublishes, onPacket } = options
  const inboxes = new WeakMap<Client, Inbox>()
  const refused = new WeakSet<Subscription>()

  function take(inbox: Inbox, packet: ParsedPacket): void {
    onPacket(inbox.client, packet)
    if (inbox.isAccepted && !mustWait(inbox, packet)) {
      inbox.handOn(packet)
      return
    }
    if (!inbox.isAccepted && inbox.held.length >= queueLimit) {
      inbox.client.emit('error', new Error('Client queue limit reached'))
      return
    }
    // Said at once: the end of the connection may overtake it, and must not be taken for a lost one.
    if (packet.cmd === 'disconnect' && inbox.isAccepted) inbox.client._disconnected = true
    inbox.held.push(packet)
    inbox.client._parsingBatch += 1
    if (inbox.isAccepted) work(inbox)
  }

  function mustWait({ client, held }: Inbox, packet: ParsedPacket): boolean {
    switch (packet.cmd) {
      case 'subscribe':
        return held.length > 0 || hasPublishes(client) || asker.isSubscribed('onSubscribe')
      case 'unsubscribe':
        return held.length > 0 || hasPublishes(client)
      case 'publish':
      case 'disconnect':
        return held.length > 0
      default:
        return false
    }
  }

  function work(inbox: Inbox): void {
    const { client, held } = inbox
    for (let packet = held[0]; packet !== undefined; packet = held[0]) {
      if (client.closed) {
        held.length = 0
        return
      }
      const isAboutSubscriptions = packet.cmd === 'subscribe' || packet.cmd === 'unsubscribe'
      if (isAboutSubscriptions && hasPublishes(client)) return
      if (packet.cmd === 'subscribe' && inbox.asking !== 'answered' && asker.isSubscribed('onSubscribe')) {
        if (inbox.asking === 'no') ask(inbox, packet)
        return
      }
      inbox.asking = 'no'
      held.shift()
      client._parsingBatch -= 1
      inbox.handOn(packet)
    }
  }

  function ask(inbox: Inbox, packet: ParsedPacket): void {
    inbox.asking = 'asked'
    const wanted = packet.subscriptions ?? []
    const judge = async () => {
      // One that is not valid is the broker's to refuse, with the connection.
      if (!wanted.every(({ topic }) => isSubscribable(topic, maxTopicLevels))) return
      const subscriptions = wanted.map(({ topic, qos }) => ({ filter: topic, qos: qos as 0 | 1 | 2 }))
      const decision = await asker.ask('onSubscribe', { client: infoOf(inbox.client), subscriptions })
      if (decision.kind === 'proceed' && !decision.isReplaced) return
      const granted = new Map<string, number>()
      if (decision.kind === 'proceed') {
        for (const { filter, qos } of decision.event.subscriptions) granted.set(filter, qos)
      }
      for (const subscription of wanted) {
        const qos = granted.get(subscription.topic)
        if (qos === undefined) {
          refused.add(subscription)
          asker.counts.subscriptionsRefused += 1
        } else if (qos < subscription.qos) {
          subscription.qos = qos
        }
      }
    }
    void judge()
      .catch((error) => {
        for (const subscription of wanted) refused.add(subscription)
        asker.report(error, 'onSubscribe')
      })
      .then(() => {
        inbox.asking = 'answered'
        work(inbox)
      })
  }

  return {
    open(client) {
      const parser = client._parser
      const [listener] = parser.listeners('packet') as ((packet: ParsedPacket) => void)[]
      const handOn = (packet: ParsedPacket) => Reflect.apply(listener!, parser, [packet])
      const inbox: Inbox = { client, handOn, held: [], isAccepted: false, asking: 'no' }
      inboxes.set(client, inbox)
      parser.removeListener('packet', listener!)
      parser.on('packet', (packet: ParsedPacket) => take(inbox, packet))
    },
    accepted(client) {
      const inbox = inboxes.get(client)
      if (inbox === undefined) return
      // Aedes says so just before it has noted it.
      queueMicrotask(() => {
        inbox.isAccepted = true
        work(inbox)
      })
    },
    publishesSettled(client) {
      const inbox = inboxes.get(client)
      if (inbox?.isAccepted) work(inbox)
    },
    isRefused: (subscription) => refused.has(subscription),
  }
}
