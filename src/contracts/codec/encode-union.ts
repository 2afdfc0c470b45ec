/** Writers of unions: find the variant of a value, then write the variant into the tail. Only encode.ts calls it. */
import { base, reserveAligned, rewindTo, setReference, tail, view, type Write } from './encode-cursor.js'
import { KIND, kindOf, kindsOf } from './kinds.js'
import { atKey, Misfit, misfitOf } from './misfit.js'
import type { EnumValue, ObjectNode, PlanNode, PlanNodeOf, UnionNode } from './plan.js'
import { isSecret, markSecret } from './secrets.js'

/** What a union's writer needs from its variants. */
export interface UnionParts {
  readonly writerOf: (node: PlanNode) => Write
  /** The writer of an object's fields, except for one. */
  readonly fieldsWriterOf: (node: ObjectNode, except: string) => Write
  /** Whether zod checks the node's values, so that zod's result is written. */
  readonly isChecked: (node: PlanNode) => boolean
}

export function unionWriter(node: UnionNode, parts: UnionParts): Write {
  if (node.discriminator !== null) return taggedUnionWriter(node, node.discriminator, parts)
  const writes = node.variants.map(parts.writerOf)
  const candidates = new Map<number, readonly number[]>()
  for (const kind of Object.values(KIND)) {
    candidates.set(
      kind,
      node.variants.flatMap((variant, index) => ((kindsOf(variant) & kind) === 0 ? [] : [index])),
    )
  }
  const place = (at: number, index: number, value: unknown) => {
    const start = reserveAligned(node.variants[index]!.fixedBytes)
    setReference(at, index, start)
    writes[index]!(base + start, value)
  }
  return (at, value) => {
    const fitting = candidates.get(kindOf(value)) ?? []
    // With one candidate, its own misfit says more than ours could.
    if (fitting.length === 1) return place(at, fitting[0]!, value)
    const start = tail
    for (const index of fitting) {
      try {
        return place(at, index, value)
      } catch (error) {
        if (!(error instanceof Misfit) || error.cause !== undefined) throw error
        rewindTo(start)
      }
    }
    if (value === undefined) throw misfitOf(node, value)
    throw new Misfit(`fits none of the ${writes.length} variants of its union`)
  }
}

function taggedUnionWriter(node: UnionNode, discriminator: string, parts: UnionParts): Write {
  const variants = node.variants.map((variant, index) => {
    const { fields } = variant as ObjectNode
    const tag = fields.find(({ key }) => key === discriminator)!
    // A checked variant is written from what zod returned, with its tag.
    const isChecked = parts.isChecked(variant) || parts.isChecked(tag.node)
    const write = isChecked ? parts.writerOf(variant) : parts.fieldsWriterOf(variant as ObjectNode, discriminator)
    return {
      index,
      fixedBytes: variant.fixedBytes,
      tagAt: tag.at,
      values: (tag.node as PlanNodeOf<'enum'>).values,
      isChecked,
      write,
    }
  })
  const places = new Map<unknown, { variant: (typeof variants)[number]; tagIndex: number }>()
  for (const variant of variants)
    for (const [tagIndex, value] of variant.values.entries()) places.set(value, { variant, tagIndex })
  const tags: PlanNode = { kind: 'enum', fixedBytes: 2, values: [...places.keys()] as EnumValue[] }
  const isSecretTag = node.variants.some((variant) =>
    (variant as ObjectNode).fields.some((field) => field.key === discriminator && isSecret(field.node)),
  )
  if (isSecretTag) markSecret(tags, null)
  return (at, value) => {
    if (typeof value !== 'object' || value === null) throw misfitOf(node, value)
    const tag = (value as Record<string, unknown>)[discriminator]
    const found = places.get(tag)
    if (found === undefined) throw atKey(misfitOf(tags, tag), discriminator)
    const { variant, tagIndex } = found
    const start = reserveAligned(variant.fixedBytes)
    setReference(at, variant.index, start)
    if (!variant.isChecked) view.setUint16(base + start + variant.tagAt, tagIndex, true)
    variant.write(base + start, value)
  }
}
