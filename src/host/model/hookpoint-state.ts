/**
 * What the engine keeps for a hookpoint: its codec, its counters, and the route that its calls take now. One for each
 * hookpoint, for the engine's life. Host's thread only.
 */
import { createEncoder, type Encoder } from '../../contracts/codec/encode.js'
import { createReader, type EventReader } from '../../contracts/codec/read.js'
import { refinementsOf } from '../../contracts/codec/refinements.js'
import type { Contract, Hookpoint, HookpointKind } from '../../contracts/contract.js'
import type { HookpointSpec } from '../../contracts/control.js'
import { createReplyRoom } from '../../contracts/reply.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { HookpointRecorder } from '../telemetry/recorders.js'
import { TraceMasks } from '../telemetry/tracing.js'
import type { Route } from './route.js'

export interface HookpointState {
  readonly index: number
  readonly name: string
  readonly kind: HookpointKind
  readonly definition: Hookpoint
  readonly encoder: Encoder
  /** Decodes a transform's replacement. */
  readonly reader: EventReader
  /** Decodes a respond's answer. */
  readonly replyReader: EventReader | null
  readonly recorder: HookpointRecorder
  readonly traceMasks: TraceMasks
  /** Encoded bytes that the next event is expected to take, from the sizes of the last ones. */
  expectedBytes: number
  /** Reply areas in a slot's extent. */
  readonly replyAreas: number
  /** Bytes of each reply area for an event of `eventBytes`. */
  replyRoom(eventBytes: number): number
  /**
   * The host checks each replacement before the next plugin sees it, because the schema checks more than lanes can, or
   * because a replacement may end the chain.
   */
  readonly isCheckedBetween: boolean
  /** null: nobody subscribes. */
  route: Route | null
}

export function createHookpointStates(
  contract: Contract,
  metrics: Metrics,
  defaultReplyBytes: number,
): HookpointState[] {
  return Object.entries(contract.hookpoints).map(([name, definition], index) => {
    return {
      index,
      name,
      kind: definition.kind,
      definition,
      encoder: createEncoder(definition.plan, { label: name }),
      reader: createReader(definition.plan),
      replyReader: definition.replyPlan === null ? null : createReader(definition.replyPlan),
      recorder: metrics.hookpointRecorder(name),
      traceMasks: new TraceMasks(definition),
      expectedBytes: definition.plan.fixedBytes + 32,
      replyAreas: definition.kind === 'transform' ? 2 : definition.kind === 'respond' ? 1 : 0,
      replyRoom: createReplyRoom(definition, defaultReplyBytes),
      isCheckedBetween:
        definition.kind === 'transform' &&
        (definition.endsOn !== null ||
          [...refinementsOf(definition.plan).values()].some(({ check }) => check !== null)),
      route: null,
    }
  })
}

/** What lanes are told about the hookpoints. */
export function hookpointSpecs(hookpoints: readonly HookpointState[]): HookpointSpec[] {
  return hookpoints.map(({ name, kind, definition }) => ({
    name,
    kind,
    plan: definition.plan,
    replyPlan: definition.replyPlan,
  }))
}
