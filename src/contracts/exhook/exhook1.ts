/**
 * exhook@1: the hookpoints of the ExHook protocol, package emqx.exhook.v1, that MQTT brokers of 4.3 and 4.4 speak, as
 * its document "Extension Hook" lists them. Imported by servers and plugins alike; immutable, readable from any thread.
 * What answers mean is said at exhook@3.
 */
import { z } from 'zod/v4'
import { declareContract } from '../contract.js'
import { observe, transform } from '../make-hookpoint.js'
import { u32 } from '../types.js'
import { LAST_WORD, messages, PUBLISH_REPLY_BYTES } from './messages.js'

/** The contract: a hookpoint for each RPC of the service; observe, if nothing else is said. */
export const exhook1 = declareContract('exhook', 1, () => {
  const {
    brokerInfo,
    clientInfo: clientinfo,
    connInfo: conninfo,
    lastWord,
    message,
    publishedMessage,
    requestMeta: meta,
    property,
    shareGroup,
    subOpts,
  } = messages()
  const broker = brokerInfo.extend({
    /** In words. */
    uptime: z.string(),
  })
  const subopts = subOpts.extend(shareGroup)
  const topicFilter = z.object({ name: z.string(), qos: u32() })
  const props = z.array(property)

  const clientEvent = z.object({ clientinfo, meta })
  const endedEvent = z.object({ clientinfo, reason: z.string(), meta })
  const filtersEvent = z.object({ clientinfo, props, topicFilters: z.array(topicFilter), meta })
  const messageEvent = z.object({ clientinfo, message, meta })
  const authenticateEvent = z.object({ clientinfo, result: z.boolean(), meta, ...lastWord })
  const checkAclEvent = z.object({
    clientinfo,
    type: z.enum(['PUBLISH', 'SUBSCRIBE']),
    topic: z.string(),
    result: z.boolean(),
    meta,
    ...lastWord,
  })

  return {
    hookpoints: {
      onProviderLoaded: observe(z.object({ broker, meta })),
      onProviderUnloaded: observe(z.object({ meta })),
      onClientConnect: observe(z.object({ conninfo, props, meta })),
      onClientConnack: observe(z.object({ conninfo, resultCode: z.string(), props, meta })),
      onClientConnected: observe(clientEvent),
      onClientDisconnected: observe(endedEvent),
      /** Transform. May the client connect? */
      onClientAuthenticate: transform(authenticateEvent, LAST_WORD),
      /** Transform. May the client publish to the topic, or subscribe to it? */
      onClientCheckAcl: transform(checkAclEvent, LAST_WORD),
      onClientSubscribe: observe(filtersEvent),
      onClientUnsubscribe: observe(filtersEvent),
      onSessionCreated: observe(clientEvent),
      onSessionSubscribed: observe(z.object({ clientinfo, topic: z.string(), subopts, meta })),
      onSessionUnsubscribed: observe(z.object({ clientinfo, topic: z.string(), meta })),
      onSessionResumed: observe(clientEvent),
      onSessionDiscarded: observe(clientEvent),
      onSessionTakeovered: observe(clientEvent),
      onSessionTerminated: observe(endedEvent),
      /** Transform. A message before it is routed. */
      onMessagePublish: transform(z.object({ message: publishedMessage, meta, ...lastWord }), {
        ...LAST_WORD,
        maxReplyBytes: PUBLISH_REPLY_BYTES,
      }),
      onMessageDelivered: observe(messageEvent),
      onMessageDropped: observe(z.object({ message, reason: z.string(), meta })),
      onMessageAcked: observe(messageEvent),
    },
  }
})

export type Exhook1 = typeof exhook1
