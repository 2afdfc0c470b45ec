/**
 * The contract mqtt@1 for a provider of any version: what a broker's hookpoints are in the protocol's terms.
 *
 *   onConnect          client.connect, then client.authenticate
 *   onConnected        client.connack, then client.connected
 *   onDisconnect       client.disconnected
 *   onSubscribe        client.subscribe, then client.authorize for each filter, all at once
 *   onUnsubscribe      client.unsubscribe, then session.unsubscribed for each filter
 *   onPublish          client.authorize
 *   onWillPublish      client.authorize
 *   canRead            client.authorize, if the operator wants it (`authorizeDeliveries`)
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
import { parseShare } from '../../../contracts/mqtt-topics.js'
import type { ProviderConfig } from '../../../contracts/remote-provider.js'
import { type Reject, type Replace, reject, replace } from '../../../plugin/index.js'
import { Semaphore } from '../../../primitives/semaphore.js'
import type { BoolAnswer } from './answers.js'
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
    return refusalOf(answer, 'the provider does not let the client in')
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
    const asking = new Semaphore(QUESTIONS_AT_ONCE)
    const clientinfo = clientInfo(client, provider)
    const topicFilters = subscriptions.map(({ filter, qos }) => topicFilter(filter, qos))
    await provider.tellAside('OnClientSubscribe', { clientinfo, props: [], topicFilters, meta, userProps: [] })
    const answers = await Promise.all(
      subscriptions.map(({ filter }) => asking.run(() => askAuthorize(provider, client, 'SUBSCRIBE', filter))),
    )
    const allowed = subscriptions.filter((_, at) => answers[at]?.value !== false)
    if (allowed.length === subscriptions.length) return undefined
    if (allowed.length > 0) return replace({ ...event, subscriptions: allowed })
    return refusalOf(answers[0], 'the provider does not allow the subscription')
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

/** `PUBLISH` and `SUBSCRIBE` of the protocol, about a message or a filter of the client's. */
function authorizing(type: 'PUBLISH' | 'SUBSCRIBE', refused: string): Exchange<MessageEvent> {
  return {
    subjects: ['OnClientAuthorize'],
    clientOf: clientId,
    async run({ client, packet }, provider) {
      // The broker itself is nobody who would have to be allowed to.
      if (client === null) return undefined
      return refusalOf(await askAuthorize(provider, client, type, packet.topic), refused)
    },
  }
}

const onPublish = authorizing('PUBLISH', 'the provider does not allow the client to publish this')
const onWillPublish = authorizing('PUBLISH', 'the provider does not allow the client to publish this will')
const canRead = authorizing('SUBSCRIBE', 'the provider does not allow the client to read this')

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
    if (isBlocked) {
      const why = answer.reason ?? 'the provider does not allow the message to be published'
      return reject(why, MQTT_REASON.notAuthorized)
    }
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

/**
 * What ExHook has no question for: EMQX authorizes subscriptions, not deliveries. `authorizeDeliveries` asks all the same;
 * the hookpoint for a delivery is told of it.
 */
export const NOT_ASKED: readonly string[] = ['canRead']

export function mqttExchanges({ authorizeDeliveries }: Pick<ProviderConfig, 'authorizeDeliveries'>): Exchanges {
  return authorizeDeliveries ? { ...EXCHANGES, canRead } : EXCHANGES
}

const EXCHANGES: Exchanges = {
  onConnect,
  onConnected,
  onDisconnect,
  onSubscribe,
  onUnsubscribe,
  onPublish,
  onWillPublish,
  onPublishReceived,
  onPublishDeliver,
  onMessageDropped,
  onSessionCreated: sessionExchange('OnSessionCreated'),
  onSessionResumed: sessionExchange('OnSessionResumed'),
  onSessionEnded,
}

/** Questions of one SUBSCRIBE that are under way at once. */
const QUESTIONS_AT_ONCE = 256

/** About a shared subscription the provider is asked by the filter that it shares, as by EMQX. */
function askAuthorize(provider: Asked, client: MqttClientInfo, type: 'PUBLISH' | 'SUBSCRIBE', about: string) {
  const topic = parseShare(about)?.filter ?? about
  const clientinfo = clientInfo(client, provider)
  return provider.askBool('OnClientAuthorize', { clientinfo, type, topic, result: true, meta: provider.meta })
}

function refusalOf(answer: BoolAnswer | undefined, why: string): Reject | undefined {
  return answer?.value === false ? reject(answer.reason ?? why, MQTT_REASON.notAuthorized) : undefined
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
