/**
 * Messages that a plugin has put into the queues of the sessions that it keeps. From there they come back one by one, in
 * the queue's order, so the broker's own way of routing gives them to its other subscribers alone. Host's thread only.
 */
import type { Packet } from './broker.js'

export class QueuedMessages {
  /** Before they have a counter. */
  readonly #marked = new WeakSet<Packet>()
  /** Messages that are being routed, by the broker's counter: the sessions that are not to get them that way. */
  readonly #sessions = new Map<number, Set<string>>()

  mark(packet: Packet): void {
    this.#marked.add(packet)
  }

  /** The broker is about to route it, under this counter. */
  begin(packet: Packet, counter: number): void {
    if (this.#marked.has(packet)) this.#sessions.set(counter, new Set())
  }

  end(counter: number): void {
    this.#sessions.delete(counter)
  }

  isQueued({ brokerCounter = 0 }: Pick<Packet, 'brokerCounter'>): boolean {
    return this.#sessions.has(brokerCounter)
  }

  /** These sessions get it from their queues. */
  keepFrom(clientIds: Iterable<string>, { brokerCounter = 0 }: Pick<Packet, 'brokerCounter'>): void {
    const sessions = this.#sessions.get(brokerCounter) ?? new Set()
    for (const clientId of clientIds) sessions.add(clientId)
    this.#sessions.set(brokerCounter, sessions)
  }

  /** Whether this session gets it from its queue. */
  isKeptFrom(clientId: string, { brokerCounter = 0 }: Pick<Packet, 'brokerCounter'>): boolean {
    return this.#sessions.get(brokerCounter)?.has(clientId) === true
  }
}
