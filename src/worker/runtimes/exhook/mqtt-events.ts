/**
 * The contract mqtt@1 for a provider of any version: what a broker's hookpoints are in the protocol's terms.
 *
 *   onConnect          client.connect, then client.authenticate
 *   onConnected        client.connack, then client.connected
 *   onDisconnect       client.disconnected
 *   onSubscribe        client.subscribe, then client.authorize for each filter
 *   onUnsubscribe      client.unsubscribe, then session.unsubscribed for each filter
 *   onPublish          client.authorize
 *   onPublishReceived  message.publish
 *   onPublishDeliver   message.delivered
 *   onMessageDropped   message.dropped
 *   onSession...       session.created, session.resumed, session.terminated
 *
 * mqtt@1 does not tell of session.subscribed, session.discarded, session.takenover and message.acked. Pure; the lane's thread.
 */
import { randomUUID } from 'node:crypto'
import {
  MQTT_REASON,
  type MqttClientInfo,
  type MqttPublishPacket,
  type MqttSubscription,
} from '../../../contracts/mqtt.js'
import { type Reject, type Replace, reject, replace } from '../../../plugin/index.js'
import type { Asked, Exchange, Exchanges } from './exchange.js'
import type { WireMessage } from './wire.js'

interface ClientEvent {
  readonly client: MqttClientInfo
}
interface ConnectEvent extends ClientEvent {
  readonly password: Uint8Array | null
}
interface SubscribeEvent extends ClientEvent {
  readonly subscriptions: readonly MqttSubscription[]
}
interface MessageEvent {
  readonly client: MqttClientInfo | null
  readonly packet: MqttPublishPacket
}

const packetTopic = ({ packet }: { readonly packet: MqttPublishPacket }) => packet.topic
const clientId = ({ client }: { readonly client: MqttClientInfo | null }) => client?.clientId ?? ''

const onConnect: Exchange<ConnectEvent> = {
  subjects: ['OnClientConnect', 'OnClientAuthenticate'],
  clientOf: clientId,
  async run({ client, password }, provider) {
    const { meta } = provider
    await provider.tellAside('OnClientConnect', {
      conninfo: connInfo(client, provider),
      props: [],
      meta,
      userProps: [],
    })
    const clientinfo = {
      ...clientInfo(client, provider),
      password: password === null ? '' : Buffer.from(password).toString('utf8'),
    }
    const answer = await provider.askBool('OnClientAuthenticate', { clientinfo, result: true, meta })
    return answer?.value === false
      ? reject('the provider does not let the client in', MQTT_REASON.notAuthorized)
      : undefined
  },
}

const onConnected: Exchange<ClientEvent> = {
  subjects: ['OnClientConnack', 'OnClientConnected'],
  clientOf: clientId,
  async run({ client }, provider) {
    const { meta } = provider
    const conninfo = connInfo(client, provider)
    await provider.tell('OnClientConnack', { conninfo, resultCode: 'success', props: [], meta, userProps: [] })
    await provider.tell('OnClientConnected', { clientinfo: clientInfo(client, provider), meta })
    return undefined
  },
}

const onDisconnect: Exchange<ClientEvent & { readonly reason: string | null }> = {
  subjects: ['OnClientDisconnected'],
  clientOf: clientId,
  run: ({ client, reason }, provider) =>
    tellOfClient('OnClientDisconnected', client, provider, { reason: reason ?? 'normal' }),
}

const onSubscribe: Exchange<SubscribeEvent> = {
  subjects: ['OnClientSubscribe', 'OnClientAuthorize'],
  clientOf: clientId,
  async run(event, provider): Promise<Reject | Replace<unknown> | undefined> {
    const { client, subscriptions } = event
    const { meta } = provider
    const clientinfo = clientInfo(client, provider)
    const topicFilters = subscriptions.map(({ filter, qos }) => topicFilter(filter, qos))
    await provider.tellAside('OnClientSubscribe', { clientinfo, props: [], topicFilters, meta, userProps: [] })
    const allowed: MqttSubscription[] = []
    for (const subscription of subscriptions) {
      const request = { clientinfo, type: 'SUBSCRIBE', topic: subscription.filter, result: true, meta }
      const answer = await provider.askBool('OnClientAuthorize', request)
      if (answer?.value !== false) allowed.push(subscription)
    }
    if (allowed.length === subscriptions.length) return undefined
    if (allowed.length > 0) return replace({ ...event, subscriptions: allowed })
    return reject('the provider does not allow the subscription', MQTT_REASON.notAuthorized)
  },
}

const onUnsubscribe: Exchange<ClientEvent & { readonly filters: readonly string[] }> = {
  subjects: ['OnClientUnsubscribe', 'OnSessionUnsubscribed'],
  clientOf: clientId,
  async run({ client, filters }, provider) {
    const { meta } = provider
    const clientinfo = clientInfo(client, provider)
    const topicFilters = filters.map((filter) => topicFilter(filter, 0))
    await provider.tell('OnClientUnsubscribe', { clientinfo, props: [], topicFilters, meta, userProps: [] })
    for (const topic of filters) await provider.tell('OnSessionUnsubscribed', { clientinfo, topic, meta })
    return undefined
  },
}

