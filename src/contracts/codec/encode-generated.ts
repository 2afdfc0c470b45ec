/**
 * Writers for objects, generated as straight-line code from their plan. They do what the encoder's closures do, with
 * offsets and names as constants, and are several times as fast. Only encode.ts uses it, on any thread.
 *
 * A generated writer is an optimist. It writes what plainly fits the plan and returns false for everything else. The
 * closures then start again from the beginning of the object, and say what is wrong with it. So each check here only asks
 * whether the value passes. Where generating code from strings is disabled (--disallow-code-generation-from-strings),
 * there are no generated writers, and nothing else changes.
 *
 * The code is made only from plans, which come from the contract's own schemas. Field names enter it as JSON strings.
 */
import type { Write } from './encode-cursor.js'
import type { MaybeNode, ObjectNode, PlanField, PlanNode, PlanNodeOf } from './plan.js'

/** Writes the object at `at`. False: something about it is not plain. */
export type GeneratedWrite = (at: number, value: unknown, u8: Uint8Array, view: DataView) => boolean

/** The same for an object that has only a fixed part, at a multiple of 8: it needs no cursor, and writes words as words. */
export type GeneratedFixedWrite = (
  at: number,
  value: unknown,
  u8: Uint8Array,
  view: DataView,
  i32: Int32Array,
  u64: BigUint64Array,
) => boolean

/** What generated code calls: the writer of text, and closures for other fields. */
export interface GeneratedParts {
  writeText(at: number, text: string): void
  /** The closure of a node for which no code is generated. */
  writerOf(node: PlanNode): Write
  /** Whether the node has a check or a default that is code. */
  hasRefinement(node: PlanNode): boolean
}

/** Up to this length bytes are copied by stores; longer ones by set(), and only if they have exactly that length. */
const IN_PLACE_BYTES = 64
/** A plan with more fields than this gets closures: generated code must stay small enough to compile. */
const MAX_FIELDS = 200

/** The layout is little-endian; word stores use the machine's own order. */
const HAS_LAYOUT_ORDER = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

interface Generation {
  readonly parts: GeneratedParts
  /** Whether the object is at an address of its alignment, so that words may be stored. */
  readonly isAligned: boolean
  readonly closures: Write[]
  hasText: boolean
  fields: number
  names: number
}

/** The generated writer; null: there can be none. */
export function generateObjectWriter(node: ObjectNode, parts: GeneratedParts): GeneratedWrite | null {
  const generation = newGeneration(parts, false)
  return generate(node, generation, 'at, value, u8, view', '') as GeneratedWrite | null
}

/** The generated writer of an object without text and closures; null: it has some, or there can be none. */
export function generateFixedWriter(node: ObjectNode, parts: GeneratedParts): GeneratedFixedWrite | null {
  const generation = newGeneration(parts, HAS_LAYOUT_ORDER)
  const words = 'const i = at >> 2\nconst u = at >> 3\n'
  const write = generate(node, generation, 'at, value, u8, view, i32, u64', words)
  return generation.closures.length === 0 && !generation.hasText ? (write as GeneratedFixedWrite | null) : null
}

function newGeneration(parts: GeneratedParts, isAligned: boolean): Generation {
  return { parts, isAligned, closures: [], hasText: false, fields: 0, names: 0 }
}

function generate(node: ObjectNode, generation: Generation, parameters: string, prologue: string): unknown {
  if (node.strict) return null
  const body = objectCode(node, 0, 'value', generation)
  if (generation.fields > MAX_FIELDS) return null
  try {
    const make = new Function(
      'writeText',
      'closures',
      `'use strict'\nreturn (${parameters}) => {\n${prologue}${body}return true\n}`,
    )
    return make(generation.parts.writeText, generation.closures)
  } catch {
    return null
  }
}

function objectCode(node: ObjectNode, offset: number, name: string, generation: Generation): string {
  const guard = `if (typeof ${name} !== 'object' || ${name} === null || Array.isArray(${name})) return false\n`
  return guard + node.fields.map((field) => fieldCode(field, offset, name, generation)).join('')
}

function fieldCode({ key, at, node }: PlanField, offset: number, holder: string, generation: Generation): string {
  generation.fields += 1
  generation.names += 1
  const name = `v${generation.names}`
  return `const ${name} = ${holder}[${JSON.stringify(key)}]\n${nodeCode(node, offset + at, name, generation)}`
}

