/**
 * Verdicts and failures: what a call comes to. Closed unions, read by callers on the host's thread.
 */

/**
 * Why a plugin gave no verdict. `timeout`: its hook did not return in time. `crash`: its lane died. `error`: its hook threw.
 * `overload`: all slots were taken and the queue was full. `quarantined`: it had failed too often and was not asked.
 * `invalid`: what it returned is no verdict of the hookpoint.
 */
export const FAILURE_KINDS = ['timeout', 'crash', 'error', 'overload', 'quarantined', 'invalid'] as const
export type FailureKind = (typeof FAILURE_KINDS)[number]

/**
 * What took the time from a plugin that gave no verdict. `caller`: the call's own `timeoutMs` came first. `waiting`: most of
 * the plugin's time had passed in a queue, behind a slow neighbour or an observer in its lane, or while the process stood
 * still. `neighbour`: another plugin took their lane down.
 */
export const CUT_SHORT_BY = ['caller', 'waiting', 'neighbour'] as const
export type CutShortBy = (typeof CUT_SHORT_BY)[number]

/** A plugin that gave no verdict: which one, where and why. For the operator: clients are shown a verdict's `reason`. */
export interface Failure {
  /** Why there is no verdict: `timeout`, `crash`, `error`, `overload`, `quarantined` or `invalid`. */
  readonly kind: FailureKind
  /** The plugin's name. */
  readonly plugin: string
  /** Where it was asked. */
  readonly hookpoint: string
  /** What happened, with times: `plugin slow timed out after 50 ms at onOrder: it had not returned (...)`. */
  readonly message: string
  /** How long the call waited before the hook was entered, in milliseconds. */
  readonly waitedMs: number
  /** How long the hook ran, in milliseconds. */
  readonly ranMs: number
  /** The failure is not the plugin's own and does not count towards its quarantine. Left out: it is, and does. */
  readonly cutShortBy?: CutShortBy
  /** Kind `error`: what the hook threw. */
  readonly error?: ThrownError
}

/** What a hook threw, as far as it is known outside its lane. */
export interface ThrownError {
  /** `TypeError`; `Error` where what was thrown has no name. */
  readonly name: string
  /** At most 384 bytes. */
  readonly message: string
  /** The stack as the lane had it, without its first line; cut so that all of it is at most 2 KiB. Empty: there is none. */
  readonly stack: string
}

/** The reason of a reject that no plugin gave: what a server may show its clients tells nothing of plugins. */
export const UNDECIDED_REASON = 'the operation could not be checked'

/** The operation proceeds. `failure` is set when a plugin failed and its policy let the call go on. */
export interface ContinueVerdict {
  /** The operation proceeds. */
  readonly kind: 'continue'
  /** A plugin that gave no verdict, and what it was; left out: all did. */
  readonly failure?: Failure
}

/** The operation is refused: by `plugin`, or by the failure policy when `failure` is set and no plugin decided. */
export interface RejectVerdict<E = unknown> {
  /** The operation is refused. */
  readonly kind: 'reject'
  /**
   * The plugin's words, at most 384 bytes: a server may show them to its client. When a failure was denied it is the same
   * text for all, `the operation could not be checked`; what happened is in `failure.message`.
   */
  readonly reason: string
  /** The plugin's own code for the refusal (an MQTT reason code, a gRPC status), if it gave one. */
  readonly code?: number
  /** The name of the plugin that decided; of the one that failed, where the failure policy did. */
  readonly plugin: string
  /** A plugin that gave no verdict, and what it was; left out: all did. */
  readonly failure?: Failure
  /** Undecided, and may be asked about again: so that nobody who has agreed already is asked twice. */
  readonly resume?: Resume<E>
}

/** How to ask again about what a failure left undecided: `hooks.onX(resume.event ?? event, { startAt: resume.startAt })`. */
export interface Resume<E = unknown> {
  /** The plugin at which the chain begins then. */
  readonly startAt: string
  /** Of a transform: the event as the plugins before that one have replaced it. Left out: nobody has. */
  readonly event?: E
}

/** The operation proceeds with `event` in place of the one that was asked about. */
export interface ReplaceVerdict<E> {
  /** The operation proceeds with another event. */
  readonly kind: 'replace'
  /** What the operation is to be done with. */
  readonly event: E
  /** The last plugin that replaced the event. */
  readonly plugin: string
  /** A plugin that gave no verdict, and what it was; left out: all did. */
  readonly failure?: Failure
}

/** The first value that a plugin returned. */
export interface RespondVerdict<R> {
  /** A plugin has answered. */
  readonly kind: 'respond'
  /** The answer, as the schema of the reply reads it. */
  readonly value: R
  /** The name of the plugin that decided. */
  readonly plugin: string
  /** A plugin that gave no verdict, and what it was; left out: all did. */
  readonly failure?: Failure
}

export type GateVerdict = ContinueVerdict | RejectVerdict
export type TransformVerdict<E> = ContinueVerdict | RejectVerdict<E> | ReplaceVerdict<E>
export type AnswerVerdict<R> = ContinueVerdict | RejectVerdict | RespondVerdict<R>
export type Verdict = GateVerdict | TransformVerdict<unknown> | AnswerVerdict<unknown>
export type VerdictKind = Verdict['kind']

/** Whether a reject is the failure policy's: no plugin has refused. One that refused beside another's failure has. */
export function isUndecided(verdict: Verdict): boolean {
  return verdict.kind === 'reject' && verdict.failure !== undefined && verdict.failure.plugin === verdict.plugin
}

/** What most calls come to; shared and frozen, so that a call without findings allocates no verdict. */
export const CONTINUE: ContinueVerdict = Object.freeze({ kind: 'continue' })
