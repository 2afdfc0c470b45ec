/**
 * Redaction: what is written of a field whose values must not reach a recording. Others of the same type, length and
 * bounds. Pure; compiled where events are written.
 *
 *   string    as many `x`             bytes    as many zeros         boolean   false
 *   number, bigint, date              0, or the bound next to it     enum      its first value
 *   array, object                     with every part redacted       record    {}, unless its keys are an enum
 *   null, undefined                   stay what they are
 */
import type { PlanNode } from '../codec/plan.js'

/** A field whose values are not to be written; `value` stands in for them, in JSON form. */
export interface RedactedField {
  readonly parts: readonly string[]
  readonly value?: unknown
}

export type LeafNode = Exclude<PlanNode, { kind: 'maybe' | 'object' | 'array' | 'record' | 'union' | 'json' }>

/** What of `redacted` concerns the part of a value that is called `part`: all of it, where the value as a whole is. */
export function redactedWithin(redacted: readonly RedactedField[], part: string): RedactedField[] {
  return redacted
    .filter(({ parts }) => parts.length === 0 || parts[0] === part || parts[0] === '*')
    .map((field) => ({ ...field, parts: field.parts.slice(1) }))
}

/**
 * The nodes at a path: into objects by field, into records by key or `*`, through lists, variants and null. None where it
 * leads nowhere, more than one where variants differ.
 */
export function nodesAt(node: PlanNode, parts: readonly string[]): PlanNode[] {
  if (node.kind === 'maybe') return nodesAt(node.inner, parts)
  const [part, ...rest] = parts
  if (part === undefined) return [node]
  switch (node.kind) {
    case 'array':
      return nodesAt(node.element, parts)
    case 'union':
      return node.variants.flatMap((variant) => nodesAt(variant, parts))
    case 'object':
      return node.fields.filter(({ key }) => key === part).flatMap((field) => nodesAt(field.node, rest))
    case 'record':
      return nodesAt(node.value, rest)
    case 'json':
      return [node]
    default:
      return []
  }
}

/** The names that a path could go on with. */
export function fieldNames(node: PlanNode): string[] {
  if (node.kind === 'maybe') return fieldNames(node.inner)
  if (node.kind === 'array') return fieldNames(node.element)
  return node.kind === 'object' ? node.fields.map(({ key }) => key) : []
}

/** The value that stands in for a value of this node. */
export function hidingOf(node: LeafNode): (value: unknown) => unknown {
  switch (node.kind) {
    case 'bool':
      return () => false
    case 'u8':
    case 'u16':
    case 'u32':
    case 'i32':
    case 'int':
    case 'f64':
      return () => Math.min(Math.max(0, node.min), node.max)
    case 'u64':
    case 'i64':
      return () => (node.min > 0n ? node.min : node.max < 0n ? node.max : 0n)
    case 'date':
      return () => new Date(Math.min(Math.max(0, node.min), node.max))
    case 'string':
      return (value) => crossedOut(value as string)
    case 'bytes':
      return (value) => new Uint8Array((value as Uint8Array).byteLength)
    case 'enum':
      return () => node.values[0]
  }
}

/** The same for a field that crosses as JSON. */
export function hideInJson(value: unknown, redacted: readonly RedactedField[]): unknown {
  const whole = redacted.find(({ parts }) => parts.length === 0)
  if (whole !== undefined && 'value' in whole) return whole.value
  if (typeof value !== 'object' || value === null) return whole === undefined ? value : hiddenScalar(value)
  if (Array.isArray(value)) return value.map((item) => hideInJson(item, redacted))
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const within = redactedWithin(redacted, key)
      return [key, within.length === 0 ? item : hideInJson(item, within)]
    }),
  )
}

function hiddenScalar(value: unknown): unknown {
  if (typeof value === 'string') return crossedOut(value)
  return typeof value === 'number' ? 0 : typeof value === 'boolean' ? false : value
}

/** As long as it was, in code points, which is how schemas count. */
function crossedOut(text: string): string {
  return 'x'.repeat([...text].length)
}
