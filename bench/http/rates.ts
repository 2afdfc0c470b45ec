/** The rows of case `http`, and what its client does and reports. Plain values, imported by all sides. */

export const ROWS = [
  { mode: 'bare', hook: 'none' },
  { mode: 'inline', hook: 'fast' },
  { mode: 'piscina', hook: 'fast' },
  { mode: 'lanes', hook: 'fast' },
  { mode: 'inline', hook: 'slow' },
  { mode: 'piscina', hook: 'slow' },
  { mode: 'lanes', hook: 'slow' },
] as const
export type HttpRow = (typeof ROWS)[number]

export const HOOK_MS: Readonly<Record<HttpRow['hook'], number>> = { none: 0, fast: 0, slow: 50 }
/** Of Piscina, and lanes of hookring, for the slow hook: as an operator who knows of the 50 ms would choose. */
export const SLOW_THREADS = 4

/** The route about which the hook is asked, and the bystander, about which it is not. */
export const HOOKED_PATH = '/hooked'
export const BYSTANDER_PATH = '/bystander'

/** Of autocannon, as fast as it goes. */
export const CONNECTIONS: Readonly<Record<HttpRow['hook'], number>> = { none: 64, fast: 64, slow: 8 }
/** A slow hook takes its time to show a rate. */
export const SLOW_THROUGHPUT_MS = 1_000
/** While the bystander is measured, in all rows alike. What the slow hook can take inline is 20. */
export const HOOKED_PER_SECOND = 8
export const BYSTANDERS_PER_SECOND = 200

export interface ThroughputFigures {
  readonly requestsPerSecond: number
  readonly p50Us: number
  readonly p99Us: number
  /** Responses that are not what they should be, and requests without one. */
  readonly failed: number
}

export interface BystanderFigures {
  readonly p50Us: number
  readonly p99Us: number
  readonly failed: number
}

/** Answered with: ThroughputFigures, BystanderFigures. */
export interface ClientRequest {
  readonly kind: 'throughput' | 'bystander'
  readonly port: number
  readonly hook: HttpRow['hook']
  readonly sliceMs: number
}

/** Answered with: the port, nothing. */
export type ServerRequest = { readonly kind: 'start'; readonly row: HttpRow } | { readonly kind: 'stop' }
