/**
 * attachHooks: wires a broker's doors to an engine. Used by the broker's operator, on the host's thread.
 *
 * | hook                                        | when it is asked                                                  |
 * |---------------------------------------------|-------------------------------------------------------------------|
 * | onConnect                                   | after the broker's own `authenticate` has agreed                  |
 * | onSubscribe                                 | before the broker's own `authorizeSubscribe`, about a whole packet |
 * | onPublish, onPublishReceived, onWillPublish | after the broker's own `authorizePublish` has agreed              |
 * | storeRetained                               | after those, before the message is routed                         |
 * | canRead, onPublishDeliver                   | before the broker's own `authorizeForward`                        |
 *
 * Handlers of the operator's own are set before attaching: one that is set later takes the hooks' place, unless it calls
 * the one that it found. `broker.handle` is taken after attaching: what stands before the parser is put there.
 */
import type { Aedes } from 'aedes'
import { bindMethods } from '../../primitives/bind-methods.js'
import { ErrorReports } from '../reporting/error-reports.js'
import { type Broker, type Client, type ConnackPacket, checkBroker, checkClient, type Packet } from './broker.js'
import { Connections } from './connections.js'
import { type HookCounts, newCounts } from './counts.js'
import { Deliveries } from './deliveries.js'
import { Inboxes } from './inboxes.js'
import { registerBroker } from './metrics.js'
import { type AttachOptions, parseAttachOptions, type ResolvedAttachOptions } from './options.js'
import { Publishing } from './publishing.js'
import { type MqttEngine, Questions } from './questions.js'
import { QueuedMessages } from './queued-messages.js'
import { BrokerServices, type BrokerStats } from './services.js'
import { SessionStore } from './session-store.js'
import { HookedStore } from './store.js'
import { Strangers } from './strangers.js'
import { Traffic } from './traffic.js'

export interface AttachedHooks {
  /** What the hooks have refused, what they left undecided, and what was dropped, since they were attached. */
  readonly counts: Readonly<HookCounts>
  /** What the broker has counted since it was attached; what the plugin `sys` publishes. */
  stats(): Promise<BrokerStats>
  /** False: the broker takes no part in its cluster, and no clients, as a plugin has said; `/healthz` says so. */
  readonly isServing: boolean
  /** Nothing is asked or told any more, and the broker goes on by itself. What was refused before stays refused. */
  detach(): void
}

/**
 * Puts an open broker (`Aedes.createBroker()`) under the hooks of an engine of mqtt@1, and provides the engine with the
 * contract's services. Before the broker accepts connections, and before `broker.handle` is given to a server; once for each
 * broker. Close the broker first and the engine after it: a closed engine agrees to nothing.
 *
 * @throws HookringError BROKER_UNSUPPORTED, OPTIONS_INVALID
 */
export function attachHooks(aedes: Aedes, engine: MqttEngine, options: AttachOptions = {}): AttachedHooks {
  const broker = checkBroker(aedes)
  return bindMethods(new Attachment(broker, engine, parseAttachOptions(options)))
}

type Door = 'preConnect' | 'authenticate' | 'authorizePublish' | 'authorizeSubscribe' | 'authorizeForward' | 'publish'
type Doors = Pick<Broker, Door>

class Attachment implements AttachedHooks {
  readonly counts: HookCounts = newCounts()
  readonly #broker: Broker
  readonly #bare: Doors
  readonly #traffic = new Traffic()
  readonly #questions: Questions
  readonly #strangers: Strangers
  readonly #connections: Connections
  readonly #deliveries: Deliveries
  readonly #publishing: Publishing
  readonly #inboxes: Inboxes
  readonly #sessions: SessionStore
  readonly #services: BrokerServices
  readonly #queued = new QueuedMessages()

