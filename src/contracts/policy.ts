/**
 * Failure policy: what a failure becomes. Set by the operator per plugin, one word or one per failure.
 */
import { FAILURE_KINDS, type FailureKind } from './verdict.js'

/**
 * `deny`: the verdict is a reject whose `failure` says why. `allow`: the chain goes on without the plugin, and the verdict
 * carries the `failure`. `raise`: the call's promise rejects with PLUGIN_FAILED, whose `cause` is the failure.
 */
export type FailureAction = 'deny' | 'allow' | 'raise'

/**
 * One word for every failure, or a word per kind of failure. What is left out keeps the default of the hookpoint's kind:
 * gates and transforms deny, responds raise. Nobody waits for an observation, so it has no policy.
 */
export type FailurePolicy = FailureAction | Partial<Record<FailureKind, FailureAction | undefined>>

export type ResolvedFailurePolicy = Readonly<Record<FailureKind, FailureAction>>

export function resolvePolicy(policy: FailurePolicy | undefined, fallback: FailureAction): ResolvedFailurePolicy {
  const resolved = {} as Record<FailureKind, FailureAction>
  for (const kind of FAILURE_KINDS) {
    resolved[kind] = typeof policy === 'string' ? policy : (policy?.[kind] ?? fallback)
  }
  return Object.freeze(resolved)
}
