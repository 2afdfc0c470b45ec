/**
 * A plugin as the engine runs it: the operator's options, its bulkhead, its breaker and counters. Each snapshot of the
 * registry makes it anew; its breaker and counters go on. Host's thread only.
 */
import type { HookpointKind } from '../../contracts/contract.js'
import type { ResolvedPluginOptions } from '../../contracts/option-schemas.js'
import type { FailurePolicy } from '../../contracts/policy.js'
import { type FailureAction, type ResolvedFailurePolicy, resolvePolicy } from '../../contracts/policy.js'
import type { Boundary, RuntimeName } from '../../contracts/runtimes.js'
import type { EventPredicate } from '../fields/match.js'
import type { CircuitBreaker } from '../primitives/circuit-breaker.js'
import type { PluginRecorder } from '../telemetry/recorders.js'
import type { Bulkhead } from './bulkhead.js'

/** What an operator registered, for as long as it stays registered. */
export interface Registration {
  /** The name that the operator gave; otherwise the one in its manifest, and until that is read the file's name. */
  name: string
  readonly options: ResolvedPluginOptions
  readonly runtime: RuntimeName
  readonly boundary: Boundary
  /** Its lanes load TypeScript in place. Set as well when a module turns out to import some. */
  loadsTypeScript: boolean
  /** file: URL of what lanes load: a module, a bundle or a binary. A remote provider's: its address. */
  readonly url: string
  /** How many registrations came before it: plugins of equal priority run in this order. */
  readonly order: number
  /** The name of its bulkhead when it has one of its own. */
  readonly ownBulkhead: string
  readonly timeoutMs: number
  readonly policies: Readonly<Record<HookpointKind, ResolvedFailurePolicy>>
  readonly breaker: CircuitBreaker
}

export interface ActivePlugin {
  readonly registration: Registration
  readonly name: string
  readonly timeoutMs: number
  readonly breaker: CircuitBreaker
  readonly bulkhead: Bulkhead
  /** Index of the plugin in its bulkhead; the number of its bit in masks. */
  readonly index: number
  readonly hooks: ReadonlySet<string>
  readonly match: EventPredicate | null
  readonly sample: number
  readonly isShadow: boolean
  /** Indexed by hookpoint. */
  readonly recorders: readonly PluginRecorder[]
}

/** What a failure becomes when the operator sets no policy: the lack of a verdict must not count as an approval. */
const FALLBACK: Readonly<Record<HookpointKind, FailureAction>> = {
  gate: 'deny',
  transform: 'deny',
  respond: 'raise',
  observe: 'allow',
}

/** The operator's policy for each kind of hookpoint. Observations ignore it: nobody waits for them, so the chain goes on. */
export function resolvePolicies(policy: FailurePolicy | undefined): Registration['policies'] {
  const forKind = (kind: HookpointKind) => resolvePolicy(kind === 'observe' ? undefined : policy, FALLBACK[kind])
  return {
    gate: forKind('gate'),
    transform: forKind('transform'),
    respond: forKind('respond'),
    observe: forKind('observe'),
  }
}
