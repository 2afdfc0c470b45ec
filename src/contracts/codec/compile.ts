/**
 * Compiles a zod schema into a layout plan. defineContract calls it, once for each schema and thread.
 *
 * The walk follows zod's own kinds (`_zod.def.type`). What a layout cannot express but zod can check goes into the plan's
 * refinements. zod checks such a node together with everything below it, so the nodes below need no checks of their own.
 * A type without a layout crosses as JSON if JSON can hold it, and is refused otherwise.
 */
import type { z } from 'zod/v4'
import { formatPath, HookringError } from '../errors.js'
import { type Schema as AnySchema, refuseZod3 } from '../schema.js'
import { markOf } from '../secret.js'
import { type LayoutHint, layoutHints } from '../types.js'
import { bytesNode, maybeNode, objectNode, recordNode } from './arrange.js'
import { bigintBounds, dateNode, hasOtherChecks, lengthsOf, numberNode } from './bounds.js'
import {
  checkOf,
  fallbackOf,
  hide,
  hideJson,
  type RecordTraits,
  type Schema,
  staticDefault,
  unencodable,
  type Walk,
} from './compile-rules.js'
import { compileUnion } from './compile-union.js'
import { checkJsonHolds } from './json-schema.js'
import type { EnumValue, LayoutPlan, PlanNode } from './plan.js'
import { attachRefinements, type Refinement } from './refinements.js'

type Def = z.core.$ZodTypes['_zod']['def']
type DefOf<Type extends Def['type']> = Extract<Def, { type: Type }>

const MAX_DEPTH = 64
const MAX_ENUM_VALUES = 65_536
/** Names that events, JSON or the language already use. */
const RESERVED_FIELDS = new Set(['copy', 'toJSON', '__proto__'])

/**
 * The plan of a schema, with its refinements attached. Cloning a plan leaves them behind.
 *
 * @throws HookringError CONTRACT_UNENCODABLE, with the path, for a type that cannot cross; CONTRACT_INVALID for a reserved
 * field name and for something that is not a schema; ZOD_TOO_OLD for a schema of zod 3.
 */
export function compileLayout(schema: AnySchema, path: readonly (string | number)[]): LayoutPlan {
  const found = new Map<PlanNode, Refinement>()
  const root = compileNode(schema as Schema, { path, ancestors: [], found })
  return attachRefinements({ root, fixedBytes: root.fixedBytes }, found)
}

function compileNode(schema: Schema, walk: Walk): PlanNode {
  const def = defOf(schema, walk)
  const node = compileAny(schema, def, walk)
  return markOf(schema) === undefined ? node : hide(node, schema, walk)
}

