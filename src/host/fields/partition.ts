/**
 * Event fields by path: finding one in a layout plan, reading it from the caller's event, and hashing it to choose a
 * lane. Paths are compiled when a plugin is registered; the compiled readers run per call, on the host's thread.
 */
import type { EnumValue, LayoutPlan, PlanNode } from '../../contracts/codec/plan.js'
import { HookringError } from '../../contracts/errors.js'

/** A hookpoint, as far as its event's fields are concerned. */
export interface EventShape {
  readonly hookpoint: string
  readonly plan: LayoutPlan
}

/** What a field can hold, as JavaScript sees it. `integer64` is a bigint or a number, `any` is not known. */
export type FieldType = 'null' | 'boolean' | 'number' | 'integer64' | 'string' | 'bytes' | 'date' | 'compound' | 'any'

export interface FieldFacts {
  readonly types: ReadonlySet<FieldType>
  /** The field, or something on the way to it, may be null or left out. */
  readonly isOptional: boolean
  /** What a field that is left out may stand for: defaults of the schema, and null where there is none. */
  readonly whenMissing: readonly unknown[]
}

/** Reads a field of an event; undefined where something on the way is missing. Throws what the event's getters do. */
export type FieldReader = (event: unknown) => unknown

/** Compiles `client.username` into a reader. Array elements are reached by index: `events.0.seq`. */
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

/** What the plan says of the field at `path`; null when the event has no such field. */
export function findField(plan: LayoutPlan, path: string): FieldFacts | null {
  const facts: CollectedFacts = { types: new Set(), whenMissing: new Set() }
  const isOptional = collect(plan.root, path.split('.'), facts)
  return facts.types.size === 0 ? null : { types: facts.types, isOptional, whenMissing: [...facts.whenMissing] }
}

/**
 * Compiles `partitionBy`: the hash of the field that equal keys share. The compiled function never throws.
 *
 * @throws HookringError OPTIONS_INVALID when a hookpoint's event has no such field, or one that cannot be a key.
 */
export function compilePartition(path: string, shapes: readonly EventShape[]): (event: unknown) => number {
  let fallback: unknown
  for (const shape of shapes) {
    const facts = findField(shape.plan, path)
    if (facts === null) throw unknownField('partitionBy', path, shapesWithout(path, shapes))
    if (facts.types.has('compound')) {
      throw new HookringError(
        'OPTIONS_INVALID',
        `partitionBy: ${path} of ${shape.hookpoint} is an object or array; name one of its fields instead`,
        { path: ['partitionBy'], hookpoint: shape.hookpoint },
      )
    }
    fallback ??= facts.whenMissing.find((value) => value !== null)
  }
  const read = compileFieldReader(path)
  return (event) => {
    let value: unknown
    try {
      value = read(event)
    } catch {
      // Encoding reads the event next, and says by name what is wrong with it.
      return hashKey(null)
    }
    // A field left out has the key of its default: the plugin sees no difference.
    return hashKey(value === undefined ? fallback : value)
  }
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

/** Longer strings and byte arrays are hashed by their length, head and tail: the key may be as large as the event. */
const MAX_HASHED_LENGTH = 1024
const HASHED_END_LENGTH = MAX_HASHED_LENGTH / 2

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193
const TWO_32 = 2 ** 32

/**
 * A 32-bit hash of a key, the same in every process: FNV-1a with murmur's finalizer. Equal keys have equal hashes, a
 * number and a bigint of one value included; null and undefined are one key. A Date counts as its milliseconds, any
 * other object as one key.
 */
export function hashKey(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return hashString(value)
    case 'number':
      return hashNumber(value)
    case 'bigint':
      return hashBigint(value)
    case 'boolean':
      return finalize(mix(FNV_OFFSET, value ? 3 : 2))
    default:
      if (value instanceof Uint8Array) return hashBytes(value)
      if (value instanceof Date) return hashNumber(value.getTime())
      return finalize(mix(FNV_OFFSET, 1))
  }
}

/** Which of `seats` seats a hash has, from 0; every seat gets an equal share of the hashes. */
export function seatOf(hash: number, seats: number): number {
  return Math.floor((hash * seats) / TWO_32)
}

type Fields = Record<string, unknown>

interface CollectedFacts {
  readonly types: Set<FieldType>
  readonly whenMissing: Set<unknown>
}

/** Adds what the field can be to `facts`; returns whether it may be missing. */
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

function mix(hash: number, unit: number): number {
  return Math.imul(hash ^ unit, FNV_PRIME)
}

function finalize(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function hashString(text: string): number {
  const { length } = text
  let hash = FNV_OFFSET
  const headEnd = length > MAX_HASHED_LENGTH ? HASHED_END_LENGTH : length
  for (let index = 0; index < headEnd; index++) hash = mix(hash, text.charCodeAt(index))
  if (headEnd < length) {
    hash = mix(hash, length)
    for (let index = length - HASHED_END_LENGTH; index < length; index++) hash = mix(hash, text.charCodeAt(index))
  }
  return finalize(hash)
}

function hashBytes(bytes: Uint8Array): number {
  const { length } = bytes
  let hash = FNV_OFFSET
  const headEnd = length > MAX_HASHED_LENGTH ? HASHED_END_LENGTH : length
  for (let index = 0; index < headEnd; index++) hash = mix(hash, bytes[index]!)
  if (headEnd < length) {
    hash = mix(hash, length)
    for (let index = length - HASHED_END_LENGTH; index < length; index++) hash = mix(hash, bytes[index]!)
  }
  return finalize(hash)
}

function hashNumber(value: number): number {
  if (Number.isSafeInteger(value)) return hashWords(value | 0, Math.floor(value / TWO_32) | 0)
  if (Number.isInteger(value)) return hashBigint(BigInt(value))
  scratch[0] = value
  return hashWords(scratchWords[0]!, scratchWords[1]!)
}

function hashBigint(value: bigint): number {
  if (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) return hashNumber(Number(value))
  return hashWords(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)))
}

function hashWords(low: number, high: number): number {
  return finalize(mix(finalize(mix(FNV_OFFSET, low)), high))
}

const scratch = new Float64Array(1)
const scratchWords = new Int32Array(scratch.buffer)
