/**
 * Schemas for the fields of hook events that zod has no short word for: sized integers, exact 64-bit integers, bytes.
 * Imported by contract authors, on any thread. They are zod schemas like any other: `.optional()`, `.nullable()`,
 * `.describe()`, `.meta()` and `.refine()` work on them.
 */
import { z } from 'zod/v4'
import { bytesLength, isBytes } from './codec/memory.js'
import { HookringError, thrownText } from './errors.js'

/** A Uint8Array (a Buffer too); hooks get a copy of their own, in private memory. */
export type BytesSchema = z.ZodCustom<Uint8Array<ArrayBuffer>, Uint8Array>

/** An exact 64-bit integer: callers may pass a bigint or a safe integer number, hooks see a bigint. */
export type Integer64Schema = z.ZodPipe<
  z.ZodCustom<bigint | number, bigint | number>,
  z.ZodTransform<bigint, bigint | number>
>

/** What the layout needs to know of the schemas made here; it follows clones, such as `.describe()` makes. */
export type LayoutHint =
  | { readonly kind: 'bytes'; readonly length: number | null; readonly maxLength: number }
  | { readonly kind: 'u64' | 'i64'; readonly min: bigint; readonly max: bigint }

export const layoutHints = z.registry<LayoutHint>()

export const U64_MAX = 0xffff_ffff_ffff_ffffn
export const I64_MIN = -0x8000_0000_0000_0000n
export const I64_MAX = 0x7fff_ffff_ffff_ffffn

/**
 * Bytes: exactly `length` of them, or any number, or up to `max`.
 *
 * @throws HookringError CONTRACT_INVALID when `length` or `max` is not a whole number from 1 to 2^30.
 */
export function bytes(length?: number | { max: number }): BytesSchema {
  const isMax = typeof length === 'object' && length !== null
  const bound = isMax ? maxOf(length) : (length ?? null)
  if (length === null || (bound !== null && !(Number.isInteger(bound) && bound >= 1 && bound <= 2 ** 30))) {
    const given = typeof bound === 'number' ? String(bound) : bound === null ? 'null' : `a ${typeof bound}`
    throw new HookringError('CONTRACT_INVALID', `bytes(): a length must be a whole number from 1 to 2^30, got ${given}`)
  }
  const exact = isMax ? null : bound
  const max = isMax ? bound : null
  const wanted = exact !== null ? `${exact} bytes` : max !== null ? `at most ${max} bytes` : 'a Uint8Array'
  const schema = z.custom<Uint8Array>(
    (value) =>
      isBytes(value) && (exact === null || bytesLength(value) === exact) && (max === null || bytesLength(value) <= max),
    `must be ${wanted}`,
  )
  layoutHints.add(schema, { kind: 'bytes', length: exact, maxLength: exact ?? max ?? Number.POSITIVE_INFINITY })
  // Hooks get copies in memory of their own, which the type may promise though the schema cannot.
  return schema as BytesSchema
}

function maxOf(length: { max: number }): number {
  try {
    return length.max
  } catch (cause) {
    throw new HookringError('CONTRACT_INVALID', `bytes(): max could not be read: ${thrownText(cause)}`, { cause })
  }
}

/** 0 to 255, in one byte. */
export const u8 = () => z.int().min(0).max(0xff)

/** 0 to 65,535, in two bytes. */
export const u16 = () => z.int().min(0).max(0xffff)

/** 0 to 2^32 - 1, in four bytes. */
export const u32 = () => z.uint32()

/** -2^31 to 2^31 - 1, in four bytes. */
export const i32 = () => z.int32()

/** 0 to 2^64 - 1, exact. Callers may pass a bigint or a safe integer number; hooks see a bigint. */
export const u64 = (): Integer64Schema => integer64('u64', 0n, U64_MAX)

/** -2^63 to 2^63 - 1, exact. Callers may pass a bigint or a safe integer number; hooks see a bigint. */
export const i64 = (): Integer64Schema => integer64('i64', I64_MIN, I64_MAX)

function integer64(kind: 'u64' | 'i64', min: bigint, max: bigint): Integer64Schema {
  const isExact = (value: unknown) =>
    (typeof value === 'bigint' || Number.isSafeInteger(value)) && (value as bigint) >= min && (value as bigint) <= max
  const schema = z
    .custom<bigint | number>(isExact, `must be a bigint or an exact integer from ${min} to ${max}`)
    .transform((value) => BigInt(value))
  layoutHints.add(schema, { kind, min, max })
  return schema
}
