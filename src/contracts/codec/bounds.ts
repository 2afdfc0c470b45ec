/**
 * Reads zod's checks. Those that a layout can express become bounds in the plan; zod itself applies the rest. Only
 * compile.ts calls it.
 */
import type { z } from 'zod/v4'
import type { PlanNode } from './plan.js'

type CheckDef = Readonly<Record<string, unknown>> & { readonly check: string }
type CheckedDef = { readonly checks?: readonly { readonly _zod: { readonly def: object } }[] | undefined }

const NUMBER_CHECKS = ['number_format', 'bigint_format', 'greater_than', 'less_than']
const LENGTH_CHECKS = ['min_length', 'max_length', 'length_equals']
/** Checks that only carry documentation. */
const SILENT_CHECKS = ['describe', 'meta']

const MAX_F32 = 3.4028234663852886e38
/** The earliest and latest times that a Date can hold. */
const MAX_TIME_MS = 8.64e15

export interface Lengths {
  readonly minLength: number
  readonly maxLength: number
}

/** True when zod must check too, because the layout does not express everything that the schema checks. */
export function hasOtherChecks(def: CheckedDef, expressed: 'numbers' | 'lengths' | 'none'): boolean {
  const known = expressed === 'numbers' ? NUMBER_CHECKS : expressed === 'lengths' ? LENGTH_CHECKS : []
  return checksOf(def).some(({ check }) => !known.includes(check) && !SILENT_CHECKS.includes(check))
}

/** True when checking may change the value, so that bounds hold for the input but not for the result. */
function isRewritten(def: CheckedDef): boolean {
  return checksOf(def).some(({ check, format }) => check === 'overwrite' || format === 'url')
}

/** The narrowest layout that holds every number which the schema admits. */
export function numberNode(def: z.core.$ZodNumberDef): PlanNode {
  if (isRewritten(def)) return { kind: 'f64', fixedBytes: 8, min: -Number.MAX_VALUE, max: Number.MAX_VALUE }
  let { min, max } = { min: -Number.MAX_VALUE, max: Number.MAX_VALUE }
  let isInteger = false
  const narrow = (low: number, high: number) => {
    min = Math.max(min, low)
    max = Math.min(max, high)
  }
  for (const { check, format, value, inclusive } of checksOf(def)) {
    if (check === 'number_format') {
      if (format !== 'float32' && format !== 'float64') isInteger = true
      if (format === 'safeint') narrow(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
      else if (format === 'int32') narrow(-0x8000_0000, 0x7fff_ffff)
      else if (format === 'uint32') narrow(0, 0xffff_ffff)
      else if (format === 'float32') narrow(-MAX_F32, MAX_F32)
    } else if (check === 'greater_than') narrow(inclusive ? Number(value) : nextDouble(Number(value), 1), max)
    else if (check === 'less_than') narrow(min, inclusive ? Number(value) : nextDouble(Number(value), -1))
  }
  if (!isInteger) return { kind: 'f64', fixedBytes: 8, min, max }
  // Adding 0 turns the -0 that ceil() may return into 0.
  min = Math.max(Math.ceil(min), -Number.MAX_SAFE_INTEGER) + 0
  max = Math.min(Math.floor(max), Number.MAX_SAFE_INTEGER) + 0
  if (min >= 0 && max <= 0xff) return { kind: 'u8', fixedBytes: 1, min, max }
  if (min >= 0 && max <= 0xffff) return { kind: 'u16', fixedBytes: 2, min, max }
  if (min >= 0 && max <= 0xffff_ffff) return { kind: 'u32', fixedBytes: 4, min, max }
  if (min >= -0x8000_0000 && max <= 0x7fff_ffff) return { kind: 'i32', fixedBytes: 4, min, max }
  return { kind: 'int', fixedBytes: 8, min, max }
}

/** Bounds of a bigint; null: there is none. */
export function bigintBounds(def: z.core.$ZodBigIntDef): { min: bigint | null; max: bigint | null } {
  let min: bigint | null = null
  let max: bigint | null = null
  if (isRewritten(def)) return { min, max }
  const atLeast = (bound: bigint) => {
    if (min === null || bound > min) min = bound
  }
  const atMost = (bound: bigint) => {
    if (max === null || bound < max) max = bound
  }
  for (const { check, format, value, inclusive } of checksOf(def)) {
    if (check === 'bigint_format') {
      const isSigned = format === 'int64'
      atLeast(isSigned ? -(2n ** 63n) : 0n)
      atMost(isSigned ? 2n ** 63n - 1n : 2n ** 64n - 1n)
    } else if (check === 'greater_than') atLeast(BigInt(value as bigint) + (inclusive ? 0n : 1n))
    else if (check === 'less_than') atMost(BigInt(value as bigint) - (inclusive ? 0n : 1n))
  }
  return { min, max }
}

export function dateNode(def: z.core.$ZodDateDef): PlanNode {
  let { min, max } = { min: -MAX_TIME_MS, max: MAX_TIME_MS }
  if (!isRewritten(def)) {
    for (const { check, value, inclusive } of checksOf(def)) {
      const time = Number(value)
      if (check === 'greater_than') min = Math.max(min, inclusive ? time : Math.floor(time) + 1)
      else if (check === 'less_than') max = Math.min(max, inclusive ? time : Math.ceil(time) - 1)
    }
  }
  return { kind: 'date', fixedBytes: 8, min, max }
}

export function lengthsOf(def: CheckedDef): Lengths {
  let { minLength, maxLength } = { minLength: 0, maxLength: Number.POSITIVE_INFINITY }
  if (!isRewritten(def)) {
    for (const { check, minimum, maximum, length } of checksOf(def)) {
      if (check === 'min_length') minLength = Math.max(minLength, Number(minimum))
      else if (check === 'max_length') maxLength = Math.min(maxLength, Number(maximum))
      else if (check === 'length_equals') {
        minLength = Math.max(minLength, Number(length))
        maxLength = Math.min(maxLength, Number(length))
      }
    }
  }
  return { minLength, maxLength }
}

/** The schema's checks, its own first: z.email() and z.int() are check and schema in one. */
function checksOf(def: CheckedDef): readonly CheckDef[] {
  const added = (def.checks ?? []).map(({ _zod }) => _zod.def as CheckDef)
  return 'check' in def ? [def as unknown as CheckDef, ...added] : added
}

/** The next larger (step 1) or smaller (step -1) double. */
function nextDouble(value: number, step: 1 | -1): number {
  if (!Number.isFinite(value)) return value
  if (value === 0) return step * Number.MIN_VALUE
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  view.setBigInt64(0, view.getBigInt64(0) + (value > 0 === step > 0 ? 1n : -1n))
  return view.getFloat64(0)
}
