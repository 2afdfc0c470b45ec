/** Generated writers and the closures behind them write the same. A failure prints its seed: set it as SEED to see it again. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { createEncoder, type Encoder } from '../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import { delivery } from '../../dist/contracts/delivery.js'
import { objectCases } from '../support/arbitrary-contracts.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)
const ROOM = 64 * 1024

/** As under --disallow-code-generation-from-strings, and how often code was asked for. */
function withoutCode<T>(make: () => T): { made: T; asked: number } {
  const { Function: original } = globalThis
  let asked = 0
  globalThis.Function = function refuse() {
    asked += 1
    throw new EvalError('Code generation from strings disallowed for this context')
  } as unknown as FunctionConstructor
  try {
    return { made: make(), asked }
  } finally {
    globalThis.Function = original
  }
}

function outcomeOf(encoder: Encoder, event: unknown, limit = ROOM): unknown {
  const memory = codecMemory(new ArrayBuffer(ROOM))
  try {
    const bytes = encoder.encode(memory, 0, limit, event)
    return bytes < 0 ? bytes : [...memory.u8.subarray(0, bytes)]
  } catch (error) {
    const { code, message, path } = error as { code: string; message: string; path: unknown }
    return { code, message, path }
  }
}

/** The event with one of its fields, or a field of a field, made something else. */
const spoilt = (event: object) =>
  fc
    .record({
      key: fc.constantFrom(...Object.keys(event), 'none'),
      value: fc.oneof(
        fc.constant(undefined),
        fc.constant(null),
        fc.integer(),
        fc.string(),
        fc.bigInt(),
        fc.uint8Array(),
      ),
    })
    .map(({ key, value }) => ({ ...event, [key]: value }))

describe(`generated writers (seed ${SEED})`, () => {
  it('are made for plain objects, and nothing fails where code may not be generated', () => {
    const { plan } = delivery.hookpoints.onMessageEnqueue
    expect(withoutCode(() => createEncoder(plan)).asked).toBeGreaterThan(0)
  })

  it('write what the closures write, refuse what they refuse, and ask for as much room', () => {
    const cases = objectCases.chain((one) =>
      fc.record({
        one: fc.constant(one),
        event: fc.oneof(fc.constant(one.event), spoilt(one.event as object)),
        limit: fc.constantFrom(ROOM, 64, 256),
      }),
    )
    fc.assert(
      fc.property(cases, ({ one, event, limit }) => {
        const plan = compileLayout(one.schema, ['onGenerated'])
        const { made: closures } = withoutCode(() => createEncoder(plan))
        expect(outcomeOf(createEncoder(plan), event, limit)).toEqual(outcomeOf(closures, event, limit))
      }),
      { seed: SEED, numRuns: 500 },
    )
  })

  it('hold field names for names, whatever is in them', () => {
    const names = ["'", '"', '\\', '`$', '\u2028', '__proto__x', 'a b', '];throw 1;//', 'constructor']
    const schema = z.object(Object.fromEntries(names.map((name) => [name, z.int()])))
    const event = Object.fromEntries(names.map((name, index) => [name, index]))
    const plan = compileLayout(schema, ['onNames'])
    const { made: closures } = withoutCode(() => createEncoder(plan))
    expect(outcomeOf(createEncoder(plan), event)).toEqual(outcomeOf(closures, event))
    expect(Array.isArray(outcomeOf(createEncoder(plan), event))).toBe(true)
  })

  it('name the field whose getter throws', () => {
    const plan = compileLayout(z.object({ first: z.string(), second: z.int() }), ['onThrow'])
    const event = {
      first: 'read',
      get second(): number {
        throw new RangeError('not today')
      },
    }
    expect(outcomeOf(createEncoder(plan), event)).toMatchObject({ code: 'EVENT_INVALID', path: ['second'] })
  })
})
