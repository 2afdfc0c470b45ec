/**
 * A hookpoint as the engine keeps it: its codec, its counters, and the route that its calls take now. One per hookpoint
 * and engine, for the engine's life. Host's thread only.
 */
import { createEncoder, type Encoder } from '../../contracts/codec/encode.js'
import { createReader, type EventReader } from '../../contracts/codec/read.js'
import { refinementsOf } from '../../contracts/codec/refinements.js'
import type { Contract, Hookpoint, HookpointKind } from '../../contracts/contract.js'
import type { HookpointSpec } from '../../contracts/control.js'
import { createReplyRoom } from '../../contracts/reply.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { HookpointRecorder } from '../telemetry/recorders.js'
import type { Route } from './route.js'

export interface Point {
  readonly index: number
  readonly name: string
  readonly kind: HookpointKind
  readonly hookpoint: Hookpoint
  readonly encoder: Encoder
  /** Decodes a transform's replacement. */
  readonly reader: EventReader
  /** Decodes a respond's answer. */
  readonly replyReader: EventReader | null
  readonly recorder: HookpointRecorder
  /** Bytes that the last event took: what the next one is expected to take. */
  expectedBytes: number
  /** Reply areas in a slot's extent, and the room in each for an event of the given size. */
  readonly replyAreas: number
  replyRoom(eventBytes: number): number
  /**
   * The host looks at each replacement before the next plugin sees it: the schema checks more than lanes can, or the
   * replacement may end the chain.
   */
  readonly isCheckedBetween: boolean
  /** null: nobody subscribes. */
  route: Route | null
}

export function createPoints(contract: Contract, metrics: Metrics, defaultReplyBytes: number): Point[] {
  return Object.entries(contract.hookpoints).map(([name, hookpoint], index) => {
    return {
      index,
      name,
      kind: hookpoint.kind,
      hookpoint,
      encoder: createEncoder(hookpoint.plan, { label: name }),
      reader: createReader(hookpoint.plan),
      replyReader: hookpoint.replyPlan === null ? null : createReader(hookpoint.replyPlan),
      recorder: metrics.hookpointRecorder(name),
      expectedBytes: hookpoint.plan.fixedBytes + 32,
      replyAreas: hookpoint.kind === 'transform' ? 2 : hookpoint.kind === 'respond' ? 1 : 0,
      replyRoom: createReplyRoom(hookpoint, defaultReplyBytes),
      isCheckedBetween:
        hookpoint.kind === 'transform' &&
        (hookpoint.endsOn !== null || [...refinementsOf(hookpoint.plan).values()].some(({ check }) => check !== null)),
      route: null,
    }
  })
}

/** What lanes are told of the hookpoints. */
export function hookpointSpecs(points: readonly Point[]): HookpointSpec[] {
  return points.map(({ name, kind, hookpoint }) => ({
    name,
    kind,
    plan: hookpoint.plan,
    replyPlan: hookpoint.replyPlan,
  }))
}
