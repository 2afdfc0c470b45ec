/**
 * Generated fields: schemas of every type that has no types inside it, each with values that it admits. The parts that
 * arbitrary-contracts.ts nests.
 */
import fc from 'fast-check'
import { z } from 'zod'
import { bytes, i32, i64, u8, u16, u32, u64 } from '../../dist/contracts/types.js'

/** A schema in the making. */
export interface Part {
  readonly schema: z.ZodType
  readonly text: string
  readonly values: fc.Arbitrary<unknown>
  /** What JSON can hold as it is. */
  readonly isJson: boolean
}

export const text = fc.string({ unit: 'binary', maxLength: 40 })
const asciiText = fc.string({ unit: 'grapheme-ascii', maxLength: 40 })
export const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array)),
  fc.uint8Array({ minLength: 4, maxLength: 40 }).map((array) => array.subarray(1, -1)),
)
export const key = fc
  .oneof(fc.stringMatching(/^[a-z][a-zA-Z0-9]{0,8}$/), asciiText, text)
  .filter((name) => !RESERVED.has(name) && !(name in {}))
/** zod reads them from Object.prototype when an event does not have them. */
const RESERVED = new Set(['copy', 'toJSON', '__proto__'])
/** JSON has no -0. */
const jsonNumber = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)
const jsonValues = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'json' },
    fc.constant(null),
    fc.boolean(),
    jsonNumber,
    text,
    fc.array(tie('value'), { maxLength: 3, depthIdentifier: 'json' }),
    fc.dictionary(key, tie('value'), { maxKeys: 3, depthIdentifier: 'json', noNullPrototype: true }),
  ),
})).value

export const part = (
  text: string,
  schema: z.ZodType,
  values: fc.Arbitrary<unknown>,
  isJson = false,
): fc.Arbitrary<Part> => fc.constant({ text, schema, values, isJson })

export const U64_MAX = 2n ** 64n - 1n
export const I64_LIMIT = 2n ** 63n
const f32 = fc.float({ noNaN: true, noDefaultInfinity: true })
export const f64 = fc.double({ noNaN: true, noDefaultInfinity: true })
const exact64 = (min: bigint, max: bigint) =>
  fc.oneof(
    fc.bigInt({ min, max }),
    fc.constantFrom(min, max),
    fc.integer({ min: min < 0n ? -(2 ** 31) : 0 }),
    fc.maxSafeInteger().filter((value) => value >= min),
  )

/** Types without types inside them. */
export const leaf: fc.Arbitrary<Part> = fc.oneof(
  part('boolean', z.boolean(), fc.boolean(), true),
  part('u8', u8(), fc.integer({ min: 0, max: 255 }), true),
  part('u16', u16(), fc.integer({ min: 0, max: 65_535 }), true),
  part('u32', u32(), fc.integer({ min: 0, max: 4_294_967_295 }), true),
  part('i32', i32(), fc.integer(), true),
  part('int', z.int(), fc.maxSafeInteger(), true),
  part('int -3 to 900', z.number().int().gt(-4).lt(901), fc.integer({ min: -3, max: 900 }), true),
  part(
    'even int',
    z.int().min(0).max(100).multipleOf(2),
    fc.integer({ min: 0, max: 50 }).map((half) => half * 2),
    true,
  ),
  part('number', z.number(), f64),
  part('float32', z.float32(), f32),
  part('positive', z.number().positive().max(1e6), fc.double({ min: 5e-324, max: 1e6, noNaN: true })),
  part('u64', u64(), exact64(0n, U64_MAX)),
  part('i64', i64(), exact64(-I64_LIMIT, I64_LIMIT - 1n)),
  part('uint64', z.uint64(), fc.bigInt({ min: 0n, max: U64_MAX })),
  part('int64', z.int64(), fc.bigInt({ min: -I64_LIMIT, max: I64_LIMIT - 1n })),
  part('bigint 5 to 10', z.bigint().min(5n).max(10n), fc.bigInt({ min: 5n, max: 10n })),
  part(
    'described u64',
    u64()
      .describe('a number')
      .refine((value) => typeof value === 'bigint'),
    exact64(0n, U64_MAX),
  ),
  part('string', z.string(), fc.oneof(text, asciiText, fc.string({ minLength: 100, maxLength: 300 })), true),
  part('string of 2 to 5', z.string().min(2).max(5), fc.stringMatching(/^[a-zé€]{2,5}$/), true),
  part(
    'trimmed string',
    z.string().trim().max(40),
    asciiText.map((value) => `  ${value} `),
  ),
  part('uuid', z.uuid(), fc.uuid(), true),
  part('regex', z.string().regex(/^a+$/), fc.stringMatching(/^a+$/), true),
  part(
    'template',
    z.templateLiteral(['id-', z.number()]),
    fc.nat().map((value) => `id-${value}`),
    true,
  ),
  part('enum', z.enum(['red', 'green', 'blue']), fc.constantFrom('red', 'green', 'blue'), true),
  part('literal', z.literal(['a', 1, true, null]), fc.constantFrom('a', 1, true, null), true),
  part('literal bigint', z.literal(7n), fc.constant(7n)),
  part('null', z.null(), fc.constant(null), true),
  part('date', z.date(), fc.date({ noInvalidDate: true })),
  part('recent date', z.date().min(new Date(0)), fc.date({ noInvalidDate: true, min: new Date(0) })),
  part('bytes(16)', bytes(16), fc.uint8Array({ minLength: 16, maxLength: 16 })),
  part(
    'bytes(100)',
    bytes(100),
    fc.uint8Array({ minLength: 100, maxLength: 100 }).map((array) => Buffer.from(array)),
  ),
  part('bytes', bytes(), anyBytes),
  part('bytes up to 300', bytes({ max: 300 }).meta({ title: 'payload' }), anyBytes),
  part('Uint8Array', z.instanceof(Uint8Array).describe('binary'), anyBytes),
  part('any', z.any(), jsonValues),
  part('unknown', z.unknown(), jsonValues),
  part('json', z.json(), jsonValues, true),
)
