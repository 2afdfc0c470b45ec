/**
 * Sessions of the cluster: which node has which, and how one moves. In a lane.
 *
 * Whoever opens a session writes a new lease into it, in one step; what others do under an older lease changes nothing from
 * then on. The node that had it is asked to let go first, so that its client's last acknowledgements are written; one that
 * does not answer is not waited for, since nothing that matters is in its hands alone.
 */
import { randomUUID } from 'node:crypto'
import type { MqttClientInfo, MqttSubscription } from '../../contracts/mqtt.js'
import { parseFilter } from '../../contracts/mqtt-topics.js'
import type { PluginLogger } from '../../plugin/index.js'
import { KeyedQueue } from '../../primitives/keyed-queue.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from './keys.js'
import type { OwnRoutes } from './own-routes.js'
import type { Held } from './queue.js'
import type { RouteTable } from './route-table.js'
import { inParts, type Opener, SessionRecords } from './session-records.js'

type Who = Pick<MqttClientInfo, 'clientId' | 'clean'>

interface OpenSession extends Held {
  readonly clean: boolean
  readonly username: string | null
  renewedAtMs: number
  /** Opened, and no connection of it is known yet: what ends in between is the connection before. Null: it is known. */
  openingSinceMs: number | null
}

/** A connection that was opened and has no CONNACK after this long will have none. */
const OPENING_MS = 60_000
/** A connection whose end is under way is told of within this. */
const MISSING_MS = 2_000
/** A session's time is set anew this often in each of its lengths, while its client is connected. */
const RENEWALS = 4

export interface SessionsOptions {
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly nodeId: string
  readonly table: RouteTable
  readonly routes: OwnRoutes
  readonly sessionExpiryMs: number
  readonly log: PluginLogger
  /** Of this node, as it is now. */
  generation(): string
  /** Asks the node to let go; resolves when it has, or cannot be reached. */
  takeOver(clientId: string, from: string): Promise<void>
  tellTaken(clientId: string, by: string): void
  /** Ends the client's connection to this broker; its session is another one's, or nobody's. */
  evict(clientId: string): Promise<unknown>
  /** The session is this node's; a connection that it had here before is over. */
  opened(clientId: string): void
  /** The session is not this node's any more. */
  gone(clientId: string): void
}

export class Sessions {
  readonly #options: SessionsOptions
  readonly #records: SessionRecords
  readonly #nodeId: string
  readonly #routes: OwnRoutes
  readonly #table: RouteTable
  readonly #expiryMs: number
  readonly #open = new Map<string, OpenSession>()
  /** What has been unsubscribed from may be subscribed to again at once. Not for what another node asks for. */
  readonly #inTurn = new KeyedQueue<string>()
  /** Clients whose connections are being ended: they do not come back before that is done. */
  readonly #leaving = new Map<string, Promise<unknown>>()

  constructor(options: SessionsOptions) {
    this.#options = options
    this.#records = new SessionRecords(options.connection, options)
    this.#nodeId = options.nodeId
    this.#routes = options.routes
    this.#table = options.table
    this.#expiryMs = options.sessionExpiryMs
  }

