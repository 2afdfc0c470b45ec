/** What attachHooks may be told. */
import { attachOptionsSchema, type ResolvedAttachOptions } from '../../contracts/mqtt-options.js'
import { parseOptions } from '../../contracts/parse-options.js'

export type { ResolvedAttachOptions }

/** What becomes of what nobody has decided: a plugin failed under a policy of `deny`, or could not be asked. */
export interface UndecidedOptions {
  /**
   * Messages of QoS 1 and 2. `hold` (the default): the publisher is not read from, and the question is asked again for up to
   * `holdMs`; then its connection is closed without an acknowledgement, and it sends them again. `close`: at once. `drop`:
   * acknowledged, and routed nowhere.
   */
  publish?: 'hold' | 'close' | 'drop'
  /** Messages of QoS 0. `drop` (the default): counted. `hold`: asked about again first. `close`: and the connection closed. */
  publishQos0?: 'drop' | 'hold' | 'close'
  /** A SUBSCRIBE. `close` (the default): the connection is closed. `refuse`: 0x80 for each of its filters. */
  subscribe?: 'close' | 'refuse'
  /**
   * Deliveries of QoS 1 and 2 to kept sessions. `keep` (the default): they stay stored, and are asked about again. `drop`:
   * removed. Others are dropped, and all are counted.
   */
  deliver?: 'keep' | 'drop'
}

export interface AttachOptions {
  /** What becomes of a question that plugins left undecided, by kind of question; see the table in docs. */
  onUndecided?: UndecidedOptions
  /** Milliseconds for which an undecided question is asked again. Default 10,000. */
  holdMs?: number
  /** Milliseconds that a question may wait for its turn in a lane; they take nothing of its plugin's time. Default 30,000. */
  maxWaitMs?: number
  /** Deliveries that wait for verdicts, per subscriber; past it they are dropped, counted and told. Default 16,384. */
  maxQueuedDeliveries?: number
  /** Bytes of their payloads. Default 16 MiB. One delivery has always room. */
  maxQueuedBytes?: number
  /** Calls of the engine at once; further ones wait their turn, in order. Default 256. */
  maxCallsUnderWay?: number
  /** Bytes of a packet behind its fixed header; a larger one ends its connection. Default 1 MiB. */
  maxPacketBytes?: number
  /** Bytes that a connection may send before its CONNECT is accepted. Default 16 KiB. */
  maxConnectBytes?: number
  /** Milliseconds that a connection has for its CONNECT. Default 10,000. */
  connectTimeoutMs?: number
  /**
   * Connections whose CONNECT has not been accepted. Past it the one that has been silent longest is closed, and a new one
   * if all are being authenticated. Default 1,000.
   */
  maxUnauthenticated?: number
  /** Told of what no client can be: errors of the store, of asking. Default: a process warning, once for each place. */
  onError?(error: unknown, place: string): void
}

/** @throws HookringError OPTIONS_INVALID */
export function parseAttachOptions(options: AttachOptions): ResolvedAttachOptions {
  const { onError, ...rest } = options
  const resolved = parseOptions(attachOptionsSchema, rest, 'attachHooks')
  // Called as the method that it may be.
  return onError === undefined ? resolved : { ...resolved, onError: (error, place) => options.onError?.(error, place) }
}
