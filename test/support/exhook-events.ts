/** An event for each hookpoint of exhook@1 to @3, and what a provider of the same version gets of it. */
import type { Message, Version } from './exhook-provider.js'

export const meta = { node: 'broker@one', version: '5.9.0', sysdescr: 'a broker', clusterName: 'cluster' }
export const props = [{ name: 'Receive-Maximum', value: '20' }]
export const userProps = [{ name: 'colour', value: 'blue' }]

const peerport = (version: Version) => (version === 1 ? {} : { peerport: 50_123 })
const users = (version: Version) => (version === 3 ? { userProps } : {})

export function clientinfo(version: Version, clientid = 'c1') {
  return {
    node: 'broker@one',
    clientid,
    username: 'ada',
    password: 'pß',
    peerhost: '10.0.0.7',
    sockport: 1883,
    protocol: 'mqtt',
    mountpoint: 'tenant/',
    isSuperuser: true,
    anonymous: false,
    cn: 'ada',
    dn: 'CN=ada',
    ...peerport(version),
  }
}

export function conninfo(version: Version) {
  return {
    node: 'broker@one',
    clientid: 'c1',
    username: 'ada',
    peerhost: '10.0.0.7',
    sockport: 1883,
    protoName: 'MQTT',
    protoVer: '5',
    keepalive: 60,
    ...peerport(version),
  }
}

export function message(more: Partial<ReturnType<typeof plainMessage>> = {}) {
  return { ...plainMessage(), ...more }
}

function plainMessage() {
  return {
    node: 'broker@one',
    id: '0005F2',
    qos: 1,
    from: 'c1',
    topic: 'sensors/1',
    payload: Buffer.from([0, 1, 254, 255]) as Uint8Array<ArrayBuffer>,
    // More than a double can say.
    timestamp: 9_007_199_254_740_993n,
    headers: { username: 'ada', allow_publish: 'true' } as Record<string, string>,
  }
}

const SUBOPTS = { qos: 1, rh: 2, rap: 1, nl: 1 }

function subopts(version: Version) {
  return version === 3 ? SUBOPTS : { ...SUBOPTS, share: 'group' }
}

function topicFilters(version: Version) {
  if (version === 1) return [{ name: 'a/+', qos: 1 }]
  return [{ name: 'a/+', subopts: subopts(version), ...(version === 2 ? { qos: 1 } : {}) }]
}

/** By the hookpoint's name. */
export function exhookEvents(version: Version): Record<string, Message> {
  const client = { clientinfo: clientinfo(version), meta }
  const filters = { ...client, props, topicFilters: topicFilters(version), ...users(version) }
  const question = { ...client, type: 'SUBSCRIBE', topic: 'a/+', result: false }
  const [authorize, takenover] =
    version === 1 ? ['onClientCheckAcl', 'onSessionTakeovered'] : ['onClientAuthorize', 'onSessionTakenover']
  return {
    onClientConnect: { conninfo: conninfo(version), props, meta, ...users(version) },
    onClientConnack: { conninfo: conninfo(version), resultCode: 'success', props, meta, ...users(version) },
    onClientConnected: client,
    onClientDisconnected: { ...client, reason: 'kicked' },
    onClientAuthenticate: { ...client, result: true },
    [authorize as string]: question,
    onClientSubscribe: filters,
    onClientUnsubscribe: filters,
    onSessionCreated: client,
    onSessionSubscribed: { ...client, topic: 'a/+', subopts: subopts(version) },
    onSessionUnsubscribed: { ...client, topic: 'a/+' },
    onSessionResumed: client,
    onSessionDiscarded: client,
    [takenover as string]: client,
    onSessionTerminated: { ...client, reason: 'expired' },
    onMessagePublish: { message: message(), meta, ...(version === 3 ? { props, userProps } : {}) },
    onMessageDelivered: { ...client, message: message() },
    onMessageDropped: { message: message(), reason: 'no_subscribers', meta },
    onMessageAcked: { ...client, message: message() },
  }
}

/** The wire has 64-bit integers as text here. */
export function requestOf(event: Message): Message {
  const { message: sent } = event as { message?: { timestamp: bigint } }
  return sent === undefined ? event : { ...event, message: { ...sent, timestamp: String(sent.timestamp) } }
}
