/** One broker's part in the cluster: all that the plugin holds, put together. In a lane. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { MqttClientInfo, MqttPublishPacket, MqttQueuedMessage, MqttSubscription } from '../../contracts/mqtt.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { RedisConnection } from '../redis/connection.js'
import { Inbox } from '../redis/inbox.js'
import { RetainedStore } from '../redis/retained.js'
import type { Wire } from '../redis/wire.js'
import { NodeChannel } from './channel.js'
import type { ResolvedClusterConfig } from './config.js'
import { QueueDelivery } from './delivery.js'
import { type Keys, keysOf } from './keys.js'
import { ClusterNode, type NodeListener } from './node.js'
import { OwedWrites } from './owed.js'
import { OwnRoutes } from './own-routes.js'
import { type Held, SessionQueue } from './queue.js'
import { RouteTable } from './route-table.js'
import { MessageRouter } from './router.js'
import { Sessions } from './sessions.js'

type LivePacket = MqttPublishPacket & { isQueued?: boolean }

/** What the lane asks of its broker; without the last four the broker keeps no sessions. */
export interface BrokerServices {
  publish(packet: LivePacket): Promise<unknown>
  disconnect(client: { clientId: string }): Promise<unknown>
  readonly releaseSession?: (session: { clientId: string }) => Promise<unknown>
  readonly deliverQueued?: (queued: { clientId: string; messages: MqttQueuedMessage[] }) => Promise<boolean>
  readonly setServing?: (state: { isServing: boolean; reason: string }) => Promise<unknown>
}

export interface ClusterMemberOptions {
  readonly config: ResolvedClusterConfig
  readonly plugin: string
  readonly log: PluginLogger
  readonly services: BrokerServices
  readonly wire: Wire
  readonly connection: RedisConnection
}

export interface Acknowledgement {
  readonly clientId: string
  readonly direction: 'in' | 'out'
  readonly packetId: number
  readonly id: string | null
}

export class ClusterMember {
  readonly sessions: Sessions
  readonly queue: SessionQueue
  readonly router: MessageRouter
  readonly retained: RetainedStore
  readonly owed: OwedWrites
  readonly #connection: RedisConnection
  readonly #services: BrokerServices
  readonly #config: ResolvedClusterConfig
  readonly #log: PluginLogger
  readonly #keys: Keys
  readonly #lane = randomUUID()
  readonly #table: RouteTable
  readonly #routes: OwnRoutes
  readonly #delivery: QueueDelivery
  readonly #channel: NodeChannel
  readonly #node: ClusterNode
  /** Of the lanes of one broker, one listens: during a reload there are two. */
  #turn: 'not yet' | 'ours' | 'over' = 'not yet'
  /** No other lane of this broker was there before. */
  #isFirst = true

