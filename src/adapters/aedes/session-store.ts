/**
 * Sessions that outlive their connections, kept by a plugin: openSession, resumeSession, queueMessage, trackInflight,
 * ackInflight, and the host services releaseSession and deliverQueued. Host's thread only.
 *
 * The broker's own persistence stays the working copy. What a plugin keeps is read when a client connects, and what changes
 * is told as it changes: a message is in the plugin's queue before anybody gets it, and out of it when it is acknowledged.
 * So a client may come back to another broker, or to one that has started anew. While no plugin answers, the broker's
 * persistence is all there is.
 *
 * A message that the plugin did not take, because it failed, is asked about again for `holdMs`. Then it is routed to nobody,
 * and its publisher has no acknowledgement.
 */
import type { MqttClientInfo, MqttQueuedMessage, mqtt, ProvidedServices } from '../../contracts/index.js'
import type { Broker, Client, Packet, Persistence, Qos, Subscription } from './broker.js'
import { packetOf } from './packets.js'
import type { Answer, Questions } from './questions.js'

/** What is used of the persistence here, and only here. */
interface SessionPersistence extends Persistence {
  outgoingEnqueue(subscription: { readonly clientId: string }, packet: QueuedPacket): Promise<unknown>
  outgoingEnqueueCombi(routes: readonly Route[], packet: Packet): Promise<unknown>
  incomingStorePacket(client: { readonly id: string }, packet: Partial<Packet>): Promise<unknown>
  cleanIncoming(client: { readonly id: string }): Promise<unknown>
}

type QueuedPacket = Omit<Packet, 'cmd'> & { readonly cmd: 'publish' | 'pubrel' }

interface Route {
  readonly clientId: string
  readonly qos: number
}

/** A session of this broker that a plugin keeps. */
class KeptSession {
  /** The plugin's name for a queued message, by the broker's: `brokerId:brokerCounter`. */
  readonly ids = new Map<string, string>()
  /** The same, by the packet id under which it was sent; empty: a PUBREL alone is left of it. */
  readonly sent = new Map<number, string>()
  /** What is being queued. */
  readonly underWay = new Set<Promise<unknown>>()
  /** Its queue is changed by one at a time. */
  turn: Promise<unknown> = Promise.resolve()

  knows(id: string): boolean {
    return [...this.ids.values()].includes(id) || [...this.sent.values()].includes(id)
  }

  /** Runs it behind what changes the queue now. */
  inTurn<Value>(change: () => Promise<Value>): Promise<Value> {
    const changed = this.turn.then(change)
    this.turn = changed.catch(() => {})
    return changed
  }

  /** Forgets the message that was acknowledged; the plugin's name for it, if it has one. */
  acknowledged(name: string, packetId: number): string | undefined {
    const id = this.ids.get(name) ?? this.sent.get(packetId)
    for (const [other, known] of this.ids) if (known === id) this.ids.delete(other)
    this.sent.delete(packetId)
    return id
  }
}

type Wrapped =
  | 'outgoingEnqueueCombi'
  | 'outgoingUpdate'
  | 'outgoingClearMessageId'
  | 'incomingStorePacket'
  | 'incomingDelPacket'
type Bare = Pick<SessionPersistence, Wrapped>

export interface SessionStoreOptions {
  readonly broker: Broker
  readonly questions: Questions
  infoOf(client: Client): MqttClientInfo
}

export class SessionStore {
  readonly #options: SessionStoreOptions
  readonly #persistence: SessionPersistence
  readonly #bare: Bare
  /** As they are before any hook stands in front of them: here no session ends and nothing is refused. */
  readonly #quiet: Pick<Persistence, 'addSubscriptions' | 'cleanSubscriptions' | 'outgoingStream'>
  readonly #kept = new Map<string, KeptSession>()
  #releases = 0
  readonly services: Pick<ProvidedServices<(typeof mqtt)['services']>, 'releaseSession' | 'deliverQueued'>

