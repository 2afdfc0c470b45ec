/**
 * What is asked about one message on its way into the broker, in this order: onPublish (of a will onWillPublish),
 * onPublishReceived, storeRetained, routeMessage. Host's thread only.
 *
 * Asked again, it goes on where nobody had decided: who has agreed is not asked twice, and what was stored is not stored
 * again over what came after it.
 *
 * storeRetained is asked here, not where Aedes stores: a message has its counter by then, and one that waits is taken for a
 * copy of those that have overtaken it. One that a plugin has stored is routed without its retain flag, which the
 * subscribers of 3.1.1 do not see.
 */
import { createHash } from 'node:crypto'
import type { MqttClientInfo } from '../../contracts/index.js'
import type { Client, Packet, Persistence } from './broker.js'
import { ownerOf } from './connections.js'
import { packetOf, replacedPacket } from './packets.js'
import type { Questions } from './questions.js'
import type { QueuedMessages } from './queued-messages.js'
import type { Refused, Undecided } from './rulings.js'

/** What is asked: of a message, of a will, or where it is stored alone. */
export type Question = 'message' | 'will' | 'store'

export interface Asked {
  readonly client: Client | null
  readonly packet: Packet
  readonly question: Question
  /** Higher for each that has come. */
  readonly ordinal: number
}

export type Outcome = { readonly kind: 'route'; readonly packet: Packet } | Refused | Undecided

export interface InquiryOptions {
  readonly questions: Questions
  readonly persistence: Persistence
  readonly queued: Pick<QueuedMessages, 'mark'>
  infoOf(client: Client): MqttClientInfo
}

type Step = 'rules' | 'retained' | 'route'

export class PublishInquiry {
  readonly #asked: Asked
  readonly #options: InquiryOptions
  readonly #owner: MqttClientInfo | null
  /** As the hooks have changed it so far. */
  #packet: Packet
  #isReplaced = false
  #step: Step
  /** What the present step came to the last time. */
  #before: Undecided | null = null

  constructor(asked: Asked, options: InquiryOptions) {
    const { client, packet, question } = asked
    this.#asked = asked
    this.#options = options
    this.#packet = packet
    this.#owner = client !== null ? options.infoOf(client) : question === 'will' ? ownerOf(packet) : null
    this.#step = question === 'store' ? 'retained' : 'rules'
  }

  /**
   * Whether the broker has it, and waits for PUBREL: then it will not route it again. Clients that do not set DUP are as
   * common as those that start anew and give the packet id to another message.
   */
  async isRepetition(): Promise<boolean> {
    const { client, packet } = this.#asked
    if (client === null || packet.qos !== 2) return false
    const { persistence } = this.#options
    const found = (await persistence.incomingGetPacket(client, packet).catch(() => null)) as Partial<Packet> | null
    // Of what another broker has received the packet id alone is known: the plugin that keeps the session knows more.
    if (!found || found.topic === '') return false
    if (found.topic === packet.topic && Buffer.from(found.payload ?? '').equals(Buffer.from(packet.payload)))
      return true
    await persistence.incomingDelPacket(client, { messageId: packet.messageId as number })
    return false
  }

  /** From where it came to an end the last time. */
  async ask(): Promise<Outcome> {
    for (;;) {
      const outcome = await this.#askStep()
      const isOver = outcome.kind !== 'route' || this.#step === 'route' || this.#asked.question === 'store'
      if (outcome.kind === 'undecided') this.#before = outcome
      if (isOver) return outcome
      this.#packet = outcome.packet
      this.#before = null
      this.#step = this.#step === 'rules' ? 'retained' : 'route'
    }
  }

  #askStep(): Promise<Outcome> {
    switch (this.#step) {
      case 'rules':
        return this.#askRules()
      case 'retained':
        return this.#storeRetained()
      case 'route':
        return this.#routeElsewhere()
    }
  }

  async #askRules(): Promise<Outcome> {
    const first = this.#asked.question === 'will' ? 'onWillPublish' : 'onPublish'
    const event = { client: this.#owner, packet: packetOf(this.#packet) }
    const ruling = await this.#options.questions.askPacket([first, 'onPublishReceived'], event, this.#before)
    if (ruling.kind !== 'allowed') return ruling
    this.#isReplaced = ruling.isReplaced
    const packet = ruling.isReplaced ? replacedPacket(this.#packet, ruling.event.packet) : this.#packet
    return { kind: 'route', packet }
  }

  /** What is left for the broker to store, and to route. */
  async #storeRetained(): Promise<Outcome> {
    const packet = this.#packet
    const { questions } = this.#options
    if (!packet.retain || !questions.isSubscribed('storeRetained')) return { kind: 'route', packet }
    const answer = await questions.request('storeRetained', { packet: packetOf(packet) }, this.#before)
    if (answer.kind === 'none') return { kind: 'route', packet }
    if (answer.kind === 'undecided') {
      // Routed and not stored, a message that is acknowledged would be lost to those who subscribe later.
      if (packet.qos > 0) return this.#undecided(answer, 'storeRetained')
      questions.counts.retainedUndecided += 1
    } else if (answer.kind === 'refused') {
      questions.counts.retainedRefused += 1
    }
    if (answer.kind !== 'answer') {
      questions.report(new Error(`${packet.topic}: ${answer.reason}`), 'a retained message was not stored')
    }
    return { kind: 'route', packet: { ...packet, retain: false } }
  }

  /** To where a plugin takes it: the queues of sessions that it keeps, and other brokers. */
  async #routeElsewhere(): Promise<Outcome> {
    const packet = this.#packet
    const { questions, queued } = this.#options
    if (!questions.isSubscribed('routeMessage')) return { kind: 'route', packet }
    const { client, question, ordinal } = this.#asked
    const { qos, messageId } = this.#asked.packet
    const isExchange = question === 'message' && client !== null && qos > 0 && messageId !== undefined
    // Its client sends it again when it connects again; what comes then must not be overtaken by this.
    const isOver = () => isExchange && client.closed
    if (isOver()) {
      return { kind: 'undecided', reason: 'its connection ended before it was routed', cause: 'failed' }
    }
    const exchange = isExchange ? { packetId: messageId, digest: digestOf(this.#asked.packet), ordinal } : null
    const event = { client: this.#owner, packet: packetOf(packet), exchange }
    const answer = await questions.request('routeMessage', event, this.#before, isOver)
    if (answer.kind === 'undecided') return this.#undecided(answer, 'routeMessage')
    if (answer.kind === 'refused') return answer
    if (answer.kind === 'answer') queued.mark(packet)
    return { kind: 'route', packet }
  }

  #undecided(answer: Undecided, hookpoint: string): Undecided {
    return this.#isReplaced ? this.#options.questions.unusable(answer, hookpoint) : answer
  }
}

/** What a repetition of a message of QoS 2 is known by. */
function digestOf({ topic, payload, qos }: Packet): string {
  if (qos < 2) return ''
  return createHash('sha1').update(topic).update('\0').update(payload).digest('base64').slice(0, 20)
}
