/**
 * The decoder: turns bytes that a lane wrote into a plain value. Runs on the host, on a private copy of the bytes.
 *
 * It trusts nothing in the bytes: every offset, count, tag, index and UTF-8 sequence is checked before it is used, and
 * every value against its plan; `parse` applies the refinements too. An encoder never lets two parts of the tail overlap,
 * so together they cannot be longer than the whole. A budget of that size bounds the decoder's work.
 */
import { parseJson, setOwn } from './json.js'
import type { CodecMemory } from './memory.js'
import { atKey, checkMisfit, countProblem, eventError, Misfit, misfitOf, problemOf, runCheck } from './misfit.js'
import type { LayoutPlan, MaybeNode, ObjectNode, PlanNode, PlanNodeOf } from './plan.js'
import { type Checked, NO_REFINEMENTS, type Refinement, type Refinements, refinementsOf } from './refinements.js'
import { secretMisfit } from './secrets.js'

interface Source {
  readonly memory: CodecMemory
  readonly base: number
  readonly bytes: number
  /** Bytes of tail that may still be read. */
  budget: number
}

/** Reads the fixed part at `at`, which counts from the start of the memory and is inside the bytes. */
type Decode = (source: Source, at: number) => unknown

export interface Decoder {
  decode(memory: CodecMemory, base: number, bytes: number): unknown
  parse(memory: CodecMemory, base: number, bytes: number): Checked
}

