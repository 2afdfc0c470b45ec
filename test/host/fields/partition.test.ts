import fc from 'fast-check'
import { bytes, defineContract, gate, u8, u64 } from 'hookring/contracts'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { compileFieldReader, findField } from '../../../dist/host/fields/event-field.js'
import { hashKey } from '../../../dist/host/fields/hash.js'
import { compilePartition, seatOf } from '../../../dist/host/fields/partition.js'

/** The shape of an event as a hookpoint of a real contract has it. */
function shapeOf(hookpoint: string, event: z.ZodType) {
  const { plan } = defineContract('shapes', 1, { [hookpoint]: gate(event) }).hookpoints[hookpoint]!
  return { hookpoint, plan }
}

const message = shapeOf(
  'onMessageEnqueue',
  z.object({
    recipientKey: bytes(32),
    seq: u64(),
    client: z.object({ username: z.string() }).optional(),
    level: z.literal(['low', 1, true, null]),
    tags: z.record(z.string(), z.string()),
    events: z.array(z.object({ seq: u64() })),
    extra: z.json(),
    outcome: z.discriminatedUnion('type', [
      z.object({ type: z.literal('refused'), reason: z.string() }),
      z.object({ type: z.literal('failed'), code: u8() }),
    ]),
  }),
)

describe('a field path', () => {
  it('is found through optional objects, records, arrays, unions and JSON', () => {
    const facts = (path: string) => {
      const found = findField(message.plan, path)
      return found === null ? null : { types: [...found.types], isOptional: found.isOptional }
    }
    expect(facts('seq')).toEqual({ types: ['integer64'], isOptional: false })
    expect(facts('recipientKey')).toEqual({ types: ['bytes'], isOptional: false })
    expect(facts('client.username')).toEqual({ types: ['string'], isOptional: true })
    expect(facts('tags.region')).toEqual({ types: ['string'], isOptional: true })
    expect(facts('events.0.seq')).toEqual({ types: ['integer64'], isOptional: true })
    expect(facts('outcome.code')).toEqual({ types: ['number'], isOptional: true })
    expect(facts('level')).toEqual({ types: ['string', 'number', 'boolean', 'null'], isOptional: false })
    expect(facts('extra.anything.below')).toEqual({ types: ['any'], isOptional: true })
    expect(facts('client')).toEqual({ types: ['compound'], isOptional: true })
    for (const path of ['', 'nope', 'client.nope', 'seq.high', 'events.first.seq', 'client..username', 'constructor']) {
      expect(facts(path)).toBeNull()
    }
  })

  it('reads what is there, and undefined where something is missing on the way', () => {
    const event = { seq: 7n, client: { username: 'ada' }, events: [{ seq: 1n }], none: null }
    expect(compileFieldReader('seq')(event)).toBe(7n)
    expect(compileFieldReader('client.username')(event)).toBe('ada')
    expect(compileFieldReader('events.0.seq')(event)).toBe(1n)
    expect(compileFieldReader('events.1.seq')(event)).toBeUndefined()
    expect(compileFieldReader('none.below.that')(event)).toBeUndefined()
    expect(compileFieldReader('seq')(undefined)).toBeUndefined()
  })
})

describe('partitionBy', () => {
  const shapes = [message]

  it('is refused, with names, for a field that an event does not have and for one that is no key', () => {
    expect(() =>
      compilePartition('recipient', [...shapes, shapeOf('onAuth', z.object({ username: z.string() }))]),
    ).toThrow(
      expect.objectContaining({
        code: 'OPTIONS_INVALID',
        path: ['partitionBy'],
        message: 'partitionBy: the event of onMessageEnqueue, onAuth has no field "recipient"',
      }),
    )
    expect(() => compilePartition('client', shapes)).toThrow(/client of onMessageEnqueue is an object or array/)
  })

  it('gives equal keys equal hashes', () => {
    const hash = compilePartition('client.username', shapes)
    expect(hash({ client: { username: 'ada' } })).toBe(hash({ client: { username: 'ada' } }))
    expect(hash({ client: { username: 'ada' } })).not.toBe(hash({ client: { username: 'bob' } }))
    expect(hash({})).toBe(hashKey(null))
    const trap = Object.defineProperty({}, 'client', {
      get() {
        throw new Error('trap')
      },
    })
    expect(hash(trap)).toBe(hashKey(null))
    const region = shapeOf('onOrder', z.object({ region: z.string().default('eu') }))
    expect(compilePartition('region', [region])({})).toBe(hashKey('eu'))
  })
})

