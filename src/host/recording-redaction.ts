/**
 * What `engine.record({ redact })` means for the events of a contract: which fields are crossed out, and what is written in
 * their place. Host's thread only.
 */
import type { LayoutPlan } from '../contracts/codec/plan.js'
import { refinementsOf } from '../contracts/codec/refinements.js'
import { HookringError } from '../contracts/errors.js'
import { createEventWriter, fitsNode } from '../contracts/recording/event-json.js'
import { fieldNames, nodesAt, type RedactedField } from '../contracts/recording/redaction.js'

type Plans = ReadonlyMap<string, LayoutPlan>

/** By hookpoint. A path names a field of every event that has it, or, behind a hookpoint's name, of that one's. */
export function compileRedact(
  plans: Plans,
  redact: readonly string[] | Readonly<Record<string, unknown>>,
): Map<string, RedactedField[]> {
  const found = new Map<string, RedactedField[]>()
  const entries = Array.isArray(redact) ? redact.map((path): [string, unknown] => [path, true]) : Object.entries(redact)
  for (const [path, value] of entries) {
    for (const { hookpoint, parts } of placesOf(plans, path)) {
      const field = value === true ? { parts } : { parts, value: replacementFor(plans, hookpoint, parts, path, value) }
      if (value === true) checkHidden(plans, hookpoint, parts, path)
      found.set(hookpoint, [...(found.get(hookpoint) ?? []), field])
    }
  }
  return found
}

function placesOf(plans: Plans, path: string): { hookpoint: string; parts: string[] }[] {
  const parts = path.split('.')
  const [first, ...rest] = parts as [string, ...string[]]
  const own = plans.get(first)
  if (own !== undefined && nodesAt(own.root, rest).length > 0) return [{ hookpoint: first, parts: rest }]
  const places = [...plans].filter(([, plan]) => nodesAt(plan.root, parts).length > 0)
  if (places.length > 0) return places.map(([hookpoint]) => ({ hookpoint, parts }))
  const known = [...plans].map(([hookpoint, { root }]) => `${hookpoint} (${fieldNames(root).join(', ')})`).join('; ')
  throw new HookringError(
    'OPTIONS_INVALID',
    `record: redact: no event that is recorded has a field ${JSON.stringify(path)}; there are ${known}`,
    { path: ['redact', path] },
  )
}

/** In JSON form. */
function replacementFor(plans: Plans, hookpoint: string, parts: readonly string[], path: string, value: unknown) {
  const plan = plans.get(hookpoint) as LayoutPlan
  for (const node of nodesAt(plan.root, parts)) {
    const check = refinementsOf(plan).get(node)?.check
    if (!fitsNode(node, value) || check?.(value).ok === false) continue
    return createEventWriter({ root: node, fixedBytes: node.fixedBytes })(value)
  }
  throw new HookringError(
    'OPTIONS_INVALID',
    `record: redact: the value given for ${path} is none that ${hookpoint} allows there`,
    { path: ['redact', path], hookpoint },
  )
}

/** A format or pattern does not admit crossed out text: then the operator must say what to write. */
function checkHidden(plans: Plans, hookpoint: string, parts: readonly string[], path: string): void {
  const plan = plans.get(hookpoint) as LayoutPlan
  for (const node of nodesAt(plan.root, parts)) {
    const check = refinementsOf(plan).get(node)?.check
    if (!check || node.kind !== 'string') continue
    const length = Math.min(Math.max(8, node.minLength), node.maxLength)
    if (check('x'.repeat(length)).ok) continue
    throw new HookringError(
      'OPTIONS_INVALID',
      `record: redact: ${path} of ${hookpoint} does not allow x in place of its characters; ` +
        `say what to write, with redact: { ${JSON.stringify(path)}: 'a value that fits' }`,
      { path: ['redact', path], hookpoint },
    )
  }
}
