/**
 * The options `redact` and `reveal` of `engine.record()`: which fields of a contract's events are redacted, what is written
 * in their place, and which secret fields are not masked. Host's thread only.
 */
import { fitsNode } from '../contracts/codec/fits.js'
import type { LayoutPlan } from '../contracts/codec/plan.js'
import { refinementsOf } from '../contracts/codec/refinements.js'
import { isSecret, secretPaths, unmarkSecret } from '../contracts/codec/secrets.js'
import { HookringError } from '../contracts/errors.js'
import { createEventWriter } from '../contracts/recording/event-json.js'
import { fieldNames, nodesAt, type RedactedField } from '../contracts/recording/redaction.js'

type Plans = ReadonlyMap<string, LayoutPlan>

/**
 * Returns the redacted fields of each hookpoint. A path names the field in every event that has it; with a hookpoint's
 * name in front, only in that one's events.
 */
export function compileRedact(
  plans: Plans,
  redact: readonly string[] | Readonly<Record<string, unknown>>,
): Map<string, RedactedField[]> {
  const found = new Map<string, RedactedField[]>()
  const entries = Array.isArray(redact) ? redact.map((path): [string, unknown] => [path, true]) : Object.entries(redact)
  for (const [path, value] of entries) {
    for (const { hookpoint, parts } of placesOf(plans, path, 'redact')) {
      const field = value === true ? { parts } : { parts, value: replacementFor(plans, hookpoint, parts, path, value) }
      if (value === true) checkHidden(plans, hookpoint, parts, path)
      found.set(hookpoint, [...(found.get(hookpoint) ?? []), field])
    }
  }
  return found
}

/** The plans as a recorder is handed them: what the operator has named is not secret there. */
export function revealedPlans(plans: Plans, reveal: readonly string[]): Map<string, LayoutPlan> {
  const revealed = new Map([...plans].map(([hookpoint, plan]) => [hookpoint, structuredClone(plan)]))
  for (const path of reveal) {
    const nodes = placesOf(revealed, path, 'reveal').flatMap(({ hookpoint, parts }) =>
      nodesAt((revealed.get(hookpoint) as LayoutPlan).root, parts).filter(isSecret),
    )
    if (nodes.length === 0) throw notSecret(plans, path)
    for (const node of nodes) unmarkSecret(node)
  }
  return revealed
}

/** What is masked, by hookpoint and field. */
export function maskedFields(plans: Plans): string[] {
  return [...plans].flatMap(([hookpoint, { root }]) => secretPaths(root, [hookpoint]))
}

function notSecret(plans: Plans, path: string): HookringError {
  const secrets = maskedFields(plans)
  const known = secrets.length === 0 ? 'no field of the events is' : `these are: ${secrets.join(', ')}`
  return new HookringError('OPTIONS_INVALID', `record: reveal: ${path} is not a secret field; ${known}`, {
    path: ['reveal', path],
  })
}

function placesOf(plans: Plans, path: string, option: 'redact' | 'reveal'): { hookpoint: string; parts: string[] }[] {
  const parts = path.split('.')
  const [first, ...rest] = parts as [string, ...string[]]
  const own = plans.get(first)
  if (own !== undefined && nodesAt(own.root, rest).length > 0) return [{ hookpoint: first, parts: rest }]
  const places = [...plans].filter(([, plan]) => nodesAt(plan.root, parts).length > 0)
  if (places.length > 0) return places.map(([hookpoint]) => ({ hookpoint, parts }))
  const known = [...plans].map(([hookpoint, { root }]) => `${hookpoint} (${fieldNames(root).join(', ')})`).join('; ')
  throw new HookringError(
    'OPTIONS_INVALID',
    `record: ${option}: no recorded event has a field ${JSON.stringify(path)}; the fields are ${known}`,
    { path: [option, path] },
  )
}

/** The replacement, in JSON form. */
function replacementFor(plans: Plans, hookpoint: string, parts: readonly string[], path: string, value: unknown) {
  const plan = plans.get(hookpoint) as LayoutPlan
  for (const node of nodesAt(plan.root, parts)) {
    const check = refinementsOf(plan).get(node)?.check
    if (!fitsNode(node, value) || check?.(value).ok === false) continue
    const said = structuredClone(node)
    unmarkSecret(said)
    return createEventWriter({ root: said, fixedBytes: said.fixedBytes })(value)
  }
  throw new HookringError(
    'OPTIONS_INVALID',
    `record: redact: ${hookpoint} does not allow the value given for ${path}`,
    { path: ['redact', path], hookpoint },
  )
}

/** A format or a pattern does not admit a run of x: then the operator must give a value. */
function checkHidden(plans: Plans, hookpoint: string, parts: readonly string[], path: string): void {
  const plan = plans.get(hookpoint) as LayoutPlan
  for (const node of nodesAt(plan.root, parts)) {
    const check = refinementsOf(plan).get(node)?.check
    // What stands in for a secret is known to be allowed.
    if (!check || node.kind !== 'string' || node.secret !== undefined) continue
    const length = Math.min(Math.max(8, node.minLength), node.maxLength)
    if (check('x'.repeat(length)).ok) continue
    throw new HookringError(
      'OPTIONS_INVALID',
      `record: redact: ${path} of ${hookpoint} does not allow a value that is all x; ` +
        `give one that fits, with redact: { ${JSON.stringify(path)}: 'a value that fits' }`,
      { path: ['redact', path], hookpoint },
    )
  }
}
