/** Options of one call. */

export interface CallOptions {
  /** Ends the call, which rejects with CALL_ABORTED. It is taken back if no plugin has begun it. */
  signal?: AbortSignal | undefined
  /** Milliseconds for the whole call. The plugins' own limits apply as well. */
  timeoutMs?: number | undefined
  /** Reaches the hooks as `ctx.traceId`; at most 256 bytes of UTF-8. */
  traceId?: string | undefined
  /**
   * A plugin's name: the chain begins there, and the plugins before it are not asked. Use it to ask again after a failure
   * left a call undecided, with the name in the verdict's `resume`; plugins that have agreed are then not asked twice. If
   * the chain has no such plugin, and at a parallel gate, all are asked. Observations ignore it.
   */
  startAt?: string | undefined
  /**
   * An object that the engine fills in: how long the call waited and ran. It is complete when the call has settled; an
   * observation's, when flush() has resolved. Use one object for each call under way.
   */
  times?: CallTimes | undefined
}

/**
 * How long a call waited and ran, in milliseconds. The engine sets both to 0 when the call begins and adds up the hops. What
 * the caller measures beyond their sum is the way back from the lane.
 */
export interface CallTimes {
  /**
   * Time in queues and rings, and until the lane woke up. It counts from when the call was published: at the latest at the
   * end of the turn of the event loop that made it.
   */
  waitedMs: number
  /** Time in plugins. */
  ranMs: number
}
