/**
 * Packets on their way from a client to the broker, and onSubscribe. Stands before the parser's listener, because Aedes
 * has no door that is asked about a SUBSCRIBE as a whole, or that may lower a granted QoS. Host's thread only.
 *
 * What must not overtake what the hooks are asked about is held, in order: everything until the CONNACK is on its way;
 * SUBSCRIBE and UNSUBSCRIBE until the hooks are through with what the client published before; and what follows a held
 * packet. Acknowledgements and pings pass. Each packet held counts as one that the broker works on, so that nothing more is
 * read from the connection: what is held is at most what one read brought, before the CONNACK the broker's `queueLimit`.
 *
 * A SUBSCRIBE that nobody decided about ends the connection: 0x80 in its SUBACK would be a refusal for good. A shared
 * subscription (`$share/...`) is refused, because the broker does not serve them.
 */
import type { MqttClientInfo } from '../../contracts/index.js'
import { isShared } from '../../contracts/mqtt-topics.js'
import type { Client, ParsedPacket, Subscription } from './broker.js'
import type { Questions } from './questions.js'
import { isSubscribable } from './topics.js'

export interface InboxesOptions {
  readonly questions: Questions
  readonly queueLimit: number
  readonly maxTopicLevels: number
  readonly onUndecided: 'close' | 'refuse'
  infoOf(client: Client): MqttClientInfo
  /** The hooks are asked about what this client has published. */
  hasPublishes(client: Client): boolean
  onPacket(client: Client, packet: ParsedPacket): void
}

export class Inboxes {
  readonly #options: InboxesOptions
  readonly #inboxes = new WeakMap<Client, Inbox>()
  readonly #refused = new WeakSet<Subscription>()

  constructor(options: InboxesOptions) {
    this.#options = options
  }

  open(client: Client): void {
    const inbox = new Inbox(client, this.#options, this.#refused)
    this.#inboxes.set(client, inbox)
  }

  /** The CONNACK is on its way. */
  accepted(client: Client): void {
    const inbox = this.#inboxes.get(client)
    // Aedes says so just before it has noted it.
    if (inbox !== undefined) queueMicrotask(() => inbox.accept())
  }

  /** The hooks are through with what the client has published. */
  publishesSettled(client: Client): void {
    this.#inboxes.get(client)?.goOn()
  }

  /** The subscription, of this packet, is refused. */
  isRefused(subscription: Subscription): boolean {
    return this.#refused.has(subscription)
  }
}

class Inbox {
  readonly #client: Client
  readonly #options: InboxesOptions
  readonly #refused: WeakSet<Subscription>
  readonly #handOn: (packet: ParsedPacket) => void
  readonly #held: ParsedPacket[] = []
  #isAccepted = false
  /** The first of `held` is a SUBSCRIBE, and the hooks are asked about it, or have been. */
  #asking: 'no' | 'asked' | 'answered' = 'no'

