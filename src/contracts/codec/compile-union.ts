/**
 * Compiles unions. Only compile.ts calls it.
 *
 * zod takes the first option that parses. An encoder takes the first variant that fits. Both are the same while the
 * layout alone decides. If zod's further checks would decide between objects, the layout could keep other fields than
 * zod, so such a union crosses as JSON or is refused.
 */
import type { z } from 'zod/v4'
import { maybeNode, unionNode } from './arrange.js'
import { checkOf, type Schema, type UnionTraits, unencodable, type Walk } from './compile-rules.js'
import { CONTAINER_KINDS, kindsOf } from './kinds.js'
import type { EnumValue, PlanNode } from './plan.js'
import type { Refinement } from './refinements.js'
import { hasSecrets, markSecret } from './secrets.js'

/** The rest of the compiler. */
interface Compiler {
  compileNode(schema: Schema, walk: Walk): PlanNode
  compileJson(schema: Schema, walk: Walk, what: string): PlanNode
}

interface Variant {
  readonly node: PlanNode
  readonly kinds: number
  readonly found: Map<PlanNode, Refinement>
}

export function compileUnion(
  schema: Schema,
  def: z.core.$ZodUnionDef & UnionTraits,
  walk: Walk,
  compiler: Compiler,
): PlanNode {
  const isExclusive = !('discriminator' in def) && def.inclusive === false
  const isAlone = (option: Schema, type: string) =>
    option._zod.def.type === type && (option._zod.def.checks ?? []).length === 0
  const optional = def.options.some((option) => isAlone(option, 'undefined'))
  const nullable = def.options.some((option) => isAlone(option, 'null'))
  const options = def.options.filter((option) => !isAlone(option, 'undefined') && !isAlone(option, 'null'))
  if (options.length === 0) return onlyNull(optional, walk)

  const variants = options.flatMap((option, index) =>
    compileVariants(option, { ...walk, path: [...walk.path, 'variants', index] }, compiler),
  )
  const node =
    variants.length === 1
      ? accept(variants, walk)
      : (join(schema, variants, isExclusive, walk) ?? compiler.compileJson(schema, walk, CONTESTED))
  if (!optional && !nullable) return node
  if (node.kind === 'maybe' && node.fallback === null && !walk.found.has(node)) {
    return maybeNode(node.inner, {
      optional: optional || node.optional,
      nullable: nullable || node.nullable,
      fallback: null,
    })
  }
  return maybeNode(node, { optional, nullable, fallback: null })
}

const CONTESTED = 'a union whose variants only further checks tell apart'

function onlyNull(optional: boolean, walk: Walk): PlanNode {
  if (optional)
    throw unencodable(walk.path, 'a union of null and undefined', 'use .optional() or .nullable() on a type')
  return { kind: 'enum', fixedBytes: 2, values: [null] }
}

/** Splices in an option that is itself a union, so that nested discriminated unions are told apart in one step. */
function compileVariants(option: Schema, walk: Walk, { compileNode }: Compiler): Variant[] {
  const found = new Map<PlanNode, Refinement>()
  const node = compileNode(option, { ...walk, found })
  const nodes = node.kind === 'union' && !found.has(node) ? node.variants : [node]
  return nodes.map((variant) => ({ node: variant, kinds: kindsOf(variant), found }))
}

/** null: only zod could tell which of the variants an object is. */
function join(schema: Schema, variants: readonly Variant[], isExclusive: boolean, walk: Walk): PlanNode | null {
  const values = variants.flatMap(({ node, found }) => (node.kind === 'enum' && !found.has(node) ? node.values : []))
  if (!isExclusive && variants.every(({ node, found }) => node.kind === 'enum' && !found.has(node))) {
    const node: PlanNode = { kind: 'enum', fixedBytes: 2, values: [...new Set<EnumValue>(values)] }
    if (variants.some((variant) => hasSecrets(variant.node))) markSecret(node, null)
    return node
  }
  const union = unionNode(variants.map(({ node }) => node))
  if (union.discriminator !== null) return accept(variants, walk, union)
  const contested = contestedKinds(variants, isExclusive)
  if (contested === 0) return accept(variants, walk, union)
  if ((contested & CONTAINER_KINDS) !== 0) return null
  // A scalar is the same value in any variant that holds it. Whether it is allowed, zod decides for the union as a whole.
  walk.found.set(union, { check: checkOf(schema), fallback: null })
  return union
}

/** Kinds of values that two variants accept and between which only zod's further checks decide. */
function contestedKinds(variants: readonly Variant[], isExclusive: boolean): number {
  let contested = 0
  for (const [index, one] of variants.entries()) {
    for (const other of variants.slice(index + 1)) {
      const isChecked = [one, other].some(({ found }) => [...found.values()].some(({ check }) => check !== null))
      if (isExclusive || isChecked) contested |= one.kinds & other.kinds
    }
  }
  return contested
}

function accept(variants: readonly Variant[], walk: Walk, node: PlanNode = variants[0]!.node): PlanNode {
  for (const { found } of variants) for (const [below, refinement] of found) walk.found.set(below, refinement)
  return node
}
