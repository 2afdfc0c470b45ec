/**
 * What the adapter has counted since it was attached. Of each kind of question, what a plugin refused and what nobody
 * decided (undecided) are counted apart, and apart from both what is lost (dropped).
 */
export interface HookCounts {
  /** CONNACK with a plugin's code. */
  connectsRefused: number
  /** CONNACK 3. */
  connectsUndecided: number
  /** Connections that were closed before CONNECT was accepted: too slow, too many bytes, too many at once. */
  connectionsShed: number
  /** Filters, not packets; shared subscriptions among them, which are not served. */
  subscriptionsRefused: number
  /** The same: their connection was closed. */
  subscriptionsUndecided: number
  publishesRefused: number
  /** QoS 1 and 2: not acknowledged, and the connection was closed; the client sends them again. */
  publishesUndecided: number
  /** Messages of QoS 0 that nobody decided about, and what stood behind an undecided message of a closed connection. */
  publishesDropped: number
  /** Messages that nobody has decided about yet and that are asked about again: now, not in all. */
  publishesHeld: number
  willsRefused: number
  /** Not published, by the policy of the plugin that failed. */
  willsUndecided: number
  deliveriesRefused: number
  /** Those of a kept session stay stored, and are asked about again. */
  deliveriesUndecided: number
  /** Deliveries that are lost: undecided for a clean session, no room, or a connection that ended while they waited. */
  deliveriesDropped: number
  /** Retained messages that a plugin refused to store: routed and not stored. */
  retainedRefused: number
  /** Retained messages of QoS 0 that were routed and not stored, and filters whose retained messages were not given. */
  retainedUndecided: number
  /** Questions without an answer: a plugin failed, or the engine could not be asked. Asked again, they count again. */
  failures: number
  /** Questions that never reached their plugin in time, because the lanes were busy, and were asked again. */
  delayed: number
  /** Events larger than the engine takes. */
  eventsTooLarge: number
  /** Packets larger than maxPacketBytes; their connections were closed. */
  packetsTooLarge: number
  /** Replacements and answers that no broker can use. */
  repliesInvalid: number
}

export function newCounts(): HookCounts {
  return {
    connectsRefused: 0,
    connectsUndecided: 0,
    connectionsShed: 0,
    subscriptionsRefused: 0,
    subscriptionsUndecided: 0,
    publishesRefused: 0,
    publishesUndecided: 0,
    publishesDropped: 0,
    publishesHeld: 0,
    willsRefused: 0,
    willsUndecided: 0,
    deliveriesRefused: 0,
    deliveriesUndecided: 0,
    deliveriesDropped: 0,
    retainedRefused: 0,
    retainedUndecided: 0,
    failures: 0,
    delayed: 0,
    eventsTooLarge: 0,
    packetsTooLarge: 0,
    repliesInvalid: 0,
  }
}