  constructor(broker: Broker, engine: MqttEngine, options: ResolvedAttachOptions) {
    const { preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward, publish } = broker
    this.#broker = broker
    this.#bare = { preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward, publish }
    const { counts } = this
    const questions = new Questions(engine, {
      ...options,
      counts,
      reports: new ErrorReports('attachHooks', options.onError),
    })
    this.#questions = questions
    this.#strangers = new Strangers({ ...options, counts })
    this.#connections = new Connections(broker, questions)
    const infoOf = (client: Client) => this.#connections.infoOf(client)
    this.#deliveries = new Deliveries({
      ...{ ...options, broker, questions, infoOf, onUndecided: options.onUndecided.deliver, queued: this.#queued },
      publish: (packet, client, done) => this.#route(packet, client, done),
    })
    this.#publishing = new Publishing({
      ...{ questions, persistence: broker.persistence, infoOf, deliveries: this.#deliveries, queued: this.#queued },
      onUndecided: options.onUndecided,
      onSettled: (client) => this.#inboxes.publishesSettled(client),
    })
    this.#inboxes = new Inboxes({
      ...{ questions, infoOf, queueLimit: broker.queueLimit, maxTopicLevels: broker.maxTopicLevels },
      onUndecided: options.onUndecided.subscribe,
      hasPublishes: (client) => this.#publishing.hasPublishes(client),
      onPacket: (client, packet) => this.#traffic.received(client, packet),
    })
    // Before the hooks of the store: what it does there by itself is nobody's to refuse.
    this.#sessions = new SessionStore({ broker, questions, infoOf, queued: this.#queued })
    const isRefused: Inboxes['isRefused'] = (subscription) => this.#inboxes.isRefused(subscription)
    new HookedStore({ broker, questions, deliveries: this.#deliveries, isRefused }).install()
    this.#services = new BrokerServices({
      ...{ broker, traffic: this.#traffic },
      publish: (packet, done, isQueued) => {
        if (isQueued) this.#queued.mark(packet)
        this.#publishing.publishUnasked(packet, done)
      },
      onDisconnect: (client, reason) => this.#connections.ending(client, reason),
    })
    this.#install()
    engine.provide({ ...this.#services.services, ...this.#sessions.services })
    registerBroker(engine.registry, this)
  }

  stats(): Promise<BrokerStats> {
    return this.#services.stats()
  }

  get isServing(): boolean {
    return this.#services.isServing
  }

  detach(): void {
    this.#questions.detach()
    this.#sessions.detach()
  }

  #call<Name extends Door>(name: Name, ...args: Parameters<Broker[Name]>): ReturnType<Broker[Name]> {
    return Reflect.apply(this.#bare[name], this.#broker, args)
  }

  #route(packet: Packet, client: Client | null, done: ((error?: Error | null) => void) | undefined): void {
    // What the broker gives it first of all, if it has none.
    const counter = packet.brokerCounter || this.#broker.counter + 1
    this.#queued.begin(packet, counter)
    this.#call('publish', packet, client, (error) => {
      this.#queued.end(counter)
      done?.(error)
    })
  }

  #install(): void {
    const broker = this.#broker
    Object.assign(broker, {
      preConnect: (client, packet, done) => this.#preConnect(client, packet, done),
      authenticate: (client, username, password, done) => this.#authenticate(client, username, password, done),
      authorizePublish: (client, packet, done) => this.#authorizePublish(client, packet, done),
      authorizeSubscribe: (client, subscription, done) => {
        if (this.#inboxes.isRefused(subscription)) done(null, null)
        else this.#call('authorizeSubscribe', client, subscription, done)
      },
      authorizeForward: (client, packet) => {
        const forwarded = this.#call('authorizeForward', client, packet)
        if (forwarded) this.#traffic.sent()
        return forwarded
      },
      publish: (packet, client, done) => {
        if (typeof client === 'function') this.#publishing.publish(packet, null, client)
        else this.#publishing.publish(packet, client ?? null, done)
      },
    } satisfies Doors)
    this.#strangers.guard(broker)
    this.#listen(broker)
  }

  #listen(broker: Broker): void {
    const { mq } = broker
    const { emit } = mq
    mq.emit = (packet, done) => {
      this.#deliveries.emitted(packet)
      return Reflect.apply(emit, mq, [packet, done])
    }
    broker.on('connackSent', ({ returnCode, sessionPresent }: ConnackPacket, client: Client) => {
      if (returnCode !== 0) return
      this.#strangers.accepted(client)
      this.#connections.accepted(client, sessionPresent)
      this.#inboxes.accepted(client)
    })
    broker.on('clientError', (client: Client, error: Error) => this.#connections.ending(client, error.message))
    broker.on('clientDisconnect', (client: Client) => this.#connections.ended(client))
    broker.on('unsubscribe', (filters: string[], client: Client) => this.#connections.unsubscribed(client, filters))
  }

  #preConnect(...[client, packet, done]: Parameters<Broker['preConnect']>): void {
    try {
      checkClient(client)
    } catch (error) {
      this.#questions.report(error, 'preConnect')
      done(error as Error, false)
      return
    }
    this.#strangers.open(client)
    this.#strangers.connecting(client)
    this.#traffic.open(client)
    this.#connections.open(client, packet)
    this.#inboxes.open(client)
    this.#deliveries.open(client)
    this.#call('preConnect', client, packet, done)
  }

  #authenticate(...[client, username, password, done]: Parameters<Broker['authenticate']>): void {
    const refusal = this.#connections.refusalOfId(client)
    if (refusal !== null) {
      done(refusal, null)
      return
    }
    this.#call('authenticate', client, username, password, (error, success) => {
      if (error || !success) done(error, success)
      else this.#connections.authenticate(client, password, (refused, isIn) => this.#admit(client, refused, isIn, done))
    })
  }

  /** Whose session cannot be had is not let in without it. */
  #admit(
    client: Client,
    refusal: Error | null,
    isIn: boolean | null,
    done: Parameters<Broker['authenticate']>[3],
  ): void {
    if (refusal || !isIn || !this.#sessions.isAsked()) {
      done(refusal, isIn)
      return
    }
    const opened = this.#sessions.open(client).catch((error: unknown) => String(error))
    void opened.then((reason) => {
      if (reason === null) done(null, true)
      else done(Object.assign(new Error(reason), { returnCode: 3 }), null)
    })
  }

  #authorizePublish(...[client, packet, done]: Parameters<Broker['authorizePublish']>): void {
    // Known by what Aedes has at hand now: a will of its own connection, or one that a store has kept.
    const isWill = client === null || client.will === packet || packet.brokerId !== undefined
    if (packet.topic.includes('\0')) {
      done(new Error('a topic with a NUL'))
      return
    }
    this.#call('authorizePublish', client, packet, (error) => {
      if (error) done(error)
      else this.#publishing.authorize(client, packet as Packet, isWill, done)
    })
  }
}
