/**
 * Messages on their way into the broker, in their order, and what becomes of them. What is asked about each stands in
 * publish-inquiry.ts. Host's thread only.
 *
 * The hooks are asked after the broker's own `authorizePublish` (and its guard of `$SYS/`), and before anything is stored
 * or routed. A publisher's messages stand in a line: some are asked about at once, all go on in the order in which they
 * came, and until they have, the broker reads no more from their connection. Other publishers do not wait for them.
 *
 * What becomes of a message:
 *
 *   allowed     stored and routed. QoS 1 is acknowledged when it is stored, QoS 2 when it is routed.
 *   refused     routed nowhere. QoS 1 and 2 are acknowledged: MQTT 3.1.1 has no other answer, and the client does not
 *               repeat it.
 *   undecided   QoS 0 is dropped. QoS 1 and 2 are asked about again for `holdMs`; then the connection is closed without an
 *               acknowledgement, and the client sends them again. What the client sent after it is not routed either: it
 *               will be sent again, in its order.
 *
 * A message whose publisher is gone when its ruling comes is routed all the same: it was received.
 *
 * A will is asked about at onWillPublish, in place of onPublish, and then at onPublishReceived like any message; undecided,
 * it is not published. What the application publishes by `broker.publish` is asked about with `client: null`; `$SYS/` topics
 * of the broker's own are not.
 */

import { Line } from '../../primitives/line.js'
import type { Client, Done, Packet } from './broker.js'
import type { Deliveries } from './deliveries.js'
import { type Asked, type InquiryOptions, type Outcome, PublishInquiry, type Question } from './publish-inquiry.js'
import type { Undecided } from './rulings.js'

/** Enough to keep a lane busy, few enough that a hook of a millisecond or two has answered the last of them in time. */
const PUBLISHES_AT_ONCE = 32

export interface PublishingOptions extends InquiryOptions {
  readonly deliveries: Pick<Deliveries, 'route'>
  readonly onUndecided: { readonly publish: 'hold' | 'close' | 'drop'; readonly publishQos0: 'drop' | 'hold' | 'close' }
  /** A client's line has become empty. */
  onSettled(client: Client): void
}

interface Entry extends Asked {
  /** Goes on with what is to be routed: null, nothing. */
  readonly goOn: (routed: Packet | null) => void
  /** Ends it without an acknowledgement. */
  readonly fail: Done
}

/** What is to be done in place of publishing a packet that the hooks have been asked about. */
type Decision =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'route'; readonly packet: Packet }
  /** It is under way. `whenRoom` tells when more may be read from its publisher. */
  | { readonly kind: 'routed'; readonly whenRoom: (done: Done) => void }

export class Publishing {
  readonly #options: PublishingOptions
  readonly #lines = new WeakMap<Client, Line<Entry, Outcome>>()
  readonly #ownLine: Line<Entry, Outcome>
  readonly #serviceLine: Line<Entry, Outcome>
  readonly #decided = new WeakMap<Packet, Decision>()
  /** Clients whose connections were closed over an undecided message. */
  readonly #ended = new WeakSet<Client>()
  #lastOrdinal = 0

  constructor(options: PublishingOptions) {
    this.#options = options
    this.#ownLine = this.#openLine(null)
    this.#serviceLine = this.#openLine(null)
  }

  /** After the broker's own handler has agreed. */
  authorize(client: Client | null, packet: Packet, isWill: boolean, done: Done): void {
    const question = isWill ? 'will' : 'message'
    const isWaiting = client === null ? this.#ownLine.length > 0 : this.hasPublishes(client)
    if (!isWaiting && !this.#mustAsk(packet, question)) {
      // An old broker's will is published without a client: it must not be taken for the application's.
      if (isWill) this.#decided.set(packet, { kind: 'route', packet })
      done(null)
      return
    }
    const isPublisher = client !== null && !isWill
    const goOn = (routed: Packet | null): void => {
      if (routed === null) this.#decided.set(packet, { kind: 'nothing' })
      else if (isPublisher && packet.qos === 1) {
        this.#routeFirst(client, packet, routed, done)
        return
      } else if (routed !== packet || isWill) this.#decided.set(packet, { kind: 'route', packet: routed })
      done(null)
    }
    this.#lineOf(client).push({ client, packet, question, ordinal: this.#nextOrdinal(), goOn, fail: done })
  }

