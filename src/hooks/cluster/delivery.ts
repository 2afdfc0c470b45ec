/**
 * From the queues of sessions whose clients are connected here to the broker: in the queue's order, some at a time, and
 * noted in Redis before the broker has them. In a lane.
 *
 * Being told that there is something new is a hint. Whoever was not told (the channel was not heard for a moment) looks
 * again when the connection is back, and by turns with each heartbeat.
 */
import type { MqttQueuedMessage } from '../../contracts/mqtt.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { Held, SessionQueue } from './queue.js'

/** The broker did not take them, or Redis was away. */
const RETRY_MS = 500
/** Sessions that are looked at with a heartbeat, though nobody said that there is anything. */
const LOOK_AT_ONCE = 200

interface Live extends Held {
  /** The last message that was taken from the queue. */
  after: string
  /** No more may be under way. */
  isFull: boolean
  isPulling: boolean
  /** Something new may have come meanwhile. */
  mustPull: boolean
}

export interface QueueDeliveryOptions {
  readonly queue: SessionQueue
  readonly log: PluginLogger
  /** Hands messages to the broker. False: the session's client is not there. */
  hand(clientId: string, messages: readonly MqttQueuedMessage[]): Promise<boolean>
  /** The session is another node's. */
  lost(held: Held): void
  /** The broker does not have the session's client. */
  missing(held: Held): void
}

export class QueueDelivery {
  readonly #queue: SessionQueue
  readonly #log: PluginLogger
  readonly #hand: QueueDeliveryOptions['hand']
  readonly #lost: QueueDeliveryOptions['lost']
  readonly #missing: QueueDeliveryOptions['missing']
  readonly #live = new Map<string, Live>()
  #rounds: IterableIterator<Live> = [][Symbol.iterator]()
  #isClosed = false

  constructor({ queue, log, hand, lost, missing }: QueueDeliveryOptions) {
    this.#queue = queue
    this.#log = log
    this.#hand = hand
    this.#lost = lost
    this.#missing = missing
  }

  /** The broker has everything up to `after`, and gets what comes. */
  start({ clientId, lease }: Held, after: string): void {
    this.#live.set(clientId, { clientId, lease, after, isFull: false, isPulling: false, mustPull: false })
    this.look(clientId)
  }

  stop(clientId: string): void {
    this.#live.delete(clientId)
  }

  /** There may be something new in its queue. */
  look(clientId: string): void {
    const live = this.#live.get(clientId)
    if (live !== undefined) void this.#pullAll(live)
  }

  /** Something of it was acknowledged. */
  madeRoom(clientId: string): void {
    if (this.#live.get(clientId)?.isFull) this.look(clientId)
  }

  lookAtAll(): void {
    for (const clientId of this.#live.keys()) this.look(clientId)
  }

  /** Looks at the next few. */
  lookAtSome(): void {
    for (let count = 0; count < LOOK_AT_ONCE; count += 1) {
      const { done, value } = this.#rounds.next()
      if (done) {
        this.#rounds = this.#live.values()
        return
      }
      this.look(value.clientId)
    }
  }

  close(): void {
    this.#isClosed = true
    this.#live.clear()
  }

  async #pullAll(live: Live): Promise<void> {
    live.mustPull = true
    if (live.isPulling) return
    live.isPulling = true
    try {
      while (live.mustPull && this.#isLive(live)) {
        live.mustPull = false
        await this.#pull(live)
      }
    } catch (error) {
      this.#log.debug('a queue could not be read', { error: String(error) })
      this.#pullLater(live)
    } finally {
      live.isPulling = false
    }
  }

  async #pull(live: Live): Promise<void> {
    const part = await this.#queue.pull(live, live.after)
    if (!this.#isLive(live)) return
    if (part === null) {
      this.#live.delete(live.clientId)
      this.#lost(live)
      return
    }
    if (part.messages.length > 0 && !(await this.#hand(live.clientId, part.messages))) {
      // It gets them when it connects again.
      if (this.#isLive(live)) this.#live.delete(live.clientId)
      this.#missing(live)
      return
    }
    live.after = part.last
    live.isFull = part.left === 'full'
    if (part.left === 'more') live.mustPull = true
  }

  #pullLater(live: Live): void {
    if (!this.#isLive(live)) return
    // What was taken and not handed on is taken once more, under the same packet ids.
    setTimeout(() => void (this.#isLive(live) && this.#pullAll(live)), RETRY_MS).unref()
  }

  #isLive(live: Live): boolean {
    return !this.#isClosed && this.#live.get(live.clientId) === live
  }
}
