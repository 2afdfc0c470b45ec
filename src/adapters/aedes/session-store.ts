/**
 * Sessions that outlive their connections, kept by a plugin: openSession, resumeSession, queueMessage, trackInflight,
 * ackInflight, and the host services releaseSession and deliverQueued. Host's thread only.
 *
 * The broker's own persistence stays the working copy. What a plugin keeps is read when a client connects, and what changes
 * is told as it changes: a message is in the plugin's queue before anybody gets it, and out of it when it is acknowledged.
 * So a client may come back to another broker, or to one that has started anew. While no plugin answers, the broker's
 * persistence is all there is.
 */
import type { MqttClientInfo, MqttQueuedMessage, mqtt, ProvidedServices } from '../../contracts/index.js'
import { type Asker, packetOf } from './asking.js'
import type { Broker, Client, Packet, Persistence, Qos, Subscription } from './broker.js'

/** What is used of the persistence here, and only here. */
interface SessionPersistence extends Persistence {
  outgoingEnqueue(subscription: { readonly clientId: string }, packet: QueuedPacket): Promise<unknown>
  outgoingEnqueueCombi(routes: readonly Route[], packet: Packet): Promise<unknown>
  incomingStorePacket(client: { readonly id: string }, packet: Partial<Packet>): Promise<unknown>
  incomingDelPacket(client: { readonly id: string }, packet: { readonly messageId: number }): Promise<unknown>
  cleanIncoming(client: { readonly id: string }): Promise<unknown>
}

type QueuedPacket = Omit<Packet, 'cmd'> & { readonly cmd: 'publish' | 'pubrel' }

interface Route {
  readonly clientId: string
  readonly qos: number
}

export interface SessionStore {
  isAsked(): boolean
  /** The hooks have let the client in: its session is brought here. Resolves with why it cannot be, or null. */
  open(client: Client): Promise<string | null>
  readonly services: Pick<ProvidedServices<(typeof mqtt)['services']>, 'releaseSession' | 'deliverQueued'>
  /** Gives the persistence its methods back. */
  detach(): void
}

/** A session of this broker that a plugin keeps. */
interface Kept {
  /** The plugin's name for a queued message, by the broker's: `brokerId:brokerCounter`. */
  readonly ids: Map<string, string>
  /** The same, by the packet id under which it was sent; empty: a PUBREL alone is left of it. */
  readonly sent: Map<number, string>
  /** What is being queued. */
  readonly underWay: Set<Promise<unknown>>
  /** Its queue is changed by one at a time. */
  turn: Promise<unknown>
}

type Wrapped =
  | 'outgoingEnqueueCombi'
  | 'outgoingUpdate'
  | 'outgoingClearMessageId'
  | 'incomingStorePacket'
  | 'incomingDelPacket'
type Bare = Pick<SessionPersistence, Wrapped>

