/** Alignments, offsets and sizes of plan nodes. Only compile.ts calls it. */
import type { MaybeNode, ObjectNode, PlanField, PlanNode, PlanNodeOf, UnionNode } from './plan.js'

/** The alignment of a node's fixed part: the alignment of the widest number in it. */
function alignmentOf(node: PlanNode): number {
  switch (node.kind) {
    case 'bool':
    case 'u8':
      return 1
    case 'u16':
    case 'enum':
      return 2
    case 'u32':
    case 'i32':
    case 'string':
    case 'json':
    case 'array':
    case 'record':
    case 'union':
      return 4
    case 'int':
    case 'f64':
    case 'u64':
    case 'i64':
    case 'date':
      return 8
    case 'bytes':
      // Bytes in multiples of 4 are written as words.
      return node.length === null || node.length % 4 === 0 ? 4 : 1
    case 'maybe':
      return alignmentOf(node.inner)
    case 'object':
      return node.fields.reduce((widest, field) => Math.max(widest, alignmentOf(field.node)), 1)
  }
}

function alignUp(at: number, alignment: number): number {
  return Math.ceil(at / alignment) * alignment
}

export function bytesNode(length: number | null, maxLength: number): PlanNodeOf<'bytes'> {
  return { kind: 'bytes', fixedBytes: length ?? 8, length, maxLength }
}

export function maybeNode(
  inner: PlanNode,
  how: { optional: boolean; nullable: boolean; fallback: MaybeNode['fallback'] },
): MaybeNode {
  const innerAt = alignmentOf(inner)
  return { kind: 'maybe', fixedBytes: innerAt + inner.fixedBytes, inner, innerAt, ...how }
}

/** Fields in order of falling alignment leave no gaps. */
export function objectNode(fields: readonly Omit<PlanField, 'at'>[], strict: boolean): ObjectNode {
  const byAlignment = [...fields].sort((a, b) => alignmentOf(b.node) - alignmentOf(a.node))
  const offsets = new Map<string, number>()
  let end = 0
  for (const field of byAlignment) {
    offsets.set(field.key, end)
    end += field.node.fixedBytes
  }
  const placed: PlanField[] = fields.map((field) => ({ ...field, at: offsets.get(field.key) ?? 0 }))
  const widest = byAlignment[0] === undefined ? 1 : alignmentOf(byAlignment[0].node)
  // At least one byte: with elements of size 0, a few bytes could claim any number of elements.
  return { kind: 'object', fixedBytes: alignUp(Math.max(end, 1), widest), fields: placed, strict }
}

export function recordNode(key: PlanNode, value: PlanNode): PlanNodeOf<'record'> {
  const valueAt = alignUp(key.fixedBytes, alignmentOf(value))
  const elementBytes = alignUp(valueAt + value.fixedBytes, Math.max(alignmentOf(key), alignmentOf(value)))
  return { kind: 'record', fixedBytes: 8, key, value, valueAt, elementBytes }
}

export function unionNode(variants: readonly PlanNode[]): UnionNode {
  return { kind: 'union', fixedBytes: 8, variants, discriminator: commonTag(variants) }
}

/** A field that tells the objects apart: an enum in all of them, with no value that two of them share. */
function commonTag(variants: readonly PlanNode[]): string | null {
  const first = variants[0]
  if (variants.length < 2 || first?.kind !== 'object') return null
  for (const { key } of first.fields) {
    const seen = new Set<unknown>()
    const tells = variants.every((variant) => {
      const tag = variant.kind === 'object' ? variant.fields.find((field) => field.key === key)?.node : undefined
      return tag?.kind === 'enum' && tag.values.every((value) => !seen.has(value) && seen.add(value))
    })
    if (tells) return key
  }
  return null
}
