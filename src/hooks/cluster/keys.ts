/** The keys of the cluster plugin, as the document "MQTT broker hooks" has them. Pure; docs/cluster.md explains each. */
import { escapeName } from '../redis/names.js'

export type Keys = ReturnType<typeof keysOf>

/** Names are used as they are; no command takes two keys, so that a cluster may spread them as it likes. */
export function keysOf(prefix: string) {
  return {
    /** STRING with a TTL: the broker that has the id. */
    node: (nodeId: string) => `${prefix}node:${escapeName(nodeId)}`,
    nodeIndex: `${prefix}node:_idx`,
    /** HASH `owner`, `node`, `clean`. */
    session: (clientId: string) => `${prefix}session:${escapeName(clientId)}`,
    sessionIndex: `${prefix}session:_idx`,
    /** HASH filter to QoS. */
    subs: (clientId: string) => `${prefix}subs:${clientId}`,
    /** SET of nodes. */
    route: (filter: string) => `${prefix}route:${escapeName(filter)}`,
    /** SET of filters that have routes. */
    routeIndex: `${prefix}route:_idx`,
    /** STREAM of what has changed in routes and sessions: each node follows it. */
    routeLog: `${prefix}route:_log`,
    /** STREAM. */
    queue: (clientId: string) => `${prefix}queue:${clientId}`,
    /** HASH direction and packet id to state, with a TTL. */
    inflight: (clientId: string) => `${prefix}inflight:${clientId}`,
    /** STRING, MessagePack. */
    retained: (topic: string) => `${prefix}retained:${escapeName(topic)}`,
    retainedIndex: `${prefix}retained:_idx`,
    /** Channel. */
    fanout: (nodeId: string) => `${prefix}fanout:${nodeId}`,
  }
}