  /** In place of broker.publish. */
  publish(packet: Packet, client: Client | null, done: Done | undefined): void {
    const decision = this.#decided.get(packet)
    if (decision !== undefined) {
      this.#decided.delete(packet)
      if (decision.kind === 'nothing') done?.(null)
      else if (decision.kind === 'routed') decision.whenRoom((error) => done?.(error))
      else this.#route(decision.packet, client, done)
      return
    }
    const isOwn = client === null && !packet.topic.startsWith('$SYS/')
    if (!isOwn || (this.#ownLine.length === 0 && !this.#mustAsk(packet, 'message'))) {
      this.#route(packet, client, done)
      return
    }
    const goOn = (routed: Packet | null): void => {
      if (routed === null) done?.(null)
      else this.#route(routed, null, done)
    }
    const fail: Done = (error) => done?.(error)
    this.#ownLine.push({ client: null, packet, question: 'message', ordinal: this.#nextOrdinal(), goOn, fail })
  }

  /** As the broker itself: no hook of publishing is asked. */
  publishUnasked(packet: Packet, done: Done): void {
    const goOn = (routed: Packet | null): void => this.#route(routed ?? packet, null, done)
    const ordinal = this.#nextOrdinal()
    this.#serviceLine.push({ client: null, packet, question: 'store', ordinal, goOn, fail: done })
  }

  hasPublishes(client: Client): boolean {
    return (this.#lines.get(client)?.length ?? 0) > 0
  }

  #nextOrdinal(): number {
    this.#lastOrdinal += 1
    return this.#lastOrdinal
  }

  #openLine(client: Client | null): Line<Entry, Outcome> {
    return new Line<Entry, Outcome>({
      atOnce: PUBLISHES_AT_ONCE,
      ask: (entry) => this.#ask(entry),
      settle: (entry, outcome) => this.#settle(entry, outcome),
      // A turn for each, as messages come from connections. Routed between two steps of another's way into the broker, one
      // would make Aedes take the other for a copy.
      schedule: setImmediate,
      ...(client !== null && { onEmpty: () => this.#options.onSettled(client) }),
    })
  }

  #lineOf(client: Client | null): Line<Entry, Outcome> {
    if (client === null) return this.#ownLine
    let line = this.#lines.get(client)
    if (line === undefined) {
      line = this.#openLine(client)
      this.#lines.set(client, line)
    }
    return line
  }

  #mustAsk(packet: Packet, question: Question): boolean {
    const { questions } = this.#options
    if (packet.retain && questions.isSubscribed('storeRetained')) return true
    if (question === 'store') return false
    // What plugins queue is acknowledged when they have it, not before.
    if (questions.isSubscribed('routeMessage')) return true
    if (packet.qos === 1 && questions.isSubscribed('queueMessage')) return true
    return (
      questions.isSubscribed(question === 'will' ? 'onWillPublish' : 'onPublish') ||
      questions.isSubscribed('onPublishReceived')
    )
  }

  async #ask(entry: Entry): Promise<Outcome> {
    const { packet, question } = entry
    const inquiry = new PublishInquiry(entry, this.#options)
    if (await inquiry.isRepetition()) return { kind: 'route', packet }
    const { publish, publishQos0 } = this.#options.onUndecided
    const isHeld = question !== 'will' && (packet.qos === 0 ? publishQos0 : publish) === 'hold'
    return isHeld ? this.#askHeld(entry, inquiry) : inquiry.ask()
  }