function compileAny(schema: Schema, def: Def, walk: Walk): PlanNode {
  if (walk.ancestors.includes(schema)) return compileJson(schema, walk, 'a recursive type')
  if (walk.ancestors.length >= MAX_DEPTH)
    throw unencodable(walk.path, `nesting deeper than ${MAX_DEPTH} levels`, 'use z.json() for it')
  if ('coerce' in def && def.coerce === true)
    throw unencodable(walk.path, 'a coercion', 'convert the value before the call')
  const hint = layoutHints.get(schema)
  if (hint !== undefined) return leaf(schema, walk, hintedNode(hint), 'none', { checks: def.checks })

  switch (def.type) {
    case 'boolean':
      return leaf(schema, walk, { kind: 'bool', fixedBytes: 1 })
    case 'number':
      return leaf(schema, walk, numberNode(def), 'numbers')
    case 'bigint':
      return leaf(schema, walk, bigintNode(def, walk), 'numbers')
    case 'date':
      return leaf(schema, walk, dateNode(def), 'numbers')
    case 'string':
      return leaf(schema, walk, { kind: 'string', fixedBytes: 8, ...lengthsOf(def) }, 'lengths')
    case 'template_literal':
      return checked(schema, walk, { kind: 'string', fixedBytes: 8, minLength: 0, maxLength: Number.POSITIVE_INFINITY })
    case 'null':
      return leaf(schema, walk, { kind: 'enum', fixedBytes: 2, values: [null] })
    case 'enum':
    case 'literal':
      return compileEnum(schema, walk)
    case 'custom':
      return compileCustom(schema, walk, def)
    case 'optional':
      return around(schema, walk, def, (inner) => maybe(compileNode(def.innerType, inner), inner, { optional: true }))
    case 'nullable':
      return around(schema, walk, def, (inner) => maybe(compileNode(def.innerType, inner), inner, { nullable: true }))
    case 'default':
    case 'prefault':
      return around(schema, walk, def, (inner) => compileDefault(schema, def, inner))
    case 'nonoptional':
      return around(schema, walk, def, (inner) => compileNonOptional(schema, def, inner))
    case 'readonly':
      return around(schema, walk, def, (inner) => compileNode(def.innerType, inner))
    case 'array':
      return compileArray(schema, walk, def)
    case 'object':
      return compileObject(schema, walk, def)
    case 'record':
      return compileRecord(schema, walk, def)
    case 'union':
      return around(schema, walk, def, (inner) => compileUnion(schema, def, inner, { compileNode, compileJson }))
    case 'any':
    case 'unknown':
      return around(schema, walk, def, (inner) => maybe({ kind: 'json', fixedBytes: 8 }, inner, { optional: true }))
    case 'tuple':
      return compileJson(schema, walk, 'z.tuple()')
    case 'intersection':
      return compileJson(schema, walk, 'z.intersection()')
    case 'lazy':
      return compileJson(schema, walk, 'z.lazy()')
    default:
      throw unencodable(walk.path, ...refusalFor(def.type))
  }
}

/** A field that crosses as JSON and that zod checks on the host. */
function compileJson(schema: Schema, walk: Walk, what: string): PlanNode {
  checkJsonHolds(schema, walk.path, what)
  const json: PlanNode = { kind: 'json', fixedBytes: 8 }
  const mayBeAbsent = schema._zod.optin !== undefined
  const node = mayBeAbsent ? maybeNode(json, { optional: true, nullable: false, fallback: null }) : json
  return checked(schema, walk, hideJson(node, schema, walk))
}

const BY_VALUE = 'describe what the hook is to see, and convert before the call'
/** Types that cannot cross, and what to use instead. */
const REFUSED = {
  function: ['a function', 'give the plugin a host service instead'],
  symbol: ['a symbol', 'use a string or an enum'],
  promise: ['a promise', 'await it before the call'],
  map: ['z.map()', 'use z.record(), or an array of { key, value } objects'],
  set: ['z.set()', 'use an array'],
  file: ['z.file()', 'use bytes() for the content and strings for the rest'],
  nan: ['z.nan()', 'use null, or leave the field out'],
  undefined: ['z.undefined()', 'use .optional() on the type that the field has otherwise'],
  void: ['z.void()', 'use .optional() on the type that the field has otherwise'],
  never: ['z.never()', 'leave the field out'],
  transform: ['a transform', BY_VALUE],
  pipe: ['a transform, codec or pipe', BY_VALUE],
  success: ['z.success()', BY_VALUE],
  catch: ['.catch()', 'use .default(), and let a wrong value be refused'],
} as const satisfies Record<string, readonly [what: string, advice: string]>

function refusalFor(type: keyof typeof REFUSED): readonly [what: string, advice: string] {
  // zod may have added types since.
  return REFUSED[type] ?? [`z.${type}()`, 'build it from the types of hookring/contracts and of z.object()']
}

function defOf(schema: Schema, walk: Walk): Def {
  const def = (schema as Schema | undefined)?._zod?.def
  if (def !== undefined) return def as Def
  refuseZod3(schema, formatPath(walk.path), walk.path)
  throw new HookringError('CONTRACT_INVALID', `${formatPath(walk.path)}: not a zod schema`, { path: walk.path })
}

