import fc from 'fast-check'
import { bytes, defineContract, gate, u64 } from 'hookring/contracts'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { matchSchema } from '../../../dist/contracts/option-schemas.js'
import type { MatchOption } from '../../../dist/contracts/options.js'
import { compileMatch } from '../../../dist/host/fields/match.js'

/** The shape of an event as a hookpoint of a real contract has it. */
function shapeOf(hookpoint: string, event: z.ZodType) {
  const { plan } = defineContract('shapes', 1, { [hookpoint]: gate(event) }).hookpoints[hookpoint]!
  return { hookpoint, plan }
}

const shape = shapeOf(
  'onPublish',
  z.object({
    topic: z.string(),
    size: z.number(),
    seq: u64(),
    retain: z.boolean(),
    sender: bytes(32).nullish(),
    at: z.date(),
    level: z.literal(['low', 'high', 3]),
    extra: z.json(),
    client: z.object({ id: z.string(), username: z.string().nullable() }),
  }),
)

const event = {
  topic: 'a/b/c',
  size: 100,
  seq: 2n ** 60n,
  retain: true,
  sender: null as Uint8Array | null,
  at: new Date(1_000),
  level: 'low',
  extra: { nested: { ok: 1 } },
  client: { id: 'c1', username: null as string | null },
}

function compile(option: MatchOption, shapes = [shape]) {
  const errors: unknown[] = []
  // As an operator's option comes: through the schema.
  const predicate = compileMatch(matchSchema.parse(option), { shapes, onError: (error) => errors.push(error) })
  return { predicate, errors }
}

const matches = (option: MatchOption, over: object = {}) => compile(option).predicate({ ...event, ...over })

describe('a match of conditions', () => {
  it('holds when every condition does', () => {
    expect(matches({})).toBe(true)
    expect(matches({ topic: 'a/b/c', size: 100 })).toBe(true)
    expect(matches({ topic: 'a/b/c', size: 99 })).toBe(false)
    expect(matches({ size: { gt: 50, lte: 100 } })).toBe(true)
    expect(matches({ size: { gt: 50, lt: 100 } })).toBe(false)
  })

  it.each<[string, MatchOption, boolean]>([
    ['eq', { topic: { eq: 'a/b/c' } }, true],
    ['not', { topic: { not: 'a/b/c' } }, false],
    ['in', { level: { in: ['high', 'low'] } }, true],
    ['a list', { level: ['high', 3] }, false],
    ['a boolean', { retain: true }, true],
    ['gt', { size: { gt: 100 } }, false],
    ['gte', { size: { gte: 100 } }, true],
    ['lt', { size: { lt: 100.5 } }, true],
    ['lte', { size: { lte: 99.5 } }, false],
    ['prefix', { topic: { prefix: 'a/' } }, true],
    ['suffix', { topic: { suffix: '/d' } }, false],
    ['a field of an object', { 'client.id': 'c1' }, true],
    ['null', { 'client.username': null }, true],
    ['not null', { sender: { not: null } }, false],
    ['a date by its milliseconds', { at: { gte: 1_000, lt: 1_001 } }, true],
    ['a path into JSON', { 'extra.nested.ok': 1 }, true],
    ['a path into JSON that is missing', { 'extra.other.ok': 1 }, false],
  ])('knows %s', (_name, option, expected) => {
    expect(matches(option)).toBe(expected)
  })

  it('takes a missing field for null', () => {
    expect(matches({ sender: null }, { sender: undefined })).toBe(true)
    expect(matches({ sender: { not: null } }, { sender: Uint8Array.of(1) })).toBe(true)
  })

  it('takes a field that is left out for its default', () => {
    const shapes = [
      shapeOf(
        'onOrder',
        z.object({
          urgency: z.string().default('normal'),
          buyer: z.object({ tier: z.string().default('normal') }).optional(),
          address: z.object({ country: z.string() }).default({ country: 'is' }),
        }),
      ),
    ]
    const holds = (option: MatchOption, order: object) => compile(option, shapes).predicate(order)
    expect(holds({ urgency: 'normal' }, {})).toBe(true)
    expect(holds({ urgency: { not: 'normal' } }, {})).toBe(false)
    expect(holds({ urgency: 'normal' }, { urgency: 'high' })).toBe(false)
    expect(holds({ 'address.country': 'is' }, {})).toBe(true)
    expect(holds({ 'address.country': 'fo' }, {})).toBe(false)
    // Left out with its buyer, or in a buyer without one: it cannot be told apart, so both hold.
    expect(holds({ 'buyer.tier': 'normal' }, {})).toBe(true)
    expect(holds({ 'buyer.tier': null }, {})).toBe(true)
    expect(holds({ 'buyer.tier': 'gold' }, {})).toBe(false)
  })

  it('compares numbers and bigints by their exact values', () => {
    const big = 2n ** 53n + 1n
    expect(matches({ seq: Number(big) }, { seq: big })).toBe(false)
    expect(matches({ seq: { in: [Number(big)] } }, { seq: big })).toBe(false)
    expect(matches({ seq: { gt: 2 ** 53 } }, { seq: big })).toBe(true)
    expect(matches({ seq: { in: [2 ** 60, 1] } })).toBe(true)
    expect(matches({ seq: { in: [5n, 6] } }, { seq: 6n })).toBe(true)
    expect(matches({ seq: 5n }, { seq: 5 })).toBe(true)
    expect(matches({ seq: { not: 5 } }, { seq: 5n })).toBe(false)
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.double({ min: 0, max: 2 ** 64, noNaN: true }),
        (seq, bound) => {
          const isInteger = Number.isInteger(bound)
          const isEqual = isInteger && BigInt(bound) === seq
          expect(matches({ seq: bound }, { seq })).toBe(isEqual)
          expect(matches({ seq: [bound] }, { seq })).toBe(isEqual)
          expect(matches({ seq: { gte: bound } }, { seq })).toBe(seq >= BigInt(Math.ceil(bound)))
          expect(matches({ seq: { lt: bound } }, { seq })).toBe(seq < BigInt(Math.ceil(bound)))
        },
      ),
    )
  })

  it('matches an event whose field is not of its type: the encoder refuses it by name, nothing slips past', () => {
    expect(matches({ size: { gt: 1_000 } }, { size: '5000' })).toBe(true)
    expect(matches({ topic: { prefix: 'x' } }, { topic: undefined })).toBe(true)
    expect(matches({ topic: { mqtt: 'x' } }, { topic: { toString: () => 'y' } })).toBe(true)
    expect(matches({ 'client.id': 'c1' }, { client: undefined })).toBe(true)
    expect(matches({ size: 1, topic: 'x' }, { size: '5000' })).toBe(false)
  })
})

