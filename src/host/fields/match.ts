/**
 * Compiles an operator's `match` option into a predicate of the event. It is compiled when a plugin is registered. The
 * predicate runs for each call, on the host's thread and on the caller's own object, before the event is encoded.
 *
 * If it cannot decide, it returns true: calling a plugin once too often costs a trip through the ring, but a gate that is
 * not called lets something pass. So the predicate never throws, and it matches an event whose field has a type that the
 * contract does not allow: the encoder then refuses that event with an error that names the field.
 */
import { HookringError } from '../../contracts/errors.js'
import { compileFilter } from '../../contracts/mqtt-topics.js'
import type { MatchCondition, MatchOption } from '../../contracts/options.js'
import {
  compileFieldReader,
  type EventShape,
  type FieldType,
  findField,
  shapesWithout,
  unknownField,
} from './event-field.js'

export interface MatchContext {
  /** The hookpoints for which the plugin has hooks. Every field named must exist in all of their events. */
  shapes: readonly EventShape[]
  /** Called once, with the first error that the predicate threw. */
  onError(error: unknown): void
}

export type EventPredicate = (event: unknown) => boolean

/**
 * Compiles a match option. All conditions must hold; a field that is left out counts as its default, or as null.
 *
 * @throws HookringError OPTIONS_INVALID for a field that an event does not have, a condition that the field's type can
 * never meet, and a malformed topic filter.
 */
export function compileMatch(option: MatchOption, context: MatchContext): EventPredicate {
  const predicate = typeof option === 'function' ? synchronous(option) : compileConditions(option, context.shapes)
  let hasFailed = false
  return (event) => {
    try {
      return predicate(event)
    } catch (error) {
      if (!hasFailed) {
        hasFailed = true
        context.onError(error)
      }
      return true
    }
  }
}

type Scalar = string | number | bigint | boolean | null
type Test = (value: unknown) => boolean
type Conditions = Extract<MatchCondition, { mqtt?: unknown }>

