/**
 * Failure policy: what a failure becomes. Set by the operator per plugin, one word or one per failure.
 */
import { FAILURE_KINDS, type FailureKind } from './verdict.js'

/** `deny` rejects, `allow` goes on without the plugin, `raise` (respond only) throws PLUGIN_FAILED at the caller. */
export type FailureAction = 'deny' | 'allow' | 'raise'

/** One word for every failure, or a word per failure; failures left out keep the hookpoint kind's default. */
export type FailurePolicy = FailureAction | Partial<Record<FailureKind, FailureAction | undefined>>

export type ResolvedFailurePolicy = Readonly<Record<FailureKind, FailureAction>>

export function resolvePolicy(policy: FailurePolicy | undefined, fallback: FailureAction): ResolvedFailurePolicy {
  const resolved = {} as Record<FailureKind, FailureAction>
  for (const kind of FAILURE_KINDS) {
    resolved[kind] = typeof policy === 'string' ? policy : (policy?.[kind] ?? fallback)
  }
  return Object.freeze(resolved)
}
