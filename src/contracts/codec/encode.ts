/**
 * The encoder: writes a value into memory by its plan. The host encodes events, lanes encode replacements and answers.
 *
 * Each node becomes a closure that checks and writes in one pass; every property of the value is read exactly once.
 * Where the plan carries refinements (see refinements.ts), zod checks those values first and its result is written.
 */
import { jsonText } from './json.js'
import { KIND, kindOf, kindsOf } from './kinds.js'
import { bytesLength, type CodecMemory, copyBytes, isBytes, isDetached, NO_MEMORY } from './memory.js'
import type { EnumValue, LayoutPlan, MaybeNode, ObjectNode, PlanNode, PlanNodeOf, UnionNode } from './plan.js'
import { eventError, isPlainObject, Refusal, refusalOf, timeOf, within } from './refusal.js'
import { type Refinement, type Refinements, refinementsOf } from './refinements.js'

export interface Encoder {
  /**
   * Writes `value` at `base` (a multiple of 8) and returns the bytes it takes; offsets inside are relative to base.
   * When it does not fit in `limit - base` bytes, returns -n, n being more than that and no more than it takes: try
   * again with n or more. Memory up to limit may have been written either way.
   *
   * @throws HookringError EVENT_INVALID, with the path of the first field that does not fit; EVENT_EXPIRED when the
   * value is, or holds, an event of a hook that has returned.
   */
  encode(memory: CodecMemory, base: number, limit: number, value: unknown): number
}

export interface EncoderOptions {
  /** Begins the messages of errors: the hookpoint's name, and what of it is encoded. */
  readonly label?: string
}

/** Writes `value` at `at`, counted from the start of the memory. */
type Write = (at: number, value: unknown) => void

// Where the encoder writes. Shared by all encoders, so that closures need not pass them on: encode() puts back what it
// found, because a getter of the value may call an encoder itself.
let u8 = NO_MEMORY.u8
let view = NO_MEMORY.view
let buffer = NO_MEMORY.buffer
let base = 0
let room = 0
/** End of what is written, from base. */
let tail = 0
/** Set before OVERFLOW is thrown. */
let needed = 0

const OVERFLOW: unique symbol = Symbol('overflow')
/** Up to here a loop over the characters is faster than a call into the engine. */
const SHORT_TEXT = 16
const TWO_32 = 2 ** 32

export function createEncoder(plan: LayoutPlan, options: EncoderOptions = {}): Encoder {
  const label = options.label ?? 'event'
  const { fixedBytes } = plan
  const write = writerOf(plan.root, refinementsOf(plan))
  return {
    encode(memory, at, limit, value) {
      const outer = { u8, view, buffer, base, room, tail }
      u8 = memory.u8
      view = memory.view
      buffer = memory.buffer
      base = at
      // Whatever the caller says, memory ends where it ends.
      room = Math.min(limit, u8.length) - at
      tail = fixedBytes
      try {
        if (fixedBytes > room) return -fixedBytes
        write(at, value)
        return tail
      } catch (error) {
        if (error === OVERFLOW) return -needed
        throw eventError(error, label)
      } finally {
        ;({ u8, view, buffer, base, room, tail } = outer)
      }
    },
  }
}

/** Takes `bytes` at the end of the tail and returns where they begin, from base. */
function reserve(bytes: number): number {
  const start = tail
  const end = start + bytes
  if (end > room) {
    needed = end
    throw OVERFLOW
  }
  tail = end
  return start
}

/** The same, for parts that hold numbers. */
function reserveAligned(bytes: number): number {
  tail = (tail + 7) & ~7
  return reserve(bytes)
}

function setReference(at: number, offset: number, length: number): void {
  view.setUint32(at, offset, true)
  view.setUint32(at + 4, length, true)
}

function writerOf(node: PlanNode, refinements: Refinements): Write {
  const refinement = refinements.get(node)
  const write = plainWriterOf(node, refinements, refinement?.fallback ?? null)
  return refinement?.check ? checkedWriter(refinement.check, node, write) : write
}