describe('a match that cannot work', () => {
  const other = shapeOf('onAuth', z.object({ username: z.string(), size: z.string() }))

  it('is refused for a field that an event does not have, naming it and the hookpoints', () => {
    expect(() => compile({ payload: 1 })).toThrow(
      expect.objectContaining({
        code: 'OPTIONS_INVALID',
        path: ['match', 'payload'],
        hookpoint: 'onPublish',
        message: expect.stringMatching(/^match: the event of onPublish has no field "payload"; its fields are topic,/),
      }),
    )
    expect(() => compile({ payload: 1 }, [shape, other])).toThrow(/event of onPublish, onAuth has no field "payload"/)
    expect(() => compile({ topic: 'a' }, [shape, other])).toThrow(/event of onAuth has no field "topic"/)
    expect(() => compile({ 'client.ip': 'a' })).toThrow(/no field "client\.ip"/)
    expect(() => compile({ 'topic.length': 1 })).toThrow(/no field/)
  })

  it.each<[string, MatchOption]>([
    ['a string against a number', { size: '100' }],
    ['a number in a list against a string', { topic: ['a', 1] }],
    ['a boolean against a string', { topic: { not: true } }],
    ['a range of a string', { topic: { gt: 1 } }],
    ['a prefix of a number', { size: { prefix: '1' } }],
    ['a topic filter on a boolean', { retain: { mqtt: 'a' } }],
    ['a value against bytes', { sender: 'abc' }],
    ['null against a field that is always there', { size: null }],
    ['a scalar against an object', { client: 'c1' }],
  ])('is refused for %s', (_name, option) => {
    expect(() => compile(option)).toThrow(
      expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining('can never meet') }),
    )
  })

  it('is refused when a condition fits one hookpoint and not the other', () => {
    expect(() => compile({ size: 1 }, [shape, other])).toThrow(/size of onAuth is of type string/)
  })

  it.each(['', 'a#', '#/a', 'a/#/b', 'a+/b', '+a', 'a\0b'])('is refused for the topic filter %j', (filter) => {
    expect(() => compile({ topic: { mqtt: filter } })).toThrow(/is not an MQTT topic filter/)
  })
})

