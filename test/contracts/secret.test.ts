/** Secret fields: where the mark stands, what recordings hold instead, and that no error says what was there. */
import { inspect } from 'node:util'
import { bytes, connection, defineContract, exhook3, gate, http, mqtt, secret, u64 } from 'hookring/contracts'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { maskOf, secretPaths } from '../../dist/contracts/codec/secrets.js'
import { createEventJsonReader, createEventWriter } from '../../dist/contracts/recording/event-json.js'
import { codecOf, laneCodecOf, refusalOf } from '../support/codec-round.js'

const CANARY = 'hunter2-canary'

/** One value in each place that a mark may have: a field, and everything that a schema can put around or inside it. */
const PLACES: [string, z.ZodType, unknown][] = [
  ['a text', secret(z.string()), CANARY],
  ['a text with bounds', secret(z.string().min(10).max(20)), CANARY],
  ['a described one', secret(z.string()).describe('of the user'), CANARY],
  ['one with a check after the mark', secret(z.string()).min(3), CANARY],
  ['optional', secret(z.string()).optional(), CANARY],
  ['optional inside', secret(z.string().optional()), CANARY],
  ['nullable', secret(z.string()).nullable(), CANARY],
  ['both, in layers', secret(z.string().optional()).nullable(), CANARY],
  ['with a default', secret(z.string()).default('none'), CANARY],
  ['readonly', secret(z.string()).readonly(), CANARY],
  ['nonoptional', secret(z.string().optional()).nonoptional(), CANARY],
  ['bytes', secret(bytes()), new TextEncoder().encode(CANARY)],
  ['a list of them', z.array(secret(z.string())), [CANARY, CANARY]],
  ['a secret list', secret(z.array(z.string())), [CANARY]],
  ['a secret object', secret(z.object({ name: z.string(), code: z.string() })), { name: CANARY, code: CANARY }],
  ['inside objects', z.object({ deep: z.object({ token: secret(z.string()) }) }), { deep: { token: CANARY } }],
  ['values of a record', z.record(z.string(), secret(z.string())), { one: CANARY }],
  ['a secret record, whose keys say something', secret(z.record(z.string(), z.number())), { [CANARY]: 1 }],
  ['a union', secret(z.union([z.string(), z.number()])), CANARY],
  ['one side of a union', z.union([z.number(), secret(z.string())]), CANARY],
  [
    'one variant',
    z.discriminatedUnion('by', [
      z.object({ by: z.literal('password'), value: secret(z.string()) }),
      z.object({ by: z.literal('nothing') }),
    ]),
    { by: 'password', value: CANARY },
  ],
  ['JSON', secret(z.unknown()), { at: [CANARY] }],
  ['a tuple', secret(z.tuple([z.string(), z.number()]), { masked: ['x', 0] }), [CANARY, 1]],
  ['a pattern, with a mask', secret(z.string().regex(/-/), { masked: '-' }), CANARY],
]

const record = (schema: z.ZodType, event: unknown) => {
  const plan = structuredClone(compileLayout(schema, ['onEvent']))
  return JSON.stringify(createEventWriter(plan)(event))
}

