/**
 * What a hook's result means: the closed union that a lane writes into a slot and `hookring/testing` gives to a test.
 * Pure; called once for each result, in the thread that ran the hook.
 */
import { VERDICT_BRAND } from '../contracts/brands.js'
import type { HookpointKind } from '../contracts/contract.js'
import type { Reject, Replace } from './index.js'

export type ResultReading =
  | { readonly kind: 'continue' }
  | { readonly kind: 'reject'; readonly reason: string; readonly code: number | undefined }
  | { readonly kind: 'replace'; readonly event: unknown }
  | { readonly kind: 'respond'; readonly value: unknown }
  /** It is no verdict of this kind of hookpoint; the message says why. */
  | { readonly kind: 'invalid'; readonly message: string }

/** What most results are; shared, so that reading them allocates nothing. */
const CONTINUES: ResultReading = Object.freeze({ kind: 'continue' })

/** Reads a settled result. Runs plugin code where the result has getters, and throws what that throws. */
export function readResult(kind: HookpointKind, result: unknown): ResultReading {
  if (result === undefined || kind === 'observe') return CONTINUES
  const brand = brandOf(result)
  if (brand === 'reject') return readReject(result as Reject)
  if (brand === 'replace' && kind === 'transform') return { kind: 'replace', event: (result as Replace<unknown>).event }
  if (kind === 'respond' && brand === undefined) return { kind: 'respond', value: result }
  if (result === null && brand === undefined) return CONTINUES
  const allowed = kind === 'transform' ? 'nothing, reject(...) or replace(...)' : 'nothing or reject(...)'
  return invalid(`a ${kind} hook returns ${allowed}, got ${brand ?? shape(result)}`)
}

/** What is said of a replacement or an answer for which there is no room. */
export function tooLargeMessage(what: 'replacement' | 'answer', atLeastBytes: number, roomBytes: number): string {
  return `the ${what} takes at least ${atLeastBytes} bytes, there is room for ${roomBytes}; raise maxReplyBytes in the contract`
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

function readReject({ reason, code }: Reject): ResultReading {
  if (typeof reason !== 'string') return invalid(`reject needs a reason in words, got ${shape(reason)}`)
  if (code !== undefined && (!Number.isInteger(code) || code < 0 || code > 0x7fffffff)) {
    return invalid('the code of a reject must be an integer from 0 to 2147483647')
  }
  return { kind: 'reject', reason, code }
}

function invalid(message: string): ResultReading {
  return { kind: 'invalid', message }
}

function brandOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  return (value as { [VERDICT_BRAND]?: string })[VERDICT_BRAND]
}

function shape(value: unknown): string {
  if (value === null) return 'null'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
