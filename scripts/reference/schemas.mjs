/** What a zod schema takes, in words: for the tables of options. */
import { z } from 'zod'

/** Facts about each key of an object's schema: `{ takes, fallback }` by name; also through unions and defaults. */
export function factsOf(schema) {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  const object = objectIn(json, json)
  if (object === undefined) throw new Error('a schema without an object in it')
  return new Map(
    Object.entries(object.properties).map(([name, property]) => [
      name,
      { takes: takesOf(property, json), fallback: resolved(property, json).default },
    ]),
  )
}

function resolved(schema, root) {
  if (schema.$ref === undefined) return schema
  const name = schema.$ref.replace('#/$defs/', '')
  return { ...root.$defs[name], ...schema }
}

function objectIn(schema, root) {
  const here = resolved(schema, root)
  if (here.properties !== undefined) return here
  for (const part of here.anyOf ?? []) {
    const found = objectIn(part, root)
    if (found !== undefined) return found
  }
  return undefined
}

/** Empty where the schema says nothing: a function, or what only code can check. */
export function takesOf(schema, root) {
  const here = resolved(schema, root)
  if (here.const !== undefined) return `\`${JSON.stringify(here.const)}\``
  if (here.enum !== undefined) return here.enum.map((value) => `\`${JSON.stringify(value)}\``).join(', ')
  if (here.anyOf !== undefined) {
    const parts = here.anyOf.map((part) => takesOf(part, root))
    return parts.includes('') ? '' : [...new Set(parts)].join(' or ')
  }
  switch (here.type) {
    case 'integer':
      return `whole number${rangeOf(here)}`
    case 'number':
      return `number${rangeOf(here)}`
    case 'string':
      return here.maxLength === undefined ? 'string' : `string, at most ${figure(here.maxLength)} characters`
    case 'boolean':
      return '`true`, `false`'
    case 'null':
      return '`null`'
    case 'array': {
      const items = here.items === undefined ? '' : takesOf(here.items, root)
      return items === '' ? 'list' : `list of ${items}`
    }
    case 'object':
      return 'object'
    default:
      return ''
  }
}

const SAFE = Number.MAX_SAFE_INTEGER
/** The longest delay that a timer takes. */
const LONGEST_MS = 2_147_483_647

function rangeOf({ minimum, maximum, exclusiveMinimum }) {
  const isBounded = maximum !== undefined && maximum < LONGEST_MS
  const least = minimum === undefined || minimum <= -SAFE ? undefined : minimum
  if (exclusiveMinimum !== undefined) {
    return isBounded ? `, above ${exclusiveMinimum}, up to ${figure(maximum)}` : ` above ${exclusiveMinimum}`
  }
  if (least !== undefined && isBounded) return `, ${figure(least)} to ${figure(maximum)}`
  if (least !== undefined) return `, ${figure(least)} or more`
  return isBounded ? `, up to ${figure(maximum)}` : ''
}

/** Digits in groups of three, as people read them. */
export function figure(number) {
  return number.toLocaleString('en-US', { maximumFractionDigits: 20 })
}
