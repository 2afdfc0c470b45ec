/** Bodies: what the codecs keep, what they refuse, and that nobody reserves memory that a body only promises. */
import { runInNewContext } from 'node:vm'
import { Encoder } from '@msgpack/msgpack'
import fc from 'fast-check'
import { decodeBody, encodeBody } from 'hookring/connection-plugin'
import { describe, expect, test } from 'vitest'
import { readBody } from '../../dist/adapters/connection/body.js'
import { msgpackProblem } from '../../dist/adapters/connection/body-shape.js'

const invalid = expect.objectContaining({ code: 'BODY_INVALID' })
const nested = (depth: number) => {
  let value: unknown = 1
  for (let i = 0; i < depth; i += 1) value = [value]
  return value
}

test.each([
  [undefined, null],
  [1n, 1n],
  [2n ** 64n - 1n, 2n ** 64n - 1n],
  [-(2n ** 63n), -(2n ** 63n)],
  [2 ** 40, 2 ** 40],
  [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  [Uint8Array.of(1, 2), Uint8Array.of(1, 2)],
  [new Date(5), new Date(5)],
  [{ a: undefined, b: [undefined] }, { b: [null] }],
  [Object.create(null, { a: { value: 1, enumerable: true } }), { a: 1 }],
  [runInNewContext('({ a: [1], c: new Uint8Array([1]) })'), { a: [1], c: Uint8Array.of(1) }],
  [Buffer.from([1, 2]), Uint8Array.of(1, 2)],
])('MessagePack keeps %o', (value, expected) => {
  expect(readBody('msgpack', encodeBody('msgpack', value))).toEqual(expected)
})

test.each([
  [undefined, null],
  [{ a: [1, 'x', null, true] }, { a: [1, 'x', null, true] }],
  [new Date(0), '1970-01-01T00:00:00.000Z'],
  [new URL('http://a/'), 'http://a/'],
  [{ toJSON: () => ({ a: 1 }) }, { a: 1 }],
])('JSON writes %o', (value, expected) => {
  expect(readBody('json', encodeBody('json', value))).toEqual(expected)
})

test.each(['msgpack', 'json'] as const)('%s keeps 128 levels', (codec) => {
  expect(readBody(codec, encodeBody(codec, nested(127)))).toEqual(nested(127))
})

class Point {
  x = 1
}

const LOST: readonly (readonly [what: string, value: unknown])[] = [
  ['an Error', new Error('gone')],
  ['an Error in a list', [new TypeError('gone')]],
  ['a RegExp', /a/],
  ['a Promise', Promise.resolve(1)],
  ['a URL', new URL('http://a/')],
  ['a Date that is no time', { at: new Date(Number.NaN) }],
  ['a text in an object', Object('x')],
  ['a number in an object', Object(1)],
  ['a boolean in an object', Object(true)],
  ['a bigint in an object', Object(1n)],
  ['-0', { a: [-0] }],
  ['a WeakMap', new WeakMap()],
  ['a generator', (function* () {})()],
  ['an instance of a class', new Point()],
  ['a key that is a symbol', { [Symbol('x')]: 1 }],
  ['an Intl.NumberFormat', new Intl.NumberFormat()],
  ['an AbortSignal', AbortSignal.abort()],
]

const circular: unknown[] = []
circular.push(circular)

test.each([
  ['msgpack', '2^64', 2n ** 64n],
  ['msgpack', '-2^63 - 1', -(2n ** 63n) - 1n],
  ['msgpack', 'a function', () => {}],
  ['msgpack', 'a symbol', [Symbol('x')]],
  ['msgpack', 'a Map', new Map()],
  ['msgpack', 'a Set', { a: new Set() }],
  ['msgpack', 'a circle', circular],
  ['msgpack', '200 levels', nested(200)],
  ['msgpack', 'half a surrogate pair', ['\ud800']],
  ['msgpack', 'a key of half a surrogate pair', { '\ud800': 1 }],
  ['msgpack', 'a key __proto__', JSON.parse('{"__proto__":1}')],
  ...LOST.map(([what, value]) => ['msgpack', what, value] as const),
  ...LOST.filter(([what]) => what !== 'a URL').map(([what, value]) => ['json', what, [value]] as const),
  ['msgpack', 'a Date of another realm', runInNewContext('new Date(5)')],
  ['msgpack', 'a Float64Array', new Float64Array([1.5])],
  ['msgpack', 'a DataView', new DataView(new ArrayBuffer(1))],
  ['msgpack', 'an ArrayBuffer', { a: new ArrayBuffer(1) }],
  ['msgpack', 'a SharedArrayBuffer', new SharedArrayBuffer(1)],
  ['json', 'what toJSON gives', { toJSON: () => Number.NaN }],
  ['json', 'a Float64Array', new Float64Array([1.5])],
  ['json', 'a bigint', 1n],
  ['json', 'NaN', Number.NaN],
  ['json', 'bytes', { a: Uint8Array.of(1) }],
  ['json', 'a Map', new Map()],
  ['json', 'a circle', circular],
] as const)('%s refuses what it would change: %s', (codec, _, value) => {
  expect(() => encodeBody(codec, value)).toThrow(invalid)
})

test.each([
  ['nothing', []],
  ['a byte that begins nothing', [0xc1]],
  ['a text that is cut off', [0xa3, 0x61]],
  ['a size that is cut off', [0xdb, 0]],
  ['a number that is cut off', [0xcf, 1, 2]],
  ['a list that promises four billion', [0xdd, 0xff, 0xff, 0xff, 0xff]],
  ['a map that promises four billion', [0xdf, 0xff, 0xff, 0xff, 0xff]],
  ['bytes behind the end', [0x01, 0x02]],
  ['a key that is a list', [0x81, 0x90, 0x01]],
  ['a map that is cut off', [0x81, 0xa1, 0x61]],
  ['lists nested 200 deep', [...Array.from({ length: 200 }, () => 0x91), 0xc0]],
  ['a key __proto__', [...encodeProto()]],
])('MessagePack of %s is refused', (_, bytes) => {
  expect(() => readBody('msgpack', Uint8Array.from(bytes))).toThrow(invalid)
})

function encodeProto(): number[] {
  return [0x81, 0xa9, ...Buffer.from('__proto__'), 0x80]
}

test.each(['', '{', '[1,]', 'nul', '"\\x"', `${'['.repeat(200)}${']'.repeat(200)}`, '\ud800'])(
  'JSON of %j is refused',
  (text) => {
    const bytes = text === '\ud800' ? Uint8Array.of(0x22, 0xff, 0x22) : new TextEncoder().encode(text)
    expect(() => readBody('json', bytes)).toThrow(invalid)
  },
)

test('lists that promise millions are refused before memory is reserved for them', () => {
  const bytes = Buffer.alloc(1001, 0xc0)
  for (let at = 0; at < 1000; at += 5) {
    bytes[at] = 0xdd
    bytes.writeUInt32BE(1_000_000, at + 1)
  }
  const before = process.memoryUsage().rss
  expect(() => readBody('msgpack', bytes)).toThrow(invalid)
  expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000)
})

