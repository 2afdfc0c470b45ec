/**
 * Secret parts of a plan: marking them, the masks that stand in for their values, errors about them, and copies of values
 * without them. Any thread.
 */
import { HookringError } from '../errors.js'
import { fitsNode } from './fits.js'
import { setOwn } from './json.js'
import { Misfit } from './misfit.js'
import type { ObjectNode, PlanNode } from './plan.js'

/** The length of a mask, where a schema allows it: the length of a value says something about it. */
const MASK_CHARS = 8

/** Marks a node and everything below it. `masked` is the mask that the contract's author wants. */
export function markSecret(node: PlanNode, masked: { readonly value: unknown } | null): void {
  if (node.kind === 'maybe') {
    markSecret(node.inner, masked)
    return
  }
  for (const part of partsOf(node)) markSecret(part, null)
  // A node that is marked already may have a mask of its own.
  if (masked === null && node.secret !== undefined) return
  node.secret = { standIn: masked ?? standInOf(node) }
}

export function unmarkSecret(node: PlanNode): void {
  delete node.secret
  for (const part of partsOf(node)) unmarkSecret(part)
}

/** Whether the whole value is secret, or contains nothing but secret values, as a list of them does. */
export function isSecret(node: PlanNode): boolean {
  if (node.secret !== undefined) return true
  return node.kind !== 'object' && partsOf(node).some(isSecret)
}

/** Whether any part of it is secret. */
export function hasSecrets(node: PlanNode): boolean {
  return node.secret !== undefined || partsOf(node).some(hasSecrets)
}

/** The paths of the secret fields, as an operator writes them. */
export function secretPaths(node: PlanNode, path: readonly string[] = []): string[] {
  if (node.secret !== undefined) return [path.join('.')]
  if (node.kind === 'object') return node.fields.flatMap(({ key, node: field }) => secretPaths(field, [...path, key]))
  if (node.kind === 'record') return secretPaths(node.value, [...path, '*'])
  return [...new Set(partsOf(node).flatMap((part) => secretPaths(part, path)))]
}

/** A value that the layout allows, made of masks only. The caller must ask the schema whether it allows them too. */
export function sampleOf(node: PlanNode): unknown {
  if (node.secret?.standIn) return node.secret.standIn.value
  switch (node.kind) {
    case 'maybe':
      return sampleOf(node.inner)
    case 'object':
      return Object.fromEntries(node.fields.map(({ key, node: field }) => [key, sampleOf(field)]))
    case 'array':
      return Array.from({ length: Math.max(node.minLength, 0) }, () => sampleOf(node.element))
    case 'record': {
      const keys = node.key.kind === 'enum' ? node.key.values.map(String) : []
      return Object.fromEntries(keys.map((key) => [key, sampleOf(node.value)]))
    }
    case 'union':
      return sampleOf(node.variants[0] as PlanNode)
    default:
      return standInOf(node)?.value
  }
}

/**
 * Makes copies of values in which what is secret reads `[secret]`: for whoever shows them. Null where nothing of the node is. Takes
 * values that do not fit, too.
 */
export function maskOf(node: PlanNode): Mask | null {
  if (node.kind === 'maybe') return maskOf(node.inner)
  if (isSecret(node)) return hidden
  if (!hasSecrets(node)) return null
  switch (node.kind) {
    case 'object':
      return objectMask(node)
    case 'array': {
      const mask = maskOf(node.element) ?? same
      return (value) => (Array.isArray(value) ? value.map(mask) : hidden(value))
    }
    case 'record': {
      const mask = maskOf(node.value) ?? same
      return (value) => {
        if (typeof value !== 'object' || value === null) return hidden(value)
        const copy: Record<string, unknown> = {}
        for (const [key, item] of Object.entries(value)) setOwn(copy, key, mask(item))
        return copy
      }
    }
    case 'union': {
      const masks = node.variants.map((variant) => maskOf(variant) ?? same)
      return (value) => (masks[node.variants.findIndex((variant) => fitsNode(variant, value))] ?? hidden)(value)
    }
    default:
      return hidden
  }
}

type Mask = (value: unknown) => unknown

const same: Mask = (value) => value
const hidden: Mask = (value) => (value === undefined || value === null ? value : '[secret]')

/** What the contract does not name is left out: it is no part of the event. */
function objectMask({ fields }: ObjectNode): Mask {
  const masks = fields.map(({ key, node }) => ({ key, mask: maskOf(node) ?? same }))
  return (value) => {
    if (typeof value !== 'object' || value === null) return hidden(value)
    const copy: Record<string, unknown> = {}
    for (const { key, mask } of masks) {
      const field = mask((value as Record<string, unknown>)[key])
      if (field !== undefined) copy[key] = field
    }
    return copy
  }
}

/** What was thrown about a secret value, without anything of the value; `problem` is what may be said, if it is known. */
export function secretMisfit(thrown: unknown, problem: string | null): unknown {
  if (thrown instanceof HookringError && thrown.code === 'EVENT_EXPIRED') return thrown
  if (!(thrown instanceof Misfit)) return new Misfit(problem ?? NOT_SHOWN)
  if (thrown.isMissing && thrown.path.length === 0) return thrown
  return new Misfit(problem ?? NOT_SHOWN, { isCheck: thrown.isCheck })
}

const NOT_SHOWN = 'is not valid; why is not shown, because the field is secret'

function partsOf(node: PlanNode): readonly PlanNode[] {
  switch (node.kind) {
    case 'maybe':
      return [node.inner]
    case 'object':
      return node.fields.map((field) => field.node)
    case 'array':
      return [node.element]
    case 'record':
      return [node.key, node.value]
    case 'union':
      return node.variants
    default:
      return []
  }
}

function standInOf(node: PlanNode): { value: unknown } | null {
  switch (node.kind) {
    case 'bool':
      return { value: false }
    case 'u8':
    case 'u16':
    case 'u32':
    case 'i32':
    case 'int':
    case 'f64':
      return { value: Math.min(Math.max(0, node.min), node.max) }
    case 'u64':
    case 'i64':
      return { value: node.min > 0n ? node.min : node.max < 0n ? node.max : 0n }
    case 'date':
      return { value: new Date(Math.min(Math.max(0, node.min), node.max)) }
    case 'string':
      return { value: 'x'.repeat(Math.min(Math.max(MASK_CHARS, node.minLength), node.maxLength)) }
    case 'bytes':
      return { value: new Uint8Array(node.length ?? 0) }
    case 'enum':
      return { value: node.values[0] }
    case 'json':
      return { value: null }
    default:
      return null
  }
}
