/**
 * What the parts of the compiler share: the state of the walk, turning a schema into a check, defaults that are plain
 * data, and the error for a type that cannot cross. Only compile.ts and its parts call it.
 */
import { z } from 'zod/v4'
import { formatPath, HookringError } from '../errors.js'
import { holdsSecret, markOf, shownIssue } from '../secret.js'
import type { PlanNode } from './plan.js'
import type { Checked, Refinement } from './refinements.js'
import { markSecret, sampleOf } from './secrets.js'

export type Schema = z.core.$ZodType

/** Traits of a union for which older versions of zod have no word. */
export interface UnionTraits {
  /** False: exactly one option may take a value. */
  readonly inclusive?: boolean
}

/** Traits of a record for which older versions of zod have no word. */
export interface RecordTraits {
  readonly mode?: 'strict' | 'loose'
  /** Keys of an enum may be missing. */
  readonly partial?: boolean
}

/** The state of the walk over a schema. */
export interface Walk {
  readonly path: readonly (string | number)[]
  /** The schemas around this one. Meeting one of them again means recursion. */
  readonly ancestors: readonly Schema[]
  /** Filled during the walk. A schema that zod checks as a whole passes a map that is thrown away to what is below it. */
  readonly found: Map<PlanNode, Refinement>
}

export function unencodable(path: readonly (string | number)[], what: string, advice: string): HookringError {
  return new HookringError(
    'CONTRACT_UNENCODABLE',
    `${formatPath(path)}: ${what} cannot cross between threads; ${advice}`,
    { path },
  )
}

export function checkOf(schema: Schema): (value: unknown) => Checked {
  return (value) => {
    const result = parsed(schema, value)
    if (result.success) return { ok: true, value: result.data }
    const issue = result.error.issues[0]
    const { path, message } = issue === undefined ? { path: [], message: 'no reason given' } : shownIssue(schema, issue)
    return { ok: false, path, problem: `is not valid: ${message}` }
  }
}

function parsed(schema: Schema, value: unknown) {
  try {
    return z.safeParse(schema, value)
  } catch (cause) {
    if (holdsSecret(schema))
      throw new Error('what its check threw is not shown, because the field is secret or holds a secret one')
    throw cause
  }
}

/** Marks the node of a secret schema. Recordings are replayed, so the mask must be a value that the schema allows. */
export function hide(node: PlanNode, schema: Schema, walk: Walk): PlanNode {
  const { masked = null } = markOf(schema) ?? {}
  markSecret(node, masked)
  if (!isAllowed(schema, masked === null ? sampleOf(node) : masked.value)) throw maskNeeded(walk.path, masked !== null)
  return node
}

/** A field that crosses as JSON is secret as a whole if a part of it is. */
export function hideJson(node: PlanNode, schema: Schema, walk: Walk): PlanNode {
  if (!holdsSecret(schema)) return node
  markSecret(node, null)
  const isMasked = [...walk.ancestors, schema].some((around) => markOf(around)?.masked !== undefined)
  if (isMasked || isAllowed(schema, null)) return node
  throw new HookringError(
    'CONTRACT_INVALID',
    `${formatPath(walk.path)}: this crosses as JSON and is secret as a whole, since a part of it is; say what recordings hold ` +
      'instead, around all of it: secret(schema, { masked: value })',
    { path: walk.path },
  )
}

function isAllowed(schema: Schema, value: unknown): boolean {
  try {
    return z.safeParse(schema, value).success
  } catch {
    return false
  }
}

function maskNeeded(path: readonly (string | number)[], isGiven: boolean): HookringError {
  const what = isGiven
    ? 'does not allow the mask that it is given'
    : 'does not allow what recordings would hold instead of it'
  return new HookringError(
    'CONTRACT_INVALID',
    `${formatPath(path)}: the schema of this secret field ${what}; give one that it allows: secret(schema, { masked: value })`,
    { path },
  )
}

/** The schema's value for undefined, computed at each call. */
export function fallbackOf(schema: Schema): () => unknown {
  const check = checkOf(schema)
  return () => {
    const result = check(undefined)
    if (result.ok) return result.value
    throw new Error(`its default ${result.problem}`)
  }
}

/**
 * A default that is always the same and can be cloned: it goes into the plan, and lanes use it. zod does not say whether
 * a default is computed. A value that looks like a time counts as computed, because two times in the same millisecond
 * look alike. Lanes leave such a field out, and the host computes it.
 */
export function staticDefault(def: { readonly defaultValue: unknown }): { value: unknown } | null {
  try {
    const value = structuredClone(def.defaultValue)
    return value !== undefined && isSame(value, def.defaultValue) && !looksLikeTime(value) ? { value } : null
  } catch {
    // It cannot be cloned, or it throws. The call will fail, with the field's name.
    return null
  }
}

const BILLION = 1e9

function looksLikeTime(value: unknown): boolean {
  if (typeof value === 'string') return /^\d{4}-\d\d/.test(value)
  if (typeof value === 'number' || typeof value === 'bigint') return value >= BILLION
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  return value instanceof Date || Object.values(value).some(looksLikeTime)
}

function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  if (one instanceof Date) return other instanceof Date && Object.is(one.getTime(), other.getTime())
  const keys = Object.keys(one)
  return (
    Array.isArray(one) === Array.isArray(other) &&
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && isSame(one[key as never], other[key as never]))
  )
}