function synchronous(option: (event: unknown) => unknown): EventPredicate {
  return (event) => {
    const result = option(event)
    if (typeof result === 'boolean') return result
    if (isThenable(result)) {
      // Its rejection would otherwise be unhandled and end the process.
      result.then(undefined, () => {})
      throw new TypeError('a match function must answer at once, it returned a promise')
    }
    return Boolean(result)
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

function compileConditions(
  option: Readonly<Record<string, MatchCondition>>,
  shapes: readonly EventShape[],
): EventPredicate {
  const tests = Object.entries(option).map(([path, condition]) => compileField(path, condition, shapes))
  if (tests.length === 1) return tests[0]!
  return (event) => {
    for (const test of tests) {
      if (!test(event)) return false
    }
    return true
  }
}

function compileField(path: string, condition: MatchCondition, shapes: readonly EventShape[]): EventPredicate {
  const lacking = shapesWithout(path, shapes)
  if (lacking.length > 0) throw unknownField('match', path, lacking)
  const types = new Set<FieldType>()
  const whenMissing = new Set<unknown>()
  let isOptional = false
  for (const shape of shapes) {
    const facts = findField(shape.plan, path)!
    checkCondition(path, condition, { ...facts, hookpoint: shape.hookpoint })
    for (const type of facts.types) types.add(type)
    for (const value of facts.whenMissing) whenMissing.add(value)
    isOptional ||= facts.isOptional
  }
  if (isOptional) types.add('null')
  const read = compileFieldReader(path)
  const test = compileCondition(path, condition)
  const holds = (raw: unknown) => test(raw instanceof Date ? raw.getTime() : raw)
  const holdsWhenMissing = whenMissing.size === 0 || [...whenMissing].some(holds)
  return (event) => {
    const raw = read(event)
    return raw === undefined ? holdsWhenMissing : holds(raw) || !isOfType(raw, types)
  }
}

function compileCondition(path: string, condition: MatchCondition): Test {
  if (Array.isArray(condition)) return oneOf(condition)
  if (typeof condition !== 'object' || condition === null) return equalTo(condition)
  const tests: Test[] = []
  const { eq, not, in: anyOf, gt, gte, lt, lte, prefix, suffix, mqtt } = condition
  if (eq !== undefined) tests.push(equalTo(eq))
  if (not !== undefined) {
    const equals = equalTo(not)
    tests.push((value) => !equals(value))
  }
  if (anyOf !== undefined) tests.push(oneOf(anyOf))
  // JavaScript compares a bigint with a number exactly.
  if (gt !== undefined) tests.push((value) => isNumeric(value) && value > gt)
  if (gte !== undefined) tests.push((value) => isNumeric(value) && value >= gte)
  if (lt !== undefined) tests.push((value) => isNumeric(value) && value < lt)
  if (lte !== undefined) tests.push((value) => isNumeric(value) && value <= lte)
  if (prefix !== undefined) tests.push((value) => typeof value === 'string' && value.startsWith(prefix))
  if (suffix !== undefined) tests.push((value) => typeof value === 'string' && value.endsWith(suffix))
  if (mqtt !== undefined) {
    const filters = (typeof mqtt === 'string' ? [mqtt] : mqtt).map((filter) => compileTopicFilter(path, filter))
    tests.push((value) => typeof value === 'string' && filters.some((matches) => matches(value)))
  }
  if (tests.length === 1) return tests[0]!
  return (value) => tests.every((test) => test(value))
}

function isNumeric(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}

function equalTo(wanted: Scalar): Test {
  if (!isNumeric(wanted)) return (value) => value === wanted
  return (value) => value === wanted || (isNumeric(value) && value >= wanted && value <= wanted)
}

function oneOf(list: readonly Scalar[]): Test {
  const wanted = new Set(list.map(normalize))
  return (value) => wanted.has(normalize(value))
}

/** Gives a number and a bigint of the same value one form, without loss. */
function normalize(value: unknown): unknown {
  if (typeof value === 'bigint') {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
  }
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value as number) : value
}

/** Whether an event's value has a type that the contract allows for the field. */
function isOfType(value: unknown, types: ReadonlySet<FieldType>): boolean {
  if (types.has('any')) return true
  switch (typeof value) {
    case 'string':
      return types.has('string')
    case 'number':
      return types.has('number') || types.has('integer64')
    case 'bigint':
      return types.has('integer64')
    case 'boolean':
      return types.has('boolean')
    default:
      if (value === null) return types.has('null')
      if (value instanceof Date) return types.has('date')
      return types.has(value instanceof Uint8Array ? 'bytes' : 'compound')
  }
}

interface CheckedField {
  readonly types: ReadonlySet<FieldType>
  readonly isOptional: boolean
  readonly hookpoint: string
}

/** Refuses a condition that can never hold: the plugin would never be called, and nobody would notice. */
function checkCondition(path: string, condition: MatchCondition, field: CheckedField): void {
  if (field.types.has('any')) return
  if (Array.isArray(condition)) {
    for (const wanted of condition) checkScalar(path, wanted, field)
    return
  }
  if (typeof condition !== 'object' || condition === null) {
    checkScalar(path, condition, field)
    return
  }
  const { eq, not, in: anyOf, gt, gte, lt, lte, prefix, suffix, mqtt } = condition satisfies Conditions
  for (const wanted of [eq, not, ...(anyOf ?? [])]) {
    if (wanted !== undefined) checkScalar(path, wanted, field)
  }
  const isRange = [gt, gte, lt, lte].some((bound) => bound !== undefined)
  if (isRange && !hasAny(field.types, ['number', 'integer64', 'date'])) {
    throw unmeetable(path, 'a range', field)
  }
  const isText = [prefix, suffix, mqtt].some((text) => text !== undefined)
  if (isText && !field.types.has('string')) throw unmeetable(path, 'a prefix, suffix or topic filter', field)
}

function checkScalar(path: string, wanted: Scalar, field: CheckedField): void {
  if (wanted === null) {
    if (!field.isOptional && !field.types.has('null')) throw unmeetable(path, 'null', field)
    return
  }
  const fits: readonly FieldType[] =
    typeof wanted === 'string'
      ? ['string']
      : typeof wanted === 'boolean'
        ? ['boolean']
        : ['number', 'integer64', 'date']
  if (!hasAny(field.types, fits)) throw unmeetable(path, `a ${typeof wanted}`, field)
}

function hasAny(types: ReadonlySet<FieldType>, wanted: readonly FieldType[]): boolean {
  return wanted.some((type) => types.has(type))
}

function unmeetable(path: string, condition: string, field: CheckedField): HookringError {
  const names: Partial<Record<FieldType, string>> = { integer64: 'bigint', compound: 'object' }
  const types = [...field.types].map((type) => names[type] ?? type).join(' or ')
  return new HookringError(
    'OPTIONS_INVALID',
    `match: ${path} of ${field.hookpoint} is of type ${types} and can never meet ${condition}`,
    { path: ['match', path], hookpoint: field.hookpoint },
  )
}

function compileTopicFilter(path: string, filter: string): (topic: string) => boolean {
  const matches = compileFilter(filter)
  if (matches !== null) return matches
  throw new HookringError(
    'OPTIONS_INVALID',
    `match: ${JSON.stringify(filter)} on ${path} is not an MQTT topic filter`,
    { path: ['match', path, 'mqtt'] },
  )
}
