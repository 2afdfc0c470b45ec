/**
 * Asks a schema that a user handed in, of whichever version and copy of zod: whether a value fits it, and what it would be
 * as JSON Schema. Any thread.
 */
import { z } from 'zod/v4'
import type { Schema, SchemaOutput } from './schema.js'

/** As `schema.safeParse(value)`, which not every copy of zod has. */
export function safeParse<S extends Schema>(schema: S, value: unknown): z.ZodSafeParseResult<SchemaOutput<S>> {
  return z.safeParse(schema as unknown as z.ZodType<SchemaOutput<S>>, value)
}

/** Throws where the schema has what JSON Schema cannot say. */
export function jsonSchemaOf(schema: Schema, options: Parameters<typeof z.toJSONSchema>[1]): unknown {
  // Newer versions of zod ask each schema to describe itself, which those that an older copy made cannot.
  const { toJSONSchema } = schema as { toJSONSchema?: (options: unknown) => unknown }
  if (typeof toJSONSchema === 'function') return toJSONSchema.call(schema, options)
  return z.toJSONSchema(schema as unknown as z.core.$ZodType, options)
}
