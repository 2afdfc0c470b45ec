/**
 * Verdicts and failures: what a call comes to. Closed unions, read by callers on the host's thread.
 */

/** Why a plugin gave no verdict. */
export const FAILURE_KINDS = ['timeout', 'crash', 'error', 'overload', 'quarantined', 'invalid'] as const
export type FailureKind = (typeof FAILURE_KINDS)[number]

/**
 * What took the time from a plugin that gave no verdict. `caller`: the call's own `timeoutMs` came first. `waiting`: most of
 * the plugin's time had passed in a queue, behind a slow neighbour or an observer in its lane, or while the process stood
 * still. `neighbour`: another plugin took their lane down.
 */
export const CUT_SHORT_BY = ['caller', 'waiting', 'neighbour'] as const
export type CutShortBy = (typeof CUT_SHORT_BY)[number]

/** A plugin that gave no verdict: which one, where, why, and how long it waited and ran (milliseconds). */
export interface Failure {
  readonly kind: FailureKind
  readonly plugin: string
  readonly hookpoint: string
  readonly message: string
  readonly waitedMs: number
  readonly ranMs: number
  /** The failure is not the plugin's own and does not count towards its quarantine. Left out: it is, and does. */
  readonly cutShortBy?: CutShortBy
}

/** The operation proceeds. `failure` is set when a plugin failed and its policy let the call go on. */
export interface ContinueVerdict {
  readonly kind: 'continue'
  readonly failure?: Failure
}

/** The operation is refused: by `plugin`, or by the failure policy when `failure` is set. */
export interface RejectVerdict {
  readonly kind: 'reject'
  readonly reason: string
  /** The plugin's own code for the refusal (an MQTT reason code, a gRPC status), if it gave one. */
  readonly code?: number
  readonly plugin: string
  readonly failure?: Failure
}

/** The operation proceeds with `event` in place of the one that was asked about. */
export interface ReplaceVerdict<E> {
  readonly kind: 'replace'
  readonly event: E
  /** The last plugin that replaced the event. */
  readonly plugin: string
  readonly failure?: Failure
}

/** The first value that a plugin returned. */
export interface RespondVerdict<R> {
  readonly kind: 'respond'
  readonly value: R
  readonly plugin: string
  readonly failure?: Failure
}

export type GateVerdict = ContinueVerdict | RejectVerdict
export type TransformVerdict<E> = ContinueVerdict | RejectVerdict | ReplaceVerdict<E>
export type AnswerVerdict<R> = ContinueVerdict | RejectVerdict | RespondVerdict<R>
export type Verdict = GateVerdict | TransformVerdict<unknown> | AnswerVerdict<unknown>
export type VerdictKind = Verdict['kind']

/** What most calls come to; shared and frozen, so that a call without findings allocates no verdict. */
export const CONTINUE: ContinueVerdict = Object.freeze({ kind: 'continue' })
