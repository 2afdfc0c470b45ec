/** At which rates the client of case `rpc` calls, and what it reports of a slice. Plain values, imported by all sides. */

/** Modest rates: the machine must not be the bottleneck. */
export const HOOKED_PER_SECOND = 200
export const BYSTANDER_PER_SECOND = 500
export const CLIENT_DEADLINE_MS = 1500

export interface SliceFigures {
  /** Enqueue: the RPC that asks a hook. */
  readonly hooked: CallFigures
  /** Ping: an RPC of the same server that asks none. */
  readonly bystander: CallFigures
}

/** One RPC over one slice: latency of all calls, failed ones included. */
export interface CallFigures {
  readonly p50Us: number
  readonly p99Us: number
  readonly p999Us: number
  /** Calls that succeeded, per second. */
  readonly rps: number
  readonly calls: number
  /** Failed calls by kind: the hook's failure where the server names one, else the gRPC status. */
  readonly failures: Readonly<Record<string, number>>
  /** Calls on which the hook was asked to misbehave, and how many of them failed. */
  readonly marked: number
  readonly markedFailures: number
}
