/**
 * Makes events of requests. An event has the fields of every version: what an older broker does not say is filled in, and
 * what the engine's contract does not know is not read. Pure.
 */
import { type ExhookRpc, type ExhookVersion, HookringError } from '../../contracts/index.js'
import type { WireMessage } from './protocol.js'

const NO_META = { node: '', version: '', sysdescr: '', clusterName: '' }
const NO_BROKER = { version: '', sysdescr: '', uptime: '', datetime: '' }
const NO_SUBOPTS = { qos: 0, share: '', rh: 0, rap: 0, nl: 0 }

/** Without these a request says nothing: there is nobody that it is about. */
const REQUIRED = ['clientinfo', 'conninfo', 'message'] as const

/**
 * @param contractVersion of the engine that is asked.
 * @throws HookringError EVENT_INVALID for a request that lacks what it is about
 */
export function eventOf(rpc: ExhookRpc, request: WireMessage, contractVersion: ExhookVersion): WireMessage {
  const event: WireMessage = { ...request, meta: request.meta ?? NO_META }
  for (const key of REQUIRED) {
    if (request[key] !== null) continue
    throw new HookringError('EVENT_INVALID', `${rpc.request} has no ${key}`, { path: [key] })
  }
  if (request.clientinfo !== undefined) event.clientinfo = withPort(request.clientinfo)
  if (request.conninfo !== undefined) event.conninfo = withPort(request.conninfo)
  if (request.message !== undefined) event.message = messageOf(request.message as WireMessage)
  if (request.broker !== undefined) event.broker = brokerOf(request.broker as WireMessage | null, contractVersion)
  if (request.subopts !== undefined) event.subopts = { ...NO_SUBOPTS, ...(request.subopts as WireMessage | null) }
  if (request.topicFilters !== undefined) event.topicFilters = (request.topicFilters as WireMessage[]).map(filterOf)
  event.props = request.props ?? []
  event.userProps = request.userProps ?? []
  // The last word of a plugin here, not of one that was asked before.
  if (rpc.isValued) event.isFinal = false
  return event
}

function withPort(about: unknown): WireMessage {
  return { peerport: 0, ...(about as WireMessage) }
}

function messageOf(message: WireMessage): WireMessage {
  return { ...message, timestamp: BigInt(message.timestamp as string) }
}

function filterOf(filter: WireMessage): WireMessage {
  const given = filter.subopts as WireMessage | null | undefined
  // Before 5.4 there is a QoS alone, since then options alone.
  const subopts = { ...NO_SUBOPTS, ...(given ?? { qos: filter.qos ?? 0 }) }
  return { name: filter.name, qos: subopts.qos, subopts }
}

function brokerOf(broker: WireMessage | null, contractVersion: ExhookVersion): WireMessage {
  const known = broker ?? NO_BROKER
  const text = String(known.uptime)
  if (contractVersion === 1) return { ...known, uptime: text }
  // Version 1 says it in words.
  return { ...known, uptime: /^-?\d+$/.test(text) ? BigInt(text) : null }
}
