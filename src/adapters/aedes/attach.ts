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
 * the one that it found.
 */
import type { Aedes } from 'aedes'
import { createAsker, type HookCounts, type MqttEngine } from './asking.js'
import { type Broker, type Client, type ConnackPacket, checkBroker, checkClient } from './broker.js'
import { createConnections } from './connections.js'
import { createDeliveries } from './delivery.js'
import { createInboxes } from './inbox.js'
import { createPublishing } from './publishing.js'
import { type BrokerStats, createServices, createTraffic } from './services.js'
import { createSessionStore } from './session-store.js'
import { wrapStore } from './store.js'

export interface AttachOptions {
  /** Deliveries that wait for verdicts, per subscriber; past it they are dropped, counted and told. Default 16384. */
  maxQueuedDeliveries?: number
  /** Bytes of their payloads. Default 16 MiB. One delivery has always room. */
  maxQueuedBytes?: number
  /** Calls of the engine at once; further ones wait their turn, in order. Default 1024. */
  maxCallsUnderWay?: number
  /** Told of what no client can be: errors of the store, of asking. Default: a process warning, once for each place. */
  onError?(error: unknown, place: string): void
}

export interface AttachedHooks {
  /** What the hooks have refused, and what was dropped, since they were attached. */
  readonly counts: Readonly<HookCounts>
  /** What the broker has counted since it was attached; what the plugin `sys` publishes. */
  stats(): Promise<BrokerStats>
  /** Nothing is asked or told any more, and the broker goes on by itself. What was refused before stays refused. */
  detach(): void
}

/** More than one read from a publisher's socket can bring: a burst is waited for, not dropped. */
const MAX_QUEUED_DELIVERIES = 16_384
/** As many as one lane has slots by default: with the queue behind them the engine is never overloaded by the broker alone. */
const MAX_CALLS_UNDER_WAY = 1_024
const MAX_QUEUED_BYTES = 16 * 1024 * 1024

/**
 * Puts an open broker (`Aedes.createBroker()`) under the hooks of an engine of mqtt@1, and provides the engine with the
 * contract's services. Before the broker accepts connections; once for each broker. Close the broker first and the engine
 * after it: a closed engine agrees to nothing.
 *
 * @throws HookringError BROKER_UNSUPPORTED
 */
export function attachHooks(aedes: Aedes, engine: MqttEngine, options: AttachOptions = {}): AttachedHooks {
  const broker = checkBroker(aedes)
  const asker = createAsker(engine, {
    maxCallsUnderWay: options.maxCallsUnderWay ?? MAX_CALLS_UNDER_WAY,
    onError: options.onError && ((error, place) => options.onError?.(error, place)),
  })
  const traffic = createTraffic()
  const { preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward, publish } = broker
  const bare = { preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward, publish }
  const call = <Name extends keyof typeof bare>(
    name: Name,
    ...args: Parameters<Broker[Name]>
  ): ReturnType<Broker[Name]> => Reflect.apply(bare[name], broker, args)

  const connections = createConnections(broker, asker)
  const { infoOf } = connections
  const deliveries = createDeliveries({
    broker,
    asker,
    infoOf,
    maxQueuedDeliveries: options.maxQueuedDeliveries ?? MAX_QUEUED_DELIVERIES,
    maxQueuedBytes: options.maxQueuedBytes ?? MAX_QUEUED_BYTES,
  })
  const publishing = createPublishing({
    asker,
    persistence: broker.persistence,
    infoOf,
    route: (packet, client, done) =>
      deliveries.routed(packet, done, (routed) => call('publish', packet, client, routed)),
    onSettled: (client) => inboxes.publishesSettled(client),
  })
  const inboxes = createInboxes({
    asker,
    infoOf,
    queueLimit: broker.queueLimit,
    maxTopicLevels: broker.maxTopicLevels,
    hasPublishes: publishing.hasPublishes,
    onPacket: traffic.received,
  })
  // Before the hooks of the store: what it does there by itself is nobody's to refuse.
  const sessions = createSessionStore(broker, { asker, infoOf })
  wrapStore(broker, asker, deliveries, inboxes)

  /** Whose session cannot be had is not let in without it. */
  function admit(
    client: Client,
    refusal: Error | null,
    isIn: boolean | null,
    done: Parameters<Broker['authenticate']>[3],
  ) {
    if (refusal || !isIn || !sessions.isAsked()) {
      done(refusal, isIn)
      return
    }
    const opened = sessions.open(client).catch((error: unknown) => String(error))
    void opened.then((reason) => {
      if (reason === null) done(null, true)
      else done(Object.assign(new Error(reason), { returnCode: 3 }), null)
    })
  }

  const doors: typeof bare = {
    preConnect(client, packet, done) {
      try {
        checkClient(client)
      } catch (error) {
        asker.report(error, 'preConnect')
        done(error as Error, false)
        return
      }
      traffic.open(client)
      connections.open(client, packet)
      inboxes.open(client)
      deliveries.open(client)
      call('preConnect', client, packet, done)
    },
    authenticate(client, username, password, done) {
      call('authenticate', client, username, password, (error, success) => {
        if (error || !success) done(error, success)
        else connections.authenticate(client, password, (refusal, isIn) => admit(client, refusal, isIn, done))
      })
    },
    authorizePublish(client, packet, done) {
      // Known by what Aedes has at hand now: a will of its own connection, or one that a store has kept.
      const isWill = client === null || client.will === packet || packet.brokerId !== undefined
      call('authorizePublish', client, packet, (error) => {
        if (error) done(error)
        else publishing.authorize(client, packet, isWill, done)
      })
    },
    authorizeSubscribe(client, subscription, done) {
      if (inboxes.isRefused(subscription)) done(null, null)
      else call('authorizeSubscribe', client, subscription, done)
    },
    authorizeForward(client, packet) {
      const forwarded = call('authorizeForward', client, packet)
      if (forwarded) traffic.sent()
      return forwarded
    },
    publish(packet, client, done) {
      if (typeof client === 'function') publishing.publish(packet, null, client)
      else publishing.publish(packet, client ?? null, done)
    },
  }
  Object.assign(broker, doors)

  broker.on('connackSent', ({ returnCode, sessionPresent }: ConnackPacket, client: Client) => {
    if (returnCode !== 0) return
    connections.accepted(client, sessionPresent)
    inboxes.accepted(client)
  })
  broker.on('clientError', (client: Client, error: Error) => connections.ending(client, error.message))
  broker.on('clientDisconnect', connections.ended)
  broker.on('unsubscribe', (filters: string[], client: Client) => connections.unsubscribed(client, filters))

  const { stats, ...services } = createServices({
    broker,
    traffic,
    startedAtMs: Date.now(),
    publish: publishing.publishUnasked,
    onDisconnect: connections.ending,
  })
  engine.provide({ ...services, ...sessions.services, stats })

  return {
    counts: asker.counts,
    stats,
    detach() {
      asker.detach()
      sessions.detach()
    },
  }
}
