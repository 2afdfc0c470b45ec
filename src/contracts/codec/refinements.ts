/**
 * What a plan cannot carry because it is code: zod's checks beyond types and bounds, and defaults that are computed.
 * They ride along with the plan object on the thread that compiled it and are lost by structured clone, so that lanes,
 * which are sent plans, do without, and the host checks what lanes send back.
 */
import type { LayoutPlan, PlanNode } from './plan.js'

export type Checked =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly path: readonly PropertyKey[]; readonly problem: string }

export interface Refinement {
  /** Checks the value of the node with everything below it; null when the layout says it all. May throw what a check throws. */
  readonly check: ((value: unknown) => Checked) | null
  /** The default of a node that has one. */
  readonly fallback: (() => unknown) | null
}

export type Refinements = ReadonlyMap<PlanNode, Refinement>

// Registered, so that a plan from another copy of this package keeps its checks.
const REFINEMENTS = Symbol.for('hookring.refinements@1')

export function attachRefinements(plan: LayoutPlan, refinements: Refinements): LayoutPlan {
  return Object.defineProperty(plan, REFINEMENTS, { value: refinements })
}

/** Empty for a plan that came from another thread. */
export function refinementsOf(plan: LayoutPlan): Refinements {
  return (plan as { [REFINEMENTS]?: Refinements })[REFINEMENTS] ?? NO_REFINEMENTS
}

export const NO_REFINEMENTS: Refinements = new Map()