describe('a match by topic filter', () => {
  it.each<[filter: string, topic: string, expected: boolean]>([
    ['a/b', 'a/b', true],
    ['a/b', 'a/b/c', false],
    ['a/b', 'a/B', false],
    ['a/b/#', 'a/b', true],
    ['a/b/#', 'a/b/c/d', true],
    ['a/b/#', 'a/bc', false],
    ['#', 'anything/at/all', true],
    ['+', 'a', true],
    ['+', 'a/b', false],
    ['+', '/a', false],
    ['+/+', '/a', true],
    ['/+', '/a', true],
    ['a/+', 'a', false],
    ['a/+', 'a/', true],
    ['a/+/c', 'a/b/c', true],
    ['a/+/c', 'a//c', true],
    ['a/+/c', 'a/b/d', false],
    ['a/', 'a', false],
    ['a/', 'a/', true],
    ['+/#', 'a', true],
    ['#', '$SYS/uptime', false],
    ['+/uptime', '$SYS/uptime', false],
    ['$SYS/#', '$SYS/uptime', true],
    ['$SYS/+', '$SYS/uptime', true],
    ['a/#', 'a/$b', true],
  ])('%s on %s is %s', (filter, topic, expected) => {
    expect(matches({ topic: { mqtt: filter } }, { topic })).toBe(expected)
  })

  it('takes any of several', () => {
    expect(matches({ topic: { mqtt: ['x/#', 'a/+/c'] } })).toBe(true)
    expect(matches({ topic: { mqtt: ['x/#', 'y'] } })).toBe(false)
  })

  it('agrees with a match level by level', () => {
    const part = fc.constantFrom('a', 'b', '', '$s', '+')
    const filters = fc.tuple(fc.array(part, { minLength: 1, maxLength: 4 }), fc.boolean())
    const topics = fc.array(fc.constantFrom('a', 'b', '', '$s'), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(filters, topics, ([parts, isOpenEnded], levels) => {
        const filter = [...parts, ...(isOpenEnded ? ['#'] : [])].join('/')
        const topic = levels.join('/')
        fc.pre(filter !== '' && topic !== '')
        const expected =
          (isOpenEnded ? levels.length >= parts.length : levels.length === parts.length) &&
          parts.every((wanted, index) => wanted === '+' || wanted === levels[index]) &&
          !(topic.startsWith('$') && /^[+#]/.test(filter))
        expect(matches({ topic: { mqtt: filter } }, { topic })).toBe(expected)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a match function', () => {
  it('gets the event itself, and its result counts as true or false', () => {
    const seen: unknown[] = []
    const { predicate } = compile((given) => {
      seen.push(given)
      return (given as typeof event).size > 50
    })
    expect(predicate(event)).toBe(true)
    expect(predicate({ ...event, size: 1 })).toBe(false)
    expect(seen[0]).toBe(event)
    expect(compile(() => undefined as unknown as boolean).predicate(event)).toBe(false)
  })

  it('that throws lets the plugin be called, and is reported once', () => {
    const { predicate, errors } = compile(() => {
      throw new Error('no')
    })
    expect([predicate(event), predicate(event)]).toEqual([true, true])
    expect(errors).toEqual([expect.objectContaining({ message: 'no' })])
  })

  it('that is asynchronous lets the plugin be called, and is reported', async () => {
    const { predicate, errors } = compile((async () => {
      throw new Error('late')
    }) as unknown as () => boolean)
    expect(predicate(event)).toBe(true)
    await new Promise((resolve) => setImmediate(resolve))
    expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining('promise') })])
  })

  it('lets the plugin be called with an event that throws when it is read', () => {
    const { predicate, errors } = compile({ topic: 'a' })
    const trap = Object.defineProperty({}, 'topic', {
      get() {
        throw new Error('trap')
      },
    })
    expect(predicate(trap)).toBe(true)
    expect(errors.length).toBe(1)
  })
})
