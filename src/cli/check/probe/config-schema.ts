/** A plugin's config schema for people and machines. Pure, but for the schema's own code. */
import { jsonSchemaOf } from '../../../contracts/ask-schema.js'
import type { Schema } from '../../../contracts/index.js'

interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly additionalProperties?: boolean | JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly default?: unknown
  readonly description?: string
  readonly format?: string
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
}

/** JSON Schema of what the operator may write; null when there is none, or the schema cannot tell. */
export function describeConfig(schema: unknown): unknown {
  if (schema === undefined) return null
  try {
    const described = jsonSchemaOf(schema as Schema, { io: 'input', unrepresentable: 'any', override: nameDates })
    // Out of the plugin's hands: plain data, which can cross.
    return JSON.parse(JSON.stringify(described))
  } catch {
    return null
  }
}

function nameDates({ zodSchema, jsonSchema }: { zodSchema: unknown; jsonSchema: object }): void {
  const type = (zodSchema as { _zod?: { def?: { type?: unknown } } })._zod?.def?.type
  if (type === 'date' || type === 'bigint') Object.assign(jsonSchema, { type })
}

/** A line per field: `rules[].user   string of 1 to 20 characters   required`. */
export function configLines(schema: unknown): string[] {
  const { properties, required = [] } = schema as JsonSchema
  if (properties === undefined) return [typeText(schema as JsonSchema)]
  const rows = rowsOf(properties, required, '')
  const width = Math.max(...rows.map(([name]) => name.length), 0)
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`)
}

function rowsOf(
  properties: Readonly<Record<string, JsonSchema>>,
  required: readonly string[],
  prefix: string,
): [name: string, text: string][] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const name = `${prefix}${key}`
    const notes = [typeText(schema)]
    if (schema.default !== undefined) notes.push(`default ${JSON.stringify(schema.default)}`)
    else notes.push(required.includes(key) ? 'required' : 'optional')
    if (schema.description !== undefined) notes.push(schema.description)
    const below = schema.properties ?? schema.items?.properties
    const inner = schema.properties === undefined ? schema.items?.required : schema.required
    const path = schema.properties === undefined ? `${name}[].` : `${name}.`
    return [[name, notes.join(', ')], ...(below === undefined ? [] : rowsOf(below, inner ?? [], path))] as [
      string,
      string,
    ][]
  })
}

function typeText(schema: JsonSchema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' | ')
  const { type } = schema
  if (typeof type !== 'string') return type === undefined ? 'anything' : type.join(' | ')
  switch (type) {
    case 'array':
      return `list of ${schema.items === undefined ? 'anything' : typeText(schema.items)}${countText(schema.minItems, schema.maxItems, 'elements')}`
    case 'object':
      if (typeof schema.additionalProperties === 'object' && schema.properties === undefined) {
        return `object of ${typeText(schema.additionalProperties)}`
      }
      return 'object'
    case 'string':
      return `${schema.format ?? 'string'}${countText(schema.minLength, schema.maxLength, 'characters')}${schema.format === undefined && schema.pattern !== undefined ? ` like /${schema.pattern}/` : ''}`
    default:
      return `${type}${boundsText(schema)}`
  }
}

function countText(min: number | undefined, max: number | undefined, what: string): string {
  if (max === undefined) return (min ?? 0) === 0 ? '' : ` of ${min} ${what} or more`
  return min === max ? ` of ${max} ${what}` : ` of ${min ?? 0} to ${max} ${what}`
}

function boundsText({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: JsonSchema): string {
  const low =
    exclusiveMinimum !== undefined
      ? `above ${exclusiveMinimum}`
      : minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER
        ? `from ${minimum}`
        : ''
  const high =
    exclusiveMaximum !== undefined
      ? `below ${exclusiveMaximum}`
      : maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
        ? `up to ${maximum}`
        : ''
  return [low, high].map((text) => (text === '' ? '' : ` ${text}`)).join('')
}
