/** What the encoder does when there is no room, and with values that misbehave while they are read. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { createEncoder } from '../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import { bytes, u8 } from '../../dist/contracts/types.js'
import { anyCases, plainOf } from '../support/arbitrary-contracts.js'
import { codecOf, refusalOf } from '../support/codec-round.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)

describe('the room for an event', () => {
  it(`is never exceeded, and asked for until it suffices (seed ${SEED})`, { timeout: 60_000 }, () => {
    const memory = codecMemory(new SharedArrayBuffer(64 * 1024))
    const base = 512
    fc.assert(
      fc.property(anyCases, fc.double({ min: 0, max: 1, noNaN: true }), ({ schema, event }, share) => {
        const encoder = createEncoder(compileLayout(schema, ['onTest']))
        const whole = encoder.encode(memory, base, memory.u8.length, event)
        expect(encoder.encode(memory, base, base + whole, event)).toBe(whole)
        let room = Math.floor((whole - 1) * share)
        for (;;) {
          memory.u8.fill(0xee)
          const result = encoder.encode(memory, base, base + room, event)
          expect(memory.u8.subarray(0, base).every((byte) => byte === 0xee)).toBe(true)
          expect(memory.u8.subarray(base + room).every((byte) => byte === 0xee)).toBe(true)
          if (result >= 0) {
            expect(result).toBe(whole)
            return
          }
          expect(-result).toBeGreaterThan(room)
          expect(-result).toBeLessThanOrEqual(whole)
          room = -result
        }
      }),
      { seed: SEED, numRuns: 300 },
    )
  })

  it('is asked for at once when a single part is too large', () => {
    const { encode } = codecOf(z.object({ payload: bytes(), list: z.array(z.number()) }))
    expect(encode({ payload: new Uint8Array(100_000), list: [] }, 256)).toBe(-100_016)
    expect(encode({ payload: new Uint8Array(), list: new Array(10_000).fill(1) }, 256)).toBe(-80_016)
  })

  it('ends where the memory ends, whatever the limit says', () => {
    const { plan } = codecOf(z.object({ text: z.string(), key: bytes() }))
    const memory = codecMemory(new ArrayBuffer(64))
    const encoder = createEncoder(plan)
    expect(encoder.encode(memory, 0, 1 << 20, { text: 'x'.repeat(40), key: new Uint8Array(20) })).toBe(-76)
    expect(encoder.encode(memory, 0, 1 << 20, { text: 'é'.repeat(24), key: new Uint8Array() })).toBe(64)
    expect(encoder.encode(memory, 0, 1 << 20, { text: 'é'.repeat(25), key: new Uint8Array() })).toBe(-66)
    const fixed = createEncoder(codecOf(z.object({ key: bytes(32), count: u8() })).plan)
    const event = { key: new Uint8Array(32).fill(7), count: 1 }
    const bytesOf = fixed.encode(memory, 0, 1 << 20, event)
    expect(bytesOf).toBeGreaterThan(32)
    expect(fixed.encode(memory, 24, 1 << 20, event)).toBe(bytesOf)
    expect(fixed.encode(memory, 32, 1 << 20, event)).toBe(-bytesOf)
    expect(fixed.encode(memory, 0, bytesOf - 1, event)).toBe(-bytesOf)
  })
})

describe('a value', () => {
  it('is read once, property by property', () => {
    const reads: string[] = []
    const watch = <T extends object>(value: T, name: string): T =>
      new Proxy(value, {
        get(target, key) {
          reads.push(`${name}.${String(key)}`)
          return Reflect.get(target, key)
        },
      })
    const kind = z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('a'), n: u8() }),
      z.object({ kind: z.literal('b') }),
    ])
    const { encode } = codecOf(z.object({ text: z.string(), list: z.array(u8()), one: kind, meta: z.any() }))
    const event = {
      text: 't',
      list: watch([1, 2], 'list'),
      one: watch({ kind: 'a', n: 1 }, 'one'),
      meta: watch({ deep: 1 }, 'meta'),
    }
    expect(encode(watch(event, 'event'))).toBeGreaterThan(0)
    expect(reads.sort()).toEqual([
      'event.list',
      'event.meta',
      'event.one',
      'event.text',
      'list.0',
      'list.1',
      'list.length',
      'meta.Symbol(Symbol.toStringTag)',
      'meta.deep',
      'meta.toJSON',
      'one.kind',
      'one.n',
    ])
  })

  it('whose getter throws is refused, with the cause', () => {
    const { encode } = codecOf(z.object({ client: z.object({ id: z.string() }) }))
    const cause = new Error('gone')
    const broken = {
      get id() {
        throw cause
      },
    }
    expect(() => encode({ client: broken })).toThrow(
      expect.objectContaining({
        code: 'EVENT_INVALID',
        path: ['client', 'id'],
        cause,
        message: 'onTest: client.id could not be read: gone',
      }),
    )
    const odd = {
      get id() {
        throw Object.create(null)
      },
    }
    expect(refusalOf(() => encode({ client: odd }))).toMatchObject({ code: 'EVENT_INVALID', path: ['client', 'id'] })
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    expect(refusalOf(() => encode(proxy)).code).toBe('EVENT_INVALID')
    expect(refusalOf(() => encode({ client: proxy }))).toMatchObject({ code: 'EVENT_INVALID', path: ['client'] })
  })

  it('without variable parts is read once, and once more when it is refused', () => {
    const { encode } = codecOf(z.object({ key: bytes(4), count: u8() }))
    let reads = 0
    const event = (count: unknown) => ({
      key: new Uint8Array(4),
      get count() {
        reads += 1
        return count
      },
    })
    expect(encode(event(5))).toBe(8)
    expect(reads).toBe(1)
    expect(refusalOf(() => encode(event(-1)))).toMatchObject({ code: 'EVENT_INVALID', path: ['count'] })
    expect(reads).toBe(3)
  })

  it('may use the encoder itself while it is being read', () => {
    const outer = codecOf(z.object({ a: z.string(), b: z.string(), c: z.array(z.string()) }))
    const inner = codecOf(z.object({ text: z.string() }))
    const seen: unknown[] = []
    const event = {
      a: 'before',
      get b() {
        seen.push(inner.roundTrip({ text: 'x'.repeat(100) }))
        expect(() => inner.encode({ text: 5 })).toThrow('onTest: text must be a string')
        expect(inner.encode({ text: 'x'.repeat(100) }, 16)).toBe(-108)
        return 'between'
      },
      c: ['after', 'that'],
    }
    expect(outer.roundTrip(event)).toEqual({ a: 'before', b: 'between', c: ['after', 'that'] })
    expect(seen).toHaveLength(2 - 1)
  })

  it('may be of bytes that lie about themselves', () => {
    class Liar extends Uint8Array {
      override get length() {
        return 1_000_000
      }
      override get buffer(): never {
        throw new Error('no buffer')
      }
      override subarray(): never {
        throw new Error('no subarray')
      }
    }
    const { roundTrip } = codecOf(z.object({ key: bytes(4), payload: bytes() }))
    const lie = (length: number) => new Liar(new Uint8Array(length).fill(7))
    expect(roundTrip({ key: lie(4), payload: lie(200) })).toEqual({
      key: new Uint8Array(4).fill(7),
      payload: new Uint8Array(200).fill(7),
    })
  })

  it('may be of bytes whose memory grows, and not of bytes that were transferred away', () => {
    const { roundTrip, encode } = codecOf(z.object({ payload: bytes() }))
    const Growable = SharedArrayBuffer as unknown as new (
      length: number,
      options: { maxByteLength: number },
    ) => SharedArrayBuffer
    const grown = new Growable(100, { maxByteLength: 200 })
    expect(roundTrip({ payload: new Uint8Array(grown) })).toEqual({ payload: new Uint8Array(100) })
    const gone = new Uint8Array(8)
    structuredClone(gone, { transfer: [gone.buffer] })
    expect(refusalOf(() => encode({ payload: gone })).message).toBe(
      'onTest: payload must be readable: its buffer has been transferred away',
    )
    expect(roundTrip({ payload: new Uint8Array() })).toEqual({ payload: new Uint8Array() })
  })

  it.each([Number.NaN, -1, 1.5, 2 ** 53, 2 ** 32])('may be an array that says it is %s long', (length) => {
    const list = new Proxy([1], { get: (target, key) => (key === 'length' ? length : Reflect.get(target, key)) })
    const { encode } = codecOf(z.object({ list: z.array(u8()) }))
    let outcome: unknown
    try {
      outcome = encode({ list }, 4096)
    } catch (error) {
      outcome = (error as { code: string }).code
    }
    expect(outcome === 'EVENT_INVALID' || Number(outcome) < -4096).toBe(true)
  })

  it('of ill-formed text is made well-formed', () => {
    const { roundTrip } = codecOf(z.object({ short: z.string(), long: z.string() }))
    const long = `${'a'.repeat(50)}\ud800${'b'.repeat(50)}\udc00`
    expect(roundTrip({ short: '\udfff!', long })).toEqual({
      short: '\ufffd!',
      long: `${'a'.repeat(50)}\ufffd${'b'.repeat(50)}\ufffd`,
    })
  })

  it('of JSON may hold what JSON holds, and nothing that it changes', () => {
    const { roundTrip, encode } = codecOf(z.object({ meta: z.any() }))
    const date = new Date(0)
    expect(roundTrip({ meta: { date, none: undefined } })).toEqual({ meta: { date: date.toJSON() } })
    expect(roundTrip({})).toEqual({})
    expect(roundTrip({ meta: null })).toEqual({ meta: null })
    const loop: unknown[] = []
    loop.push(loop)
    expect(refusalOf(() => encode({ meta: loop })).message).toMatch(/circular or nested deeper than 128/)
    expect(refusalOf(() => encode({ meta: { a: [0, { b: new Set() }] } })).message).toBe(
      'onTest: meta.a[1].b must be JSON, got a Set: give the field a type',
    )
    expect(refusalOf(() => encode({ meta: [undefined] })).path).toEqual(['meta', 0])
    expect(refusalOf(() => encode({ meta: { n: Number.NaN } })).path).toEqual(['meta', 'n'])
    let deep: unknown = 1
    for (let depth = 0; depth < 128; depth++) deep = [deep]
    expect(plainOf(roundTrip({ meta: deep }))).toEqual({ meta: deep })
    expect(refusalOf(() => encode({ meta: [deep] })).message).toMatch(/nested deeper/)
  })

  it('may have keys named __proto__ without changing what anything inherits', () => {
    const { roundTrip, open } = codecOf(z.object({ record: z.record(z.string(), u8()), meta: z.any() }))
    const event = {
      record: JSON.parse('{"__proto__":1,"a":2}'),
      meta: JSON.parse('{"__proto__":{"admin":true},"b":[{"__proto__":3}]}'),
    }
    for (const seen of [roundTrip(event), open<{ copy(): unknown }>(event).copy()] as (typeof event)[]) {
      expect(Object.entries(seen.record)).toEqual([
        ['__proto__', 1],
        ['a', 2],
      ])
      expect(Object.getPrototypeOf(seen.record)).toBe(Object.prototype)
      expect(Object.getPrototypeOf(seen.meta)).toBe(Object.prototype)
      expect(seen.meta.admin).toBeUndefined()
      expect(JSON.stringify(seen.meta)).toBe(JSON.stringify(event.meta))
    }
  })
})