  constructor(client: Client, options: InboxesOptions, refused: WeakSet<Subscription>) {
    this.#client = client
    this.#options = options
    this.#refused = refused
    const parser = client._parser
    const [listener] = parser.listeners('packet') as ((packet: ParsedPacket) => void)[]
    this.#handOn = (packet) => Reflect.apply(listener!, parser, [packet])
    parser.removeListener('packet', listener!)
    parser.on('packet', (packet: ParsedPacket) => this.#take(packet))
  }

  accept(): void {
    this.#isAccepted = true
    this.#work()
  }

  goOn(): void {
    if (this.#isAccepted) this.#work()
  }

  #take(packet: ParsedPacket): void {
    this.#options.onPacket(this.#client, packet)
    if (packet.cmd === 'subscribe' && !this.#examine(packet)) return
    if (this.#isAccepted && !this.#mustWait(packet)) {
      this.#handOn(packet)
      return
    }
    if (!this.#isAccepted && this.#held.length >= this.#options.queueLimit) {
      this.#end('Client queue limit reached')
      return
    }
    // Said at once: the end of the connection may overtake it, and must not be taken for a lost one.
    if (packet.cmd === 'disconnect' && this.#isAccepted) this.#client._disconnected = true
    this.#held.push(packet)
    this.#client._parsingBatch += 1
    if (this.#isAccepted) this.#work()
  }

  /** False: it holds a filter that is none, which ends the connection. */
  #examine({ subscriptions = [] }: ParsedPacket): boolean {
    const { maxTopicLevels, questions } = this.#options
    for (const subscription of subscriptions) {
      if (isShared(subscription.topic)) {
        this.#refused.add(subscription)
        questions.counts.subscriptionsRefused += 1
      } else if (!isSubscribable(subscription.topic, maxTopicLevels)) {
        this.#end(`${JSON.stringify(subscription.topic.slice(0, 80))} is no topic filter`)
        return false
      }
    }
    return true
  }

  #mustWait(packet: ParsedPacket): boolean {
    const { hasPublishes, questions } = this.#options
    switch (packet.cmd) {
      case 'subscribe':
        return this.#held.length > 0 || hasPublishes(this.#client) || questions.isSubscribed('onSubscribe')
      case 'unsubscribe':
        return this.#held.length > 0 || hasPublishes(this.#client)
      case 'publish':
      case 'disconnect':
        return this.#held.length > 0
      default:
        return false
    }
  }

  #work(): void {
    const { hasPublishes, questions } = this.#options
    for (let packet = this.#held[0]; packet !== undefined; packet = this.#held[0]) {
      if (this.#client.closed) {
        this.#held.length = 0
        return
      }
      const isAboutSubscriptions = packet.cmd === 'subscribe' || packet.cmd === 'unsubscribe'
      if (isAboutSubscriptions && hasPublishes(this.#client)) return
      if (packet.cmd === 'subscribe' && this.#asking !== 'answered' && questions.isSubscribed('onSubscribe')) {
        if (this.#asking === 'no') this.#ask(packet)
        return
      }
      this.#asking = 'no'
      this.#held.shift()
      this.#client._parsingBatch -= 1
      this.#handOn(packet)
    }
  }

  #ask({ subscriptions = [] }: ParsedPacket): void {
    this.#asking = 'asked'
    const wanted = subscriptions.filter((subscription) => !this.#refused.has(subscription))
    const judged = wanted.length === 0 ? Promise.resolve() : this.#judge(wanted)
    void judged
      .catch((error) => {
        this.#options.questions.report(error, 'onSubscribe')
        this.#undecided(wanted, String(error))
      })
      .then(() => {
        this.#asking = 'answered'
        this.#work()
      })
  }

  async #judge(wanted: Subscription[]): Promise<void> {
    const { questions, infoOf } = this.#options
    const subscriptions = wanted.map(({ topic, qos }) => ({ filter: topic, qos: qos as 0 | 1 | 2 }))
    const ruling = await questions.ask('onSubscribe', { client: infoOf(this.#client), subscriptions })
    if (ruling.kind === 'undecided') this.#undecided(wanted, ruling.reason)
    else if (ruling.kind === 'refused') this.#grant(wanted, [])
    else if (ruling.isReplaced) this.#grant(wanted, ruling.event.subscriptions)
  }

  #grant(wanted: Subscription[], granted: readonly { readonly filter: string; readonly qos: number }[]): void {
    const qosOf = new Map(granted.map(({ filter, qos }) => [filter, qos]))
    for (const subscription of wanted) {
      const qos = qosOf.get(subscription.topic)
      if (qos === undefined) {
        this.#refused.add(subscription)
        this.#options.questions.counts.subscriptionsRefused += 1
      } else if (qos < subscription.qos) {
        subscription.qos = qos
      }
    }
  }

  #undecided(wanted: readonly Subscription[], reason: string): void {
    this.#options.questions.counts.subscriptionsUndecided += wanted.length
    for (const subscription of wanted) this.#refused.add(subscription)
    if (this.#options.onUndecided === 'close') this.#end(`nobody decided about its subscriptions: ${reason}`)
  }

  #end(reason: string): void {
    if (!this.#client.closed) this.#client.emit('error', new Error(reason))
  }
}