  /** Takes the place of some of the persistence's methods, before others do. */
  constructor(options: SessionStoreOptions) {
    const persistence = options.broker.persistence as SessionPersistence
    this.#options = options
    this.#persistence = persistence
    this.#bare = {
      outgoingEnqueueCombi: persistence.outgoingEnqueueCombi,
      outgoingUpdate: persistence.outgoingUpdate,
      outgoingClearMessageId: persistence.outgoingClearMessageId,
      incomingStorePacket: persistence.incomingStorePacket,
      incomingDelPacket: persistence.incomingDelPacket,
    }
    const { addSubscriptions, cleanSubscriptions, outgoingStream } = persistence
    this.#quiet = { addSubscriptions, cleanSubscriptions, outgoingStream }
    this.services = {
      releaseSession: ({ clientId }) => this.#release(clientId),
      deliverQueued: ({ clientId, messages }) => this.#deliverQueued(clientId, messages),
    }
    Object.assign(persistence, {
      outgoingEnqueueCombi: (routes, packet) => this.#enqueueForAll(routes, packet),
      outgoingUpdate: (client, packet) => this.#update(client, packet),
      outgoingClearMessageId: (client, packet) => this.#clear(client, packet),
      incomingStorePacket: (client, packet) => this.#storeIncoming(client, packet),
      incomingDelPacket: (client, packet) => this.#deleteIncoming(client, packet),
    } satisfies Bare)
  }

  isAsked(): boolean {
    return this.#options.questions.isSubscribed('openSession')
  }

  /** The hooks have let the client in: its session is brought here. Resolves with why it cannot be, or null. */
  async open(client: Client): Promise<string | null> {
    const { questions, infoOf } = this.#options
    const answer = await questions.request('openSession', { client: infoOf(client) })
    if (answer.kind === 'none') return null
    if (answer.kind !== 'answer') return answer.reason
    if (client.clean) {
      if (this.#kept.delete(client.id)) await this.#forget(client.id)
      return null
    }
    const session = this.#kept.get(client.id) ?? (await this.#begin(client.id))
    const wanted = answer.value.subscriptions.map(({ filter, qos }) => ({ topic: filter, qos }))
    return session.inTurn(() => this.#restore(client, session, wanted))
  }

  /** Gives the persistence its methods back. */
  detach(): void {
    Object.assign(this.#persistence, this.#bare)
  }

  #call<Name extends Wrapped>(name: Name, ...args: Parameters<Bare[Name]>): ReturnType<Bare[Name]> {
    return Reflect.apply(this.#bare[name] as (...args: unknown[]) => ReturnType<Bare[Name]>, this.#persistence, args)
  }

  async #begin(clientId: string): Promise<KeptSession> {
    // What is here without the plugin's knowledge is of no session that the cluster knows.
    await this.#forget(clientId)
    const session = new KeptSession()
    this.#kept.set(clientId, session)
    return session
  }

  async #forget(clientId: string): Promise<void> {
    const client = { id: clientId } as Client
    const { cleanSubscriptions, outgoingStream } = this.#quiet
    // First, and at once: what is routed from now on is not this broker's to queue.
    await Reflect.apply(cleanSubscriptions, this.#persistence, [client])
    for await (const packet of Reflect.apply(outgoingStream, this.#persistence, [client]) as AsyncIterable<Packet>) {
      await this.#call('outgoingClearMessageId', client, { messageId: packet.messageId as number })
    }
    await this.#persistence.cleanIncoming(client)
  }

  /** What the plugin keeps takes the place of what is here, as far as they differ. */
  async #restore(client: Client, session: KeptSession, wanted: readonly Subscription[]): Promise<string | null> {
    const { addSubscriptions, cleanSubscriptions } = this.#quiet
    const here = (await this.#persistence.subscriptionsByClient({ id: client.id })) ?? []
    if (here.some(({ topic }) => !wanted.some((subscription) => subscription.topic === topic))) {
      await Reflect.apply(cleanSubscriptions, this.#persistence, [client])
    }
    if (wanted.length > 0) await Reflect.apply(addSubscriptions, this.#persistence, [client, [...wanted]])
    for (let after: string | null = ''; after !== null; ) {
      const answer = await this.#resume(client.id, after)
      if (answer.kind === 'none') return null
      if (answer.kind !== 'answer') return answer.reason
      const { messages, released, received, next } = answer.value
      await this.#restoreInflight(client, session, { released, received })
      await this.#takeMessages(client.id, session, messages)
      after = next
    }
    return null
  }

  #resume(clientId: string, after: string) {
    return this.#options.questions.request('resumeSession', { clientId, after })
  }

  async #restoreInflight(
    client: Client,
    session: KeptSession,
    { released, received }: { released: readonly number[]; received: readonly number[] },
  ): Promise<void> {
    for (const packetId of released) {
      if (session.sent.has(packetId)) continue
      session.sent.set(packetId, '')
      const release = this.#nextPacket({ cmd: 'pubrel', topic: '', payload: Buffer.alloc(0), qos: 1, retain: false })
      await this.#enqueue(client.id, release, packetId)
    }
    for (const messageId of received) {
      await this.#call('incomingStorePacket', client, { cmd: 'publish', topic: '', qos: 2, messageId })
    }
  }

  /** A packet of the broker's own: it can be told apart, and acknowledged. */
  #nextPacket(packet: Omit<QueuedPacket, 'brokerId' | 'brokerCounter'>): QueuedPacket {
    const counting = this.#options.broker as { counter: number; readonly id: string }
    counting.counter += 1
    return { ...packet, brokerId: counting.id, brokerCounter: counting.counter }
  }

  async #enqueue(clientId: string, packet: QueuedPacket, packetId: number | null): Promise<void> {
    await this.#persistence.outgoingEnqueue({ clientId }, packet)
    if (packetId === null) return
    await this.#call('outgoingUpdate', { id: clientId } as Client, { ...packet, messageId: packetId } as Packet)
  }

  /** Puts what the session does not know into its queue, and gives that. */
  async #takeMessages(
    clientId: string,
    session: KeptSession,
    messages: readonly MqttQueuedMessage[],
  ): Promise<Packet[]> {
    await Promise.allSettled(session.underWay)
    const unknown = messages.filter(({ id }) => !session.knows(id))
    const taken: Packet[] = []
    for (const { id, packetId, packet } of unknown) {
      const { topic, payload, qos } = packet
      const own = this.#nextPacket({ cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain: false })
      session.ids.set(nameOf(own), id)
      if (packetId !== null) session.sent.set(packetId, id)
      await this.#enqueue(clientId, own, packetId)
      taken.push(own as Packet)
    }
    return taken
  }

  async #enqueueForAll(routes: readonly Route[], packet: Packet): Promise<unknown> {
    const own = routes.filter(({ clientId }) => this.#kept.has(clientId))
    if (own.length > 0 && this.#options.questions.isSubscribed('queueMessage')) {
      const withQos = (qos: Qos) =>
        own.filter((route) => Math.min(route.qos, packet.qos) === qos).map(({ clientId }) => clientId)
      const groups = ([1, 2] as const).map((qos) => ({ qos, clientIds: withQos(qos) }))
      await Promise.all(groups.map(({ qos, clientIds }) => clientIds.length > 0 && this.#keep(clientIds, packet, qos)))
    }
    return this.#call('outgoingEnqueueCombi', routes, packet)
  }

  /** Resolves when the plugin has the message for each of the sessions. @throws Error when nobody has taken it */
  async #keep(clientIds: readonly string[], packet: Packet, qos: Qos): Promise<void> {
    const { questions } = this.#options
    const event = { clientIds: [...clientIds], packet: packetOf({ ...packet, retain: false }, qos) }
    const asked = questions.persist<Answer<string[]>>(
      () => questions.request('queueMessage', event),
      () => false,
    )
    const noted: Promise<Answer<string[]>> = asked.then((answer) => this.#noteKept(clientIds, packet, answer, noted))
    for (const clientId of clientIds) this.#kept.get(clientId)?.underWay.add(noted)
    const answer = await noted
    if (answer.kind === 'refused') questions.report(new Error(answer.reason), 'a queued message is in memory alone')
    if (answer.kind === 'undecided') throw new Error(`a message could not be queued: ${answer.reason}`)
  }

  #noteKept(
    clientIds: readonly string[],
    packet: Packet,
    answer: Answer<string[]>,
    noted: Promise<unknown>,
  ): Answer<string[]> {
    for (const [index, clientId] of clientIds.entries()) {
      const session = this.#kept.get(clientId)
      session?.underWay.delete(noted)
      const id = answer.kind === 'answer' ? answer.value[index] : undefined
      if (id !== undefined) session?.ids.set(nameOf(packet), id)
    }
    return answer
  }

  async #update(client: Client, packet: Packet): Promise<unknown> {
    const session = this.#kept.get(client.id)
    const packetId = packet.messageId
    if (session === undefined || packetId === undefined) return this.#call('outgoingUpdate', client, packet)
    const isRelease = (packet.cmd as string) === 'pubrel'
    const id = isRelease ? session.sent.get(packetId) : session.ids.get(nameOf(packet))
    if (id !== undefined) session.sent.set(packetId, id)
    // A PUBREL that was brought here is known, and a message that could not be kept is not.
    if (id !== undefined && id !== '') {
      const state = isRelease ? 'released' : 'sent'
      const exchange = { clientId: client.id, direction: 'out', packetId, id } as const
      this.#options.questions.tell('trackInflight', () => ({ ...exchange, state }))
    }
    if (!isRelease) return this.#call('outgoingUpdate', client, packet)
    // Told apart from others: the broker's memory would give one PUBREL the id of the next. One that is there already
    // is not found, and stays.
    this.#releases += 1
    return this.#call('outgoingUpdate', client, { ...packet, brokerCounter: -this.#releases }).catch(() => undefined)
  }

  async #clear(client: Client, packet: { readonly messageId: number }): Promise<unknown> {
    const cleared = (await this.#call('outgoingClearMessageId', client, packet)) as Packet | undefined
    const session = this.#kept.get(client.id)
    if (session === undefined || cleared === undefined) return cleared
    const id = session.acknowledged(nameOf(cleared), packet.messageId)
    if (id !== undefined) {
      const packetId = packet.messageId ?? 0
      const exchange = { clientId: client.id, direction: 'out', packetId, id: id === '' ? null : id } as const
      this.#options.questions.tell('ackInflight', () => exchange)
    }
    return cleared
  }

  #storeIncoming(client: { readonly id: string }, packet: Partial<Packet>): Promise<unknown> {
    const packetId = packet.messageId
    if (this.#kept.has(client.id) && packetId !== undefined) {
      const exchange = { clientId: client.id, direction: 'in', packetId, id: null } as const
      this.#options.questions.tell('trackInflight', () => ({ ...exchange, state: 'received' }))
    }
    return this.#call('incomingStorePacket', client, packet)
  }

  #deleteIncoming(client: { readonly id: string }, packet: { readonly messageId: number }): Promise<unknown> {
    if (this.#kept.has(client.id)) {
      const exchange = { clientId: client.id, direction: 'in', packetId: packet.messageId, id: null } as const
      this.#options.questions.tell('ackInflight', () => exchange)
    }
    return this.#call('incomingDelPacket', client, packet)
  }

  async #release(clientId: string): Promise<boolean> {
    const session = this.#kept.get(clientId)
    const client = this.#options.broker.clients[clientId]
    this.#kept.delete(clientId)
    const forgotten = session === undefined ? null : this.#forget(clientId)
    if (client !== undefined && !client.closed) await new Promise<void>((resolve) => client.close(resolve))
    await Promise.allSettled([forgotten, ...(session?.underWay ?? [])])
    return session !== undefined || client !== undefined
  }

  async #deliverQueued(clientId: string, messages: readonly MqttQueuedMessage[]): Promise<boolean> {
    const session = this.#kept.get(clientId)
    if (session === undefined) return false
    const taken = session.inTurn(() => this.#takeMessages(clientId, session, messages))
    const client = this.#options.broker.clients[clientId]
    for (const packet of await taken) {
      // One that is not connected gets it with the rest of its queue.
      if (client?.closed === false && !client.connecting) client.deliverQoS(packet, () => {})
    }
    return true
  }
}

function nameOf({ brokerId, brokerCounter }: Pick<QueuedPacket, 'brokerId' | 'brokerCounter'>): string {
  return `${brokerId}:${brokerCounter}`
}
