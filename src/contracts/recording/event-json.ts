/**
 * Events as JSON and back, exactly, by their layout plan: how recordings hold them. The one home of that form; a lane
 * writes it, whoever replays reads it. Pure, on any thread.
 *
 *   bool, integers, f64, string     as they are; -0 as "-0"
 *   u64, i64                        decimal string
 *   bytes                           base64
 *   date                            ISO 8601, in UTC
 *   enum                            the value; its index where one of the values is a bigint
 *   object, record                  object; a field that is undefined is left out
 *   array                           array
 *   union                           the object itself where a discriminator tells; else [index of the variant, value]
 *   maybe                           in an object: left out, null, or the value
 *                                   elsewhere, if it may be undefined: [] or [value]
 *   json                            as it is
 */
import { fitsNode } from '../codec/fits.js'
import { setOwn } from '../codec/json.js'
import { atKey, Misfit, problemOf } from '../codec/misfit.js'
import type { LayoutPlan, MaybeNode, ObjectNode, PlanNode, PlanNodeOf, UnionNode } from '../codec/plan.js'
import { unmarkSecret } from '../codec/secrets.js'
import { formatPath } from '../errors.js'
import { hideInJson, hidingOf, type LeafNode, type RedactedField, redactedWithin } from './redaction.js'

export type WriteJson = (value: unknown) => unknown

/** Turns events, lazy ones too, into what JSON.stringify can write. The events must be valid. */
export function createEventWriter(plan: LayoutPlan, redacted: readonly RedactedField[] = []): WriteJson {
  return compileWrite(plan.root, redacted, false)
}

/**
 * Turns what JSON.parse gave into an event of the layout.
 *
 * @throws Error whose message names the field that does not fit
 */
export function createEventJsonReader(plan: LayoutPlan): (json: unknown) => unknown {
  const read = compileRead(plan.root, false)
  return (json) => {
    try {
      return read(json)
    } catch (error) {
      if (!(error instanceof Misfit)) throw error
      const where = formatPath(error.path)
      throw new Error(`${where === '' ? 'the event' : where} ${error.problem}`)
    }
  }
}

function compileWrite(node: PlanNode, redacted: readonly RedactedField[], isInObject: boolean): WriteJson {
  const whole = redacted.find(({ parts }) => parts.length === 0)
  if (node.kind === 'maybe') return writeMaybe(node, compileWrite(node.inner, redacted, isInObject), isInObject)
  if (whole !== undefined && 'value' in whole) return () => whole.value
  const standIn = node.secret?.standIn
  if (standIn) {
    const bare = structuredClone(node)
    unmarkSecret(bare)
    const json = compileWrite(bare, [], isInObject)(standIn.value)
    return () => json
  }
  const isHidden = whole !== undefined || node.secret !== undefined
  switch (node.kind) {
    case 'object': {
      const fields = node.fields.map(({ key, node: field }) => {
        return { key, write: compileWrite(field, redactedWithin(redacted, key), true) }
      })
      return (value) => {
        const json: Record<string, unknown> = {}
        for (const { key, write } of fields) {
          const field = (value as Record<string, unknown>)[key]
          if (field !== undefined) json[key] = write(field)
        }
        return json
      }
    }
    case 'array': {
      const write = compileWrite(node.element, redacted, false)
      return (value) => (value as unknown[]).map((item) => write(item))
    }
    case 'record':
      // Keys that the contract does not name may say as much as values.
      return isHidden && node.key.kind !== 'enum' ? () => ({}) : writeRecord(node, redacted)
    case 'union': {
      const writes = node.variants.map((variant) => compileWrite(variant, redacted, false))
      return (value) => {
        const index = node.variants.findIndex((variant) => fitsNode(variant, value))
        const json = (writes[index] as WriteJson)(value)
        return isTold(node) ? json : [index, json]
      }
    }
    case 'json':
      return redacted.length === 0 ? same : (value) => hideInJson(value, redacted)
    default:
      return isHidden ? compose(hidingOf(node), writeLeaf(node)) : writeLeaf(node)
  }
}

const compose =
  (first: (value: unknown) => unknown, second: WriteJson): WriteJson =>
  (value) =>
    second(first(value))

function writeLeaf(node: LeafNode): WriteJson {
  switch (node.kind) {
    case 'int':
    case 'f64':
      return (value) => (Object.is(value, -0) ? '-0' : value)
    case 'u64':
    case 'i64':
      return String
    case 'date':
      return (value) => (value as Date).toISOString()
    case 'enum':
      return hasBigint(node) ? (value) => node.values.indexOf(value as never) : same
    case 'bytes':
      return (value) => {
        const { buffer, byteOffset, byteLength } = value as Uint8Array
        return Buffer.from(buffer, byteOffset, byteLength).toString('base64')
      }
    default:
      return same
  }
}

function writeMaybe(node: MaybeNode, write: WriteJson, isInObject: boolean): WriteJson {
  // A null that is not this node's own may be one of JSON's.
  const present: WriteJson = (value) => (value === null && node.nullable ? null : write(value))
  if (isInObject || !mayBeUndefined(node)) return (value) => (value === undefined ? value : present(value))
  return (value) => (value === undefined ? [] : [present(value)])
}

function writeRecord(node: PlanNodeOf<'record'>, redacted: readonly RedactedField[]): WriteJson {
  const named = new Map<string, WriteJson>()
  for (const { parts } of redacted) {
    const [key] = parts
    if (key !== undefined && key !== '*') named.set(key, compileWrite(node.value, redactedWithin(redacted, key), false))
  }
  const others = compileWrite(node.value, redactedWithin(redacted, '*'), false)
  return (value) => {
    const json: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(value as object)) setOwn(json, key, (named.get(key) ?? others)(item))
    return json
  }
}