  /** Clients whose sessions are open here. */
  get clientIds(): string[] {
    return [...this.#open.keys()]
  }

  /** The session, if it is this node's. */
  held(clientId: string): Held | undefined {
    return this.#open.get(clientId)
  }

  isKept(clientId: string): boolean {
    return this.#open.get(clientId)?.clean === false
  }

  /** The session is this node's from now on. */
  open(client: Opener): Promise<MqttSubscription[]> {
    return this.#inTurn.run(client.clientId, async () => {
      await this.#leaving.get(client.clientId)
      const before = await this.#records.nodeOf(client.clientId)
      const isElsewhere = before !== null && before !== '' && before !== this.#nodeId
      if (isElsewhere) await this.#options.takeOver(client.clientId, before)
      return this.#take(client, randomUUID(), isElsewhere ? before : '')
    })
  }

  /** The client is connected; one of a broker that opens no sessions has its session from here on. */
  async connected(client: MqttClientInfo): Promise<void> {
    const session = this.#open.get(client.clientId)
    if (session === undefined || session.clean !== client.clean) await this.open(client)
    const opened = this.#open.get(client.clientId)
    if (opened !== undefined) opened.openingSinceMs = null
  }

  /**
   * The client has gone. What is to be written of it may be written late, and concerns this connection alone: by then the
   * client may have come again.
   */
  disconnected(clientId: string): () => Promise<void> {
    const session = this.#open.get(clientId)
    if (session === undefined || session.openingSinceMs !== null) return async () => {}
    this.#forget(clientId)
    return () => this.#inTurn.run(clientId, () => this.#end(session))
  }

  /** The broker has nothing of it any more. */
  ended(clientId: string): () => Promise<void> {
    const session = this.#open.get(clientId)
    if (session === undefined || session.openingSinceMs !== null) return async () => {}
    this.#forget(clientId)
    return () => this.#inTurn.run(clientId, () => this.#end({ ...session, clean: true }))
  }

  subscribe(client: MqttClientInfo, subscriptions: readonly MqttSubscription[]): Promise<void> {
    const { clientId, clean } = client
    return this.#inTurn.run(clientId, async () => {
      const valid = subscriptions.filter(({ filter }) => parseFilter(filter) !== null)
      if (valid.length === 0) return
      const { lease } = this.#open.get(clientId) ?? (await this.#openLate(client))
      if (!clean) {
        await this.#mustBeHeld(clientId, this.#records.addSubscriptions({ clientId, lease }, valid))
      }
      const filters = valid.map(({ filter }) => filter)
      await this.#routes.hold(clientId, filters)
      if (!clean) await this.#table.announce({ sessions: [clientId] })
    })
  }

  unsubscribe({ clientId, clean }: Who, filters: readonly string[]): () => Promise<void> {
    const session = this.#open.get(clientId)
    if (session === undefined || filters.length === 0) return async () => {}
    return () =>
      this.#inTurn.run(clientId, async () => {
        if (!clean) {
          await this.#records.removeSubscriptions(session, filters)
          await this.#table.announce({ sessions: [clientId] })
        }
        if (this.#open.get(clientId) === session) await this.#routes.drop(clientId, filters)
      })
  }

  /** Another node opens it, or has opened it. Resolves when its client is gone from here. */
  async release(clientId: string): Promise<void> {
    const session = this.#open.get(clientId)
    this.#forget(clientId)
    await this.#evict(clientId)
    await this.#routes.dropAll(clientId)
    if (session !== undefined) await this.#records.leave(session)
  }

  /** It has turned out that the session is not this node's. */
  async lost({ clientId, lease }: Held): Promise<void> {
    if (this.#open.get(clientId)?.lease !== lease) return
    this.#options.log.warn('a session is not this node’s any more: its client is disconnected', { clientId })
    this.#forget(clientId)
    await this.#evict(clientId)
    await this.#routes.dropAll(clientId)
  }

  /** The broker says that its client is not there: then it says so too, or it has lost it. */
  missing({ clientId, lease }: Held): void {
    const look = () => {
      const session = this.#open.get(clientId)
      if (session?.lease !== lease) return
      this.#end(session)
        .then(() => this.#evict(clientId))
        .catch((error: unknown) => this.#options.log.debug('a lost client', { error: String(error) }))
    }
    setTimeout(look, MISSING_MS).unref()
  }

  /** What a lane of this broker had before. */
  async adopt(): Promise<void> {
    await this.#records.each(async (clientId) => {
      const found = await this.#records.find(clientId)
      if (found !== null) this.#remember(found, found.lease).openingSinceMs = null
    })
  }

  /** Sets the time of sessions whose clients are connected anew, and forgets connections that have come to nothing. */
  async renew(): Promise<void> {
    const nowMs = performance.now()
    const due = [...this.#open.values()].filter(({ renewedAtMs }) => renewedAtMs < nowMs - this.#expiryMs / RENEWALS)
    await inParts(due, (session) => this.#renewOne(session, nowMs))
    for (const session of [...this.#open.values()]) {
      if ((session.openingSinceMs ?? nowMs) < nowMs - OPENING_MS) await this.#end(session)
    }
  }

  /** Redis has lost its memory: what can be is written anew. Who had a session that was to stay learns that it is gone. */
  async restore(): Promise<void> {
    await inParts([...this.#open.values()], (session) => this.#renewOne(session, performance.now()))
  }

  /** What a dead node had. With its own id: what this node had in other generations. */
  async bury(nodeId: string, livingGeneration = ''): Promise<void> {
    await this.#records.each(async (clientId) => {
      if (await this.#records.bury(clientId, nodeId, livingGeneration)) await this.removeFromIndex(clientId)
    })
  }

  /** The client's session has expired, or was a clean one. */
  async removeFromIndex(clientId: string): Promise<void> {
    await this.#records.removeFromIndex(clientId)
    await this.#table.announce({ sessions: [clientId] })
  }

  /** Lets go of all, in order; the broker has ended its connections. */
  async leave(): Promise<void> {
    const all = [...this.#open.values()]
    for (const { clientId } of all) this.#forget(clientId)
    await inParts(all, (session) => this.#leaveOrRemove(session))
    await this.#routes.remove(this.#nodeId, this.#routes.filters)
  }

  /** Forgets all, and ends their connections: this node is none any more. */
  async abandon(): Promise<void> {
    const clientIds = this.clientIds
    for (const clientId of clientIds) this.#forget(clientId)
    await inParts(clientIds, async (clientId) => {
      await this.#evict(clientId)
      // The routes of this id are another node's by now, or will be removed with what this one left behind.
      this.#routes.forget(clientId)
    })
  }

  async #take(client: Opener, lease: string, asked: string): Promise<MqttSubscription[]> {
    const { clientId, clean } = client
    const { before, wasKept, subscriptions } = await this.#records.open(client, lease)
    // Somebody came between the question and the lease.
    if (before !== '' && before !== this.#nodeId && before !== asked) this.#options.tellTaken(clientId, before)
    await this.#routes.dropAll(clientId)
    this.#remember(client, lease)
    this.#options.opened(clientId)
    if (clean) {
      if (wasKept) await this.#table.announce({ sessions: [clientId] })
      return []
    }
    // For what is not kept for sessions: messages of QoS 0.
    await this.#routes.hold(
      clientId,
      subscriptions.map(({ filter }) => filter),
    )
    return subscriptions
  }

  /** Of a broker that opens no sessions. */
  async #openLate(client: Opener): Promise<OpenSession> {
    await this.#take(client, randomUUID(), '')
    const session = this.#open.get(client.clientId) as OpenSession
    session.openingSinceMs = null
    return session
  }

  #remember({ clientId, clean, username }: Opener, lease: string): OpenSession {
    const nowMs = performance.now()
    const session = { clientId, clean, username, lease, renewedAtMs: nowMs, openingSinceMs: nowMs }
    this.#open.set(clientId, session)
    return session
  }

  #evict(clientId: string): Promise<unknown> {
    const leaving = this.#options.evict(clientId).finally(() => {
      if (this.#leaving.get(clientId) === settled) this.#leaving.delete(clientId)
    })
    const settled = leaving.catch(() => {})
    this.#leaving.set(clientId, settled)
    return leaving
  }

  #forget(clientId: string): void {
    this.#open.delete(clientId)
    this.#options.gone(clientId)
  }

  async #end(session: OpenSession): Promise<void> {
    if (this.#open.get(session.clientId) === session) this.#forget(session.clientId)
    if (!this.#open.has(session.clientId)) await this.#routes.dropAll(session.clientId)
    await this.#leaveOrRemove(session)
  }

  async #leaveOrRemove(session: OpenSession): Promise<void> {
    if (session.clean) return this.#remove(session)
    await this.#records.leave(session)
  }

  async #remove(session: Held): Promise<void> {
    if (await this.#records.remove(session)) await this.removeFromIndex(session.clientId)
  }

  async #renewOne(session: OpenSession, nowMs: number): Promise<void> {
    const answer = await this.#records.renew(session)
    if (answer === 'renewed') session.renewedAtMs = nowMs
    else if (answer === 'gone' && session.clean) await this.#records.writeAgain(session, session.lease)
    else await this.lost(session)
  }

  async #mustBeHeld(clientId: string, isHeld: Promise<boolean>): Promise<void> {
    if (await isHeld) return
    const session = this.#open.get(clientId)
    if (session !== undefined) await this.lost(session)
    throw new Error('another node has opened this session')
  }
}
