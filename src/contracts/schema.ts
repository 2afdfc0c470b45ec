/**
 * Schemas that users hand in: of zod 4, of `zod/v4` in zod 3.25 or of zod/mini, and of any copy of it. So their types name
 * only what all of these have, and whoever runs one asks it through `_zod`, never through a method or a class. Any thread;
 * nothing of zod is imported here.
 */
import { HookringError } from './errors.js'

/**
 * Any schema of zod 4, whichever version of it. (zod's own types name their version, so those of two versions do not fit
 * each other.)
 */
export interface Schema<Output = unknown, Input = unknown> {
  readonly _zod: {
    readonly output: Output
    readonly input: Input
    readonly def: { readonly type: string }
  }
}

/** What a schema takes. A conditional type, so that engines of one contract still fit where an engine of any is meant. */
export type SchemaInput<S> = S extends { readonly _zod: { readonly input: infer Input } } ? Input : unknown

/** What a schema makes of what it takes. */
export type SchemaOutput<S> = S extends { readonly _zod: { readonly output: infer Output } } ? Output : unknown

export function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Schema>)._zod?.def?.type === 'string'
}

/**
 * Refuses a schema of zod 3, which says what it checks in another way.
 *
 * @throws HookringError ZOD_TOO_OLD
 */
export function refuseZod3(value: unknown, where: string, path: readonly (string | number)[] = []): void {
  if (!isOfZod3(value)) return
  throw new HookringError('ZOD_TOO_OLD', `${where}: ${ZOD_3_ADVICE}`, { path })
}

/** Follows the place of the schema in a message. */
const ZOD_3_ADVICE =
  "a schema of zod 3; use zod 4 (npm install zod@4), or in zod 3.25 import { z } from 'zod/v4', for contract and plugins alike"

function isOfZod3(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || '_zod' in value) return false
  const { _def, safeParse } = value as { _def?: unknown; safeParse?: unknown }
  return typeof _def === 'object' && _def !== null && typeof safeParse === 'function'
}
