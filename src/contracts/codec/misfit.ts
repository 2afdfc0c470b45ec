/** Misfits: what is wrong with a value, and where. The encoder and the decoder share it, on any thread. */
import { formatPath, HookringError } from '../errors.js'
import { bytesLength, isBytes } from './memory.js'
import type { EnumValue, PlanNode } from './plan.js'
import type { Checked } from './refinements.js'

/**
 * Thrown inside the codec, and turned into a HookringError at its border. It is not an Error: unions throw many of them
 * while they try their variants, and stack traces would cost more than everything else. The path grows from the inside
 * out.
 */
export class Misfit {
  readonly problem: string
  readonly path: (string | number)[]
  readonly cause: unknown
  /** The value was undefined, and must not be. */
  readonly isMissing: boolean
  /** The layout could hold the value, but the schema refused it. */
  readonly isCheck: boolean

  constructor(
    problem: string,
    details: { path?: (string | number)[]; cause?: unknown; isMissing?: boolean; isCheck?: boolean } = {},
  ) {
    this.problem = problem
    this.path = details.path ?? []
    this.cause = details.cause
    this.isMissing = details.isMissing ?? false
    this.isCheck = details.isCheck ?? false
  }
}

/** The misfit of a value that does not fit its node. */
export function misfitOf(node: PlanNode, value: unknown): Misfit {
  if (value === undefined) return new Misfit('is required', { isMissing: true })
  return new Misfit(problemOf(node, value) ?? 'is invalid')
}

/** Runs a refinement, which is code of the contract's author. */
export function runCheck(check: (value: unknown) => Checked, value: unknown): Checked {
  try {
    return check(value)
  } catch (cause) {
    throw new Misfit(`could not be checked: ${messageOf(cause)}`, { cause, isCheck: true })
  }
}

export function checkMisfit({ problem, path }: Extract<Checked, { ok: false }>): Misfit {
  return new Misfit(problem, {
    path: path.map((part) => (typeof part === 'number' ? part : String(part))),
    isCheck: true,
  })
}

/** Adds `key` in front of an error's path. `error` is whatever was thrown while the value there was read or checked. */
export function atKey(error: unknown, key: string | number): unknown {
  if (error instanceof Misfit) {
    error.path.unshift(key)
    return error
  }
  if (isPassed(error)) return error
  return new Misfit(`could not be read: ${messageOf(error)}`, { path: [key], cause: error })
}

/** The public error for anything thrown inside the codec. */
export function eventError(error: unknown, label: string): unknown {
  if (isPassed(error)) return error
  const misfit =
    error instanceof Misfit ? error : new Misfit(`could not be read: ${messageOf(error)}`, { cause: error })
  const where = formatPath(misfit.path)
  const message = `${label}: ${where === '' ? '' : `${where} `}${misfit.problem}`
  return new HookringError('EVENT_INVALID', message, { path: misfit.path, cause: misfit.cause })
}

/** EVENT_EXPIRED is passed on as it is: its own message says what to do. */
function isPassed(error: unknown): boolean {
  return error instanceof HookringError && error.code === 'EVENT_EXPIRED'
}

function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : String(error)
  } catch {
    return 'an error without a message'
  }
}

/** What was wanted, and what there was instead. */
interface Difference {
  readonly wanted: string
  readonly got: string
}

/**
 * What is wrong with `value` itself, not with its contents; null: nothing. It tells nothing of a secret value. It runs
 * traps of proxies, and no other code of the caller's.
 */
export function problemOf(node: PlanNode, value: unknown): string | null {
  const found = differenceIn(node, value)
  if (found === null) return null
  return node.secret === undefined
    ? textOf(found)
    : `must ${found.wanted} (the field is secret: what was there is not shown)`
}

function textOf({ wanted, got }: Difference): string {
  return `must ${wanted}, got ${got}`
}

