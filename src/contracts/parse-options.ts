/**
 * Holds options to their schemas and says what is wrong with them: what was given, what is taken, and which word was
 * probably meant. Host's thread only.
 */
import type { z } from 'zod/v4'
import { PLUGIN_BRAND } from './brands.js'
import { type ErrorCode, formatPath, HookringError, thrownText } from './errors.js'
import { kindOf, nearestWord } from './option-words.js'

type Path = readonly (string | number)[]
type Issue = z.core.$ZodIssue

/**
 * Parses options, or throws a HookringError that names the path of the first thing wrong.
 *
 * @throws HookringError `code`
 */
export function parseOptions<T>(
  schema: z.ZodType<T>,
  value: unknown,
  what: string,
  code: ErrorCode = 'OPTIONS_INVALID',
): T {
  return readingOf(value, what, code, () => {
    const misshapen = misshapenIn(schema, value, [])
    if (misshapen !== null) throw refusal(what, code, misshapen.path, `must be a plain object, got ${misshapen.got}`)
    const result = schema.safeParse(value)
    if (result.success) return result.data
    const { issues } = result.error
    // A misspelt name is why another one is missing.
    const first = issues.find(({ code: kind }) => kind === 'unrecognized_keys') ?? (issues[0] as Issue)
    const { path, problem } = problemOf(schema, value, first)
    const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : ''
    throw refusal(what, code, path, problem + more, result.error)
  })
}

/**
 * The same for one entry of `plugins`, where a plugin's definition is easily put in place of its options.
 *
 * @throws HookringError OPTIONS_INVALID
 */
export function parsePluginEntry<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  readingOf(value, what, 'OPTIONS_INVALID', () => {
    const problem = misplacedEntry(value)
    if (problem !== null) throw refusal(what, 'OPTIONS_INVALID', [], problem)
    const { from } = value as { from?: unknown }
    const hasUnknown = Object.keys(value as object).some((key) => !schemasAt(schema, []).flatMap(keysOf).includes(key))
    const misplaced = from === undefined && hasUnknown ? null : misplacedFrom(from)
    if (misplaced !== null) throw refusal(what, 'OPTIONS_INVALID', ['from'], misplaced)
  })
  return parseOptions(schema, value, what)
}

/** A getter or a proxy of the caller's may throw; zod looks at values again to say what is wrong with them. */
function readingOf<T>(_value: unknown, what: string, code: ErrorCode, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof HookringError) throw cause
    throw new HookringError(code, `${what} could not be read: ${thrownText(cause)}`, { cause })
  }
}

function refusal(what: string, code: ErrorCode, path: Path, problem: string, cause?: unknown): HookringError {
  const where = path.length === 0 ? what : `${what}.${formatPath(path)}`
  return new HookringError(code, `${where}: ${problem}`, { path, cause })
}

const FROM_WANTED = 'the path, package name or URL of the module that has the plugin'
const FROM_EXAMPLE = "{ from: './plugins/greet.js' }"