function checkedWriter(check: NonNullable<Refinement['check']>, node: PlanNode, write: Write): Write {
  return (at, value) => {
    const result = check(value)
    if (result.ok) return write(at, result.value)
    if (value === undefined) throw refusalOf(node, value)
    throw new Refusal(result.problem, { path: result.path.map((part) => (typeof part === 'number' ? part : String(part))) })
  }
}

function plainWriterOf(node: PlanNode, refinements: Refinements, fallback: Refinement['fallback']): Write {
  switch (node.kind) {
    case 'bool':
      return (at, value) => {
        if (typeof value !== 'boolean') throw refusalOf(node, value)
        u8[at] = value ? 1 : 0
      }
    case 'u8':
    case 'u16':
    case 'u32':
    case 'i32':
    case 'int':
      return integerWriter(node)
    case 'f64': {
      const { min, max } = node
      return (at, value) => {
        if (typeof value !== 'number' || !(value >= min && value <= max)) throw refusalOf(node, value)
        view.setFloat64(at, value, true)
      }
    }
    case 'u64':
    case 'i64':
      return integer64Writer(node)
    case 'date':
      return (at, value) => {
        const time = timeOf(value)
        if (time === null || !(time >= node.min && time <= node.max)) throw refusalOf(node, value)
        view.setFloat64(at, time, true)
      }
    case 'string': {
      const { minLength, maxLength } = node
      return (at, value) => {
        if (typeof value !== 'string' || value.length < minLength || value.length > maxLength) throw refusalOf(node, value)
        writeText(at, value)
      }
    }
    case 'enum': {
      const indexes = new Map<unknown, number>(node.values.map((value: EnumValue, index) => [value, index]))
      return (at, value) => {
        const index = indexes.get(value)
        if (index === undefined) throw refusalOf(node, value)
        view.setUint16(at, index, true)
      }
    }
    case 'bytes':
      return bytesWriter(node)
    case 'maybe':
      return maybeWriter(node, writerOf(node.inner, refinements), fallback)
    case 'object':
      return objectWriter(node, refinements)
    case 'array':
      return arrayWriter(node, writerOf(node.element, refinements))
    case 'record':
      return recordWriter(node, writerOf(node.key, refinements), writerOf(node.value, refinements))
    case 'union':
      return unionWriter(node, refinements)
    case 'json':
      return (at, value) => {
        if (value === undefined) throw refusalOf(node, value)
        writeText(at, jsonText(value))
      }
  }
}

function integerWriter(node: PlanNodeOf<'u8' | 'u16' | 'u32' | 'i32' | 'int'>): Write {
  const { kind, min, max } = node
  const check = (value: unknown): number => {
    if (typeof value !== 'number' || !(value >= min && value <= max) || Math.floor(value) !== value) throw refusalOf(node, value)
    return value
  }
  switch (kind) {
    case 'u8':
      return (at, value) => {
        u8[at] = check(value)
      }
    case 'u16':
      return (at, value) => view.setUint16(at, check(value), true)
    case 'u32':
      return (at, value) => view.setUint32(at, check(value), true)
    case 'i32':
      return (at, value) => view.setInt32(at, check(value), true)
    case 'int':
      return (at, value) => view.setFloat64(at, check(value), true)
  }
}

function integer64Writer(node: PlanNodeOf<'u64' | 'i64'>): Write {
  const { min, max } = node
  // Exact for all numbers that pass, which are safe integers: only bounds beyond those are rounded.
  const [low, high] = [Math.max(Number(min), Number.MIN_SAFE_INTEGER), Math.min(Number(max), Number.MAX_SAFE_INTEGER)]
  return (at, value) => {
    if (typeof value === 'number') {
      if (!(value >= low && value <= high) || Math.floor(value) !== value) throw refusalOf(node, value)
      view.setUint32(at, value >>> 0, true)
      view.setInt32(at + 4, Math.floor(value / TWO_32), true)
    } else {
      if (typeof value !== 'bigint' || value < min || value > max) throw refusalOf(node, value)
      view.setBigUint64(at, value, true)
    }
  }
}