  constructor({ config, plugin, log, services, wire, connection }: ClusterMemberOptions) {
    const { nodeId, takeoverMs, sessionExpiryMs } = config
    const keys = keysOf(config.keyPrefix, connection)
    this.#connection = connection
    this.#services = services
    this.#config = config
    this.#log = log
    this.#keys = keys
    this.owed = new OwedWrites({ log, isThere: () => connection.isThere })
    this.retained = new RetainedStore(connection, { keys, wire, log })
    this.queue = new SessionQueue(connection, { ...config, keys, wire, log })
    const table = new RouteTable(connection, keys)
    this.#table = table
    this.#routes = new OwnRoutes(connection, { keys, nodeId, table })
    this.#delivery = new QueueDelivery({
      queue: this.queue,
      log,
      hand: (clientId, messages) => this.#hand(clientId, messages),
      lost: (held) => this.#tryLose(held),
      missing: (held) => this.sessions.missing(held),
    })
    const inbox = new Inbox<LivePacket>({ publish: services.publish, log })
    this.#channel = new NodeChannel({
      ...{ connection, keys, wire, nodeId, log, takeoverMs },
      listener: {
        isOurs: () => this.#turn === 'ours',
        succeededBy: (other) => this.#succeededBy(other),
        take: (packet) => void inbox.add({ ...packet, isQueued: true }),
        queued: (clientId) => this.#delivery.look(clientId),
        release: (clientId) => this.sessions.release(clientId),
      },
    })
    this.sessions = new Sessions({
      ...{ connection, keys, nodeId, table, routes: this.#routes, sessionExpiryMs, log },
      generation: () => this.#node.generation,
      takeOver: (clientId, from) => this.#channel.takeOver(clientId, from),
      tellTaken: (clientId, by) => this.#channel.tellTaken(clientId, by),
      evict: (clientId) => this.#evict(clientId),
      opened: (clientId) => this.#opened(clientId),
      gone: (clientId) => this.#gone(clientId),
    })
    // The same for every lane that this broker starts, also in other processes.
    const broker = `${hostname()}/${config.instance === '' ? process.pid : config.instance}`
    this.#node = new ClusterNode(connection, keys, {
      ...{ ...config, broker, lane: this.#lane, plugin, log },
      listener: this.#nodeListener(),
    })
    this.router = new MessageRouter({
      ...{
        nodeId,
        broker: this.#lane,
        table,
        sessions: this.sessions,
        queue: this.queue,
        channel: this.#channel,
        wire,
        log,
      },
      look: (clientId) => this.#delivery.look(clientId),
    })
  }

  get isMember(): boolean {
    return this.#node.isMember
  }

  /** Whoever asks is not told anything by a node that is none: undecided is not acknowledged. */
  mustBeMember(): void {
    if (!this.isMember) throw new Error('this node is not one of the cluster’s now')
  }

  mustHold(clientId: string): Held {
    const held = this.sessions.held(clientId)
    if (held === undefined) throw new Error('another node has this session')
    return held
  }

  /** @throws HookringError NODE_ID_TAKEN */
  async join(): Promise<void> {
    try {
      await this.#channel.open()
      if ((await this.#begin()) === 'new') this.#turn = 'ours'
      await this.#services.setServing?.({ isServing: true, reason: '' }).catch(() => {})
    } catch (error) {
      await this.#node.leave().catch(() => {})
      this.#connection.close()
      throw error
    }
    this.#connection.onReturn(() => this.#comeBack())
    this.#node.start()
  }

  async openSession(client: Pick<MqttClientInfo, 'clientId' | 'clean' | 'username'>) {
    this.mustBeMember()
    const subscriptions: MqttSubscription[] = await this.sessions.open(client)
    return { subscriptions }
  }

  /** A part of what waits for the session's client: what is under way first of all. */
  async resumeSession(clientId: string, after: string) {
    const held = this.mustHold(clientId)
    const part = await this.queue.pull(held, after)
    if (part === null) return this.lose(held)
    const next = part.left === 'more' ? part.last : null
    // What comes from here on is told, or found.
    if (next === null) this.#delivery.start(held, part.last)
    const { messages, released, received } = part
    return after === '' ? { messages, released, received, next } : { messages, released: [], received: [], next }
  }

  /** What its client has acknowledged is not lost while Redis is away; a PUBCOMP is not sent before it is written. */
  async acknowledge({ clientId, direction, packetId, id }: Acknowledgement): Promise<true> {
    const held = this.sessions.held(clientId)
    if (held === undefined) return true
    if (direction === 'in') {
      if (!(await this.queue.complete(held, packetId))) await this.lose(held)
      return true
    }
    await this.owed.write(async () => {
      if (await this.queue.acknowledge(held, packetId, id)) this.#delivery.madeRoom(clientId)
      else await this.sessions.lost(held)
    })
    return true
  }

  /** The session is another node's: its client goes, and whoever waits for an answer does not get one. */
  async lose(held: Held): Promise<never> {
    await this.sessions.lost(held)
    throw new Error('another node has this session')
  }

  async inspect(clientId: string | null) {
    const { nodeId } = this.#config
    const { generation, isMember } = this.#node
    const session = clientId === null ? null : await this.#inspectSession(clientId)
    return { nodeId, generation, isMember, nodes: await this.#node.active(), session }
  }

  async end(): Promise<void> {
    await this.owed.pay()
    // A lane that another one of this broker has succeeded leaves everything to it.
    await this.#node.beat().catch(() => {})
    if (this.#node.isMember) {
      await this.sessions.leave().catch((error: unknown) => this.#log.warn('leaving failed', { error: String(error) }))
      await this.#connection.commands.srem(this.#keys.nodeIndex, this.#config.nodeId).catch(() => {})
    }
    await this.#node.leave().catch(() => {})
    this.#delivery.close()
    this.owed.close()
    this.#connection.close()
  }

  #nodeListener(): NodeListener {
    return {
      known: () => this.#known(),
      bury: (dead) => this.#bury(dead),
      succeeded: () => this.#stepBack(),
      fenced: (why) => this.#fenced(why),
      rejoined: () => this.#rejoined(),
      revived: (isForgotten) => this.#revived(isForgotten),
      beaten: () => this.#beaten(),
    }
  }

  /** What the node's last broker left behind, as far as it is not this one's. */
  async #begin(): Promise<'new' | 'again'> {
    const came = await this.#node.register()
    this.#isFirst = came === 'new'
    await this.#connection.commands.sadd(this.#keys.nodeIndex, this.#config.nodeId)
    await this.#table.reload()
    if (came === 'again') {
      await this.sessions.adopt()
      this.#routes.pin(this.#table.filtersOf(this.#config.nodeId))
      await this.#channel.succeed(this.#lane)
      for (const clientId of this.sessions.clientIds) await this.#goOn(clientId)
    } else {
      await this.#clearUp()
    }
    return came
  }

  /** A lane that comes after another does not know how far the broker is: what it has already it knows by its id. */
  async #goOn(clientId: string): Promise<void> {
    const held = this.sessions.held(clientId)
    if (held !== undefined && this.sessions.isKept(clientId)) this.#delivery.start(held, '')
  }

  async #clearUp(): Promise<void> {
    const { nodeId } = this.#config
    await this.sessions.bury(nodeId, this.#node.generation)
    await this.#routes.remove(nodeId, this.#table.filtersOf(nodeId))
    await this.#table.reload()
  }

  async #known(): Promise<ReadonlySet<string>> {
    await this.#table.sync()
    const listed = await this.#connection.commands.smembers(this.#keys.nodeIndex)
    return new Set([...this.#table.nodes(), ...listed])
  }

  async #bury(dead: string): Promise<void> {
    this.#log.warn('a node is dead: its routes and clients are removed', { node: dead })
    await this.sessions.bury(dead)
    await this.#routes.remove(dead, this.#table.filtersOf(dead))
  }

  async #fenced(reason: string): Promise<void> {
    this.#turn = 'over'
    await this.#services.setServing?.({ isServing: false, reason }).catch(() => {})
    await this.#channel.leave().catch(() => {})
    await this.sessions.abandon()
  }

  async #rejoined(): Promise<void> {
    await this.#channel.open()
    await this.#connection.commands.sadd(this.#keys.nodeIndex, this.#config.nodeId)
    await this.#table.reload()
    await this.#clearUp()
    this.#turn = 'ours'
    await this.#services.setServing?.({ isServing: true, reason: '' }).catch(() => {})
  }

  /** Writes again what others may have removed, or Redis may have lost. */
  async #revived(isForgotten: boolean): Promise<void> {
    if (this.#turn === 'over') {
      // The lane that came after this one did not stay.
      await this.#channel.open()
      this.#turn = 'ours'
    }
    await this.#restore(isForgotten)
  }

  async #restore(isForgotten: boolean): Promise<void> {
    const { nodeId } = this.#config
    await this.#connection.commands.sadd(this.#keys.nodeIndex, nodeId)
    await this.#routes.restore()
    if (isForgotten) await this.sessions.restore()
    await this.owed.pay()
    await this.#table.reload()
    this.#delivery.lookAtAll()
    // Of clients that have gone while nothing could be written. A later lane does not know all that there are.
    if (!this.#isFirst) return
    const own = new Set(this.#routes.filters)
    await this.#routes.remove(
      nodeId,
      this.#table.filtersOf(nodeId).filter((filter) => !own.has(filter)),
    )
  }

  async #beaten(): Promise<void> {
    this.#delivery.lookAtSome()
    await this.sessions.renew()
  }

  /** Redis was away, or the channel was not heard. */
  #comeBack(): void {
    this.#node
      .beat()
      .then(() => (this.#node.isMember ? this.#restore(false) : undefined))
      .catch((error: unknown) => this.#log.warn('the node could not be announced again', { error: String(error) }))
  }

  #succeededBy(other: string): void {
    if (other === this.#lane) this.#turn = 'ours'
    else if (this.#turn === 'ours') this.#stepBack()
  }

  #stepBack(): void {
    this.#turn = 'over'
    this.#channel.leave().catch(() => {})
  }

  #opened(clientId: string): void {
    this.#delivery.stop(clientId)
    this.router.open(clientId)
  }

  #gone(clientId: string): void {
    this.#delivery.stop(clientId)
    this.router.end(clientId)
  }

  async #evict(clientId: string): Promise<void> {
    const { releaseSession, disconnect } = this.#services
    // A broker without a session store has only the connection to give up.
    if (releaseSession === undefined) await disconnect({ clientId })
    else await releaseSession({ clientId }).catch(() => disconnect({ clientId }))
  }

  async #hand(clientId: string, messages: readonly MqttQueuedMessage[]): Promise<boolean> {
    return (await this.#services.deliverQueued?.({ clientId, messages: [...messages] })) ?? false
  }

  #tryLose(held: Held): void {
    this.sessions
      .lost(held)
      .catch((error: unknown) => this.#log.warn('a session was not let go of in order', { error: String(error) }))
  }

  async #inspectSession(clientId: string) {
    const { commands } = this.#connection
    const key = this.#keys.session(clientId)
    const [[node, clean, bytes], queueLength, underWay, expiresInMs] = await Promise.all([
      commands.hmget(key, 'node', 'clean', 'queueBytes') as Promise<[string | null, string | null, string | null]>,
      commands.xlen(this.#keys.queue(clientId)),
      commands.hlen(this.#keys.inflight(clientId)),
      commands.pttl(key),
    ])
    if (clean === null) return null
    const queueBytes = Number(bytes ?? 0)
    return { clientId, node: node ?? '', clean: clean === '1', queueLength, queueBytes, underWay, expiresInMs }
  }
}
