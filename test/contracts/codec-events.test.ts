/** What hooks are given: lazy events, their copies, and their end. */
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import { createReader } from '../../dist/contracts/codec/read.js'
import { bytes, u8, u64 } from '../../dist/contracts/types.js'
import { codecOf, refusalOf } from '../support/codec-round.js'

const schema = z.object({
  topic: z.string(),
  seq: u64(),
  key: bytes(4),
  client: z.object({ id: z.string(), tags: z.array(z.object({ name: z.string() })) }),
  headers: z.record(z.string(), z.string()),
  note: z.string().optional(),
})
type Event = z.output<typeof schema> & { copy(): z.output<typeof schema> }
const sent = {
  topic: 'a/b',
  seq: 7,
  key: Uint8Array.of(1, 2, 3, 4),
  client: { id: 'c', tags: [{ name: 'x' }, { name: 'y' }] },
  headers: { 'content-type': 'json' },
}
const seen = { ...sent, seq: 7n }

describe('an open event', () => {
  it('has its fields as getters, which a spread does not copy', () => {
    const event = codecOf(schema).open<Event>(sent)
    expect(event.topic).toBe('a/b')
    expect(event.seq).toBe(7n)
    expect(event.client.tags[1]?.name).toBe('y')
    expect(event.note).toBeUndefined()
    expect('seq' in event).toBe(true)
    expect({ ...event }).toEqual({})
    expect(Object.keys(event)).toEqual([])
    const keys: string[] = []
    for (const key in event) keys.push(key)
    expect(keys).toEqual(['topic', 'seq', 'key', 'client', 'headers', 'note'])
  })

  it('reads a field from the ring once, and keeps what it read', () => {
    const codec = codecOf(schema)
    const event = codec.open<Event>(sent)
    const { topic, key, client } = event
    codec.encode({ ...sent, topic: 'other', seq: 8, key: new Uint8Array(4) })
    expect(event.topic).toBe(topic)
    expect(event.key).toBe(key)
    expect(event.client).toBe(client)
    expect(event.seq).toBe(8n)
  })

  it('cannot be written to', () => {
    const event = codecOf(schema).open<Event>(sent)
    expect(() => Object.assign(event, { topic: 'mine' })).toThrow(TypeError)
  })

  it('does not lead to the memory behind it', () => {
    const event = codecOf(schema).open<Event>(sent)
    expect(Reflect.ownKeys(event)).toEqual([])
    expect(event.constructor).toBe(Object)
    expect(Reflect.ownKeys(Object.getPrototypeOf(event))).toEqual([
      'constructor',
      'copy',
      'toJSON',
      'topic',
      'seq',
      'key',
      'client',
      'headers',
      'note',
      inspect.custom,
    ])
  })

  it('gives bytes in memory of their own', () => {
    const codec = codecOf(z.object({ small: bytes(4), large: bytes(), list: z.array(bytes()) }))
    const event = codec.open<{ small: Uint8Array; large: Uint8Array; list: Uint8Array[] }>({
      small: new Uint8Array(4),
      large: new Uint8Array(1000),
      list: [Uint8Array.of(1)],
    })
    for (const array of [event.small, event.large, ...event.list]) {
      expect(array.buffer).toBeInstanceOf(ArrayBuffer)
      expect(array.buffer.byteLength).toBe(array.length)
    }
  })

  it('gives a plain and complete copy, as JSON too', () => {
    const event = codecOf(schema).open<Event>(sent)
    expect(event.copy()).toStrictEqual(seen)
    expect(Object.getPrototypeOf(event.copy().client)).toBe(Object.prototype)
    expect(event.client).toHaveProperty('copy')
    const plain = codecOf(z.object({ a: z.object({ b: z.string() }) })).open({ a: { b: 'c' } })
    expect(JSON.stringify(plain)).toBe('{"a":{"b":"c"}}')
  })

  it('shows its fields when it is logged', () => {
    const codec = codecOf(schema)
    const event = codec.open<Event>(sent)
    expect(inspect(event)).toMatch(/^HookEvent \{\s+topic: 'a\/b',\s+seq: 7n,/)
    expect(inspect(event)).toContain("client: HookEvent { id: 'c'")
    const other = codec.open<Event>(sent)
    expect(other.topic).toBe('a/b')
    codec.reader.close(other)
    expect(inspect(other)).toMatch(/topic: 'a\/b',\s+seq: <expired>/)
  })

  it('can be passed on as it is', () => {
    const codec = codecOf(schema)
    expect(codec.roundTrip(codec.open(sent))).toEqual(seen)
    expect(codec.roundTrip({ ...codec.open<Event>(sent).copy(), topic: 'new' })).toEqual({ ...seen, topic: 'new' })
  })
})

describe('a closed event', () => {
  const closed = () => {
    const codec = codecOf(schema)
    const event = codec.open<Event>(sent)
    const before = { topic: event.topic, client: event.client, tag: event.client.tags[0] }
    codec.reader.close(event)
    return { codec, event, ...before }
  }

  it('still has what was read before', () => {
    const { event, client } = closed()
    expect(event.topic).toBe('a/b')
    expect(event.client).toBe(client)
    expect(event.client.tags).toHaveLength(2)
  })

  it('throws for what was not, by name, and says what to do', () => {
    const { event, client, tag } = closed()
    expect(refusalOf(() => event.seq)).toEqual({
      code: 'EVENT_EXPIRED',
      path: ['seq'],
      message: expect.stringMatching(
        /^seq was first read after its hook had returned: read it before, or keep event\.copy\(\)/,
      ),
    })
    expect(refusalOf(() => client.id)).toMatchObject({
      code: 'EVENT_EXPIRED',
      message: expect.stringMatching(/^client\.id was/),
    })
    expect(refusalOf(() => tag?.name)).toMatchObject({
      code: 'EVENT_EXPIRED',
      message: expect.stringMatching(/^client\.tags\[\]\.name was/),
    })
    expect(refusalOf(() => event.copy()).code).toBe('EVENT_EXPIRED')
  })

  it('is refused as an event, for the same reason', () => {
    const { codec, event } = closed()
    expect(refusalOf(() => codec.encode(event)).code).toBe('EVENT_EXPIRED')
  })

  it('stays closed when others are opened after it', () => {
    const { reader, memory, encode } = codecOf(schema)
    const length = encode(sent)
    const events = [0, 1, 2].map(() => reader.open(memory, 0, length) as Event)
    reader.close(events[0])
    reader.close(events[0])
    expect(refusalOf(() => events[0]?.seq).code).toBe('EVENT_EXPIRED')
    expect(events[1]?.seq).toBe(7n)
    reader.close(events[1])
    reader.close(events[2])
    expect(refusalOf(() => events[1]?.key).code).toBe('EVENT_EXPIRED')
    expect(refusalOf(() => events[2]?.key).code).toBe('EVENT_EXPIRED')
  })

  it('closing what is no event has no effect', () => {
    const { reader } = codecOf(schema)
    for (const value of [null, undefined, 5, 'text', {}, [], codecOf(schema).open(sent)]) reader.close(value)
  })
})

describe('an event that is no object', () => {
  it.each<[string, z.ZodType, unknown]>([
    ['an array of objects', z.array(schema), [seen, seen]],
    ['a record', z.record(z.string(), u8()), { a: 1, b: 2 }],
    ['a string', z.string(), 'text'],
    ['bytes', bytes(), Uint8Array.of(1, 2)],
    ['an optional number', z.number().optional(), undefined],
  ])('such as %s is read at once and never expires', (_, type, value) => {
    const codec = codecOf(type)
    const event = codec.open(value)
    codec.reader.close(event)
    codec.encode(codec.roundTrip(value))
    expect(event).toEqual(value)
  })

  it('but one of several objects is lazy', () => {
    const union = z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('a'), n: u8() }),
      z.object({ kind: z.literal('b') }),
    ])
    const codec = codecOf(union)
    const event = codec.open<{ kind: string; n: number; copy(): unknown }>({ kind: 'a', n: 5 })
    expect(event.copy()).toEqual({ kind: 'a', n: 5 })
    codec.reader.close(event)
    expect(refusalOf(() => event.n).code).toBe('EVENT_EXPIRED')
  })
})

