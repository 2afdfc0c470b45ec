/** The types that authors of contracts and plugins see, and that the schemas of hookring/contracts are zod schemas. */
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import type { HookEvent } from '../../dist/contracts/contract.js'
import { bytes, i32, i64, u8, u16, u32, u64 } from '../../dist/contracts/types.js'
import { codecOf } from '../support/codec-round.js'

const message = z.object({
  sender: bytes(32).nullable(),
  payload: bytes({ max: 1024 }).optional(),
  seq: u64(),
  offset: i64().optional(),
  ack: u64().nullable().default(0n),
  size: u32(),
  qos: u8(),
  port: u16().describe('of the sender'),
  delta: i32().meta({ title: 'delta' }),
})

describe('the types of an event', () => {
  it('let callers pass numbers and bigints for exact integers, and any bytes', () => {
    type Input = z.input<typeof message>
    expectTypeOf<Input['seq']>().toEqualTypeOf<bigint | number>()
    expectTypeOf<Input['offset']>().toEqualTypeOf<bigint | number | undefined>()
    expectTypeOf<Input['ack']>().toEqualTypeOf<bigint | number | null | undefined>()
    expectTypeOf<Input['sender']>().toEqualTypeOf<Uint8Array | null>()
    expectTypeOf<Buffer>().toExtend<NonNullable<Input['payload']>>()
    expectTypeOf<Input['qos']>().toEqualTypeOf<number>()
  })

  it('show hooks bigints, and bytes of their own', () => {
    type Output = z.output<typeof message>
    expectTypeOf<Output['seq']>().toEqualTypeOf<bigint>()
    expectTypeOf<Output['offset']>().toEqualTypeOf<bigint | undefined>()
    expectTypeOf<Output['ack']>().toEqualTypeOf<bigint | null>()
    expectTypeOf<Output['sender']>().toEqualTypeOf<Uint8Array<ArrayBuffer> | null>()
    expectTypeOf<Output['port']>().toEqualTypeOf<number>()
    expectTypeOf<ReturnType<HookEvent<Output>['copy']>>().toEqualTypeOf<Output>()
  })
})

describe('the schemas of hookring/contracts', () => {
  it('parse as the codec does', () => {
    const key = new Uint8Array(32)
    const event = { sender: key, seq: 5, size: 1, qos: 2, port: 3, delta: -4 }
    const expected = { ...event, seq: 5n, ack: 0n }
    expect(message.parse(event)).toEqual(expected)
    expect(codecOf(message).roundTrip(event)).toEqual(expected)
  })

  it('refuse by themselves what the codec refuses', () => {
    for (const [schema, wrong] of [
      [u64(), -1],
      [u64(), 2 ** 53],
      [u64(), '1'],
      [i64(), 2n ** 63n],
      [bytes(2), new Uint8Array(3)],
      [bytes({ max: 2 }), new Uint8Array(3)],
      [bytes(), [1]],
      [u8(), 256],
      [u16(), -1],
      [u32(), 2 ** 32],
      [i32(), 2 ** 31],
    ] as const) {
      expect(schema.safeParse(wrong).success).toBe(false)
    }
  })

  it('keep their layout through describe, meta, refine and clones', () => {
    const kinds = (schema: z.ZodType) => codecOf(schema).plan.root.kind
    expect(
      kinds(
        u64()
          .describe('a')
          .meta({ b: 1 })
          .refine(() => true),
      ),
    ).toBe('u64')
    expect(kinds(i64().brand('b').readonly())).toBe('i64')
    expect(
      kinds(
        bytes()
          .refine(() => true)
          .describe('c')
          .meta({ d: 1 }),
      ),
    ).toBe('bytes')
    expect(
      kinds(
        z
          .instanceof(Uint8Array)
          .refine(() => true)
          .describe('d'),
      ),
    ).toBe('bytes')
  })

  it('check with bigints in refinements of what surrounds them', () => {
    const range = z.object({ from: u64(), to: u64() }).refine(({ from, to }) => to - from >= 1n)
    expect(codecOf(range).roundTrip({ from: 1, to: 2n })).toEqual({ from: 1n, to: 2n })
    expect(() => codecOf(range).encode({ from: 2, to: 1 })).toThrow('onTest: is not valid')
  })
})