describe('a secret field', () => {
  it.each(PLACES)('is masked in recordings, which hold events that the contract allows: %s', (_, field, value) => {
    const schema = z.object({ field, open: z.string() })
    const event = { field, open: 'shown' }
    const text = record(schema, { ...event, field: value })
    expect(text).not.toContain('hunter2')
    expect(text).not.toContain(Buffer.from(CANARY).toString('base64').slice(0, 8))
    expect(text).toContain('shown')
    const replayed = createEventJsonReader(compileLayout(schema, ['onEvent']))(JSON.parse(text))
    expect(schema.safeParse(replayed).error).toBeUndefined()
    expect(() => codecOf(schema).encode(replayed)).not.toThrow()
  })

  it.each(PLACES)('reaches hooks as it is, and is not shown with the event as a whole: %s', (_, field, value) => {
    const schema = z.object({ field, open: z.string() })
    const opened = laneCodecOf(schema).open<{ field: unknown; copy(): { field: unknown } }>({
      field: value,
      open: 'shown',
    })
    expect(opened.copy().field).toEqual(value)
    expect(inspect(opened, { depth: 9 })).not.toContain('hunter2')
    expect(inspect(opened)).toContain('shown')
    const masked = maskOf(compileLayout(schema, ['onEvent']).root)?.({ field: value, open: 'shown' })
    expect(inspect(masked, { depth: 9 })).not.toContain('hunter2')
    expect(masked).toMatchObject({ open: 'shown' })
  })

  it('does not tell how long its value is', () => {
    const schema = z.object({ password: secret(z.string()) })
    expect(record(schema, { password: 'a' })).toBe(record(schema, { password: 'a'.repeat(100) }))
  })

  it('shows what is not there', () => {
    const schema = z.object({ password: secret(z.string()).nullish() })
    expect(record(schema, { password: null })).toBe('{"password":null}')
    expect(record(schema, {})).toBe('{}')
  })

  it('marks the schema that it returns, and no other', () => {
    const plain = z.string()
    secret(plain)
    expect(secretPaths(compileLayout(z.object({ plain }), ['onEvent']).root)).toEqual([])
  })

  it('keeps its type', () => {
    const schema = secret(z.string())
    const value: z.infer<typeof schema> = 'text'
    const options: z.ZodString = schema
    expect(options.parse(value)).toBe('text')
  })

  it.each<[string, z.ZodType]>([
    ['a format', secret(z.email())],
    ['a pattern', secret(z.string().regex(/^tok_/))],
    ['a check of its own', secret(z.string().refine((text) => text.startsWith('tok_')))],
    ['an object with one', secret(z.object({ mail: z.email() }))],
    ['a tuple', secret(z.tuple([z.string()]))],
    ['a part of a tuple', z.tuple([z.string(), secret(z.string())])],
    ['a mask that does not fit', secret(z.string().min(3), { masked: 'x' })],
    [
      'a check that throws',
      secret(
        z.string().refine(() => {
          throw new Error('no')
        }),
      ),
    ],
  ])('whose schema does not allow the mask is refused when the contract is made: %s', (_, field) => {
    const refused = refusalOf(() => defineContract('vault', 1, { onOpen: gate(z.object({ field })) }))
    expect(refused).toMatchObject({ code: 'CONTRACT_INVALID', path: ['onOpen', 'field'] })
    expect(refused.message).toContain('masked')
  })

  it('must be a schema', () => {
    for (const wrong of [undefined, null, 'password', {}]) {
      expect(refusalOf(() => secret(wrong as never)).code).toBe('CONTRACT_INVALID')
    }
  })
})