function differenceIn(node: PlanNode, value: unknown): Difference | null {
  switch (node.kind) {
    case 'bool':
      return typeof value === 'boolean' ? null : mustBe('a boolean', value)
    case 'u8':
    case 'u16':
    case 'u32':
    case 'i32':
    case 'int':
      if (Number.isSafeInteger(value) && isBetween(value as number, node.min, node.max)) return null
      return mustBe(`an integer from ${node.min} to ${node.max}`, value)
    case 'f64':
      if (typeof value === 'number' && isBetween(value, node.min, node.max)) return null
      return mustBe(
        isUnbounded(node.min, node.max) ? 'a finite number' : `a number from ${node.min} to ${node.max}`,
        value,
      )
    case 'u64':
    case 'i64':
      if ((typeof value === 'bigint' || Number.isSafeInteger(value)) && isBetween(value as bigint, node.min, node.max))
        return null
      return mustBe(`a bigint or an exact integer from ${node.min} to ${node.max}`, value)
    case 'date': {
      const time = timeOf(value)
      if (time !== null && isBetween(time, node.min, node.max)) return null
      if (time === null || Number.isNaN(time)) return mustBe('a valid Date', time === null ? value : time)
      return mustBe(`a Date from ${new Date(node.min).toISOString()} to ${new Date(node.max).toISOString()}`, value)
    }
    case 'string':
      if (typeof value !== 'string') return mustBe('a string', value)
      return countIn(characterCount(value), {
        min: node.minLength,
        max: node.maxLength,
        verb: 'be',
        unit: 'characters long',
      })
    case 'enum':
      return node.values.includes(value as EnumValue)
        ? null
        : mustBe(`${node.values.length > 1 ? 'one of ' : ''}${listOf(node.values)}`, value, true)
    case 'bytes':
      if (!isBytes(value))
        return mustBe(node.length === null ? 'a Uint8Array' : `a Uint8Array of ${node.length} bytes`, value)
      return countIn(bytesLength(value), {
        min: node.length ?? 0,
        max: node.maxLength,
        verb: 'be',
        unit: 'bytes',
      })
    case 'maybe':
      if ((value === undefined && node.optional) || (value === null && node.nullable)) return null
      return differenceIn(node.inner, value)
    case 'object':
      return isObject(value) && !Array.isArray(value) ? null : mustBe('an object', value)
    case 'array':
      if (!Array.isArray(value)) return mustBe('an array', value)
      return countIn(value.length, { min: node.minLength, max: node.maxLength, verb: 'have', unit: 'elements' })
    case 'record':
      return isPlainObject(value) ? null : mustBe('a plain object', value)
    case 'union':
      return isObject(value) || node.discriminator === null ? null : mustBe('an object', value)
    case 'json':
      return null
  }
}

interface Allowed {
  readonly min: number
  readonly max: number
  readonly verb: 'be' | 'have'
  readonly unit: string
}

export function countProblem(count: number, allowed: Allowed): string | null {
  const found = countIn(count, allowed)
  return found === null ? null : textOf(found)
}

function countIn(count: number, allowed: Allowed): Difference | null {
  const { min, max, verb, unit } = allowed
  if (count >= min && count <= max) return null
  const range =
    min === max
      ? `${min}`
      : max === Number.POSITIVE_INFINITY
        ? `at least ${min}`
        : min === 0
          ? `at most ${max}`
          : `${min} to ${max}`
  return { wanted: `${verb} ${range} ${unit}`, got: String(count) }
}

const HIGH_SURROGATE = /[\uD800-\uDBFF]/

/** Code points, which is what zod counts. */
function characterCount(text: string): number {
  if (!HIGH_SURROGATE.test(text)) return text.length
  let count = 0
  for (let at = 0; at < text.length; at += (text.codePointAt(at) as number) > 0xffff ? 2 : 1) count += 1
  return count
}

/** Whether a text has that many characters. Most texts are not counted, because a character is one or two units. */
export function isLengthWithin(text: string, min: number, max: number): boolean {
  const units = text.length
  if (units < min || units > 2 * max) return false
  if (units <= max && (min <= 1 || units >= 2 * min)) return true
  const count = characterCount(text)
  return count >= min && count <= max
}

/** Whether a literal or Object.create(null) made it, in any realm. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    prototype === null ||
    prototype === Object.prototype ||
    (Object.getPrototypeOf(prototype) === null && !Array.isArray(value))
  )
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

const getTime = Date.prototype.getTime

/** NaN for an invalid Date; null: not a Date. */
export function timeOf(value: unknown): number | null {
  try {
    return getTime.call(value as Date)
  } catch {
    return null
  }
}

function isBetween<T extends number | bigint>(value: T, min: T, max: T): boolean {
  return value >= min && value <= max
}

function isUnbounded(min: number, max: number): boolean {
  return min === -Number.MAX_VALUE && max === Number.MAX_VALUE
}

function mustBe(wanted: string, value: unknown, quoteStrings = false): Difference {
  return { wanted: `be ${wanted}`, got: nameOf(value, quoteStrings) }
}

/** Shows numbers as they are, and everything else by its type: the contents of events do not belong in logs. */
function nameOf(value: unknown, quoteStrings: boolean): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value === 'boolean' || value === null || value === undefined) return String(value)
  if (typeof value === 'string') return quoteStrings ? quote(value) : 'a string'
  if (typeof value !== 'object') return `a ${typeof value}`
  if (Array.isArray(value)) return 'an array'
  return isBytes(value) ? 'a Uint8Array' : timeOf(value) !== null ? 'a Date' : 'an object'
}

function listOf(values: readonly EnumValue[]): string {
  const shown = values.slice(0, 8).map((value) => (typeof value === 'string' ? quote(value) : String(value)))
  return shown.join(', ') + (values.length > 8 ? `, ... (${values.length} in all)` : '')
}

function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}
