/**
 * The broker's persistence, with the hooks before it: getRetained, what onSubscribe refused, what the offline queue may
 * deliver, and the end of kept sessions. Host's thread only.
 *
 * Of retained messages the first plugin that answers has the say; where none answers, the broker's own persistence has. A
 * plugin that fails has not answered for anybody: no messages are given, and that is counted and reported.
 */
import { Readable } from 'node:stream'
import { matchesTopic, parseFilter } from '../../contracts/mqtt-topics.js'
import type { Asker } from './asking.js'
import type { Broker, Client, Packet, Persistence } from './broker.js'
import type { Deliveries } from './delivery.js'
import type { Inboxes } from './inbox.js'
import { isPublishable } from './topics.js'

/** Takes the place of some of the persistence's methods. */
export function wrapStore(broker: Broker, asker: Asker, deliveries: Deliveries, inboxes: Inboxes): void {
  const { persistence } = broker
  const bare = {
    createRetainedStreamCombi: persistence.createRetainedStreamCombi,
    addSubscriptions: persistence.addSubscriptions,
    cleanSubscriptions: persistence.cleanSubscriptions,
    outgoingStream: persistence.outgoingStream,
  }
  type Method = keyof typeof bare
  const call = <Name extends Method>(
    name: Name,
    ...args: Parameters<Persistence[Name]>
  ): ReturnType<Persistence[Name]> => Reflect.apply(bare[name], persistence, args)

  async function* retainedFor(filters: readonly string[]): AsyncGenerator<Packet> {
    for (const filter of filters) {
      const levels = parseFilter(filter)
      const answer = await asker.request('getRetained', { filter })
      if (answer.kind === 'none') {
        yield* call('createRetainedStreamCombi', [filter]) as AsyncIterable<Packet>
      } else if (answer.kind === 'refuse') {
        asker.report(new Error(`${filter}: ${answer.reason}`), 'retained messages were not given')
      } else {
        for (const { topic, payload, qos } of answer.value) {
          if (isPublishable(topic) && levels !== null && matchesTopic(levels, topic)) {
            yield { cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain: true }
          } else {
            asker.counts.repliesInvalid += 1
          }
        }
      }
    }
  }

  const wrapped: Pick<Persistence, Method> = {
    createRetainedStreamCombi(filters) {
      if (!asker.isSubscribed('getRetained')) return call('createRetainedStreamCombi', filters)
      return Readable.from(quiet(retainedFor(filters), (error) => asker.report(error, 'getRetained')))
    },
    addSubscriptions(client, subscriptions) {
      // Aedes stores those that were refused too, and the next connection would have them.
      const granted = subscriptions.filter((subscription) => !inboxes.isRefused(subscription))
      return call('addSubscriptions', client, granted.length === subscriptions.length ? subscriptions : granted)
    },
    async cleanSubscriptions(client) {
      if (!asker.isSubscribed('onSessionEnded')) return call('cleanSubscriptions', client)
      const stored = await persistence.subscriptionsByClient({ id: client.id })
      const result = await call('cleanSubscriptions', client)
      if (stored && stored.length > 0) asker.tell('onSessionEnded', () => ({ clientId: client.id }))
      return result
    },
    outgoingStream(client: Client) {
      const packets = call('outgoingStream', client)
      // An application that empties a queue without delivering it is not asked about.
      if (!client.connecting || !deliveries.isAsked()) return packets
      return Readable.from(deliveries.stored(client, packets as AsyncIterable<Packet>))
    },
  }
  Object.assign(persistence, wrapped)
}

/** Nobody listens for errors of the stream, and one would end the process. */
async function* quiet<Item>(items: AsyncIterable<Item>, onError: (error: unknown) => void): AsyncGenerator<Item> {
  try {
    yield* items
  } catch (error) {
    onError(error)
  }
}