type ReadJson = (json: unknown) => unknown

function compileRead(node: PlanNode, isInObject: boolean): ReadJson {
  switch (node.kind) {
    case 'int':
    case 'f64':
      return (json) => fitting(node, json === '-0' ? -0 : json)
    case 'u64':
    case 'i64':
      return (json) => {
        if (typeof json !== 'string' || !/^-?\d{1,20}$/.test(json)) throw new Misfit('must be an integer as a string')
        return fitting(node, BigInt(json))
      }
    case 'date':
      return (json) => {
        if (typeof json !== 'string') throw new Misfit('must be a time as of ISO 8601')
        return fitting(node, new Date(json))
      }
    case 'enum':
      return hasBigint(node) ? (json) => fitting(node, node.values[json as number]) : (json) => fitting(node, json)
    case 'bytes':
      return (json) => fitting(node, bytesOf(json))
    case 'maybe':
      return readMaybe(node, isInObject)
    case 'object':
      return readObject(node)
    case 'array': {
      const read = compileRead(node.element, false)
      return (json) => (fitting(node, json) as unknown[]).map((item, index) => inside(index, () => read(item)))
    }
    case 'record':
      return readRecord(node)
    case 'union':
      return readUnion(node)
    case 'json':
      return (json) => {
        if (json === undefined) throw new Misfit('is required')
        return json
      }
    default:
      return (json) => fitting(node, json)
  }
}

function readMaybe(node: MaybeNode, isInObject: boolean): ReadJson {
  const read = compileRead(node.inner, isInObject)
  const present: ReadJson = (json) => (json === null && node.nullable ? null : read(json))
  if (isInObject) {
    return (json) => {
      if (json !== undefined) return present(json)
      if (mayBeUndefined(node)) return undefined
      throw new Misfit('is required')
    }
  }
  if (!mayBeUndefined(node)) return present
  return (json) => {
    if (!Array.isArray(json) || json.length > 1) throw new Misfit('must be a list of one or none')
    return json.length === 0 ? undefined : present(json[0])
  }
}

function readObject(node: ObjectNode): ReadJson {
  const fields = node.fields.map((field) => ({ ...field, read: compileRead(field.node, true) }))
  const known = new Set(node.fields.map(({ key }) => key))
  return (json) => {
    const from = jsonObject(json)
    for (const key of Object.keys(from)) if (!known.has(key)) throw new Misfit('is no field', { path: [key] })
    const value: Record<string, unknown> = {}
    for (const { key, read, isRequired, node: of } of fields) {
      const item = Object.hasOwn(from, key) ? from[key] : undefined
      if (item === undefined && of.kind !== 'maybe') throw new Misfit('is required', { path: [key] })
      const field = inside(key, () => read(item))
      if (field !== undefined || isRequired) value[key] = field
    }
    return value
  }
}

function readRecord(node: PlanNodeOf<'record'>): ReadJson {
  const read = compileRead(node.value, false)
  return (json) => {
    const value: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(jsonObject(json))) {
      if (problemOf(node.key, key) !== null) throw new Misfit('is no key of it', { path: [key] })
      setOwn(
        value,
        key,
        inside(key, () => read(item)),
      )
    }
    return value
  }
}

function readUnion(node: UnionNode): ReadJson {
  const reads = node.variants.map((variant) => compileRead(variant, false))
  if (!isTold(node)) {
    return (json) => {
      const [index, item] = Array.isArray(json) && json.length === 2 ? json : []
      const read = reads[index as number]
      if (read === undefined) throw new Misfit('must be a variant and its value')
      return read(item)
    }
  }
  const tag = node.discriminator as string
  const tags = node.variants.map((variant) => (variant as ObjectNode).fields.find(({ key }) => key === tag)?.node)
  return (json) => {
    const told = jsonObject(json)[tag]
    const index = tags.findIndex((of) => of?.kind === 'enum' && of.values.includes(told as never))
    const read = reads[index]
    if (read === undefined) throw new Misfit('is of no variant', { path: [tag] })
    return read(json)
  }
}

/** Whether JSON shows by itself which variant an object is. */
function isTold({ discriminator, variants }: UnionNode): boolean {
  return variants.every((variant) => {
    const tag = variant.kind === 'object' ? variant.fields.find(({ key }) => key === discriminator)?.node : undefined
    return tag?.kind === 'enum' && !hasBigint(tag)
  })
}

function mayBeUndefined({ optional, fallback }: MaybeNode): boolean {
  return optional || fallback !== null
}

function hasBigint({ values }: PlanNodeOf<'enum'>): boolean {
  return values.some((value) => typeof value === 'bigint')
}

function fitting(node: PlanNode, value: unknown): unknown {
  const violation = value === undefined ? 'is required' : problemOf(node, value)
  if (violation !== null) throw new Misfit(violation)
  return value
}

function bytesOf(json: unknown): Uint8Array {
  if (typeof json !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(json)) throw new Misfit('must be bytes as base64')
  const { buffer, byteOffset, byteLength } = Buffer.from(json, 'base64')
  // Out of the pool that small Buffers share.
  return new Uint8Array(buffer.slice(byteOffset, byteOffset + byteLength))
}

function jsonObject(json: unknown): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Misfit('must be an object')
  return json as Record<string, unknown>
}

function inside<T>(key: string | number, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw atKey(error, key)
  }
}

const same: WriteJson = (value) => value
