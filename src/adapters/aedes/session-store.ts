/**
 * Sessions that outlive their connections, kept by a plugin: openSession, resumeSession, queueMessage, trackInflight,
 * ackInflight, and the host services releaseSession and deliverQueued. Host's thread only.
 *
 * The plugin's queue is the only way by which such a session gets messages of QoS 1 and 2: they are there before they are
 * acknowledged to their publishers, and gone when they are acknowledged by the client. The broker's own persistence is the
 * working copy of what is under way. It is made anew whenever a client connects, so that nothing of an earlier time is in
 * it. While no plugin answers, the broker's persistence is all there is.
 *
 * A step of QoS 2 is not taken before the plugin has it: PUBREC and PUBCOMP to a publisher, PUBREL to a subscriber. While the
 * plugin fails it is asked again, as long as the client is connected.
 */
import type {
  EventInput,
  MqttClientInfo,
  MqttQueuedMessage,
  mqtt,
  ProvidedServices,
  ReplyOutput,
} from '../../contracts/index.js'
import type { Broker, Client, Packet, Persistence, Qos, Subscription } from './broker.js'
import { KeptSession } from './kept-session.js'
import { packetOf } from './packets.js'
import type { Questions } from './questions.js'
import type { QueuedMessages } from './queued-messages.js'
import type { Answer, Undecided } from './rulings.js'

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

type Points = typeof mqtt.hookpoints
type Resumed = ReplyOutput<Points['resumeSession']>

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
  readonly queued: QueuedMessages
  infoOf(client: Client): MqttClientInfo
}

export class SessionStore {
  readonly #options: SessionStoreOptions
  readonly #persistence: SessionPersistence
  readonly #bare: Bare
  /** As they are before any hook stands in front of them: here no session ends and nothing is refused. */
  readonly #quiet: Pick<Persistence, 'addSubscriptions' | 'cleanSubscriptions' | 'outgoingStream'>
  readonly #kept = new Map<string, KeptSession>()
  /** Whose sessions the plugin has opened, those that stay and those that do not. */
  readonly #opened = new WeakSet<object>()
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
    this.#opened.add(client)
    if (client.clean) {
      if (this.#kept.delete(client.id)) await this.#forget(client.id)
      return null
    }
    const inMemory = await this.#takeFromMemory(client.id)
    // What is here of it is of another time.
    await this.#forget(client.id)
    const session = new KeptSession(client)
    this.#kept.set(client.id, session)
    const wanted = answer.value.subscriptions.map(({ filter, qos }) => ({ topic: filter, qos }))
    return session.inTurn(() => this.#restore(session, wanted, inMemory))
  }

  /** Gives the persistence its methods back. */
  detach(): void {
    Object.assign(this.#persistence, this.#bare)
  }

  #call<Name extends Wrapped>(name: Name, ...args: Parameters<Bare[Name]>): ReturnType<Bare[Name]> {
    return Reflect.apply(this.#bare[name] as (...args: unknown[]) => ReturnType<Bare[Name]>, this.#persistence, args)
  }

  #outgoing(clientId: string): AsyncIterable<QueuedPacket> {
    return Reflect.apply(this.#quiet.outgoingStream, this.#persistence, [{ id: clientId } as Client])
  }

  /** Messages of a session of this broker that the plugin could not take when they came. */
  async #takeFromMemory(clientId: string): Promise<QueuedPacket[]> {
    const session = this.#kept.get(clientId)
    const inMemory: QueuedPacket[] = []
    if (session === undefined) return inMemory
    for await (const packet of this.#outgoing(clientId)) {
      if (packet.cmd === 'publish' && !session.isQueued(nameOf(packet))) inMemory.push({ ...packet })
    }
    return inMemory
  }

  async #forget(clientId: string): Promise<void> {
    const client = { id: clientId } as Client
    // First, and at once: what is routed from now on is not this broker's to queue.
    await Reflect.apply(this.#quiet.cleanSubscriptions, this.#persistence, [client])
    for await (const packet of this.#outgoing(clientId)) {
      await this.#call('outgoingClearMessageId', client, { messageId: packet.messageId as number })
    }
    await this.#persistence.cleanIncoming(client)
  }

  async #restore(
    session: KeptSession,
    wanted: readonly Subscription[],
    inMemory: readonly QueuedPacket[],
  ): Promise<string | null> {
    const { client } = session
    const { questions } = this.#options
    if (wanted.length > 0) {
      await Reflect.apply(this.#quiet.addSubscriptions, this.#persistence, [client, [...wanted]])
    }
    for (let after: string | null = ''; after !== null; ) {
      const answer: Answer<Resumed> = await questions.request('resumeSession', { clientId: client.id, after })
      if (answer.kind === 'none') break
      if (answer.kind !== 'answer') return answer.reason
      const { messages, released, received, next }: Resumed = answer.value
      await this.#restoreExchanges(session, { released, received })
      await this.#takeMessages(session, messages)
      after = next
    }
    for (const { messageId: _, ...packet } of inMemory) {
      await this.#persistence.outgoingEnqueue({ clientId: client.id }, packet)
    }
    return null
  }

  async #restoreExchanges(
    session: KeptSession,
    { released, received }: { released: readonly number[]; received: readonly number[] },
  ): Promise<void> {
    const { client } = session
    for (const packetId of released) {
      if (session.knowsPacketId(packetId)) continue
      const release = this.#nextPacket({ cmd: 'pubrel', topic: '', payload: Buffer.alloc(0), qos: 1, retain: false })
      session.note(nameOf(release), packetId, '')
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

  async #enqueue(clientId: string, packet: QueuedPacket, packetId: number): Promise<void> {
    await this.#persistence.outgoingEnqueue({ clientId }, packet)
    await this.#call('outgoingUpdate', { id: clientId } as Client, { ...packet, messageId: packetId } as Packet)
  }

  /** Puts what the session does not know into the working copy, and gives that. */
  async #takeMessages(session: KeptSession, messages: readonly MqttQueuedMessage[]): Promise<Packet[]> {
    const taken: Packet[] = []
    for (const { id, packetId, packet } of messages) {
      if (session.knows(id)) continue
      const { topic, payload, qos } = packet
      const own = this.#nextPacket({ cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain: false })
      session.note(nameOf(own), packetId, id)
      await this.#enqueue(session.client.id, own, packetId)
      taken.push({ ...own, messageId: packetId } as Packet)
    }
    return taken
  }