function misplacedEntry(value: unknown): string | null {
  if (typeof value === 'string' || value instanceof URL) {
    return `must be an object, got ${kindOf(value)}; write { from: ${JSON.stringify(String(value)).slice(0, 200)} }`
  }
  const plugin = definitionIn(value)
  if (plugin !== null) {
    return `is ${plugin}; lanes load plugins in their own threads, so give ${FROM_WANTED}: ${FROM_EXAMPLE}`
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return null
  return `must be an object like ${FROM_EXAMPLE}, got ${kindOf(value)}`
}

function misplacedFrom(from: unknown): string | null {
  if (typeof from === 'string' || from instanceof URL) return null
  if (from === undefined) return `is missing: it must be ${FROM_WANTED}`
  const plugin = definitionIn(from)
  const got = plugin ?? kindOf(from)
  return `must be ${FROM_WANTED}, got ${got}`
}

/** Says so where a value is a plugin, or a module or promise that may have one. */
function definitionIn(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null
  if (isDefinition(value)) return `a plugin itself (${nameOf(value)})`
  const exported = (value as { default?: unknown }).default
  return isDefinition(exported) ? `a module with a plugin in it (${nameOf(exported as object)})` : null
}

function isDefinition(value: unknown): boolean {
  return typeof value === 'object' && value !== null && PLUGIN_BRAND in value
}

function nameOf(plugin: object): string {
  const { name } = plugin as { name?: unknown }
  return typeof name === 'string' ? name.slice(0, 64) : 'without a name'
}

/** The first value that is a Map, a RegExp or the like where an object with named fields is meant: zod takes it for an empty one. */
function misshapenIn(schema: z.core.$ZodType, value: unknown, path: Path): { path: Path; got: string } | null {
  if (typeof value !== 'object' || value === null) return null
  const shapes = objectsIn(schema)
  const children = shapes.length > 0 ? Object.keys(value) : []
  if (shapes.length > 0 && !Array.isArray(value) && !hasFields(value) && !isTaken(schema, value)) {
    return { path, got: kindOf(value) }
  }
  if (Array.isArray(value)) {
    for (const element of unwrapped(schema).flatMap(elementOf)) {
      for (const [index, entry] of value.entries()) {
        const found = misshapenIn(element, entry, [...path, index])
        if (found !== null) return found
      }
    }
    return null
  }
  for (const key of children) {
    for (const field of shapes.flatMap((shape) => fieldOf(shape, key))) {
      const found = misshapenIn(field, (value as Record<string, unknown>)[key], [...path, key])
      if (found !== null) return found
    }
  }
  return null
}

/** An instance of a class of the user's own may have fields; built-ins keep what they hold elsewhere. */
function hasFields(value: object): boolean {
  const tag = Object.prototype.toString.call(value)
  return tag === '[object Object]' || tag === '[object Module]' || Object.keys(value).length > 0
}

/** Another variant of the schema is meant for it: a URL where one may stand. */
function isTaken(schema: z.core.$ZodType, value: unknown): boolean {
  return unwrapped(schema).some(
    ({ _zod }) => _zod.def.type === 'custom' && (schema as z.ZodType).safeParse(value).success,
  )
}

interface Problem {
  readonly path: Path
  readonly problem: string
}

function problemOf(schema: z.core.$ZodType, value: unknown, issue: Issue, above: Path = []): Problem {
  const path = [...above, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))]
  const given = valueAt(value, path)
  if (issue.code === 'unrecognized_keys') return { path, problem: unknownKeys(schema, path, issue.keys) }
  if (issue.code === 'invalid_union') {
    const inside = misspeltIn(schema, path, issue.errors) ?? issue.errors.map(([first]) => first).find(isDeeper)
    if (inside !== undefined) return problemOf(schema, value, inside, path)
  }
  const wanted = [...new Set(wantedBy(issue))]
  if (wanted.length === 0) return { path, problem: issue.message }
  if (given === undefined) return { path, problem: `is missing: it must be ${oneOf(wanted)}` }
  const words = wordsIn(issue)
  const near = typeof given === 'string' ? nearestWord(given, words) : undefined
  const hint = near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`
  return { path, problem: `must be ${oneOf(wanted)}, got ${kindOf(given, { isWord: words.length > 0 })}${hint}` }
}

/** A name that no variant of the union has. */
function misspeltIn(schema: z.core.$ZodType, path: Path, variants: readonly Issue[][]): Issue | undefined {
  const known = new Set(schemasAt(schema, path).flatMap(keysOf))
  return variants.flat().find((issue) => {
    return issue.code === 'unrecognized_keys' && issue.path.length === 0 && issue.keys.some((key) => !known.has(key))
  })
}

/** The value was taken for this variant of a union, and something in it is wrong. */
function isDeeper(issue: Issue | undefined): boolean {
  if (issue === undefined) return false
  if (issue.path.length > 0 || issue.code === 'unrecognized_keys') return true
  if (issue.code === 'invalid_union') return issue.errors.some(([first]) => isDeeper(first))
  return issue.code === 'too_small' || issue.code === 'too_big'
}

function unknownKeys(schema: z.core.$ZodType, path: Path, keys: readonly string[]): string {
  const known = [...new Set(schemasAt(schema, path).flatMap(objectsIn).flatMap(keysOf))]
  const [key = ''] = keys
  const near = nearestWord(key, known)
  const hint = near === undefined ? `; it takes ${known.join(', ')}` : `; did you mean ${JSON.stringify(near)}?`
  return `has no option ${JSON.stringify(key.slice(0, 64))}${hint}`
}

/** What an issue says that it wanted, in words that follow "must be". */
function wantedBy(issue: Issue): string[] {
  switch (issue.code) {
    case 'invalid_type':
      return [TYPES[issue.expected] ?? issue.expected]
    case 'invalid_value':
      return issue.values.map((one) => (typeof one === 'string' ? JSON.stringify(one) : String(one)))
    case 'invalid_union':
      return issue.errors.flatMap(([first]) => (first === undefined ? [] : wantedBy(first)))
    case 'too_small':
      return [sizeOf(issue.origin, issue.inclusive === false ? 'above' : 'at least', issue.minimum)]
    case 'too_big':
      return [sizeOf(issue.origin, issue.inclusive === false ? 'below' : 'at most', issue.maximum)]
    default:
      return issue.message.startsWith('must be ') ? [issue.message.slice('must be '.length)] : []
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  bigint: 'a bigint',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object',
  URL: 'a URL',
}

function sizeOf(origin: string, comparison: string, bound: number | bigint): string {
  if (origin === 'string') return `of ${comparison} ${bound} characters`
  if (origin === 'array') return `an array of ${comparison} ${bound}`
  return `${comparison} ${bound}`
}

/** The words that an issue would have taken. */
function wordsIn(issue: Issue): string[] {
  if (issue.code === 'invalid_value') return issue.values.filter((one) => typeof one === 'string')
  return issue.code === 'invalid_union' ? issue.errors.flatMap(([first]) => (first ? wordsIn(first) : [])) : []
}

function oneOf(wanted: readonly string[]): string {
  if (wanted.length < 2) return wanted.join('')
  return `${wanted.slice(0, -1).join(', ')} or ${wanted.at(-1)}`
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value
  for (const part of path) at = (at as Record<string | number, unknown> | null | undefined)?.[part]
  return at
}

/** A schema's variants without their wrappers: defaults, options, unions. */
function unwrapped(schema: z.core.$ZodType): z.core.$ZodType[] {
  const def = schema._zod.def as { type: string; innerType?: z.core.$ZodType; in?: z.core.$ZodType; options?: unknown }
  if (def.innerType !== undefined) return unwrapped(def.innerType)
  if (def.type === 'pipe' && def.in !== undefined) return unwrapped(def.in)
  if (def.type === 'union') return (def.options as z.core.$ZodType[]).flatMap(unwrapped)
  return [schema]
}

function objectsIn(schema: z.core.$ZodType): z.core.$ZodType[] {
  return unwrapped(schema).filter(({ _zod }) => _zod.def.type === 'object' || _zod.def.type === 'record')
}

function elementOf({ _zod }: z.core.$ZodType): z.core.$ZodType[] {
  const { type, element } = _zod.def as { type: string; element?: z.core.$ZodType }
  return type === 'array' && element !== undefined ? [element] : []
}

function fieldOf({ _zod }: z.core.$ZodType, key: string): z.core.$ZodType[] {
  const { shape, valueType } = _zod.def as { shape?: Record<string, z.core.$ZodType>; valueType?: z.core.$ZodType }
  if (valueType !== undefined) return [valueType]
  const field = shape !== undefined && Object.hasOwn(shape, key) ? shape[key] : undefined
  return field === undefined ? [] : [field]
}

function keysOf({ _zod }: z.core.$ZodType): string[] {
  return Object.keys((_zod.def as { shape?: object }).shape ?? {})
}

function schemasAt(schema: z.core.$ZodType, path: Path): z.core.$ZodType[] {
  let found = unwrapped(schema)
  for (const part of path) {
    found = found.flatMap((one) => (typeof part === 'number' ? elementOf(one) : fieldOf(one, part))).flatMap(unwrapped)
  }
  return found
}