/** A node without children. zod checks it if the schema checks more than the layout expresses. */
function leaf(
  schema: Schema,
  walk: Walk,
  node: PlanNode,
  expressed: Parameters<typeof hasOtherChecks>[1] = 'none',
  def: Parameters<typeof hasOtherChecks>[0] = schema._zod.def,
): PlanNode {
  return hasOtherChecks(def, expressed) ? checked(schema, walk, node) : node
}

function checked(schema: Schema, walk: Walk, node: PlanNode): PlanNode {
  walk.found.set(node, { check: checkOf(schema), fallback: walk.found.get(node)?.fallback ?? null })
  return node
}

/** A node with children. If the schema checks more than the layout expresses, zod checks all of them at once. */
function around(
  schema: Schema,
  walk: Walk,
  def: Def,
  build: (inner: Walk) => PlanNode,
  asked: { expressed?: Parameters<typeof hasOtherChecks>[1]; mustCheck?: boolean } = {},
): PlanNode {
  const isChecked = asked.mustCheck === true || hasOtherChecks(def, asked.expressed ?? 'none')
  const found = isChecked ? new Map<PlanNode, Refinement>() : walk.found
  const node = build({ path: walk.path, ancestors: [...walk.ancestors, schema], found })
  return isChecked ? checked(schema, walk, node) : node
}

function hintedNode(hint: LayoutHint): PlanNode {
  if (hint.kind === 'bytes') return bytesNode(hint.length, hint.maxLength)
  return { kind: hint.kind, fixedBytes: 8, min: hint.min, max: hint.max }
}

function bigintNode(def: DefOf<'bigint'>, walk: Walk): PlanNode {
  const { min, max } = bigintBounds(def)
  if (min !== null && max !== null) {
    if (min >= 0n && max < 2n ** 64n) return { kind: 'u64', fixedBytes: 8, min, max }
    if (min >= -(2n ** 63n) && max < 2n ** 63n) return { kind: 'i64', fixedBytes: 8, min, max }
  }
  throw unencodable(
    walk.path,
    'a bigint without bounds that fit 64 bits',
    'use u64() or i64(), or a string for longer numbers',
  )
}

function compileEnum(schema: Schema, walk: Walk): PlanNode {
  const all = [...(schema._zod.values ?? [])]
  const values = all.filter((value): value is EnumValue => value !== undefined && typeof value !== 'symbol')
  if (values.length === 0 || all.some((value) => typeof value === 'symbol'))
    throw unencodable(walk.path, 'an enum of no values or of symbols', 'use strings')
  if (values.length > MAX_ENUM_VALUES)
    throw unencodable(walk.path, `an enum of more than ${MAX_ENUM_VALUES} values`, 'use a string')
  const node = leaf(schema, walk, { kind: 'enum', fixedBytes: 2, values })
  return values.length === all.length ? node : maybe(node, walk, { optional: true })
}

function compileCustom(schema: Schema, walk: Walk, def: DefOf<'custom'>): PlanNode {
  // .refine() and .describe() make clones, which lose the class; their parents have it.
  for (let at: Schema | undefined = schema; at !== undefined; at = at._zod.parent) {
    if (at._zod.bag.Class === Uint8Array)
      return leaf(schema, walk, bytesNode(null, Number.POSITIVE_INFINITY), 'none', { checks: def.checks })
    const { Class } = at._zod.bag as { Class?: { name?: unknown } }
    if (Class !== undefined)
      throw unencodable(
        walk.path,
        `an instance of ${String(Class.name)}`,
        Class === Date ? 'use z.date()' : 'use z.object() with its fields, or bytes() for binary',
      )
  }
  throw unencodable(walk.path, 'z.custom()', 'say the type with a schema and the rest with .refine()')
}

