/**
 * The encoder: writes a value into memory according to its plan. The host encodes events; lanes encode replacements and
 * answers.
 *
 * Each node becomes a closure that checks and writes in one pass. Every property of the value is read exactly once.
 * Generated code tries plain objects first (encode-generated.ts); what it does not accept is read once more. Where the
 * plan has refinements (refinements.ts), zod checks the value first, and zod's result is written.
 */
import { arrayWriter, recordWriter } from './encode-collections.js'
import { OVERFLOW, type Root, rewindTo, tail, u8, view, type Write, writeInto, writeText } from './encode-cursor.js'
import {
  type GeneratedFixedWrite,
  type GeneratedParts,
  generateFixedWriter,
  generateObjectWriter,
} from './encode-generated.js'
import { bytesWriter, integer64Writer, integerWriter } from './encode-scalars.js'
import { unionWriter } from './encode-union.js'
import { jsonText } from './json.js'
import type { CodecMemory } from './memory.js'
import {
  atKey,
  checkMisfit,
  eventError,
  isLengthWithin,
  isPlainObject,
  Misfit,
  misfitOf,
  problemOf,
  runCheck,
  timeOf,
} from './misfit.js'
import type { LayoutPlan, MaybeNode, ObjectNode, PlanField, PlanNode } from './plan.js'
import { type Refinement, type Refinements, refinementsOf } from './refinements.js'
import { isSecret, secretMisfit } from './secrets.js'

export interface Encoder {
  /**
   * Writes `value` at `base` (a multiple of 8) and returns the bytes it takes. Offsets inside it are relative to base. If
   * it does not fit into `limit - base` bytes, returns -n, where n is more than that and at most what the value needs:
   * try again with n or more. (In a union without a discriminator, n is for the variant that did not fit.) Memory up to
   * limit may have been written in either case.
   *
   * @throws HookringError EVENT_INVALID, with the path of the first field that does not fit; EVENT_EXPIRED when the value
   * is, or contains, an event of a hook that has returned
   */
  encode(memory: CodecMemory, base: number, limit: number, value: unknown): number
}

export interface EncoderOptions {
  /** Begins the messages of errors: the name of the hookpoint, and which part of it is encoded. */
  readonly label?: string
}

export function createEncoder(plan: LayoutPlan, options: EncoderOptions = {}): Encoder {
  const label = options.label ?? 'event'
  const { fixedBytes } = plan
  const refinements = refinementsOf(plan)
  const writeFixed = fixedWriterOf(plan.root, refinements)
  const hasFixed = plan.root.kind === 'object' && writeFixed !== null
  const root: Root = {
    write: hasFixed ? fieldsWriter(plan.root, refinements) : writerOf(plan.root, refinements),
    fixedBytes,
  }
  const encodeAny: Encoder['encode'] = (memory, base, limit, value) => {
    try {
      return writeInto(memory, base, limit, root, value)
    } catch (error) {
      throw eventError(error, label)
    }
  }
  if (writeFixed === null) return { encode: encodeAny }
  return {
    encode(memory, base, limit, value) {
      const { u8, view } = memory
      if (base + fixedBytes <= limit && limit <= u8.length && (base & 7) === 0) {
        const { i32, u64 } = memory.words
        try {
          if (writeFixed(base, value, u8, view, i32, u64)) return fixedBytes
        } catch {
          // The writers will throw what a getter threw here, with the path to it.
        }
      }
      return encodeAny(memory, base, limit, value)
    },
  }
}

/**
 * A writer for values with only a fixed part, which needs no cursor. It returns false if the other writers must find out
 * what is wrong.
 */
function fixedWriterOf(node: PlanNode, refinements: Refinements): GeneratedFixedWrite | null {
  if (node.kind !== 'object' || refinements.has(node)) return null
  return generateFixedWriter(node, partsFor(refinements))
}

function writerOf(node: PlanNode, refinements: Refinements): Write {
  const refinement = refinements.get(node)
  const plain = plainWriterOf(node, refinements, refinement?.fallback ?? null)
  const write = refinement?.check ? checkedWriter(refinement.check, node, plain) : plain
  return node.secret === undefined ? write : secretWriter(node, write)
}

function secretWriter(node: PlanNode, write: Write): Write {
  return (at, value) => {
    try {
      write(at, value)
    } catch (error) {
      throw error === OVERFLOW ? error : secretMisfit(error, problemOf(node, value))
    }
  }
}