  /** What kept sessions get from their queues is not queued here as well. */
  async #enqueueForAll(routes: readonly Route[], packet: Packet): Promise<unknown> {
    const { queued } = this.#options
    const own = routes.filter(({ clientId }) => this.#kept.has(clientId))
    if (own.length === 0) return this.#call('outgoingEnqueueCombi', routes, packet)
    if (!queued.isQueued(packet) && !(await this.#queueForAll(own, packet))) {
      return this.#call('outgoingEnqueueCombi', routes, packet)
    }
    queued.keepFrom(
      own.map(({ clientId }) => clientId),
      packet,
    )
    const others = routes.filter(({ clientId }) => !this.#kept.has(clientId))
    return this.#call('outgoingEnqueueCombi', others, packet)
  }

  /** Of a message that the plugin does not know. False: it is in memory alone. @throws Error when nobody has decided */
  async #queueForAll(own: readonly Route[], packet: Packet): Promise<boolean> {
    if (!this.#options.questions.isSubscribed('queueMessage')) return false
    const ofQos = (qos: Qos) =>
      own.filter((route) => Math.min(route.qos, packet.qos) === qos).map(({ clientId }) => clientId)
    const groups = ([1, 2] as const).map((qos) => ({ qos, clientIds: ofQos(qos) }))
    const asked = groups.filter(({ clientIds }) => clientIds.length > 0)
    return (await Promise.all(asked.map(({ qos, clientIds }) => this.#queueFor(clientIds, packet, qos)))).every(Boolean)
  }

  async #queueFor(clientIds: readonly string[], packet: Packet, qos: Qos): Promise<boolean> {
    const { questions } = this.#options
    const event = { clientIds: [...clientIds], packet: packetOf({ ...packet, retain: false }, qos) }
    const answer = await questions.persist<Answer<true>>((before) => questions.request('queueMessage', event, before), {
      isOver: () => false,
    })
    if (answer.kind === 'refused') questions.report(new Error(answer.reason), 'a queued message is in memory alone')
    if (answer.kind === 'undecided') throw new Error(`a message could not be queued: ${answer.reason}`)
    return answer.kind === 'answer'
  }

  #sessionOf(client: Client): KeptSession | undefined {
    const session = this.#kept.get(client.id)
    return session?.client === client ? session : undefined
  }

  async #update(client: Client, packet: Packet): Promise<unknown> {
    const packetId = packet.messageId
    if ((packet.cmd as string) !== 'pubrel') return this.#call('outgoingUpdate', client, packet)
    const session = this.#sessionOf(client)
    const id = packetId === undefined ? undefined : session?.idOf(packetId)
    // A PUBREL that was brought here is known, and a message that is in memory alone is not.
    if (packetId !== undefined && id !== undefined && id !== '') {
      const exchange = { clientId: client.id, direction: 'out', packetId, id } as const
      await session?.release(this.#mustBeNoted(client, 'trackInflight', { ...exchange, state: 'released' }))
    }
    // Told apart from others: the broker's memory would give one PUBREL the id of the next. One that is there already
    // is not found, and stays.
    this.#releases += 1
    return this.#call('outgoingUpdate', client, { ...packet, brokerCounter: -this.#releases }).catch(() => undefined)
  }

  async #clear(client: Client, packet: { readonly messageId: number }): Promise<unknown> {
    // An earlier connection of the same client: what it says of the packet ids may be true of others by now.
    if (this.#kept.has(client.id) && this.#sessionOf(client) === undefined) return undefined
    const cleared = (await this.#call('outgoingClearMessageId', client, packet)) as Packet | undefined
    const id = cleared && this.#sessionOf(client)?.acknowledged(nameOf(cleared), packet.messageId)
    if (id === undefined) return cleared
    const { questions } = this.#options
    const exchange = { clientId: client.id, direction: 'out', packetId: packet.messageId, id: id === '' ? null : id }
    // Nobody waits for it: a message that is not known to be acknowledged comes again.
    void questions.persist<Answer<true>>(
      (before) => questions.request('ackInflight', exchange as EventInput<Points['ackInflight']>, before),
      { isOver: () => false },
    )
    return cleared
  }

  async #storeIncoming(client: { readonly id: string }, packet: Partial<Packet>): Promise<unknown> {
    const packetId = packet.messageId
    if (this.#opened.has(client) && packetId !== undefined) {
      const exchange = { clientId: client.id, direction: 'in', packetId, id: null } as const
      await this.#mustBeNoted(client as Client, 'trackInflight', { ...exchange, state: 'received' })
    }
    return this.#call('incomingStorePacket', client, packet)
  }

  async #deleteIncoming(client: { readonly id: string }, packet: { readonly messageId: number }): Promise<unknown> {
    if (this.#opened.has(client)) {
      const exchange = { clientId: client.id, direction: 'in', packetId: packet.messageId, id: null } as const
      await this.#mustBeNoted(client as Client, 'ackInflight', exchange)
    }
    return this.#call('incomingDelPacket', client, packet)
  }

  /** Resolves when the plugin has noted it, or there is none. @throws Error when the connection ended before that */
  async #mustBeNoted<Name extends 'trackInflight' | 'ackInflight'>(
    client: Client,
    hookpoint: Name,
    event: EventInput<Points[Name]>,
  ): Promise<void> {
    const { questions } = this.#options
    const ask = (before: Undecided | null) =>
      questions.request<'trackInflight' | 'ackInflight'>(hookpoint, event as never, before, () => client.closed)
    for (let before: Undecided | null = null; ; ) {
      const answer: Answer<true> = await questions.persist(ask, { isOver: () => client.closed, before })
      if (answer.kind !== 'undecided') return
      before = answer
      if (answer.cause !== 'failed' || client.closed) throw new Error(`a step of QoS 2 was not noted: ${answer.reason}`)
    }
  }

  async #release(clientId: string): Promise<boolean> {
    const session = this.#kept.get(clientId)
    const client = this.#options.broker.clients[clientId]
    // Until its connections are closed what comes for it is not theirs: it is in its queue.
    for (const each of new Set([client, session?.client])) {
      if (each !== undefined && !each.closed) await new Promise<void>((resolve) => each.close(resolve))
    }
    if (session !== undefined && this.#kept.get(clientId) === session) {
      await this.#forget(clientId)
      this.#kept.delete(clientId)
    }
    return session !== undefined || client !== undefined
  }

  #deliverQueued(clientId: string, messages: readonly MqttQueuedMessage[]): boolean {
    const session = this.#kept.get(clientId)
    if (session === undefined || session.client.closed) return false
    session.deliver(() => session.inTurn(() => this.#takeMessages(session, messages)))
    return true
  }
}

function nameOf({ brokerId, brokerCounter }: Pick<QueuedPacket, 'brokerId' | 'brokerCounter'>): string {
  return `${brokerId}:${brokerCounter}`
}
