/**
 * A plugin as the engine runs it: the operator's options, where it lives, its breaker and counters. Made anew with each
 * snapshot of the registry; the breaker and the counters go on. Host's thread only.
 */
import type { HookpointKind } from '../../contracts/contract.js'
import type { ResolvedPluginOptions } from '../../contracts/option-schemas.js'
import type { FailurePolicy } from '../../contracts/policy.js'
import { type FailureAction, type ResolvedFailurePolicy, resolvePolicy } from '../../contracts/policy.js'
import type { Boundary, RuntimeName } from '../../contracts/runtimes.js'
import type { EventPredicate } from '../fields/match.js'
import type { Breaker } from '../primitives/circuit-breaker.js'
import type { PluginRecorder } from '../telemetry/recorders.js'
import type { Bulkhead } from './bulkhead.js'

/** What an operator registered, as long as it stays registered. */
export interface Registration {
  /** The operator's name for it, or its file's until it has told its own. */
  name: string
  readonly options: ResolvedPluginOptions
  readonly runtime: RuntimeName
  readonly boundary: Boundary
  /** file: URL of what lanes load: a module, a bundle, a binary. Of a remote provider where it is reached. */
  readonly url: string
  /** Counts registrations: ties of priority go by it. */
  readonly order: number
  /** The name of its bulkhead when it has one of its own. */
  readonly ownBulkhead: string
  readonly timeoutMs: number
  readonly policies: Readonly<Record<HookpointKind, ResolvedFailurePolicy>>
  readonly breaker: Breaker
}

export interface ActivePlugin {
  readonly registration: Registration
  readonly name: string
  readonly timeoutMs: number
  readonly breaker: Breaker
  readonly bulkhead: Bulkhead
  /** Index of the plugin in its bulkhead's lanes, and so its bit in masks. */
  readonly index: number
  readonly hooks: ReadonlySet<string>
  readonly match: EventPredicate | null
  readonly sample: number
  readonly isShadow: boolean
  /** By the hookpoint's index. */
  readonly recorders: readonly PluginRecorder[]
}

/** What a failure becomes when the operator says nothing: no verdict must not be taken for an approval. */
const FALLBACK: Readonly<Record<HookpointKind, FailureAction>> = {
  gate: 'deny',
  transform: 'deny',
  respond: 'raise',
  observe: 'allow',
}

/** Nobody waits for an observation: its failures are counted, and the others are told of it whatever the policy says. */
export function resolvePolicies(policy: FailurePolicy | undefined): Registration['policies'] {
  const forKind = (kind: HookpointKind) => resolvePolicy(kind === 'observe' ? undefined : policy, FALLBACK[kind])
  return {
    gate: forKind('gate'),
    transform: forKind('transform'),
    respond: forKind('respond'),
    observe: forKind('observe'),
  }
}