function bytesWriter(node: PlanNodeOf<'bytes'>): Write {
  const { length, maxLength } = node
  if (length !== null) {
    return (at, value) => {
      if (!isBytes(value) || bytesLength(value) !== length) throw bytesRefusal(node, value)
      copyBytes(u8, at, value, length)
    }
  }
  return (at, value) => {
    if (!isBytes(value)) throw refusalOf(node, value)
    const count = bytesLength(value)
    if (count > maxLength || (count === 0 && isDetached(value))) throw bytesRefusal(node, value)
    const start = reserve(count)
    setReference(at, start, count)
    copyBytes(u8, base + start, value, count)
  }
}

function bytesRefusal(node: PlanNode, value: unknown): Refusal {
  const isGone = isBytes(value) && bytesLength(value) === 0 && isDetached(value)
  return isGone ? new Refusal('must be readable: its buffer has been transferred away') : refusalOf(node, value)
}

function writeText(at: number, text: string): void {
  const count = text.length
  if (count <= SHORT_TEXT && tail + count <= room) {
    const start = base + tail
    let i = 0
    for (; i < count; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 0x7f) break
      u8[start + i] = unit
    }
    if (i === count) return setReference(at, reserve(count), count)
  }
  // No UTF-16 unit takes more than three bytes.
  const free = room - tail
  const bytes = count * 3 <= free ? 0 : Buffer.byteLength(text)
  if (bytes > free) reserve(bytes)
  const written = buffer.write(text, base + tail, free, 'utf8')
  setReference(at, reserve(written), written)
}

function maybeWriter(node: MaybeNode, write: Write, computed: Refinement['fallback']): Write {
  const { innerAt, optional, nullable, fallback } = node
  return (at, given) => {
    const value = given !== undefined ? given : computed !== null ? computed() : fallback?.value
    if (value === undefined && optional) {
      u8[at] = 0
    } else if (value === null && nullable) {
      u8[at] = 2
    } else {
      u8[at] = 1
      write(at + innerAt, value)
    }
  }
}

function objectWriter(node: ObjectNode, refinements: Refinements, except: string | null = null): Write {
  const fields = node.fields.filter(({ key }) => key !== except)
  const keys = fields.map(({ key }) => key)
  const offsets = fields.map(({ at }) => at)
  const writes = fields.map((field) => writerOf(field.node, refinements))
  const known = node.strict ? new Set(node.fields.map(({ key }) => key)) : null
  const count = fields.length
  return (at, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refusalOf(node, value)
    if (known !== null) refuseUnknownKeys(known, value)
    let i = 0
    try {
      for (; i < count; i++) writes[i]!(at + offsets[i]!, (value as Record<string, unknown>)[keys[i]!])
    } catch (error) {
      if (error === OVERFLOW) throw error
      throw missingAdvice(node, value, within(error, keys[i]!))
    }
  }
}

function refuseUnknownKeys(known: ReadonlySet<string>, value: object): void {
  for (const key of Object.keys(value)) {
    if (!known.has(key)) throw new Refusal(`has an unknown field ${JSON.stringify(key)}`)
  }
}

/** Fields of an event are getters of its class: a spread event has none of them, which is easily taken for a bug. */
function missingAdvice(node: ObjectNode, value: object, error: unknown): unknown {
  if (!(error instanceof Refusal) || !error.isMissing || error.path.length !== 1 || !isPlainObject(value)) return error
  const missing = node.fields.filter((field) => !(field.node.kind === 'maybe' && field.node.optional) && !(field.key in value))
  if (missing.length < Math.min(2, node.fields.length)) return error
  return new Refusal(`${error.problem} (the fields of an event are not copied by { ...event }: use { ...event.copy() })`, { path: error.path })
}

