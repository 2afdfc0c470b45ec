/** The keys of the cluster plugin, as bromq's cluster hook has them. Pure; docs/cluster.md explains each. */
import { escapeName } from '../redis/names.js'

export type Keys = ReturnType<typeof keysOf>

/**
 * The keys of one session are changed together, so on a Redis Cluster they are of one slot: the client id stands in
 * braces there.
 */
export function keysOf(prefix: string, { isCluster = false } = {}) {
  const own = (clientId: string) => (isCluster ? `{${clientId.replace(/[{}%]/g, encodeURIComponent)}}` : clientId)
  const session = (clientId: string) => `${prefix}session:${isCluster ? own(clientId) : escapeName(clientId)}`
  const subs = (clientId: string) => `${prefix}subs:${own(clientId)}`
  const queue = (clientId: string) => `${prefix}queue:${own(clientId)}`
  const inflight = (clientId: string) => `${prefix}inflight:${own(clientId)}`
  const recent = (clientId: string) => `${prefix}recent:${own(clientId)}`
  return {
    /** STRING with a TTL: the broker, the lane and the generation that have the id. */
    node: (nodeId: string) => `${prefix}node:${escapeName(nodeId)}`,
    nodeIndex: `${prefix}node:_idx`,
    /** STRING: the last generation given to a node. */
    generation: `${prefix}node:_gen`,
    /** HASH `owner`, `generation`, `lease`, `node`, `clean`, `username`, `seenAtMs`, `queueBytes`, `packetId`. */
    session,
    sessionIndex: `${prefix}session:_idx`,
    /** HASH filter to QoS. */
    subs,
    /** STREAM. */
    queue,
    /** HASH direction and packet id to state. */
    inflight,
    /** SORTED SET: QoS 2 messages that have been queued, by when. */
    recent,
    /** All that is kept of one session. */
    allOf: (clientId: string) => [
      session(clientId),
      subs(clientId),
      queue(clientId),
      inflight(clientId),
      recent(clientId),
    ],
    /** SET of nodes. */
    route: (filter: string) => `${prefix}route:${escapeName(filter)}`,
    /** SET of filters that have routes. */
    routeIndex: `${prefix}route:_idx`,
    /** STREAM of what has changed in routes and sessions: each node follows it. */
    routeLog: `${prefix}route:_log`,
    /** STRING, MessagePack. */
    retained: (topic: string) => `${prefix}retained:${escapeName(topic)}`,
    retainedIndex: `${prefix}retained:_idx`,
    /** Channel. */
    fanout: (nodeId: string) => `${prefix}fanout:${nodeId}`,
  }
}