function checkedWriter(check: NonNullable<Refinement['check']>, node: PlanNode, write: Write): Write {
  return (at, value) => {
    const result = runCheck(check, value)
    if (result.ok) return write(at, result.value)
    throw value === undefined ? misfitOf(node, value) : checkMisfit(result)
  }
}

function plainWriterOf(node: PlanNode, refinements: Refinements, fallback: Refinement['fallback']): Write {
  switch (node.kind) {
    case 'bool':
      return (at, value) => {
        if (typeof value !== 'boolean') throw misfitOf(node, value)
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
        if (typeof value !== 'number' || !(value >= min && value <= max)) throw misfitOf(node, value)
        view.setFloat64(at, value, true)
      }
    }
    case 'u64':
    case 'i64':
      return integer64Writer(node)
    case 'date':
      return (at, value) => {
        const time = timeOf(value)
        if (time === null || !(time >= node.min && time <= node.max)) throw misfitOf(node, value)
        view.setFloat64(at, time, true)
      }
    case 'string': {
      const { minLength, maxLength } = node
      return (at, value) => {
        if (typeof value !== 'string' || !isLengthWithin(value, minLength, maxLength)) throw misfitOf(node, value)
        writeText(at, value)
      }
    }
    case 'enum': {
      const indexes = new Map<unknown, number>(node.values.map((value, index) => [value, index]))
      return (at, value) => {
        const index = indexes.get(value)
        if (index === undefined) throw misfitOf(node, value)
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
      return unionWriter(node, {
        writerOf: (variant) => writerOf(variant, refinements),
        fieldsWriterOf: (variant, except) => fieldsWriter(variant, refinements, except),
        isChecked: (part) => refinements.get(part)?.check != null,
      })
    case 'json':
      return (at, value) => {
        if (value === undefined) throw misfitOf(node, value)
        writeText(at, jsonText(value))
      }
  }
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

function objectWriter(node: ObjectNode, refinements: Refinements): Write {
  const closures = fieldsWriter(node, refinements)
  const generated = generateObjectWriter(node, partsFor(refinements))
  if (generated === null) return closures
  return (at, value) => {
    const end = tail
    try {
      if (generated(at, value, u8, view)) return
    } catch (error) {
      if (error === OVERFLOW) throw error
      // The closures below throw again what a field's writer or a getter threw here, with the path to it.
    }
    rewindTo(end)
    closures(at, value)
  }
}

function partsFor(refinements: Refinements): GeneratedParts {
  return {
    writeText,
    writerOf: (inner) => writerOf(inner, refinements),
    hasRefinement: (inner) => refinements.has(inner),
  }
}

function fieldsWriter(node: ObjectNode, refinements: Refinements, except: string | null = null): Write {
  const fields = node.fields.filter(({ key }) => key !== except)
  const keys = fields.map(({ key }) => key)
  const offsets = fields.map(({ at }) => at)
  const writes = fields.map((field) => writerOf(field.node, refinements))
  const known = node.strict ? new Set(node.fields.map(({ key }) => key)) : null
  const count = fields.length
  return (at, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw misfitOf(node, value)
    if (known !== null) refuseUnknownKeys(known, value)
    let i = 0
    try {
      for (; i < count; i++) writes[i]!(at + offsets[i]!, (value as Record<string, unknown>)[keys[i]!])
    } catch (error) {
      if (error === OVERFLOW) throw error
      throw missingAdvice(node, value, fieldError(fields[i]!, error))
    }
  }
}

/** What a getter throws may quote what it should have given. */
function fieldError({ key, node }: PlanField, error: unknown): unknown {
  const isQuoted = !(error instanceof Misfit) && isSecret(node)
  return atKey(isQuoted ? secretMisfit(error, 'could not be read') : error, key)
}

function refuseUnknownKeys(known: ReadonlySet<string>, value: object): void {
  for (const key of Object.keys(value)) {
    if (!known.has(key)) throw new Misfit(`has an unknown field ${JSON.stringify(key)}`)
  }
}

/** The fields of an event are getters of its class. A spread event has none of them, which looks like a bug of hookring. */
function missingAdvice(node: ObjectNode, value: object, error: unknown): unknown {
  if (!(error instanceof Misfit) || !error.isMissing || error.path.length !== 1 || !isPlainObject(value)) return error
  const missing = node.fields.filter(
    (field) => !(field.node.kind === 'maybe' && field.node.optional) && !(field.key in value),
  )
  if (missing.length < Math.min(2, node.fields.length)) return error
  return new Misfit(
    `${error.problem} (the fields of an event are not copied by { ...event }: use { ...event.copy() })`,
    { path: error.path },
  )
}