function arrayWriter(node: PlanNodeOf<'array'>, write: Write): Write {
  const { minLength, maxLength } = node
  const elementBytes = node.element.fixedBytes
  return (at, value) => {
    if (!Array.isArray(value)) throw refusalOf(node, value)
    const count = value.length
    // A proxy may call anything its length.
    if (!(count >= minLength && count <= maxLength) || !Number.isSafeInteger(count)) throw refusalOf(node, value)
    const start = reserveAligned(count * elementBytes)
    setReference(at, start, count)
    let i = 0
    try {
      for (; i < count; i++) write(base + start + i * elementBytes, value[i])
    } catch (error) {
      throw error === OVERFLOW ? error : within(error, i)
    }
  }
}

function recordWriter(node: PlanNodeOf<'record'>, writeKey: Write, writeValue: Write): Write {
  const { valueAt, elementBytes } = node
  return (at, value) => {
    if (!isPlainObject(value)) throw refusalOf(node, value)
    const keys = Object.keys(value)
    const start = reserveAligned(keys.length * elementBytes)
    setReference(at, start, keys.length)
    let i = 0
    try {
      for (; i < keys.length; i++) {
        const element = base + start + i * elementBytes
        const key = keys[i]!
        writeKey(element, key)
        writeValue(element + valueAt, value[key])
      }
    } catch (error) {
      throw error === OVERFLOW ? error : within(error, keys[i]!)
    }
  }
}

function unionWriter(node: UnionNode, refinements: Refinements): Write {
  if (node.discriminator !== null) return taggedUnionWriter(node, node.discriminator, refinements)
  const writes = node.variants.map((variant) => writerOf(variant, refinements))
  const candidates = new Map<number, readonly number[]>()
  for (const kind of Object.values(KIND)) {
    candidates.set(kind, node.variants.flatMap((variant, index) => ((kindsOf(variant) & kind) === 0 ? [] : [index])))
  }
  const place = (at: number, index: number, value: unknown) => {
    const start = reserveAligned(node.variants[index]!.fixedBytes)
    setReference(at, index, start)
    writes[index]!(base + start, value)
  }
  return (at, value) => {
    const fitting = candidates.get(kindOf(value)) ?? []
    // With one candidate its own refusal says more than ours could.
    if (fitting.length === 1) return place(at, fitting[0]!, value)
    const start = tail
    for (const index of fitting) {
      try {
        return place(at, index, value)
      } catch (error) {
        if (!(error instanceof Refusal) || error.cause !== undefined) throw error
        tail = start
      }
    }
    if (value === undefined) throw refusalOf(node, value)
    throw new Refusal(`fits none of the ${writes.length} variants of its union`)
  }
}

function taggedUnionWriter(node: UnionNode, discriminator: string, refinements: Refinements): Write {
  const variants = node.variants.map((variant, index) => {
    const { fields } = variant as ObjectNode
    const tag = fields.find(({ key }) => key === discriminator)!
    // A checked variant is written from what zod returned, tag and all.
    const isChecked = refinements.get(variant)?.check != null || refinements.get(tag.node)?.check != null
    const write = isChecked ? writerOf(variant, refinements) : objectWriter(variant as ObjectNode, refinements, discriminator)
    return { index, fixedBytes: variant.fixedBytes, tagAt: tag.at, values: (tag.node as PlanNodeOf<'enum'>).values, isChecked, write }
  })
  const places = new Map<unknown, { variant: (typeof variants)[number]; tagIndex: number }>()
  for (const variant of variants) for (const [tagIndex, value] of variant.values.entries()) places.set(value, { variant, tagIndex })
  const tags: PlanNode = { kind: 'enum', fixedBytes: 2, values: [...places.keys()] as EnumValue[] }
  return (at, value) => {
    if (typeof value !== 'object' || value === null) throw refusalOf(node, value)
    const tag = (value as Record<string, unknown>)[discriminator]
    const found = places.get(tag)
    if (found === undefined) throw within(refusalOf(tags, tag), discriminator)
    const { variant, tagIndex } = found
    const start = reserveAligned(variant.fixedBytes)
    setReference(at, variant.index, start)
    if (!variant.isChecked) view.setUint16(base + start + variant.tagAt, tagIndex, true)
    variant.write(base + start, value)
  }
}