describe('a layout', () => {
  it('is plain data of a known size, with no holes but those before whole words', () => {
    const plan = compileLayout(
      z.object({
        senderIdentity: bytes(32).nullable(),
        recipientKey: bytes(32),
        channelId: bytes(16),
        payloadLen: z.int().nonnegative(),
        seq: u64(),
        flags: u8(),
      }),
      ['onTest'],
    )
    expect(structuredClone(plan)).toEqual(plan)
    expect(plan.fixedBytes).toBe(104)
    const { root } = plan
    expect(root.kind === 'object' && root.fields.map(({ key, at }) => `${key} ${at}`)).toEqual([
      'senderIdentity 16',
      'recipientKey 52',
      'channelId 84',
      'payloadLen 0',
      'seq 8',
      'flags 100',
    ])
  })

  it.each<[string, z.ZodType, string]>([
    ['z.int().min(0).max(255)', z.int().min(0).max(255), 'u8'],
    ['z.number().int().gte(0).lt(65536)', z.number().int().gte(0).lt(65_536), 'u16'],
    ['z.uint32()', z.uint32(), 'u32'],
    ['z.int32()', z.int32(), 'i32'],
    ['z.int().min(-5).max(5)', z.int().min(-5).max(5), 'i32'],
    ['z.int()', z.int(), 'int'],
    ['z.int().nonnegative()', z.int().nonnegative(), 'int'],
    ['z.number()', z.number(), 'f64'],
    ['z.float32()', z.float32(), 'f64'],
    ['z.uint64()', z.uint64(), 'u64'],
    ['z.int64()', z.int64(), 'i64'],
    ['z.bigint().min(0n).max(9n)', z.bigint().min(0n).max(9n), 'u64'],
    ['z.bigint().gt(-9n).lt(9n)', z.bigint().gt(-9n).lt(9n), 'i64'],
    ['z.iso.datetime()', z.iso.datetime(), 'string'],
    ['a union of literals', z.union([z.literal('a'), z.literal('b')]), 'enum'],
    ['z.union([z.string(), z.null()])', z.union([z.string(), z.null()]), 'maybe'],
    ['z.lazy()', z.lazy(() => z.string()), 'json'],
  ])('holds %s as %s', (_, type, kind) => {
    expect(compileLayout(type, ['onTest']).root.kind).toBe(kind)
  })

  it('tells objects apart by any field whose values they do not share', () => {
    const { root } = compileLayout(
      z.union([
        z.object({ v: u8(), type: z.literal('a'), to: z.email() }),
        z.object({ v: u8(), type: z.enum(['b', 'c']), at: z.date() }),
      ]),
      ['onTest'],
    )
    expect(root).toMatchObject({ kind: 'union', discriminator: 'type' })
  })
})

it('a reader reads at any position that is a multiple of 8', () => {
  const { plan, encoder } = codecOf(schema)
  const memory = codecMemory(new SharedArrayBuffer(4096))
  const reader = createReader(structuredClone(plan))
  for (const base of [0, 8, 1024, 2040]) {
    const length = encoder.encode(memory, base, 4096, sent)
    expect((reader.open(memory, base, length) as Event).copy()).toEqual(seen)
  }
})