/** `inner`, or absent, or null. Nested layers become one. */
function maybe(
  inner: PlanNode,
  walk: Walk,
  how: { optional?: boolean; nullable?: boolean; fallback?: { value: unknown } | null },
): PlanNode {
  const refinement = walk.found.get(inner)
  if (inner.kind !== 'maybe' || (refinement !== undefined && refinement.check !== null)) {
    return maybeNode(inner, {
      optional: how.optional ?? false,
      nullable: how.nullable ?? false,
      fallback: how.fallback ?? null,
    })
  }
  const merged = maybeNode(inner.inner, {
    optional: inner.optional || (how.optional ?? false),
    nullable: inner.nullable || (how.nullable ?? false),
    fallback: how.fallback ?? inner.fallback,
  })
  if (refinement !== undefined) walk.found.set(merged, refinement)
  return merged
}

function compileDefault(schema: Schema, def: DefOf<'default' | 'prefault'>, walk: Walk): PlanNode {
  const node = maybe(compileNode(def.innerType, walk), walk, { optional: true, fallback: staticDefault(def) })
  // A value from .prefault() is parsed like any other, one from .default() is not.
  const fallback = def.type === 'prefault' ? fallbackOf(schema) : () => def.defaultValue
  walk.found.set(node, { check: null, fallback })
  return node
}

function compileNonOptional(schema: Schema, def: DefOf<'nonoptional'>, walk: Walk): PlanNode {
  const inner = compileNode(def.innerType, walk)
  if (inner.kind !== 'maybe' || !inner.optional || inner.fallback !== null || walk.found.get(inner)?.fallback)
    return inner
  const refinement = walk.found.get(inner)
  const node = inner.nullable
    ? maybeNode(inner.inner, { optional: false, nullable: true, fallback: null })
    : inner.inner
  return refinement === undefined ? node : checked(schema, walk, node)
}

function compileArray(schema: Schema, walk: Walk, def: DefOf<'array'>): PlanNode {
  return around(
    schema,
    walk,
    def,
    (inner) => {
      const element = compileNode(def.element, { ...inner, path: [...walk.path, 'element'] })
      return { kind: 'array', fixedBytes: 8, element, ...lengthsOf(def) }
    },
    { expressed: 'lengths' },
  )
}

function compileObject(schema: Schema, walk: Walk, def: DefOf<'object'>): PlanNode {
  const isStrict = def.catchall?._zod.def.type === 'never'
  if (def.catchall !== undefined && !isStrict) return compileJson(schema, walk, 'an object with unknown keys')
  return around(schema, walk, def, (inner) => {
    const fields = Object.keys(def.shape).map((key) => {
      const path = [...walk.path, key]
      if (RESERVED_FIELDS.has(key))
        throw new HookringError(
          'CONTRACT_INVALID',
          `${formatPath(path)}: events have a ${key} of their own; name the field otherwise`,
          { path },
        )
      const field = def.shape[key]!
      return { key, node: compileNode(field, { ...inner, path }), isRequired: field._zod.optin === undefined }
    })
    return objectNode(fields, isStrict)
  })
}

function compileRecord(schema: Schema, walk: Walk, def: DefOf<'record'> & RecordTraits): PlanNode {
  if (def.mode === 'loose') return compileJson(schema, walk, 'z.looseRecord()')
  const keyValues = def.keyType._zod.values
  const isStringEnum = keyValues !== undefined && [...keyValues].every((key) => typeof key === 'string')
  const hasKeyLayout = isStringEnum || def.keyType._zod.def.type === 'string'
  // zod checks that every key of an enum is there, and keys that are not strings.
  const mustCheck = !hasKeyLayout || (keyValues !== undefined && def.partial !== true)
  return around(
    schema,
    walk,
    def,
    (inner) => {
      const anyString: PlanNode = { kind: 'string', fixedBytes: 8, minLength: 0, maxLength: Number.POSITIVE_INFINITY }
      const key = hasKeyLayout ? compileNode(def.keyType, { ...inner, path: [...walk.path, 'key'] }) : anyString
      return recordNode(key, compileNode(def.valueType, { ...inner, path: [...walk.path, 'value'] }))
    },
    { mustCheck },
  )
}
