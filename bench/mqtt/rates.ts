/** The rows of case `mqtt`, and what its client does and reports. Plain values, imported by all sides. */

/** Inline and in lanes there are the four hooks that ship, and with them one more: none, a fast or a slow one. */
export const ROWS = [
  { mode: 'bare', hook: 'none' },
  { mode: 'inline', hook: 'none' },
  { mode: 'lanes', hook: 'none' },
  { mode: 'inline', hook: 'fast' },
  { mode: 'lanes', hook: 'fast' },
  { mode: 'inline', hook: 'slow' },
  { mode: 'lanes', hook: 'slow' },
] as const
export type MqttRow = (typeof ROWS)[number]

export const HOOK_MS: Readonly<Record<MqttRow['hook'], number>> = { none: 0, fast: 0, slow: 50 }

/** Clients that publish to `hooked/...`, about which the further hook is asked. */
export const PUBLISHERS = 4
/** Of all four together, while latency is measured. What the slow hook can take inline is 20. */
export const PUBLISHES_PER_SECOND: Readonly<Record<MqttRow['hook'], number>> = { none: 200, fast: 200, slow: 8 }
/** One more client, about whose messages the further hook is not asked; the four that ship are. */
export const BYSTANDERS_PER_SECOND = 500
/** Of each publisher, unacknowledged, while throughput is measured. */
export const IN_FLIGHT: Readonly<Record<MqttRow['hook'], number>> = { none: 16, fast: 16, slow: 1 }
/** A slow hook takes its time to show a rate. */
export const SLOW_THROUGHPUT_MS = 1_000
export const PAYLOAD_BYTES = 64
export const HOOKED_TOPIC = 'hooked'
export const BYSTANDER_TOPIC = 'bystander'
export const CREDENTIALS = { username: 'bench', password: 'a password of the bench' } as const

/** Latency from publish to the subscriber, in microseconds, by bucket counts of a histogram. */
export interface LatencyFigures {
  readonly hooked: MessageFigures
  readonly bystander: MessageFigures
}

export interface MessageFigures {
  readonly p50Us: number
  readonly p99Us: number
  readonly published: number
  /** Those that never came. */
  readonly lost: number
}

/** Answered with: nothing, LatencyFigures, acknowledged publishes per second, nothing. */
export type ClientRequest =
  | { readonly kind: 'connect'; readonly name: string; readonly port: number }
  | {
      readonly kind: 'latency' | 'throughput'
      readonly name: string
      readonly hook: MqttRow['hook']
      readonly sliceMs: number
    }
  | { readonly kind: 'disconnect'; readonly name: string }

/** Answered with: the port, nothing. */
export type BrokerRequest = { readonly kind: 'start'; readonly row: MqttRow } | { readonly kind: 'stop' }
