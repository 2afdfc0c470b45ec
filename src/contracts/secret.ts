/**
 * Secret fields: which schemas are marked, and what of a schema's refusal may be shown. Imported by contract authors and by
 * the codec, on any thread.
 */
import { z } from 'zod/v4'
import { HookringError } from './errors.js'
import { refuseZod3, type Schema, type SchemaOutput } from './schema.js'

type Def = z.core.$ZodTypes['_zod']['def']

export interface SecretOptions<Value> {
  /**
   * What recordings hold in place of the value. Default: a value of the same type: 8 times `x` (as many as the schema's lengths
   * allow), 0 or the bound next to it, false, an enum's first value, as few bytes as may be, and null for what crosses as JSON.
   */
  masked?: Value
}

interface SecretMark {
  readonly isSecret: true
  readonly masked?: { readonly value: unknown }
}

/** Follows clones of a schema, such as `.describe()` and `.refine()` make. */
const marks = z.registry<SecretMark>()

/**
 * A field whose values are nobody's business but the plugins': `password: secret(z.string())`. Hooks see the real value. It is masked
 * in recordings (unless they are asked to `reveal` it), in the messages of `hookring:call`, in what is shown of an event that is
 * logged as a whole, and no error text quotes it. Everything inside a secret object, array, record or union is secret too; null and
 * undefined are shown. The type is that of the schema. Mark the finished schema: `.extend()`, `.pick()` and the like make another one.
 *
 * @throws HookringError CONTRACT_INVALID for what is no schema; ZOD_TOO_OLD for one of zod 3. defineContract throws it where the schema does not allow the
 * default mask (a format, a pattern, a tuple): then say `masked`.
 */
export function secret<Marked extends Schema>(
  schema: Marked,
  options: SecretOptions<SchemaOutput<Marked>> = {},
): Marked {
  refuseZod3(schema, 'secret()')
  if (schema?._zod?.def === undefined) {
    throw new HookringError('CONTRACT_INVALID', 'secret(): not a zod schema')
  }
  const marked = z.core.clone(schema as unknown as z.core.$ZodType)
  marks.add(marked, { isSecret: true, ...(options.masked === undefined ? {} : { masked: { value: options.masked } }) })
  return marked as unknown as Marked
}

export function markOf(schema: Schema): SecretMark | undefined {
  return marks.get(schema as z.core.$ZodType)
}

/** Whether a schema, or one inside it, is marked. */
export function holdsSecret(schema: Schema, seen = new Set<Schema>()): boolean {
  if (seen.has(schema)) return false
  seen.add(schema)
  return (
    markOf(schema) !== undefined || [...sidesOf(schema), ...partsOf(schema)].some((part) => holdsSecret(part, seen))
  )
}

interface Issue {
  readonly code?: string | undefined
  readonly path: readonly PropertyKey[]
  readonly message: string
}

const HIDDEN = 'a check refused it; what it says is not shown, because the field is secret or holds a secret one'

/** What zod says of a value, without what a message may quote of a secret one, and without what is inside a secret. */
export function shownIssue(schema: Schema, issue: Issue): { path: readonly PropertyKey[]; message: string } {
  let at = sameValue([schema])
  for (const [depth, key] of issue.path.entries()) {
    if (at.some(markOf)) return { path: issue.path.slice(0, depth), message: HIDDEN }
    at = sameValue(at.flatMap((holder) => partsOf(holder, key)))
  }
  if (at.some(markOf)) return { path: issue.path, message: HIDDEN }
  // A check of several fields has seen all of their values, and its message is its author's.
  const maySay = issue.code === 'custom' && at.some((checked) => holdsSecret(checked))
  return { path: issue.path, message: maySay ? HIDDEN : issue.message }
}

/** The schemas, and those that they put the same value to. */
function sameValue(schemas: readonly Schema[], found = new Set<Schema>()): Schema[] {
  for (const schema of schemas) {
    if (found.has(schema)) continue
    found.add(schema)
    sameValue(sidesOf(schema), found)
  }
  return [...found]
}

function sidesOf(schema: Schema): readonly Schema[] {
  const def = schema._zod.def as Def
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'nonoptional':
    case 'readonly':
    case 'catch':
      return [def.innerType]
    case 'lazy':
      return [def.getter()]
    case 'union':
      return def.options
    case 'intersection':
      return [def.left, def.right]
    case 'pipe':
      return [def.in, def.out]
    default:
      return []
  }
}

/** The schemas of what is inside a value: all of them, or those of what has this key. */
function partsOf(schema: Schema, key?: PropertyKey): readonly Schema[] {
  const def = schema._zod.def as Def
  const all: readonly (Schema | null | undefined)[] = (() => {
    switch (def.type) {
      case 'array':
        return [def.element]
      case 'object':
        if (key === undefined) return [...Object.values(def.shape), def.catchall]
        return [Object.hasOwn(def.shape, key) ? def.shape[key as string] : def.catchall]
      case 'record':
        return [def.keyType, def.valueType]
      case 'tuple':
        return key === undefined ? [...def.items, def.rest] : [def.items[key as number] ?? def.rest]
      default:
        return []
    }
  })()
  return all.filter((part) => part !== null && part !== undefined)
}
