/**
 * Small rules of compilation: how a schema becomes a check, when a default is plain data, how a refusal reads. Called by
 * compile.ts and its parts alone.
 */
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { formatPath, HookringError } from '../errors.js'
import type { Checked } from './refinements.js'

export function unencodable(path: readonly (string | number)[], what: string, advice: string): HookringError {
  return new HookringError('CONTRACT_UNENCODABLE', `${formatPath(path)}: ${what} cannot cross between threads; ${advice}`, { path })
}

export function checkOf(schema: z.core.$ZodType): (value: unknown) => Checked {
  return (value) => {
    const result = z.safeParse(schema, value)
    if (result.success) return { ok: true, value: result.data }
    const issue = result.error.issues[0]
    return { ok: false, path: issue?.path ?? [], problem: `is not valid: ${issue?.message ?? 'no reason given'}` }
  }
}

/** A default that is the same whenever it is asked for and that can be cloned: it goes into the plan, for lanes to use. */
export function staticDefault(def: { readonly defaultValue: unknown }): { value: unknown } | null {
  try {
    const value = structuredClone(def.defaultValue)
    return value !== undefined && isDeepStrictEqual(value, def.defaultValue) ? { value } : null
  } catch {
    // It cannot be cloned, or throws: left to the call, which names the field.
    return null
  }
}