export function createSessionStore(
  broker: Broker,
  { asker, infoOf }: { asker: Asker; infoOf(client: Client): MqttClientInfo },
): SessionStore {
  const persistence = broker.persistence as SessionPersistence
  const bare: Bare = {
    outgoingEnqueueCombi: persistence.outgoingEnqueueCombi,
    outgoingUpdate: persistence.outgoingUpdate,
    outgoingClearMessageId: persistence.outgoingClearMessageId,
    incomingStorePacket: persistence.incomingStorePacket,
    incomingDelPacket: persistence.incomingDelPacket,
  }
  const call = <Name extends Wrapped>(name: Name, ...args: Parameters<Bare[Name]>): ReturnType<Bare[Name]> =>
    Reflect.apply(bare[name] as (...args: unknown[]) => ReturnType<Bare[Name]>, persistence, args)
  // As they are before any hook stands in front of them: here no session ends and nothing is refused.
  const { addSubscriptions, cleanSubscriptions, outgoingStream } = persistence
  const kept = new Map<string, Kept>()
  let releases = 0

  const resume = (clientId: string, after: string) => asker.request('resumeSession', { clientId, after })

  /** A packet of the broker's own: it can be told apart, and acknowledged. */
  function nextPacket(packet: Omit<QueuedPacket, 'brokerId' | 'brokerCounter'>): QueuedPacket {
    const counting = broker as { counter: number }
    counting.counter += 1
    return { ...packet, brokerId: broker.id, brokerCounter: counting.counter }
  }

  async function enqueue(clientId: string, packet: QueuedPacket, packetId: number | null): Promise<void> {
    await persistence.outgoingEnqueue({ clientId }, packet)
    if (packetId === null) return
    await call('outgoingUpdate', { id: clientId } as Client, { ...packet, messageId: packetId } as Packet)
  }

  /** Puts what the session does not know into its queue, and gives that. */
  async function take(clientId: string, session: Kept, messages: readonly MqttQueuedMessage[]): Promise<Packet[]> {
    await Promise.allSettled(session.underWay)
    const known = new Set([...session.ids.values(), ...session.sent.values()])
    const taken: Packet[] = []
    for (const { id, packetId, packet } of messages) {
      if (known.has(id)) continue
      const { topic, payload, qos } = packet
      const own = nextPacket({ cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain: false })
      session.ids.set(nameOf(own), id)
      if (packetId !== null) session.sent.set(packetId, id)
      await enqueue(clientId, own, packetId)
      taken.push(own as Packet)
    }
    return taken
  }

  async function forget(clientId: string): Promise<void> {
    const client = { id: clientId } as Client
    // First, and at once: what is routed from now on is not this broker's to queue.
    await Reflect.apply(cleanSubscriptions, persistence, [client])
    for await (const packet of Reflect.apply(outgoingStream, persistence, [client]) as AsyncIterable<Packet>) {
      await call('outgoingClearMessageId', client, { messageId: packet.messageId as number })
    }
    await persistence.cleanIncoming(client)
  }

  /** What the plugin keeps takes the place of what is here, as far as they differ. */
  async function restore(client: Client, session: Kept, wanted: readonly Subscription[]): Promise<string | null> {
    const here = (await persistence.subscriptionsByClient({ id: client.id })) ?? []
    if (here.some(({ topic }) => !wanted.some((subscription) => subscription.topic === topic))) {
      await Reflect.apply(cleanSubscriptions, persistence, [client])
    }
    if (wanted.length > 0) await Reflect.apply(addSubscriptions, persistence, [client, [...wanted]])
    for (let after: string | null = ''; after !== null; ) {
      const answer: Awaited<ReturnType<typeof resume>> = await resume(client.id, after)
      if (answer.kind === 'refuse') return answer.reason
      if (answer.kind === 'none') return null
      const { messages, released, received, next } = answer.value
      for (const packetId of released) {
        if (session.sent.has(packetId)) continue
        session.sent.set(packetId, '')
        const release = nextPacket({ cmd: 'pubrel', topic: '', payload: Buffer.alloc(0), qos: 1, retain: false })
        await enqueue(client.id, release, packetId)
      }
      for (const messageId of received) {
        await call('incomingStorePacket', client, { cmd: 'publish', topic: '', qos: 2, messageId })
      }
      await take(client.id, session, messages)
      after = next
    }
    return null
  }

  async function open(client: Client): Promise<string | null> {
    const answer = await asker.request('openSession', { client: infoOf(client) })
    if (answer.kind === 'refuse') return answer.reason
    if (answer.kind === 'none') return null
    if (client.clean) {
      if (kept.delete(client.id)) await forget(client.id)
      return null
    }
    let session = kept.get(client.id)
    if (session === undefined) {
      // What is here without the plugin's knowledge is of no session that the cluster knows.
      await forget(client.id)
      session = { ids: new Map(), sent: new Map(), underWay: new Set(), turn: Promise.resolve() }
      kept.set(client.id, session)
    }
    const own = session
    const wanted = answer.value.subscriptions.map(({ filter, qos }) => ({ topic: filter, qos }))
    const restored = own.turn.then(() => restore(client, own, wanted))
    own.turn = restored.catch(() => {})
    return restored
  }

  /** Resolves when the plugin has the message for each of the sessions, or has failed: then it is in memory alone. */
  async function keep(clientIds: readonly string[], packet: Packet, qos: Qos): Promise<void> {
    const event = { clientIds: [...clientIds], packet: packetOf({ ...packet, retain: false }, qos) }
    const asked = asker.request('queueMessage', event)
    const noted = asked.then((answer) => {
      for (const [index, clientId] of clientIds.entries()) {
        const session = kept.get(clientId)
        session?.underWay.delete(noted)
        const id = answer.kind === 'answer' ? answer.value[index] : undefined
        if (id !== undefined) session?.ids.set(nameOf(packet), id)
      }
      if (answer.kind === 'refuse') asker.report(new Error(answer.reason), 'a queued message is in memory alone')
    })
    for (const clientId of clientIds) kept.get(clientId)?.underWay.add(noted)
    return noted
  }

  const wrapped: Bare = {
    async outgoingEnqueueCombi(routes, packet) {
      const own = routes.filter(({ clientId }) => kept.has(clientId))
      if (own.length > 0 && asker.isSubscribed('queueMessage')) {
        const withQos = (qos: Qos) =>
          own.filter((route) => Math.min(route.qos, packet.qos) === qos).map(({ clientId }) => clientId)
        const groups = ([1, 2] as const).map((qos) => ({ qos, clientIds: withQos(qos) }))
        await Promise.all(groups.map(({ qos, clientIds }) => clientIds.length > 0 && keep(clientIds, packet, qos)))
      }
      return call('outgoingEnqueueCombi', routes, packet)
    },
    async outgoingUpdate(client, packet) {
      const session = kept.get(client.id)
      const packetId = packet.messageId
      if (session === undefined || packetId === undefined) return call('outgoingUpdate', client, packet)
      const isRelease = (packet.cmd as string) === 'pubrel'
      const id = isRelease ? session.sent.get(packetId) : session.ids.get(nameOf(packet))
      if (id !== undefined) session.sent.set(packetId, id)
      // A PUBREL that was brought here is known, and a message that could not be kept is not.
      if (id !== undefined && id !== '') {
        const state = isRelease ? 'released' : 'sent'
        asker.tell('trackInflight', () => ({ clientId: client.id, direction: 'out', packetId, id, state }))
      }
      if (!isRelease) return call('outgoingUpdate', client, packet)
      // Told apart from others: the broker's memory would give one PUBREL the id of the next. One that is there already
      // is not found, and stays.
      releases += 1
      return call('outgoingUpdate', client, { ...packet, brokerCounter: -releases }).catch(() => undefined)
    },
    async outgoingClearMessageId(client, packet) {
      const cleared = (await call('outgoingClearMessageId', client, packet)) as Packet | undefined
      const session = kept.get(client.id)
      if (session === undefined || cleared === undefined) return cleared
      const packetId = packet.messageId
      const id = session.ids.get(nameOf(cleared)) ?? session.sent.get(packetId)
      for (const [name, other] of session.ids) if (other === id) session.ids.delete(name)
      session.sent.delete(packetId)
      if (id !== undefined) {
        const queued = id === '' ? null : id
        asker.tell('ackInflight', () => ({
          clientId: client.id,
          direction: 'out',
          packetId: packetId ?? 0,
          id: queued,
        }))
      }
      return cleared
    },
    incomingStorePacket(client, packet) {
      const packetId = packet.messageId
      if (kept.has(client.id) && packetId !== undefined) {
        const exchange = { clientId: client.id, direction: 'in', packetId, id: null } as const
        asker.tell('trackInflight', () => ({ ...exchange, state: 'received' }))
      }
      return call('incomingStorePacket', client, packet)
    },
    incomingDelPacket(client, packet) {
      if (kept.has(client.id)) {
        asker.tell('ackInflight', () => ({
          clientId: client.id,
          direction: 'in',
          packetId: packet.messageId,
          id: null,
        }))
      }
      return call('incomingDelPacket', client, packet)
    },
  }
  Object.assign(persistence, wrapped)

  return {
    isAsked: () => asker.isSubscribed('openSession'),
    open,
    services: {
      async releaseSession({ clientId }) {
        const session = kept.get(clientId)
        const client = broker.clients[clientId]
        kept.delete(clientId)
        const forgotten = session === undefined ? null : forget(clientId)
        if (client !== undefined && !client.closed) await new Promise<void>((resolve) => client.close(resolve))
        await Promise.allSettled([forgotten, ...(session?.underWay ?? [])])
        return session !== undefined || client !== undefined
      },
      async deliverQueued({ clientId, messages }) {
        const session = kept.get(clientId)
        if (session === undefined) return false
        const taking = session.turn.then(() => take(clientId, session, messages))
        session.turn = taking.catch(() => {})
        const client = broker.clients[clientId]
        for (const packet of await taking) {
          // One that is not connected gets it with the rest of its queue.
          if (client?.closed === false && !client.connecting) client.deliverQoS(packet, () => {})
        }
        return true
      },
    },
    detach: () => void Object.assign(persistence, bare),
  }
}

function nameOf({ brokerId, brokerCounter }: Pick<QueuedPacket, 'brokerId' | 'brokerCounter'>): string {
  return `${brokerId}:${brokerCounter}`
}