export function createDecoder(plan: LayoutPlan, label: string): Decoder {
  const decodeLayout = decodeOf(plan.root, NO_REFINEMENTS)
  let decodeChecked: Decode | null = null

  function decode(root: Decode, memory: CodecMemory, base: number, bytes: number): unknown {
    const isInside =
      Number.isSafeInteger(bytes) && bytes >= plan.fixedBytes && base >= 0 && base + bytes <= memory.u8.length
    if (!isInside) throw new Misfit(`must be at least ${plan.fixedBytes} bytes when encoded, got ${bytes}`)
    return root({ memory, base, bytes, budget: bytes - plan.fixedBytes }, base)
  }

  return {
    decode(memory, base, bytes) {
      try {
        return decode(decodeLayout, memory, base, bytes)
      } catch (error) {
        throw eventError(error, label)
      }
    },
    parse(memory, base, bytes) {
      decodeChecked ??= decodeOf(plan.root, refinementsOf(plan))
      try {
        return { ok: true, value: decode(decodeChecked, memory, base, bytes) }
      } catch (error) {
        if (error instanceof Misfit && error.isCheck) return { ok: false, path: error.path, problem: error.problem }
        throw eventError(error, label)
      }
    },
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Where `length` bytes of the tail begin, after checking that they are there. */
function take(source: Source, offset: number, length: number): number {
  if (offset + length > source.bytes) throw new Misfit('points outside its event')
  source.budget -= length
  if (source.budget < 0) throw new Misfit('overlaps with another part of its event')
  return source.base + offset
}

function decodeOf(node: PlanNode, refinements: Refinements): Decode {
  const refinement = refinements.get(node)
  const plain = plainDecodeOf(node, refinements, refinement?.fallback ?? null)
  const decode = refinement?.check ? checkedDecode(refinement.check, plain) : plain
  return node.secret === undefined ? decode : secretDecode(decode)
}

function secretDecode(decode: Decode): Decode {
  return (source, at) => {
    try {
      return decode(source, at)
    } catch (error) {
      throw secretMisfit(error, null)
    }
  }
}

function checkedDecode(check: NonNullable<Refinement['check']>, decode: Decode): Decode {
  return (source, at) => {
    const result = runCheck(check, decode(source, at))
    if (result.ok) return result.value
    throw checkMisfit(result)
  }
}

function plainDecodeOf(node: PlanNode, refinements: Refinements, fallback: Refinement['fallback']): Decode {
  switch (node.kind) {
    case 'bool':
      return ({ memory }, at) => {
        const byte = memory.u8[at]!
        if (byte > 1) throw misfitOf(node, byte)
        return byte === 1
      }
    case 'u8':
      return ({ memory }, at) => fitting(node, memory.u8[at])
    case 'u16':
      return ({ memory }, at) => fitting(node, memory.view.getUint16(at, true))
    case 'u32':
      return ({ memory }, at) => fitting(node, memory.view.getUint32(at, true))
    case 'i32':
      return ({ memory }, at) => fitting(node, memory.view.getInt32(at, true))
    case 'int':
    case 'f64':
      return ({ memory }, at) => fitting(node, memory.view.getFloat64(at, true))
    case 'u64':
      return ({ memory }, at) => fitting(node, memory.view.getBigUint64(at, true))
    case 'i64':
      return ({ memory }, at) => fitting(node, memory.view.getBigInt64(at, true))
    case 'date':
      return ({ memory }, at) => fitting(node, new Date(memory.view.getFloat64(at, true)))
    case 'string':
      return (source, at) => fitting(node, decodeText(source, at))
    case 'enum':
      return ({ memory }, at) => {
        const index = memory.view.getUint16(at, true)
        if (index >= node.values.length) throw new Misfit(`has no value of index ${index}`)
        return node.values[index]
      }
    case 'bytes':
      return decodeBytes(node)
    case 'maybe':
      return decodeMaybe(node, decodeOf(node.inner, refinements), fallback)
    case 'object':
      return decodeObject(node, refinements)
    case 'array':
      return decodeArray(node, decodeOf(node.element, refinements))
    case 'record':
      return decodeRecord(node, decodeOf(node.key, refinements), decodeOf(node.value, refinements))
    case 'union': {
      const decodes = node.variants.map((variant) => decodeOf(variant, refinements))
      return (source, at) => {
        const index = source.memory.view.getUint32(at, true)
        const decode = decodes[index]
        if (decode === undefined) throw new Misfit(`has no variant of index ${index}`)
        const start = take(source, source.memory.view.getUint32(at + 4, true), node.variants[index]!.fixedBytes)
        return decode(source, start)
      }
    }
    case 'json':
      return (source, at) => parseJson(decodeText(source, at))
  }
}

function fitting(node: PlanNode, value: unknown): unknown {
  if (problemOf(node, value) !== null) throw misfitOf(node, value)
  return value
}

function decodeText(source: Source, at: number): string {
  const { view, u8 } = source.memory
  const length = view.getUint32(at + 4, true)
  const start = take(source, view.getUint32(at, true), length)
  try {
    return strictUtf8.decode(u8.subarray(start, start + length))
  } catch (cause) {
    throw new Misfit('is not UTF-8', { cause })
  }
}

function decodeBytes(node: PlanNodeOf<'bytes'>): Decode {
  const { length, maxLength } = node
  if (length !== null) return ({ memory }, at) => memory.u8.slice(at, at + length)
  return (source, at) => {
    const { view, u8 } = source.memory
    const count = view.getUint32(at + 4, true)
    refuse(countProblem(count, { min: 0, max: maxLength, verb: 'be', unit: 'bytes' }))
    const start = take(source, view.getUint32(at, true), count)
    return u8.slice(start, start + count)
  }
}

function decodeMaybe(node: MaybeNode, decode: Decode, computed: Refinement['fallback']): Decode {
  return (source, at) => {
    const presence = source.memory.u8[at]
    if (presence === 1) return decode(source, at + node.innerAt)
    if (presence === 2 && node.nullable) return null
    if (presence === 0 && computed !== null) return computed()
    if (presence === 0 && node.fallback !== null) return structuredClone(node.fallback.value)
    if (presence === 0 && node.optional) return undefined
    throw presence === 0
      ? misfitOf(node.inner, undefined)
      : new Misfit(`must be ${node.nullable ? 'null or ' : ''}a value, got neither`)
  }
}

function decodeObject(node: ObjectNode, refinements: Refinements): Decode {
  const decodes = node.fields.map((field) => decodeOf(field.node, refinements))
  return (source, at) => {
    const plain: Record<string, unknown> = {}
    let i = 0
    try {
      for (; i < decodes.length; i++) {
        const field = node.fields[i]!
        const value = decodes[i]!(source, at + field.at)
        if (value !== undefined || field.isRequired) plain[field.key] = value
      }
    } catch (error) {
      throw atKey(error, node.fields[i]!.key)
    }
    return plain
  }
}

function decodeArray(node: PlanNodeOf<'array'>, decode: Decode): Decode {
  const { minLength, maxLength, element } = node
  return (source, at) => {
    const { view } = source.memory
    const count = view.getUint32(at + 4, true)
    refuse(countProblem(count, { min: minLength, max: maxLength, verb: 'have', unit: 'elements' }))
    const start = take(source, view.getUint32(at, true), count * element.fixedBytes)
    const items: unknown[] = []
    let i = 0
    try {
      for (; i < count; i++) items.push(decode(source, start + i * element.fixedBytes))
    } catch (error) {
      throw atKey(error, i)
    }
    return items
  }
}

function decodeRecord(node: PlanNodeOf<'record'>, decodeKey: Decode, decodeValue: Decode): Decode {
  const { valueAt, elementBytes } = node
  return (source, at) => {
    const { view } = source.memory
    const count = view.getUint32(at + 4, true)
    const start = take(source, view.getUint32(at, true), count * elementBytes)
    const record: Record<string, unknown> = {}
    for (let i = 0; i < count; i++) {
      const element = start + i * elementBytes
      const key = String(decodeKey(source, element))
      if (Object.hasOwn(record, key)) throw new Misfit('has a key twice', { path: [key] })
      try {
        setOwn(record, key, decodeValue(source, element + valueAt))
      } catch (error) {
        throw atKey(error, key)
      }
    }
    return record
  }
}

function refuse(problem: string | null): void {
  if (problem !== null) throw new Misfit(problem)
}