describe('an error about a secret field', () => {
  const thrown = (message: string) => {
    throw new Error(message)
  }
  it.each<[string, z.ZodType, unknown]>([
    ['a number that is too large', secret(z.int().max(9)), 48_151_623],
    ['a number of 64 bits', secret(u64()), -48_151_623n],
    ['no value of an enum', secret(z.enum(['a', 'b'])), CANARY],
    ['no literal', z.union([z.literal('a'), secret(z.literal('b'))]), CANARY],
    ['a length', secret(z.string().max(3)), 'x'.repeat(48_151)],
    ['bytes', secret(bytes(3)), new Uint8Array(48_151)],
    ['another type', secret(z.string()), 48_151_623],
    ['inside an object', secret(z.object({ code: z.int() })), { code: 48_151_623.5 }],
    ['a key of a record', secret(z.record(z.string(), z.number())), { [CANARY]: 'no number' }],
    ['a field that there is not', secret(z.strictObject({})), { [CANARY]: 1 }],
    ['an element', z.array(secret(z.int())), [48_151_623.5]],
    ['a value of a record', z.record(z.string(), secret(z.int())), { key: 48_151_623.5 }],
    ['JSON', secret(z.unknown()), { [CANARY]: 1n }],
    [
      'a tag',
      z.discriminatedUnion('by', [z.object({ by: secret(z.literal('a')) }), z.object({ by: z.literal('b') })]),
      { by: CANARY },
    ],
    [
      'a message of its author',
      secret(z.string().refine((text) => text === 'xxxxxxxx', { error: ({ input }) => `not ${input}` })),
      CANARY,
    ],
    ['a check that throws', secret(z.string().refine((text) => text === 'xxxxxxxx' || thrown(text))), CANARY],
    [
      'a check of the object around it',
      z
        .object({ field: secret(z.string()) })
        .refine(() => false, { error: ({ input }) => `not ${JSON.stringify(input)}` }),
      { field: CANARY },
    ],
    [
      'a check of the object around it, with a path',
      z.object({ field: secret(z.string()) }).superRefine((value, context) => {
        context.addIssue({ code: 'custom', path: ['field', CANARY], message: value.field })
      }),
      { field: CANARY },
    ],
    [
      'a check around it that throws',
      z.object({ field: secret(z.string()) }).refine(({ field }) => thrown(field)),
      { field: CANARY },
    ],
    [
      'a getter that throws',
      z.object({ field: secret(z.string()) }),
      {
        get field() {
          return thrown(CANARY)
        },
      },
    ],
  ])('does not quote it: %s', (_, field, value) => {
    for (const codec of [codecOf(z.object({ field })), laneCodecOf(z.object({ field }))]) {
      let error: unknown
      try {
        codec.encode({ field: value })
        // What only the schema checks, a lane takes.
        continue
      } catch (caught) {
        error = caught
      }
      expect(inspect(error, { depth: 9 })).not.toMatch(/hunter2|48[_]?151/)
      expect(error).toMatchObject({ code: 'EVENT_INVALID' })
      expect((error as { path: unknown[] }).path[0]).toBe('field')
    }
  })

  it('is the same when a lane has written it', () => {
    const wide = codecOf(z.object({ pin: secret(z.int().max(99_999_999)) }))
    const narrow = codecOf(z.object({ pin: secret(z.int().max(9)) }))
    const written = wide.memory.u8.slice(0, wide.encode({ pin: 48_151_623 }))
    expect(refusalOf(() => narrow.decode(written))).toMatchObject({ code: 'EVENT_INVALID', path: ['pin'] })
    expect(refusalOf(() => narrow.decode(written)).message).not.toContain('48151')
  })

  it('says as much as before about the fields beside it', () => {
    const schema = z.object({ size: z.int().max(9), password: secret(z.string()) })
    expect(refusalOf(() => codecOf(schema).encode({ size: 10, password: 'p' })).message).toMatch(/got 10$/)
    expect(refusalOf(() => codecOf(schema).encode({ size: 1 })).message).toMatch(/password is required/)
  })
})

describe('the contracts that ship', () => {
  const secretsOf = (hookpoints: Record<string, { plan: { root: never } }>) =>
    Object.entries(hookpoints).flatMap(([name, { plan }]) => secretPaths(plan.root, [name]))

  it('mark passwords', () => {
    expect(secretsOf(mqtt.hookpoints as never)).toEqual(['onConnect.password'])
    expect(secretsOf(connection.hookpoints as never)).toEqual([
      ...['open.ticket', 'close.ticket', 'sync.ticket', 'async.ticket', 'auth.password'],
    ])
    expect(secretsOf(http.hookpoints as never)).toEqual([
      ...['onRequest.credentials', 'onRoute.credentials', 'onUpgrade.credentials'],
    ])
    const asked = secretsOf(exhook3.hookpoints as never)
    expect(asked).toContain('onClientAuthenticate.clientinfo.password')
    expect(asked.every((path) => path.endsWith('.clientinfo.password'))).toBe(true)
    expect(asked.length).toBeGreaterThan(10)
  })
})
