/** What a caller says of one call. */

export interface CallOptions {
  /** Ends the call: it is taken back if it has not begun, and rejects with CALL_ABORTED. */
  signal?: AbortSignal | undefined
  /** Milliseconds for the whole call, on top of the plugins' own limits. */
  timeoutMs?: number | undefined
  /** Reaches the hooks as `ctx.traceId`; at most 256 bytes of UTF-8. */
  traceId?: string | undefined
  /**
   * A plugin's name: the chain begins there, and who comes before it is not asked. For asking again about what a failure
   * left undecided, as the verdict's `resume` says: who has agreed already is not asked twice. All are asked where no such
   * plugin is in the chain, and at a parallel gate. Observations have no use for it.
   */
  startAt?: string | undefined
  /**
   * An object of the caller's that the engine fills in: how long the call waited and ran. It is complete when the call has
   * settled (an observation: when flush() has resolved). One for each call under way.
   */
  times?: CallTimes | undefined
}

/**
 * How long a call waited and ran, in milliseconds, for the caller to read when it has settled. The engine sets both to 0
 * and adds up the hops; what is left of the caller's own measurement is the way back.
 */
export interface CallTimes {
  /**
   * In queues and rings, and until the lane woke up. It counts from when the call was published, which is at the latest
   * when the turn of the event loop that made it ends.
   */
  waitedMs: number
  /** In plugins. */
  ranMs: number
}
