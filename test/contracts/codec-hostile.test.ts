/** What the decoder does with bytes that nobody vouches for: a value of the contract, or a coded error; no more work than the bytes are worth. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { createEncoder } from '../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import { createReader } from '../../dist/contracts/codec/read.js'
import { bytes, u8 } from '../../dist/contracts/types.js'
import { anyCases } from '../support/arbitrary-contracts.js'
import { codecOf, refusalOf } from '../support/codec-round.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)

/** Bytes around the event that a decoder must not touch; UTF-8 has no such byte. */
const OUTSIDE = 0xff

/** A change to valid bytes: a word set to any, or to a telling, value. */
const changes = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    width: fc.constantFrom(1, 4),
    value: fc.oneof(
      fc.nat(255),
      fc.constantFrom(0, 1, 2, 3, 7, 8, 16, 0x7fff_ffff, 0xffff_ffff, 0xffff_fff8),
      fc.nat(512),
    ),
  }),
  { minLength: 1, maxLength: 4 },
)

describe('bytes from a lane', () => {
  it(`changed at random give a value or a coded error (seed ${SEED})`, { timeout: 60_000 }, () => {
    const memory = codecMemory(new ArrayBuffer(64 * 1024))
    let [decoded, refused] = [0, 0]
    fc.assert(
      fc.property(anyCases, changes, ({ schema, event }, edits) => {
        const plan = compileLayout(schema, ['onTest'])
        const length = createEncoder(plan).encode(memory, 0, 60 * 1024, event)
        for (const { at, width, value } of edits) {
          const position = Math.floor(at * length)
          if (width === 1) memory.u8[position] = value & 0xff
          else memory.view.setUint32(Math.max(0, Math.min(position & ~3, length - 4)), value, true)
        }
        if (isRefused(plan, memory.u8.slice(0, length))) refused++
        else decoded++
      }),
      { seed: SEED, numRuns: 800 },
    )
    expect(decoded).toBeGreaterThan(50)
    expect(refused).toBeGreaterThan(50)
  })

  it(`made up at random give a value or a coded error (seed ${SEED})`, { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(anyCases, fc.uint8Array({ maxLength: 300 }), ({ schema }, content) => {
        isRefused(compileLayout(schema, ['onTest']), content)
      }),
      { seed: SEED, numRuns: 800 },
    )
  })

  function isRefused(plan: ReturnType<typeof compileLayout>, content: Uint8Array): boolean {
    const around = new Uint8Array(content.length + 64).fill(OUTSIDE)
    around.set(content, 32)
    let value: unknown
    try {
      const parsed = createReader(plan).parse(codecMemory(around.buffer), 32, content.length)
      if (!parsed.ok) return true
      value = parsed.value
    } catch (error) {
      if ((error as { code?: string }).code === 'EVENT_INVALID') return true
      throw error
    }
    expect(weightOf(value)).toBeLessThanOrEqual(weightLimit(plan, content.length))
    // What decodes can be encoded, for it is an event of this contract.
    expect(createEncoder(plan).encode(codecMemory(new ArrayBuffer(1 << 20)), 0, 1 << 20, value)).toBeGreaterThan(0)
    return false
  }

  it('never lead outside of the event', () => {
    const { encode, memory, reader } = codecOf(z.object({ data: bytes(), text: z.string(), list: z.array(u8()) }))
    const length = encode({ data: new Uint8Array(8), text: 'text', list: [1, 2, 3] })
    const around = codecMemory(new Uint8Array(4096).fill(OUTSIDE).buffer)
    for (const field of [0, 8, 16]) {
      for (const [offset, count] of [
        [0, length + 1],
        [length, 1],
        [1 << 20, 4],
        [0xffff_fff0, 0x20],
        [length - 1, 0xffff_ffff],
        [24, 0xffff_ffff],
      ] as const) {
        around.u8.set(memory.u8.subarray(0, length), 1024)
        around.view.setUint32(1024 + field, offset, true)
        around.view.setUint32(1024 + field + 4, count, true)
        expect(refusalOf(() => reader.decode(around, 1024, length))).toMatchObject({
          code: 'EVENT_INVALID',
          path: [['data', 'text', 'list'][field / 8]],
        })
      }
    }
  })

  it.each([[-1], [0], [31], [1 << 20], [Number.NaN], [40.5]])('must be as many as they say: %s', (length) => {
    const { reader } = codecOf(z.object({ a: z.number(), b: z.number(), c: z.number(), d: z.number() }))
    expect(refusalOf(() => reader.decode(codecMemory(new ArrayBuffer(64)), 0, length)).code).toBe('EVENT_INVALID')
    expect(refusalOf(() => reader.decode(codecMemory(new ArrayBuffer(64)), 40, 32)).code).toBe('EVENT_INVALID')
    expect(refusalOf(() => reader.decode(codecMemory(new ArrayBuffer(64)), -8, 32)).code).toBe('EVENT_INVALID')
  })

  it('cannot make the same bytes count many times', () => {
    const { encode, memory, decode } = codecOf(z.array(z.array(z.array(z.string()))))
    const length = encode([[['x'.repeat(60_000)]]])
    const bomb = codecMemory(new ArrayBuffer(128 * 1024))
    bomb.u8.set(memory.u8.subarray(0, length))
    // Every level is an array of as many references as fit, all to the next level.
    let at = 8
    for (let level = 0; level < 3; level++) {
      for (let i = 0; i < 1000; i++) {
        bomb.view.setUint32(at + i * 8, at + 8000, true)
        bomb.view.setUint32(at + i * 8 + 4, 1000, true)
      }
      bomb.view.setUint32(level === 0 ? 0 : at - 8000, level === 0 ? 8 : at, true)
      at += 8000
    }
    bomb.view.setUint32(4, 1000, true)
    const startedMs = performance.now()
    expect(refusalOf(() => decode(bomb.u8.slice(0, 100_000))).message).toMatch(/overlaps|outside/)
    expect(performance.now() - startedMs).toBeLessThan(500)
  })

  it.each<[string, z.ZodType, unknown, (view: DataView) => void, RegExp]>([
    ['a boolean of 2', z.object({ a: z.boolean() }), { a: true }, (view) => view.setUint8(0, 2), /a must be a boolean/],
    [
      'an enum index beyond its values',
      z.object({ a: z.enum(['x']) }),
      { a: 'x' },
      (view) => view.setUint16(0, 1, true),
      /a has no value of index 1/,
    ],
    [
      'a variant that is none',
      z.union([z.string(), z.number()]),
      'a',
      (view) => view.setUint32(0, 2, true),
      /no variant of index 2/,
    ],
    [
      'presence that is none',
      z.object({ a: u8().optional() }),
      { a: 1 },
      (view) => view.setUint8(0, 9),
      /a must be a value, got neither/,
    ],
    [
      'null where none is allowed',
      z.object({ a: u8().optional() }),
      { a: 1 },
      (view) => view.setUint8(0, 2),
      /a must be a value/,
    ],
    [
      'absence where none is allowed',
      z.object({ a: u8().nullable() }),
      { a: 1 },
      (view) => view.setUint8(0, 0),
      /a is required/,
    ],
    [
      'NaN',
      z.object({ a: z.number() }),
      { a: 1 },
      (view) => view.setFloat64(0, Number.NaN, true),
      /a must be a finite number, got NaN/,
    ],
    ['a fraction', z.object({ a: z.int() }), { a: 1 }, (view) => view.setFloat64(0, 1.5, true), /a must be an integer/],
    [
      'a number out of bounds',
      z.object({ a: z.int().max(5) }),
      { a: 1 },
      (view) => view.setFloat64(0, 6, true),
      /a must be an integer from .* to 5, got 6/,
    ],
    [
      'an invalid date',
      z.object({ a: z.date() }),
      { a: new Date(0) },
      (view) => view.setFloat64(0, 9e15, true),
      /a must be a valid Date/,
    ],
    ['ill-formed UTF-8', z.object({ a: z.string() }), { a: 'aé' }, (view) => view.setUint8(9, 0xff), /a is not UTF-8/],
    ['overlong UTF-8', z.object({ a: z.string() }), { a: 'ab' }, (view) => view.setUint16(8, 0xc080), /a is not UTF-8/],
    [
      'an encoded surrogate',
      z.object({ a: z.string() }),
      { a: 'abcd' },
      (view) => view.setUint32(8, 0xeda0_8061),
      /a is not UTF-8/,
    ],
    [
      'a text that is too long',
      z.object({ a: z.string().max(2) }),
      { a: 'ab' },
      (view) => view.setUint32(4, 3, true),
      /a must be at most 2 characters long|points outside/,
    ],
    [
      'JSON with a number that is too large',
      z.object({ a: z.json() }),
      { a: 1e308 },
      (view) => view.setUint8(8, 0x39),
      /a must be JSON, got Infinity/,
    ],
    [
      'JSON with such a number somewhere inside',
      z.object({ a: z.json() }),
      { a: [{ b: -1e308 }] },
      (view) => view.setUint8(15, 0x39),
      /a\[0\]\.b must be JSON, got -Infinity/,
    ],
    ['text that is no JSON', z.object({ a: z.json() }), { a: [1] }, (view) => view.setUint8(8, 0x7b), /a is not JSON/],
  ])('with %s are refused', (_, schema, event, spoil, problem) => {
    const { encode, memory, decode } = codecOf(schema)
    const length = encode(event)
    spoil(memory.view)
    const refusal = refusalOf(() => decode(memory.u8.slice(0, length)))
    expect(refusal.code).toBe('EVENT_INVALID')
    expect(refusal.message).toMatch(problem)
  })

  it('with JSON nested too deeply are refused', () => {
    const { encode, memory, decode } = codecOf(z.any())
    const length = encode('x'.repeat(200_000))
    memory.u8.fill(0x5b, 12, length)
    expect(refusalOf(() => decode(memory.u8.slice(0, length))).message).toMatch(/nested deeper than 128/)
  })

  it('with a key twice are refused', () => {
    const { encode, memory, decode } = codecOf(z.record(z.string(), u8()))
    const length = encode({ aa: 1, ab: 2 })
    memory.u8[memory.u8.indexOf(0x62)] = 0x61
    expect(refusalOf(() => decode(memory.u8.slice(0, length)))).toMatchObject({ code: 'EVENT_INVALID', path: ['aa'] })
  })
})

/** Bytes, characters and elements of a value. */
function weightOf(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (value instanceof Uint8Array) return value.length
  if (typeof value !== 'object' || value === null || value instanceof Date) return 1
  return Object.entries(value).reduce(
    (sum, [, field]) => sum + weightOf(field),
    Array.isArray(value) ? value.length : 1,
  )
}

/** Every byte of the tail is worth one element, and an element what its plan holds besides: enum values, empty fields. */
function weightLimit(plan: object, length: number): number {
  return (length + 1) * (JSON.stringify(plan, (_, value) => (typeof value === 'bigint' ? 0 : value)).length / 8 + 64)
}
