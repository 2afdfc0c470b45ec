/**
 * What a plan cannot carry because it is code: zod's checks beyond types and bounds, and computed defaults. They are
 * attached to the plan object on the thread that compiled it, and structured clone drops them. So lanes, which get plans
 * by message, do without, and the host checks what lanes send back.
 */
import type { LayoutPlan, PlanNode } from './plan.js'

export type Checked =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly path: readonly PropertyKey[]; readonly problem: string }

export interface Refinement {
  /** Checks the node's value with everything below it; null: the layout expresses it all. May throw what a check throws. */
  readonly check: ((value: unknown) => Checked) | null
  /** Computes the default of a node that has one. */
  readonly fallback: (() => unknown) | null
}

export type Refinements = ReadonlyMap<PlanNode, Refinement>

// A registered symbol: a plan from another copy of this package keeps its checks.
const REFINEMENTS = Symbol.for('hookring.refinements@1')

export function attachRefinements(plan: LayoutPlan, refinements: Refinements): LayoutPlan {
  return Object.defineProperty(plan, REFINEMENTS, { value: refinements })
}

/** Empty for a plan that came from another thread. */
export function refinementsOf(plan: LayoutPlan): Refinements {
  return (plan as { [REFINEMENTS]?: Refinements })[REFINEMENTS] ?? NO_REFINEMENTS
}

export const NO_REFINEMENTS: Refinements = new Map()
