/** What a handler of a fake engine returns where a plugin would have failed. Pure. */
import { HookringError } from '../../contracts/errors.js'
import type { FailureAction } from '../../contracts/policy.js'
import { type Failure, type FailureKind, UNDECIDED_REASON, type Verdict } from '../../contracts/verdict.js'

const UNDECIDED = Symbol('hookring.testing.undecided')

/** A failure in place of a verdict; made by `undecided`. */
export interface Undecided {
  readonly [UNDECIDED]: true
  readonly kind: FailureKind
  readonly policy: FailureAction
  readonly message: string
}

export interface UndecidedOptions {
  /**
   * What the failure becomes, as an engine's `onFailure` says. `deny`: a reject for which `isUndecided` is true. `allow`: a
   * continue with a failure. `raise`: the call rejects with PLUGIN_FAILED. Default `deny`.
   */
  policy?: FailureAction
  /** Default: one that says that it was made up. */
  message?: string
}

/**
 * A plugin that gives no verdict, for a handler of `fakeEngine` to return: `onOrder: () => undecided('timeout')`. So a test
 * sees what a server does when nobody has decided.
 */
export function undecided(kind: FailureKind, { policy = 'deny', message }: UndecidedOptions = {}): Undecided {
  return { [UNDECIDED]: true, kind, policy, message: message ?? `a made-up failure: ${kind}` }
}

export function isUndecidedResult(result: unknown): result is Undecided {
  return typeof result === 'object' && result !== null && UNDECIDED in result
}

/** @throws HookringError PLUGIN_FAILED where the policy is to raise */
export function verdictOfFailure({ kind, policy, message }: Undecided, hookpoint: string, plugin: string): Verdict {
  const failure: Failure = { kind, plugin, hookpoint, message, waitedMs: 0, ranMs: 0 }
  switch (policy) {
    case 'allow':
      return { kind: 'continue', failure }
    case 'deny':
      return { kind: 'reject', reason: UNDECIDED_REASON, plugin, failure }
    case 'raise':
      throw new HookringError('PLUGIN_FAILED', message, { plugin, hookpoint })
  }
}
