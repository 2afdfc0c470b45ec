/**
 * The broker's persistence, with the hooks before it: getRetained, what onSubscribe refused, what the offline queue may
 * deliver, and the end of kept sessions. Host's thread only.
 *
 * Of retained messages the first plugin that answers has the say; where none answers, the broker's own persistence has. A
 * plugin that fails has not answered for anybody: it is asked again for `holdMs`; then no messages are given, and that is
 * counted and reported.
 */
import { Readable } from 'node:stream'
import type { mqtt, ReplyOutput } from '../../contracts/index.js'
import { matchesTopic, parseFilter } from '../../contracts/mqtt-topics.js'
import type { Broker, Client, Packet, Persistence, Subscription } from './broker.js'
import type { Deliveries } from './deliveries.js'
import type { Questions } from './questions.js'
import type { Answer } from './rulings.js'
import { isPublishable } from './topics.js'

type RetainedMessages = ReplyOutput<(typeof mqtt)['hookpoints']['getRetained']>
type Wrapped = 'createRetainedStreamCombi' | 'addSubscriptions' | 'cleanSubscriptions' | 'outgoingStream'

export interface StoreOptions {
  readonly broker: Broker
  readonly questions: Questions
  readonly deliveries: Deliveries
  /** The subscription, of this packet, is refused. */
  isRefused(subscription: Subscription): boolean
}

/** Takes the place of some of the persistence's methods. */
export class HookedStore implements Pick<Persistence, Wrapped> {
  readonly #options: StoreOptions
  readonly #persistence: Persistence
  readonly #bare: Pick<Persistence, Wrapped>

  constructor(options: StoreOptions) {
    const { persistence } = options.broker
    this.#options = options
    this.#persistence = persistence
    this.#bare = {
      createRetainedStreamCombi: persistence.createRetainedStreamCombi,
      addSubscriptions: persistence.addSubscriptions,
      cleanSubscriptions: persistence.cleanSubscriptions,
      outgoingStream: persistence.outgoingStream,
    }
  }

  install(): void {
    Object.assign(this.#persistence, {
      createRetainedStreamCombi: (filters: string[]) => this.createRetainedStreamCombi(filters),
      addSubscriptions: (client: Client, subscriptions: Subscription[]) => this.addSubscriptions(client, subscriptions),
      cleanSubscriptions: (client: Client) => this.cleanSubscriptions(client),
      outgoingStream: (client: Client) => this.outgoingStream(client),
    } satisfies Pick<Persistence, Wrapped>)
  }

  createRetainedStreamCombi(filters: string[]): Readable {
    const { questions } = this.#options
    if (!questions.isSubscribed('getRetained')) return this.#call('createRetainedStreamCombi', filters)
    return Readable.from(quiet(this.#retainedFor(filters), (error) => questions.report(error, 'getRetained')))
  }

  addSubscriptions(client: Client, subscriptions: Subscription[]): Promise<unknown> {
    // Aedes stores those that were refused too, and the next connection would have them.
    const granted = subscriptions.filter((subscription) => !this.#options.isRefused(subscription))
    return this.#call('addSubscriptions', client, granted.length === subscriptions.length ? subscriptions : granted)
  }

  async cleanSubscriptions(client: Client): Promise<unknown> {
    const { questions } = this.#options
    if (!questions.isSubscribed('onSessionEnded')) return this.#call('cleanSubscriptions', client)
    const stored = await this.#persistence.subscriptionsByClient({ id: client.id })
    const result = await this.#call('cleanSubscriptions', client)
    if (stored && stored.length > 0) questions.tell('onSessionEnded', () => ({ clientId: client.id }))
    return result
  }

  outgoingStream(client: Client): Readable {
    const { deliveries } = this.#options
    const packets = this.#call('outgoingStream', client)
    // An application that empties a queue without delivering it is not asked about.
    if (!client.connecting || !deliveries.isAsked()) return packets
    return Readable.from(deliveries.stored(client, packets as AsyncIterable<Packet>))
  }

  async *#retainedFor(filters: readonly string[]): AsyncGenerator<Packet> {
    const { questions } = this.#options
    for (const filter of filters) {
      const answer = await questions.persist<Answer<RetainedMessages>>(
        (before) => questions.request('getRetained', { filter }, before),
        { isOver: () => false },
      )
      if (answer.kind === 'none') {
        yield* this.#call('createRetainedStreamCombi', [filter]) as AsyncIterable<Packet>
      } else if (answer.kind === 'answer') {
        yield* this.#usable(filter, answer.value)
      } else {
        if (answer.kind === 'undecided') questions.counts.retainedUndecided += 1
        questions.report(new Error(`${filter}: ${answer.reason}`), 'retained messages were not given')
      }
    }
  }

  *#usable(
    filter: string,
    messages: Iterable<{ readonly topic: string; readonly payload: Uint8Array; readonly qos: 0 | 1 | 2 }>,
  ): Generator<Packet> {
    const levels = parseFilter(filter)
    for (const { topic, payload, qos } of messages) {
      if (isPublishable(topic) && levels !== null && matchesTopic(levels, topic)) {
        yield { cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain: true }
      } else {
        this.#options.questions.counts.repliesInvalid += 1
      }
    }
  }

  #call<Name extends Wrapped>(name: Name, ...args: Parameters<Persistence[Name]>): ReturnType<Persistence[Name]> {
    return Reflect.apply(this.#bare[name], this.#persistence, args)
  }
}

/** Nobody listens for errors of the stream, and one would end the process. */
async function* quiet<Item>(items: AsyncIterable<Item>, onError: (error: unknown) => void): AsyncGenerator<Item> {
  try {
    yield* items
  } catch (error) {
    onError(error)
  }
}