/** The same values each time; SEED has others. */
const SEED = Number(process.env.SEED ?? 1)

const anyValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, true, false),
    fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0)),
    fc.integer(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.string({ unit: 'grapheme', maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 20 },
    ),
  ),
})).value

describe('the look at the shape of MessagePack', () => {
  test('finds nothing wrong with what the package writes, and everything wrong with its pieces', () => {
    const encoder = new Encoder({ useBigInt64: true })
    fc.assert(
      fc.property(anyValue, fc.nat(), (value, cut) => {
        const bytes = encoder.encode(value)
        expect(msgpackProblem(bytes)).toBe(null)
        expect(msgpackProblem(bytes.subarray(0, cut % bytes.byteLength))).not.toBe(null)
        expect(msgpackProblem(Buffer.concat([bytes, Buffer.of(0)]))).not.toBe(null)
      }),
      { numRuns: 300, seed: SEED },
    )
  })

  test('lets no garbage through that the package would read past its end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (bytes) => {
        if (msgpackProblem(bytes) !== null) return
        try {
          decodeBody('msgpack', bytes)
        } catch (error) {
          // Well-formed, and still no value: keys of other types.
          expect(error).toMatchObject({ code: 'BODY_INVALID' })
        }
      }),
      { numRuns: 2_000, seed: SEED },
    )
  })

  test('what it lets through is read again as it was written', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeBody('msgpack', value)
        expect(encodeBody('msgpack', readBody('msgpack', bytes))).toEqual(bytes)
      }),
      { numRuns: 300, seed: SEED },
    )
  })
})
