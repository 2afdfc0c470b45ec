/**
 * exhook@3: the hookpoints of the ExHook protocol, package emqx.exhook.v3, that MQTT brokers of 5.9 and later speak. A
 * plugin written for it serves brokers of versions 1 and 2 too, behind the provider of hookring/exhook. Imported by
 * servers and plugins alike; immutable, readable from any thread.
 *
 * What the protocol calls an answer is a transform here. A plugin that returns nothing has no say in it (IGNORE); one that
 * replaces gives a value, which the next plugin sees (CONTINUE) or which is the last word (`isFinal`, STOP_AND_RETURN);
 * one that rejects has refused, and is the last that was asked.
 */
import { z } from 'zod/v4'
import { declareContract, type EventOutput } from '../contract.js'
import { observe, transform } from '../make-hookpoint.js'
import { LAST_WORD, messages, PUBLISH_REPLY_BYTES } from './messages.js'

/** The contract: a hookpoint for each RPC of the service. */
export const exhook3 = declareContract('exhook', 3, () => {
  const {
    brokerInfo,
    clientInfo: clientInfoOf,
    connInfo: connInfoOf,
    lastWord,
    message,
    publishedMessage,
    requestMeta: meta,
    peerPort,
    property,
    subOpts,
  } = messages()
  const conninfo = connInfoOf.extend(peerPort)
  const clientinfo = clientInfoOf.extend(peerPort)
  const subopts = subOpts.extend({
    /** The group of a shared subscription, from brokers of version 1, and of version 2 before 5.4. Else empty. */
    share: z.string().default(''),
  })
  const topicFilter = z.object({ name: z.string(), subopts })
  const props = z.array(property)

  const clientEvent = z.object({ clientinfo, meta })
  const endedEvent = z.object({ clientinfo, reason: z.string(), meta })
  const filtersEvent = z.object({
    clientinfo,
    props,
    topicFilters: z.array(topicFilter),
    meta,
    /** User properties of MQTT 5.0; brokers of versions 1 and 2 do not say them. */
    userProps: props,
  })
  const messageEvent = z.object({ clientinfo, message, meta })
  const authenticateEvent = z.object({
    clientinfo,
    /** May the client connect? As the broker has it so far, or the plugin before. */
    result: z.boolean(),
    meta,
    ...lastWord,
  })
  const authorizeEvent = z.object({
    clientinfo,
    type: z.enum(['PUBLISH', 'SUBSCRIBE']),
    topic: z.string(),
    /** May the client do it? As the broker has it so far, or the plugin before. */
    result: z.boolean(),
    meta,
    ...lastWord,
  })
  const publishEvent = z.object({ message: publishedMessage, meta, props, userProps: props, ...lastWord })

  return {
    hookpoints: {
      /** Observe. A broker has begun to call this provider. */
      onProviderLoaded: observe(z.object({ broker: brokerInfo, meta })),
      /** Observe. A broker calls this provider no more. */
      onProviderUnloaded: observe(z.object({ meta })),
      /** Observe. A CONNECT packet has come. */
      onClientConnect: observe(z.object({ conninfo, props, meta, userProps: props })),
      /** Observe. A CONNACK packet goes out. */
      onClientConnack: observe(z.object({ conninfo, resultCode: z.string(), props, meta, userProps: props })),
      /** Observe. The client is connected. */
      onClientConnected: observe(clientEvent),
      /** Observe. The client is not connected any more. */
      onClientDisconnected: observe(endedEvent),
      /** Transform. May the client connect? `result` alone is taken back; a reject says no for good. */
      onClientAuthenticate: transform(authenticateEvent, LAST_WORD),
      /** Transform. May the client publish to the topic, or subscribe to it? `result` alone is taken back; a reject says no for good. */
      onClientAuthorize: transform(authorizeEvent, LAST_WORD),
      /** Observe. A SUBSCRIBE packet has come. */
      onClientSubscribe: observe(filtersEvent),
      /** Observe. An UNSUBSCRIBE packet has come. */
      onClientUnsubscribe: observe(filtersEvent),
      /** Observe. */
      onSessionCreated: observe(clientEvent),
      /** Observe. */
      onSessionSubscribed: observe(z.object({ clientinfo, topic: z.string(), subopts, meta })),
      /** Observe. */
      onSessionUnsubscribed: observe(z.object({ clientinfo, topic: z.string(), meta })),
      /** Observe. */
      onSessionResumed: observe(clientEvent),
      /** Observe. */
      onSessionDiscarded: observe(clientEvent),
      /** Observe. Another connection has the session now. */
      onSessionTakenover: observe(clientEvent),
      /** Observe. */
      onSessionTerminated: observe(endedEvent),
      /**
       * Transform. A message before it is routed: qos, topic and payload are taken back from a replacement. A reject drops it,
       * by the header `allow_publish`.
       */
      onMessagePublish: transform(publishEvent, { ...LAST_WORD, maxReplyBytes: PUBLISH_REPLY_BYTES }),
      /** Observe. The message was delivered to the client. */
      onMessageDelivered: observe(messageEvent),
      /** Observe. The message reached nobody. */
      onMessageDropped: observe(z.object({ message, reason: z.string(), meta })),
      /** Observe. The client has acknowledged the message. */
      onMessageAcked: observe(messageEvent),
    },
  }
})

export type Exhook3 = typeof exhook3

type Points = Exhook3['hookpoints']
export type ExhookConnInfo = EventOutput<Points['onClientConnect']>['conninfo']
export type ExhookClientInfo = EventOutput<Points['onClientConnected']>['clientinfo']
export type ExhookMessage = EventOutput<Points['onMessagePublish']>['message']
export type ExhookProperty = EventOutput<Points['onClientConnect']>['props'][number]
export type ExhookTopicFilter = EventOutput<Points['onClientSubscribe']>['topicFilters'][number]
export type ExhookSubOpts = EventOutput<Points['onSessionSubscribed']>['subopts']
export type ExhookRequestMeta = EventOutput<Points['onClientConnected']>['meta']
export type ExhookBrokerInfo = EventOutput<Points['onProviderLoaded']>['broker']