function nodeCode(node: PlanNode, offset: number, name: string, generation: Generation): string {
  if (generation.parts.hasRefinement(node)) return closureCode(node, offset, name, generation)
  const at = `at + ${offset}`
  switch (node.kind) {
    case 'bool':
      return `if (typeof ${name} !== 'boolean') return false\nu8[${at}] = ${name} ? 1 : 0\n`
    case 'u8':
      return `${integerCheck(node, name)}u8[${at}] = ${name}\n`
    case 'u16':
      return `${integerCheck(node, name)}view.setUint16(${at}, ${name}, true)\n`
    case 'u32':
      return `${integerCheck(node, name)}${wordCode(offset, name, 'setUint32', generation)}\n`
    case 'i32':
      return `${integerCheck(node, name)}${wordCode(offset, name, 'setInt32', generation)}\n`
    case 'int':
      return `${integerCheck(node, name)}view.setFloat64(${at}, ${name}, true)\n`
    case 'f64':
      return `${numberCheck(node, name)}view.setFloat64(${at}, ${name}, true)\n`
    case 'u64':
    case 'i64':
      return `if (typeof ${name} !== 'bigint' || ${bigintCheck(node, name)}) return false\n${
        generation.isAligned ? `u64[u + ${offset >> 3}] = ${name}` : `view.setBigUint64(${at}, ${name}, true)`
      }\n`
    case 'string':
      // The length is in UTF-16 units, which says too little for a minimum of two characters or more.
      if (node.minLength > 1) return closureCode(node, offset, name, generation)
      generation.hasText = true
      return `if (typeof ${name} !== 'string' || ${name}.length < ${node.minLength} || ${name}.length > ${node.maxLength}) return false\nwriteText(${at}, ${name})\n`
    case 'bytes':
      return node.length === null
        ? closureCode(node, offset, name, generation)
        : bytesCode(node.length, offset, name, generation)
    case 'maybe':
      return maybeCode(node, offset, name, generation)
    case 'object':
      return node.strict ? closureCode(node, offset, name, generation) : objectCode(node, offset, name, generation)
    default:
      return closureCode(node, offset, name, generation)
  }
}

function closureCode(node: PlanNode, offset: number, name: string, generation: Generation): string {
  const index = generation.closures.push(generation.parts.writerOf(node)) - 1
  return `closures[${index}](at + ${offset}, ${name})\n`
}

function maybeCode(node: MaybeNode, offset: number, name: string, generation: Generation): string {
  if (node.fallback !== null) return closureCode(node, offset, name, generation)
  // If there is room, store the flag with the empty bytes behind it as one word: a word stored in parts is slow to read
  // as one.
  const isWord = generation.isAligned && offset % 4 === 0 && node.innerAt >= 4
  const tagCode = (tag: number) => (isWord ? `i32[i + ${offset >> 2}] = ${tag}` : `u8[at + ${offset}] = ${tag}`)
  const cases: string[] = []
  if (node.optional) cases.push(`if (${name} === undefined) ${tagCode(0)}`)
  if (node.nullable) cases.push(`if (${name} === null) ${tagCode(2)}`)
  const inner = nodeCode(node.inner, offset + node.innerAt, name, generation)
  return `${cases.join('\nelse ')}\nelse {\n${tagCode(1)}\n${inner}}\n`
}

function numberCheck({ min, max }: { min: number; max: number }, name: string): string {
  return `if (typeof ${name} !== 'number' || !(${name} >= ${min} && ${name} <= ${max})) return false\n`
}

function integerCheck(bounds: { min: number; max: number }, name: string): string {
  return `${numberCheck(bounds, name)}if (Math.floor(${name}) !== ${name}) return false\n`
}

function bigintCheck({ kind, min, max }: PlanNodeOf<'u64' | 'i64'>, name: string): string {
  if (kind === 'u64' && min === 0n && max === 2n ** 64n - 1n) return `BigInt.asUintN(64, ${name}) !== ${name}`
  return `${name} < ${min}n || ${name} > ${max}n`
}

function wordCode(offset: number, value: string, setter: 'setInt32' | 'setUint32', { isAligned }: Generation): string {
  return isAligned && offset % 4 === 0
    ? `i32[i + ${offset >> 2}] = ${value}`
    : `view.${setter}(at + ${offset}, ${value}, true)`
}

function bytesCode(length: number, offset: number, name: string, generation: Generation): string {
  // Length first: once the compiler knows the array's shape from it, the other checks cost nothing.
  const check = `if (${name}.length !== ${length} || !(${name} instanceof Uint8Array) || !ArrayBuffer.isView(${name})) return false\n`
  if (length > IN_PLACE_BYTES) return `${check}u8.set(${name}, at + ${offset})\n`
  const copies: string[] = []
  let i = 0
  // One store for four bytes: a store for each byte would fill the processor's store buffer, in which stores to shared
  // memory wait too.
  for (; i + 4 <= length; i += 4) {
    const word = `${name}[${i}] | ${name}[${i + 1}] << 8 | ${name}[${i + 2}] << 16 | ${name}[${i + 3}] << 24`
    copies.push(wordCode(offset + i, word, 'setInt32', generation))
  }
  for (; i < length; i += 1) copies.push(`u8[at + ${offset + i}] = ${name}[${i}]`)
  return `${check}${copies.join('\n')}\n`
}
