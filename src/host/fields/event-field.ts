/**
 * Fields of events by path: finds a field in a layout plan, and reads it from the caller's event. Paths are compiled when
 * a plugin is registered; the compiled readers run for each call, on the host's thread.
 */
import type { EnumValue, LayoutPlan, PlanNode } from '../../contracts/codec/plan.js'
import { HookringError } from '../../contracts/errors.js'

/** A hookpoint's name and the shape of its event. */
export interface EventShape {
  readonly hookpoint: string
  readonly plan: LayoutPlan
}

/** The types that a field's value can have in JavaScript. `integer64`: a bigint or a number. `any`: not known. */
export type FieldType = 'null' | 'boolean' | 'number' | 'integer64' | 'string' | 'bytes' | 'date' | 'compound' | 'any'

export interface FieldFacts {
  readonly types: ReadonlySet<FieldType>
  /** The field, or something on its path, may be null or left out. */
  readonly isOptional: boolean
  /** What a field that is left out can stand for: defaults of the schema, or null if there is none. */
  readonly whenMissing: readonly unknown[]
}

/** Reads a field of an event; undefined if something on the path is missing. Throws what the event's getters throw. */
export type FieldReader = (event: unknown) => unknown

/** Compiles a path such as `client.username` into a reader. Array elements are reached by index: `events.0.seq`. */
export function compileFieldReader(path: string): FieldReader {
  const parts = path.split('.')
  const first = parts[0]!
  if (parts.length === 1) return (event) => (event as Fields | null | undefined)?.[first]
  return (event) => readParts(event, parts)
}

function readParts(root: unknown, parts: readonly string[]): unknown {
  let value = root
  for (const part of parts) value = (value as Fields | null | undefined)?.[part]
  return value
}

/** What the plan says about the field at `path`; null: the event has no such field. */
export function findField(plan: LayoutPlan, path: string): FieldFacts | null {
  const facts: CollectedFacts = { types: new Set(), whenMissing: new Set() }
  const isOptional = collect(plan.root, path.split('.'), facts)
  return facts.types.size === 0 ? null : { types: facts.types, isOptional, whenMissing: [...facts.whenMissing] }
}

/** The hookpoints whose events have no field at `path`. */
export function shapesWithout(path: string, shapes: readonly EventShape[]): EventShape[] {
  return shapes.filter((shape) => findField(shape.plan, path) === null)
}

export function unknownField(option: string, path: string, lacking: readonly EventShape[]): HookringError {
  const hookpoints = lacking.map((shape) => shape.hookpoint)
  const fields = lacking.length === 1 ? topFields(lacking[0]!.plan.root) : []
  const hint = fields.length === 0 ? '' : `; its fields are ${fields.join(', ')}`
  return new HookringError(
    'OPTIONS_INVALID',
    `${option}: the event of ${hookpoints.join(', ')} has no field ${JSON.stringify(path)}${hint}`,
    { path: option === 'partitionBy' ? [option] : [option, path], hookpoint: hookpoints[0]! },
  )
}

type Fields = Record<string, unknown>

interface CollectedFacts {
  readonly types: Set<FieldType>
  readonly whenMissing: Set<unknown>
}

/** Adds what the field can be to `facts`. Returns whether it may be missing. */
function collect(node: PlanNode, parts: readonly string[], facts: CollectedFacts): boolean {
  if (node.kind === 'maybe') {
    collect(node.inner, parts, facts)
    if (node.fallback !== null) facts.whenMissing.add(readParts(node.fallback.value, parts) ?? null)
    else if (node.optional) facts.whenMissing.add(null)
    return true
  }
  if (node.kind === 'union') {
    const found = node.variants.map((variant) => {
      const own: CollectedFacts = { types: new Set(), whenMissing: facts.whenMissing }
      const isOptional = collect(variant, parts, own)
      for (const type of own.types) facts.types.add(type)
      if (own.types.size === 0) facts.whenMissing.add(null)
      return isOptional || own.types.size === 0
    })
    return found.some(Boolean)
  }
  if (node.kind === 'json') {
    facts.types.add('any')
    facts.whenMissing.add(null)
    return true
  }
  const part = parts[0]
  if (part === undefined) {
    for (const type of leafTypes(node)) facts.types.add(type)
    return false
  }
  const rest = parts.slice(1)
  switch (node.kind) {
    case 'object': {
      const field = node.fields.find((candidate) => candidate.key === part)
      return field === undefined ? false : collect(field.node, rest, facts)
    }
    case 'record':
      collect(node.value, rest, facts)
      facts.whenMissing.add(null)
      return true
    case 'array':
      if (/^(0|[1-9]\d*)$/.test(part)) collect(node.element, rest, facts)
      facts.whenMissing.add(null)
      return true
    default:
      return false
  }
}

type LeafNode = Exclude<PlanNode, { kind: 'maybe' | 'union' | 'json' }>

function leafTypes(node: LeafNode): readonly FieldType[] {
  switch (node.kind) {
    case 'bool':
      return ['boolean']
    case 'u8':
    case 'u16':
    case 'u32':
    case 'i32':
    case 'int':
    case 'f64':
      return ['number']
    case 'u64':
    case 'i64':
      return ['integer64']
    case 'date':
      return ['date']
    case 'string':
      return ['string']
    case 'bytes':
      return ['bytes']
    case 'enum':
      return node.values.map(enumType)
    case 'object':
    case 'array':
    case 'record':
      return ['compound']
  }
}

function enumType(value: EnumValue): FieldType {
  if (value === null) return 'null'
  const type = typeof value as 'string' | 'number' | 'bigint' | 'boolean'
  return type === 'bigint' ? 'integer64' : type
}

function topFields(node: PlanNode | undefined): string[] {
  if (node?.kind === 'maybe') return topFields(node.inner)
  return node?.kind === 'object' ? node.fields.map((field) => field.key) : []
}
