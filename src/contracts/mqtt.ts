/**
 * mqtt@1: the hook methods of an MQTT broker, as bromq's broker hooks have them, each with its kind and its effect on
 * clients. Imported by brokers and plugins alike; immutable, readable from any thread.
 *
 * Rejections carry MQTT reason codes (5.0, section 2.4); a broker that speaks 3.1.1 to a client translates them.
 */
import { z } from 'zod/v4'
import { declareContract, type EventOutput, type ReplyOutput } from './contract.js'
import { gate, observe, respond, service, transform } from './make-hookpoint.js'
import { secret } from './secret.js'
import { bytes, u8, u16, u32 } from './types.js'

/** Reason codes that hooks give. */
export const MQTT_REASON = {
  success: 0x00,
  unspecifiedError: 0x80,
  implementationSpecificError: 0x83,
  clientIdentifierNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
} as const

/** Room for payloads that replacements change, on top of the event's own size. */
const REPLACEMENT_BYTES = 64 * 1024
const RETAINED_BYTES = 1024 * 1024
/** A session's subscriptions, a part of its queue. */
const SESSION_BYTES = 512 * 1024

/** The contract. Each hookpoint says what bromq's hook of the same name does. */
export const mqtt = declareContract('mqtt', 1, () => {
  const qos = z.union([z.literal(0), z.literal(1), z.literal(2)])

  /** Who is connected. Everything but the address comes from the client: escape it before it reaches a log or a terminal. */
  const clientInfo = z.object({
    clientId: z.string(),
    username: z.string().nullable(),
    /** Empty where the transport has none. */
    remoteAddress: z.string(),
    /** 3: MQTT 3.1, 4: 3.1.1, 5: 5.0. */
    protocolVersion: u8(),
    /** The session ends with the connection. */
    clean: z.boolean(),
    /** Seconds; 0: none. */
    keepalive: u16(),
  })

  const publishPacket = z.object({
    topic: z.string(),
    payload: bytes(),
    qos,
    retain: z.boolean(),
  })

  const connectEvent = z.object({
    client: clientInfo,
    password: secret(bytes()).nullable(),
    will: publishPacket.nullable(),
  })

  const subscription = z.object({
    filter: z.string(),
    qos,
  })

  const subscribeEvent = z.object({
    client: clientInfo,
    subscriptions: z.array(subscription),
  })

  const publishEvent = z.object({
    /** The publisher; null: the broker itself, or a plugin. */
    client: clientInfo.nullable(),
    packet: publishPacket,
  })

  const deliverEvent = z.object({
    /** The subscriber. */
    client: clientInfo,
    packet: publishPacket,
  })

  const sessionEvent = z.object({ client: clientInfo })

  /**
   * What tells a repetition of a message of QoS 1 or 2 from a new one. Not its DUP flag: there are clients that leave it
   * out, and others that forget what they have sent.
   */
  const exchange = z.object({
    packetId: u16(),
    /** Of QoS 2: stands for what the client has sent, before any hook changed it. */
    digest: z.string(),
    /** Higher for each message that this broker has had, of any client; the same when the broker asks again. */
    ordinal: z.number(),
  })

  /** A message of a session that outlives its connection. */
  const queuedMessage = z.object({
    /** The store's name for it. */
    id: z.string(),
    /** Under which it is sent; 1 to 32,767. */
    packetId: u16(),
    packet: publishPacket,
  })

  const inflightEvent = z.object({
    clientId: z.string(),
    /** `out`: from the broker to the client. The two count their packet ids apart. */
    direction: z.enum(['in', 'out']),
    packetId: u16(),
    /** The queued message's, where there is one. */
    id: z.string().nullable(),
  })

  return {
    hookpoints: {
      /** Gate. A reject becomes CONNACK with its code, without one NotAuthorized. */
      onConnect: gate(connectEvent),
      /** Observe. The client has its CONNACK. */
      onConnected: observe(z.object({ client: clientInfo, sessionPresent: z.boolean() })),
      /** Observe. `reason`: null after DISCONNECT, else what ended the connection. */
      onDisconnect: observe(z.object({ client: clientInfo, reason: z.string().nullable() })),
      /**
       * Transform. A replacement with fewer subscriptions refuses those that are missing, in their SUBACK codes; one with a
       * lower QoS grants that. A reject refuses all (0x80, for MQTT 5 its code, without one 0x87).
       */
      onSubscribe: transform(subscribeEvent, { maxReplyBytes: REPLACEMENT_BYTES }),
      /** Observe. */
      onUnsubscribe: observe(z.object({ client: clientInfo, filters: z.array(z.string()) })),
      /** Gate. May this client write this? A reject drops the message: its code in the acknowledgement of MQTT 5, silence for QoS 0. */
      onPublish: gate(publishEvent),
      /** Transform. After onPublish, before the message is stored or routed: may replace the packet, or drop it (reject). */
      onPublishReceived: transform(publishEvent, { maxReplyBytes: REPLACEMENT_BYTES }),
      /** Gate. May this subscriber see this message? Asked for each delivery; a reject skips this subscriber alone. */
      canRead: gate(deliverEvent),
      /** Transform. After canRead: may replace the packet for this subscriber, or drop it for him (reject). */
      onPublishDeliver: transform(deliverEvent, { maxReplyBytes: REPLACEMENT_BYTES }),
      /** Observe. A client connected and there was no session of his. */
      onSessionCreated: observe(sessionEvent),
      /** Observe. A client connected and found his session. */
      onSessionResumed: observe(sessionEvent),
      /** Observe. The session and all that was kept for it is gone. */
      onSessionEnded: observe(z.object({ clientId: z.string() })),
      /** Gate. A reject suppresses the will. It stands for onPublish; onPublishReceived follows, as for any message. */
      onWillPublish: gate(z.object({ client: clientInfo, packet: publishPacket })),
      /** Observe. A message did not reach a subscriber, or anybody (client null). */
      onMessageDropped: observe(z.object({ client: clientInfo.nullable(), packet: publishPacket, reason: z.string() })),
      /**
       * Respond. A message that the hooks have let through, before it is acknowledged. The plugin that answers has put it into
       * the queues of all sessions that outlive their connections, on this broker and on others; this broker gives it to its
       * other subscribers. Without an answer the broker does what it does alone; what nobody decided is not acknowledged.
       */
      routeMessage: respond(publishEvent.extend({ exchange: exchange.nullable() }), z.literal(true)),
      /** Respond. The first plugin that answers has stored it (an empty payload: removed it); without one the broker's memory does. */
      storeRetained: respond(z.object({ packet: publishPacket }), z.literal(true)),
      /** Respond. The retained messages that match a filter; without an answer the broker's memory has them. */
      getRetained: respond(z.object({ filter: z.string() }), z.array(publishPacket), { maxReplyBytes: RETAINED_BYTES }),
      /**
       * Respond. A client has passed onConnect, its CONNACK is not sent: its session belongs to this broker from now on. A
       * clean one is forgotten, of another the subscriptions are told. Without an answer the broker's memory is all there is;
       * a reject ends the connection.
       */
      openSession: respond(sessionEvent, z.object({ subscriptions: z.array(subscription) }), {
        maxReplyBytes: SESSION_BYTES,
      }),
      /**
       * Respond. The broker is subscribed for a session that outlives its connection: what was queued for it, part by part.
       * `after`: empty, then what the last answer said in `next`.
       */
      resumeSession: respond(
        z.object({ clientId: z.string(), after: z.string() }),
        z.object({
          messages: z.array(queuedMessage),
          /** Packet ids of QoS 2 messages that the client has and that are to be released (PUBREL). */
          released: z.array(u16()),
          /** Packet ids of QoS 2 messages of the client that the broker has passed on already. */
          received: z.array(u16()),
          /** null: that was all. */
          next: z.string().nullable(),
        }),
        { maxReplyBytes: SESSION_BYTES },
      ),
      /**
       * Respond. A message that routeMessage was not asked about, such as one of a plugin's, is put into the queues of these
       * sessions. Without an answer it is in the broker's memory alone.
       */
      queueMessage: respond(z.object({ clientIds: z.array(z.string()), packet: publishPacket }), z.literal(true)),
      /**
       * Respond, with what a message of QoS 2 may not go on without. `released`: the client has a message, PUBREL is due.
       * `received`: a message of the client has been routed, PUBREC is due.
       */
      trackInflight: respond(inflightEvent.extend({ state: z.enum(['released', 'received']) }), z.literal(true)),
      /** Respond. The exchange under this packet id is over. PUBCOMP to a client is not sent before the answer. */
      ackInflight: respond(inflightEvent, z.literal(true)),
      /** Respond. How a plugin that joins brokers to a cluster stands, and a session's queue. Asked by operators. */
      inspectCluster: respond(
        z.object({ clientId: z.string().nullable() }),
        z.object({
          nodeId: z.string(),
          generation: z.string(),
          /** False: this node's id is another broker's; it takes no clients. */
          isMember: z.boolean(),
          /** The nodes that are there now. */
          nodes: z.array(z.string()),
          /** Null: it was not asked for, or is not there. */
          session: z
            .object({
              clientId: z.string(),
              /** Where its client is connected; empty: nowhere. */
              node: z.string(),
              clean: z.boolean(),
              queueLength: u32(),
              queueBytes: u32(),
              /** Messages that wait for their acknowledgements, in both directions. */
              underWay: u32(),
              /** Milliseconds until it ends, if its client does not come back. */
              expiresInMs: z.number(),
            })
            .nullable(),
        }),
        { maxReplyBytes: REPLACEMENT_BYTES },
      ),
    },
    services: {
      /** Publishes as the broker itself: subscribers get it, hooks of publishing are not asked again. */
      publish: service(
        publishPacket.extend({
          /** Sessions that a plugin keeps have it in their queues already. */
          isQueued: z.boolean().optional(),
        }),
        z.void(),
      ),
      /** Ends a client's connection. False: there is none of this id here. */
      disconnect: service(z.object({ clientId: z.string(), code: u8().optional() }), z.boolean()),
      /** Another broker has the session now: ends the client's connection and forgets it. False: it was not here. */
      releaseSession: service(z.object({ clientId: z.string() }), z.boolean()),
      /** Queued messages of a session that is here: those that it does not know reach it. False: it is not here. */
      deliverQueued: service(z.object({ clientId: z.string(), messages: z.array(queuedMessage) }), z.boolean()),
      /** Whether this broker takes part in its cluster: while it does not, it takes no clients. */
      setServing: service(z.object({ isServing: z.boolean(), reason: z.string() }), z.void()),
      /** Subscriptions on this broker: all, and of how many clients. */
      subscriptions: service(z.void(), z.object({ count: u32(), clients: u32() })),
      /** What the broker has counted since it started. */
      stats: service(
        z.void(),
        z.object({
          startedAtMs: z.number(),
          clientsConnected: z.int(),
          /** Connected clients and kept sessions. */
          clientsTotal: z.int(),
          messagesReceived: z.int(),
          messagesSent: z.int(),
          bytesReceived: z.int(),
          bytesSent: z.int(),
          subscriptions: z.int(),
        }),
      ),
    },
  }
})

type Points = (typeof mqtt)['hookpoints']
export type MqttClientInfo = EventOutput<Points['onConnect']>['client']
export type MqttPublishPacket = EventOutput<Points['onPublish']>['packet']
export type MqttSubscription = EventOutput<Points['onSubscribe']>['subscriptions'][number]
export type MqttQueuedMessage = ReplyOutput<Points['resumeSession']>['messages'][number]