const onPublish: Exchange<MessageEvent> = {
  subjects: ['OnClientAuthorize'],
  clientOf: clientId,
  async run({ client, packet }, provider) {
    // The broker itself is nobody who would have to be allowed to.
    if (client === null) return undefined
    const clientinfo = clientInfo(client, provider)
    const request = { clientinfo, type: 'PUBLISH', topic: packet.topic, result: true, meta: provider.meta }
    const answer = await provider.askBool('OnClientAuthorize', request)
    return answer?.value === false
      ? reject('the provider does not allow the client to publish this', MQTT_REASON.notAuthorized)
      : undefined
  },
}

const onPublishReceived: Exchange<MessageEvent> = {
  subjects: ['OnMessagePublish'],
  clientOf: clientId,
  topicOf: packetTopic,
  async run(event, provider) {
    const { client, packet } = event
    const request = { message: message(client, packet, provider), meta: provider.meta, props: [], userProps: [] }
    const answer = await provider.askMessage('OnMessagePublish', request)
    if (answer === undefined) return undefined
    const { isBlocked, qos, topic, payload } = answer
    if (isBlocked) return reject('the provider does not allow the message to be published', MQTT_REASON.notAuthorized)
    const isSame = qos === packet.qos && topic === packet.topic && Buffer.compare(payload, packet.payload) === 0
    return isSame ? undefined : replace({ ...event, packet: { ...packet, qos, topic, payload } })
  },
}

const onPublishDeliver: Exchange<MessageEvent & ClientEvent> = {
  subjects: ['OnMessageDelivered'],
  clientOf: clientId,
  topicOf: packetTopic,
  async run({ client, packet }, provider) {
    const { meta } = provider
    // Who published it is not known any more where it is delivered.
    const request = { clientinfo: clientInfo(client, provider), message: message(null, packet, provider), meta }
    await provider.tellAside('OnMessageDelivered', request)
    return undefined
  },
}

const onMessageDropped: Exchange<MessageEvent & { readonly reason: string }> = {
  subjects: ['OnMessageDropped'],
  clientOf: clientId,
  topicOf: packetTopic,
  async run({ packet, reason }, provider) {
    const request = { message: message(null, packet, provider), reason, meta: provider.meta }
    await provider.tell('OnMessageDropped', request)
    return undefined
  },
}

const onSessionEnded: Exchange<{ readonly clientId: string }> = {
  subjects: ['OnSessionTerminated'],
  clientOf: (event) => event.clientId,
  async run(event, provider) {
    const clientinfo = { node: provider.meta.node, clientid: event.clientId, protocol: 'mqtt' }
    await provider.tell('OnSessionTerminated', { clientinfo, reason: 'ended', meta: provider.meta })
    return undefined
  },
}

function sessionExchange(subject: string): Exchange<ClientEvent> {
  return {
    subjects: [subject],
    clientOf: clientId,
    run: ({ client }, provider) => tellOfClient(subject, client, provider),
  }
}

export const MQTT_EXCHANGES: Exchanges = {
  onConnect,
  onConnected,
  onDisconnect,
  onSubscribe,
  onUnsubscribe,
  onPublish,
  onPublishReceived,
  onPublishDeliver,
  onMessageDropped,
  onSessionCreated: sessionExchange('OnSessionCreated'),
  onSessionResumed: sessionExchange('OnSessionResumed'),
  onSessionEnded,
}

async function tellOfClient(
  subject: string,
  client: MqttClientInfo,
  provider: Asked,
  more: WireMessage = {},
): Promise<undefined> {
  await provider.tell(subject, { clientinfo: clientInfo(client, provider), meta: provider.meta, ...more })
  return undefined
}

function connInfo(client: MqttClientInfo, { meta }: Asked): WireMessage {
  return {
    node: meta.node,
    clientid: client.clientId,
    username: client.username ?? '',
    peerhost: client.remoteAddress,
    protoName: client.protocolVersion === 3 ? 'MQIsdp' : 'MQTT',
    protoVer: String(client.protocolVersion),
    keepalive: client.keepalive,
  }
}

function clientInfo(client: MqttClientInfo, { meta }: Asked): WireMessage {
  return {
    node: meta.node,
    clientid: client.clientId,
    username: client.username ?? '',
    peerhost: client.remoteAddress,
    protocol: 'mqtt',
    anonymous: client.username === null,
  }
}

function topicFilter(name: string, qos: number): WireMessage {
  return { name, qos, subopts: { qos } }
}

function message(client: MqttClientInfo | null, packet: MqttPublishPacket, { meta }: Asked): WireMessage {
  const { topic, payload, qos } = packet
  const headers: Record<string, string> = { allow_publish: 'true', protocol: 'mqtt' }
  if (client !== null) Object.assign(headers, { username: client.username ?? '', peerhost: client.remoteAddress })
  return {
    node: meta.node,
    id: randomUUID().replaceAll('-', ''),
    qos,
    from: client?.clientId ?? '',
    topic,
    payload,
    timestamp: String(Date.now()),
    headers,
  }
}