describe('hashKey', () => {
  it('is an unsigned 32-bit number that only depends on the value', () => {
    const keys = fc.oneof(
      fc.string(),
      fc.double(),
      fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
      fc.boolean(),
      fc.uint8Array(),
      fc.constant(null),
    )
    fc.assert(
      fc.property(keys, (value) => {
        const hash = hashKey(value)
        expect(hash).toBe(hash >>> 0)
        expect(hashKey(value instanceof Uint8Array ? value.slice() : value)).toBe(hash)
      }),
    )
  })

  it('stays the same over versions: a lane is chosen alike by every process', () => {
    expect([
      hashKey(''),
      hashKey('ada'),
      hashKey(1),
      hashKey(2n ** 64n - 1n),
      hashKey(true),
      hashKey(null),
    ]).toMatchInlineSnapshot(`
      [
        2872998923,
        1983102478,
        346841971,
        3492732269,
        893644233,
        90457223,
      ]
    `)
    expect(hashKey(Uint8Array.of(1, 2, 3))).toMatchInlineSnapshot(`1315153499`)
  })

  it('takes a number and a bigint of one value for one key', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(hashKey(BigInt(value))).toBe(hashKey(value))
      }),
    )
    for (const power of [53, 54, 63, 64]) expect(hashKey(2n ** BigInt(power))).toBe(hashKey(2 ** power))
    expect(hashKey(-0)).toBe(hashKey(0))
    expect(hashKey(null)).toBe(hashKey(undefined))
    expect(hashKey(new Date(5))).toBe(hashKey(5))
  })

  it('tells long keys apart by their ends, in bounded time', () => {
    const long = 'x'.repeat(1_000_000)
    expect(hashKey(`a${long}`)).not.toBe(hashKey(`b${long}`))
    expect(hashKey(`${long}a`)).not.toBe(hashKey(`${long}b`))
    expect(hashKey(long)).not.toBe(hashKey(`${long}x`))
    const bytes = new Uint8Array(100_000)
    expect(hashKey(bytes)).not.toBe(hashKey(new Uint8Array(100_001)))
  })

  it.each([
    ['counting numbers', (index: number) => index],
    ['multiples of 4096', (index: number) => index * 4096],
    ['counting bigints above 2^53', (index: number) => 2n ** 60n + BigInt(index)],
    ['fractions', (index: number) => index / 1000],
    ['names', (index: number) => `client-${index}`],
    ['32-byte keys', (index: number) => new Uint8Array(32).fill(index & 255, 0, 4).fill(index >> 8, 4, 8)],
  ])('spreads %s over any number of seats', (_name, keyOf) => {
    const count = 20_000
    for (const seats of [2, 3, 7, 16]) {
      const taken = new Array<number>(seats).fill(0)
      for (let index = 0; index < count; index++) taken[seatOf(hashKey(keyOf(index)), seats)]!++
      const fair = count / seats
      for (const share of taken) expect(Math.abs(share - fair) / fair).toBeLessThan(0.12)
    }
  })

  it('seats every hash within range', () => {
    expect(seatOf(0, 5)).toBe(0)
    expect(seatOf(2 ** 32 - 1, 5)).toBe(4)
    expect(seatOf(2 ** 32 - 1, 1)).toBe(0)
  })
})