  async #askHeld(entry: Entry, inquiry: PublishInquiry): Promise<Outcome> {
    const { client } = entry
    const { questions } = this.#options
    let held = 0
    const isOver = () => client !== null && (client.closed || this.#ended.has(client))
    const onHold = () => {
      held = 1
      questions.counts.publishesHeld += 1
    }
    try {
      return await questions.persist<Outcome>(() => inquiry.ask(), { isOver, onHold })
    } finally {
      questions.counts.publishesHeld -= held
    }
  }

  #settle(entry: Entry, outcome: Outcome): void {
    const { client, packet, question } = entry
    const { counts } = this.#options.questions
    if (client !== null && question !== 'will' && this.#ended.has(client)) {
      // It comes again behind the message that was not decided. Of QoS 0 it does not.
      if (packet.qos === 0) this.#dropped(packet, { reason: 'the connection was closed over an earlier message' })
    } else if (outcome.kind === 'route') {
      entry.goOn(outcome.packet)
    } else if (outcome.kind === 'refused') {
      if (question === 'will') counts.willsRefused += 1
      else counts.publishesRefused += 1
      this.#options.questions.dropped(null, packet, outcome)
      entry.goOn(null)
    } else {
      this.#undecided(entry, outcome)
    }
  }

  #undecided(entry: Entry, ruling: Undecided): void {
    const { client, packet, question } = entry
    const { questions, onUndecided } = this.#options
    if (question === 'will') {
      questions.counts.willsUndecided += 1
      questions.dropped(null, packet, ruling)
      entry.goOn(null)
      return
    }
    questions.counts.publishesUndecided += 1
    const isClosed = client?.closed === true
    if (packet.qos === 0 && ruling.cause !== 'too-large' && onUndecided.publishQos0 !== 'close') {
      this.#dropped(packet, ruling)
      entry.goOn(null)
    } else if (onUndecided.publish === 'drop' && packet.qos > 0) {
      this.#dropped(packet, ruling)
      entry.goOn(null)
    } else {
      if (packet.qos === 0) this.#dropped(packet, ruling)
      if (client !== null) this.#ended.add(client)
      if (!isClosed) entry.fail(new Error(`nobody decided about a message that it published: ${ruling.reason}`))
    }
  }

  #dropped(packet: Packet, why: { readonly reason: string; readonly cause?: string }): void {
    this.#options.questions.counts.publishesDropped += 1
    this.#options.questions.dropped(null, packet, why)
  }

  /** Aedes acknowledges a message of QoS 1 and routes it then. Here it is stored before it is acknowledged. */
  #routeFirst(client: Client, packet: Packet, routed: Packet, done: Done): void {
    let finish: Done | null = null
    let finished: { readonly error: Error | null | undefined } | null = null
    const whenRoom = (next: Done): void => {
      if (finished !== null) next(finished.error)
      else finish = next
    }
    const stored = (error: Error | null): void => {
      if (error !== null) this.#ended.add(client)
      // Its acknowledgement can no longer be written.
      if (client.closed) return
      if (error === null) this.#decided.set(packet, { kind: 'routed', whenRoom })
      done(error)
    }
    this.#options.deliveries.route(routed, client, stored, (error) => {
      finished = { error }
      finish?.(error)
    })
  }

  #route(packet: Packet, client: Client | null, done: Done | undefined): void {
    this.#options.deliveries.route(packet, client, null, (error) => {
      if (error && client !== null && packet.qos === 2) this.#forget(client, packet, () => done?.(error))
      else done?.(error)
    })
  }

  /** It was noted as received and could not be routed: when it comes again it is new. */
  #forget(client: Client, packet: Packet, done: () => void): void {
    const { persistence } = this.#options
    if (packet.messageId === undefined) done()
    else persistence.incomingDelPacket(client, { messageId: packet.messageId }).then(done, done)
  }
}
