/** Which variant of a union a value is. Any thread. */

import { problemOf } from './misfit.js'
import type { PlanNode } from './plan.js'

/** Whether a valid value is of this node and not of another variant. */
export function fitsNode(node: PlanNode, value: unknown): boolean {
  if (node.kind === 'maybe') {
    if (value === undefined) return node.optional || node.fallback !== null
    return (value === null && node.nullable) || fitsNode(node.inner, value)
  }
  if (problemOf(node, value) !== null) return false
  switch (node.kind) {
    case 'object':
      return node.fields.every((field) => fitsNode(field.node, (value as Record<string, unknown>)[field.key]))
    case 'array':
      return (value as unknown[]).every((item) => fitsNode(node.element, item))
    case 'record':
      return Object.values(value as object).every((item) => fitsNode(node.value, item))
    case 'union':
      return node.variants.some((variant) => fitsNode(variant, value))
    case 'json':
      return value !== undefined
    default:
      return true
  }
}
