/** What the codec refuses: schemas that cannot cross, and events that do not fit; each with its path. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { bytes, i64, u8, u16, u64 } from '../../dist/contracts/types.js'
import { codecOf, laneCodecOf, refusalOf } from '../support/codec-round.js'

const compiled = (schema: z.ZodType) => refusalOf(() => compileLayout(schema, ['onTest']))

describe('a contract', () => {
  it.each<[string, z.ZodType, RegExp]>([
    ['a function', z.function() as never, /host service/],
    ['a symbol', z.symbol(), /string or an enum/],
    ['a promise', z.promise(z.string()), /await it/],
    ['a map', z.map(z.string(), z.string()), /z\.record/],
    ['a set', z.set(z.string()), /use an array/],
    ['a file', z.file(), /bytes\(\)/],
    ['nothing', z.void(), /\.optional\(\)/],
    ['undefined', z.undefined(), /\.optional\(\)/],
    ['never', z.never(), /leave the field out/],
    ['NaN', z.nan(), /null/],
    ['a transform', z.string().transform(Number), /before the call/],
    ['a preprocess', z.preprocess(String, z.string()), /before the call/],
    ['a pipe', z.string().pipe(z.email()), /before the call/],
    ['a codec', z.stringbool(), /before the call/],
    ['a catch', z.string().catch(''), /\.default\(\)/],
    ['a coercion', z.coerce.number(), /before the call/],
    ['a custom type', z.custom<string>(), /\.refine\(\)/],
    ['an instance', z.instanceof(URL), /an instance of URL .*z\.object\(\)/],
    ['an instance of Date', z.instanceof(Date), /z\.date\(\)/],
    ['an unbounded bigint', z.bigint(), /u64\(\) or i64\(\)/],
    [
      'a bigint of 65 bits',
      z
        .bigint()
        .min(-1n)
        .max(2n ** 64n - 1n),
      /u64\(\) or i64\(\)/,
    ],
  ])('with %s in it is refused, with the path to it', (_, schema, advice) => {
    const nested = z.object({ items: z.array(z.object({ odd: schema })) })
    const { code, message, path } = compiled(nested)
    expect({ code, path }).toEqual({ code: 'CONTRACT_UNENCODABLE', path: ['onTest', 'items', 'element', 'odd'] })
    expect(message).toMatch(/^onTest\.items\.element\.odd: /)
    expect(message).toMatch(advice)
  })

  it.each<[string, z.ZodType, (string | number)[]]>([
    ['a tuple of dates', z.tuple([z.string(), z.date()]), [1]],
    ['an intersection with bytes', z.intersection(z.object({ a: z.string() }), z.object({ b: bytes() })), ['b']],
    ['a recursive type with exact integers', recursive(), ['next', 'seq']],
    ['an open object with bytes', z.looseObject({ key: bytes(32) }), ['key']],
    [
      'a union told apart by checks alone',
      z.union([z.object({ at: z.date(), to: z.email() }), z.object({ to: z.string() })]),
      [0, 'at'],
    ],
  ])('with %s is refused, because JSON cannot hold it', (_, schema, path) => {
    const refusal = compiled(z.object({ field: schema }))
    expect(refusal.code).toBe('CONTRACT_UNENCODABLE')
    expect(refusal.path).toEqual(['onTest', 'field', ...path])
    expect(refusal.message).toMatch(/crosses as JSON/)
  })

  it.each(['copy', 'toJSON', '__proto__'])('must not name a field %s', (key) => {
    const { code, path } = compiled(z.object({ client: z.object({ [key]: z.string() }) }))
    expect({ code, path }).toEqual({ code: 'CONTRACT_INVALID', path: ['onTest', 'client', key] })
  })

  it('may name fields as Object.prototype does', () => {
    const schema = z.object({
      constructor: z.string(),
      hasOwnProperty: u8(),
      valueOf: z.boolean(),
      toString: z.string(),
    })
    const event = { constructor: 'c', hasOwnProperty: 1, valueOf: true, toString: 't' }
    const opened = codecOf(schema).open<typeof event & { copy(): unknown }>(event)
    expect(opened.constructor).toBe('c')
    expect(opened.copy()).toEqual(event)
  })

  it('must be a schema', () => {
    expect(compiled('string' as never).code).toBe('CONTRACT_INVALID')
    expect(compiled(undefined as never).code).toBe('CONTRACT_INVALID')
  })

  it('nested beyond reason is refused', () => {
    let schema: z.ZodType = z.string()
    for (let depth = 0; depth < 200; depth++) schema = z.object({ in: schema })
    expect(compiled(schema).code).toBe('CONTRACT_UNENCODABLE')
  })

  it.each([0, -1, 1.5, 2 ** 31])('cannot ask for %s bytes', (length) => {
    expect(refusalOf(() => bytes(length)).code).toBe('CONTRACT_INVALID')
    expect(refusalOf(() => bytes({ max: length })).code).toBe('CONTRACT_INVALID')
  })
})

function recursive(): z.ZodType {
  const list: z.ZodType = z.lazy(() => z.object({ next: z.object({ seq: u64(), list }) }))
  return list
}

describe('an event', () => {
  it.each<[string, z.ZodType, unknown]>([
    ['must be 32 bytes, got 31', bytes(32), new Uint8Array(31)],
    ['must be a Uint8Array of 32 bytes, got a string', bytes(32), 'abc'],
    ['must be a Uint8Array, got an array', bytes(), [1, 2]],
    ['must be a Uint8Array, got an object', bytes(), new Uint16Array(2)],
    ['must be a Uint8Array, got an object', bytes(), new Proxy(new Uint8Array(2), {})],
    ['must be at most 4 bytes, got 5', bytes({ max: 4 }), new Uint8Array(5)],
    ['must be a boolean, got 1', z.boolean(), 1],
    ['must be an integer from 0 to 255, got 256', u8(), 256],
    ['must be an integer from 0 to 255, got -1', u8(), -1],
    ['must be an integer from 0 to 65535, got 1.5', u16(), 1.5],
    ['must be an integer from -2147483648 to 2147483647, got 2147483648', z.int32(), 2 ** 31],
    ['must be an integer from -9007199254740991 to 9007199254740991, got 9007199254740992', z.int(), 2 ** 53],
    ['must be a finite number, got NaN', z.number(), Number.NaN],
    ['must be a finite number, got Infinity', z.number(), Number.POSITIVE_INFINITY],
    ['must be a number from 5e-324 to 1.7976931348623157e+308, got 0', z.number().positive(), 0],
    ['must be a bigint or an exact integer from 0 to 18446744073709551615, got -1', u64(), -1],
    ['must be a bigint or an exact integer from 0 to 18446744073709551615, got 18446744073709551616', u64(), 2n ** 64n],
    ['must be a bigint or an exact integer from 0 to 18446744073709551615, got 9007199254740992', u64(), 2 ** 53],
    [
      'must be a bigint or an exact integer from -9223372036854775808 to 9223372036854775807, got 9223372036854775808',
      i64(),
      2n ** 63n,
    ],
    ['must be a valid Date, got NaN', z.date(), new Date(Number.NaN)],
    ['must be a valid Date, got a string', z.date(), '2026-01-01'],
    [
      'must be a Date from 1970-01-01T00:00:00.005Z to +275760-09-13T00:00:00.000Z, got a Date',
      z.date().min(new Date(5)),
      new Date(0),
    ],
    ['must be a string, got null', z.string(), null],
    ['must be at least 2 characters long, got 1', z.string().min(2), 'a'],
    ['must be 2 characters long, got 3', z.string().length(2), 'abc'],
    ['must be one of "a", "b", got "c"', z.enum(['a', 'b']), 'c'],
    ['must be "a", got "b"', z.literal('a'), 'b'],
    ['must be an array, got an object', z.array(z.string()), { length: 1 }],
    ['must have at most 1 elements, got 2', z.array(z.string()).max(1), ['a', 'b']],
    ['must be an object, got an array', z.object({}), []],
    ['must be an object, got a function', z.object({}), () => 0],
    ['must be a plain object, got an object', z.record(z.string(), z.string()), new Map()],
    ['has an unknown field "b"', z.strictObject({ a: z.string() }), { a: '', b: 1 }],
    ['fits none of the 2 variants of its union', z.union([z.string(), z.number()]), true],
    ['must be JSON, got a Map: give the field a type', z.any(), new Map()],
    ['must be JSON, got a bigint: give the field a type, such as u64()', z.any(), 5n],
    ['must be JSON, got a function', z.any(), () => 0],
    ['is not valid: Invalid email address', z.email(), 'nobody'],
    ['is not valid: Invalid string: must match pattern /^a/', z.string().regex(/^a/), 'b'],
    ['is not valid: Invalid number: must be a multiple of 5', z.int().multipleOf(5), 4],
    ['is not valid: must be even', u64().refine((value) => value % 2n === 0n, 'must be even'), 3],
    ['is not valid: Too small: expected array to have >=2 items', z.tuple([z.string(), z.number()]), ['a']],
  ])('is refused by name: field %s', (problem, schema, value) => {
    const { encode } = codecOf(z.object({ first: z.string(), field: schema }), 'onSale')
    expect(refusalOf(() => encode({ first: '', field: value }))).toEqual({
      code: 'EVENT_INVALID',
      path: ['field'],
      message: `onSale: field ${problem}`,
    })
  })

  it('is refused with the whole path to what is wrong with it', () => {
    const { encode } = codecOf(z.object({ items: z.array(z.object({ tags: z.record(z.string(), u8()) })) }))
    const event = { items: [{ tags: {} }, { tags: { 'a b': 1, c: -1 } }] }
    expect(refusalOf(() => encode(event))).toEqual({
      code: 'EVENT_INVALID',
      path: ['items', 1, 'tags', 'c'],
      message: 'onTest: items[1].tags.c must be an integer from 0 to 255, got -1',
    })
  })

  it('is refused where a check inside a checked object fails', () => {
    const range = z
      .object({ from: z.int(), to: z.int() })
      .refine((value) => value.from <= value.to, { path: ['to'], message: 'must not precede from' })
    const { encode } = codecOf(z.object({ range }))
    expect(encode({ range: { from: 1, to: 2 } })).toBeGreaterThan(0)
    expect(refusalOf(() => encode({ range: { from: 2, to: 1 } }))).toEqual({
      code: 'EVENT_INVALID',
      path: ['range', 'to'],
      message: 'onTest: range.to is not valid: must not precede from',
    })
  })

  it.each([undefined, null, 'text', 5, []])('that is %s and not an object is refused', (value) => {
    const { encode } = codecOf(z.object({ a: z.string() }))
    expect(refusalOf(() => encode(value))).toMatchObject({ code: 'EVENT_INVALID', path: [] })
  })

  it('without a field is told which, and how events are copied', () => {
    const schema = z.object({ sender: z.string().nullable(), topic: z.string(), qos: u8() })
    const { open, encode } = codecOf(schema)
    const event = open({ sender: 'a', topic: 'b', qos: 0 })
    const { message, path } = refusalOf(() => encode({ ...event, topic: 'c' }))
    expect(path).toEqual(['sender'])
    expect(message).toBe(
      'onTest: sender is required (the fields of an event are not copied by { ...event }: use { ...event.copy() })',
    )
    expect(refusalOf(() => encode({ sender: null, topic: 'c' })).message).toBe('onTest: qos is required')
  })

  it('is checked in a lane by the layout, and on the host by the schema too', () => {
    const schema = z.object({ to: z.email(), size: u8() })
    const bytesFromLane = laneCodecOf(schema)
    expect(refusalOf(() => bytesFromLane.encode({ to: 'nobody', size: 256 })).path).toEqual(['size'])
    const length = bytesFromLane.encode({ to: 'nobody', size: 255 })
    const { decode, parse } = codecOf(schema)
    const copy = bytesFromLane.memory.u8.slice(0, length)
    expect(decode(copy)).toEqual({ to: 'nobody', size: 255 })
    expect(parse(copy)).toEqual({ ok: false, path: ['to'], problem: 'is not valid: Invalid email address' })
    expect(refusalOf(() => parse(copy.fill(0xff))).code).toBe('EVENT_INVALID')
  })

  it('whose check is asynchronous is refused', () => {
    const { encode } = codecOf(z.object({ name: z.string().refine(async () => true) }))
    expect(refusalOf(() => encode({ name: 'a' }))).toMatchObject({ code: 'EVENT_INVALID', path: ['name'] })
  })

  it('gets its defaults at each call', () => {
    let computed = 0
    const schema = z.object({
      id: z.string().default(() => `id-${++computed}`),
      size: u8().default(7),
      at: z.date().default(() => new Date(computed)),
      seq: u64().prefault(() => 2_000_000_000 + computed),
    })
    const { roundTrip } = codecOf(schema)
    computed = 0
    expect(roundTrip({})).toEqual({ id: 'id-1', size: 7, at: new Date(1), seq: 2_000_000_001n })
    // A lane fills in what is constant; what is computed is the host's to compute.
    const lane = laneCodecOf(schema)
    const length = lane.encode({})
    expect(lane.reader.open(lane.memory, 0, length)).toMatchObject({
      size: 7,
      id: undefined,
      at: undefined,
      seq: undefined,
    })
    const { parse } = codecOf(schema)
    computed = 41
    const value = { id: 'id-42', size: 7, at: new Date(42), seq: 2_000_000_042n }
    expect(parse(lane.memory.u8.slice(0, length))).toEqual({ ok: true, value })
  })
})
