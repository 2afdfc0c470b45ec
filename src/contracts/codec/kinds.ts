/**
 * The kinds of JavaScript values, and which of them a plan node may accept. A union without a discriminator finds its
 * variants with it. Each kind is a bit, so a set of kinds is a number.
 */
import { isBytes } from './memory.js'
import { timeOf } from './misfit.js'
import type { EnumValue, PlanNode } from './plan.js'

export const KIND = {
  undefined: 1,
  null: 2,
  boolean: 4,
  number: 8,
  string: 16,
  bigint: 32,
  bytes: 64,
  date: 128,
  array: 256,
  object: 512,
} as const

/** Kinds whose values contain other values. */
export const CONTAINER_KINDS = KIND.array | KIND.object

export function kindOf(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return KIND.string
    case 'number':
      return KIND.number
    case 'bigint':
      return KIND.bigint
    case 'boolean':
      return KIND.boolean
    case 'undefined':
      return KIND.undefined
    case 'object':
      if (value === null) return KIND.null
      if (Array.isArray(value)) return KIND.array
      if (isBytes(value)) return KIND.bytes
      return timeOf(value) === null ? KIND.object : KIND.date
    default:
      return 0
  }
}

export function kindsOf(node: PlanNode): number {
  switch (node.kind) {
    case 'bool':
      return KIND.boolean
    case 'u8':
    case 'u16':
    case 'u32':
    case 'i32':
    case 'int':
    case 'f64':
      return KIND.number
    case 'u64':
    case 'i64':
      return KIND.number | KIND.bigint
    case 'date':
      return KIND.date
    case 'string':
      return KIND.string
    case 'enum':
      return node.values.reduce((kinds: number, value: EnumValue) => kinds | kindOf(value), 0)
    case 'bytes':
      return KIND.bytes
    case 'maybe': {
      const absent = node.optional || node.fallback !== null ? KIND.undefined : 0
      return kindsOf(node.inner) | absent | (node.nullable ? KIND.null : 0)
    }
    case 'object':
    case 'record':
      return KIND.object
    case 'array':
      return KIND.array
    case 'union':
      return node.variants.reduce((kinds, variant) => kinds | kindsOf(variant), 0)
    case 'json':
      // Objects of any kind may have a toJSON.
      return KIND.null | KIND.boolean | KIND.number | KIND.string | KIND.bytes | KIND.date | CONTAINER_KINDS
  }
}
