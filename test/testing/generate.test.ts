/** Made-up events. A failure of a property prints its seed: set it as SEED to see it again. */
import fc from 'fast-check'
import { bytes, type Contract, defineContract, delivery, gate, HookringError, observe, u64 } from 'hookring/contracts'
import { generateEvents } from 'hookring/testing'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createEncoder } from '../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import { anyCases, objectCases, plainOf } from '../support/arbitrary-contracts.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)
const memory = codecMemory(new ArrayBuffer(4 * 1024 * 1024))

const contractOf = (schema: z.ZodType) => defineContract('made', 1, { onMade: gate(schema) })

function take<T>(next: () => T, count: number): T[] {
  return Array.from({ length: count }, () => next())
}

function expectAccepted(contract: Contract, hookpoint: string, event: unknown): void {
  const point = contract.hookpoints[hookpoint]!
  const parsed = z.safeParse(point.event as z.ZodType, event)
  if (!parsed.success) throw new Error(`${fc.stringify(event).slice(0, 500)}: ${parsed.error.message}`)
  const encoder = createEncoder(point.plan, { label: hookpoint })
  if (encoder.encode(memory, 0, 1024 * 1024, event) < 0) throw new Error('does not fit 1 MiB')
}

/** All events of a schema are accepted; gives them back. */
function valid(schema: z.ZodType, count = 200, seed = SEED): unknown[] {
  const contract = contractOf(schema)
  const events = take(generateEvents(contract, 'onMade', { seed }), count)
  for (const event of events) expectAccepted(contract, 'onMade', event)
  return events
}

function refusalOf(body: () => unknown): HookringError {
  try {
    body()
  } catch (error) {
    if (error instanceof HookringError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

// No literal: the compiler does not know the flag `v` for the language that it is told to write.
const LETTERS_BUT_A_TO_Z = '^[\\p{L}--[a-z]]{3}$'

describe('generated events', () => {
  it.each([
    ['objects', objectCases],
    ['events of any type', anyCases],
  ])(
    `are accepted by schema and codec, for arbitrary contracts of %s (seed ${SEED})`,
    { timeout: 120_000 },
    (_, cases) => {
      fc.assert(
        fc.property(cases, fc.nat(), ({ schema }, seed) => {
          valid(schema, 12, seed)
        }),
        { seed: SEED, numRuns: 300 },
      )
    },
  )

  it('are the same for the same seed, others for another, and others at each hookpoint', () => {
    const schema = z.object({ name: z.string(), at: z.number(), key: bytes(16), seq: u64() })
    const contract = defineContract('made', 1, { onOne: gate(schema), onOther: observe(schema) })
    const events = (name: 'onOne' | 'onOther', seed: number) => take(generateEvents(contract, name, { seed }), 20)
    expect(events('onOne', 7)).toEqual(events('onOne', 7))
    expect(events('onOne', 7)).not.toEqual(events('onOne', 8))
    expect(events('onOne', 7)).not.toEqual(events('onOther', 7))
  })

  it('can be had from any index on, without those before it', () => {
    const events = take(generateEvents(delivery, 'onBatchEnqueue', { seed: 3 }), 60)
    expect(generateEvents(delivery, 'onBatchEnqueue', { seed: 3, from: 57 })()).toEqual(events[57])
  })

  it('keep to the bounds of numbers, and reach them', () => {
    const seen = valid(
      z.object({
        narrow: z.int().min(-3).max(4),
        wide: z.int().min(1000),
        below: z.number().lt(0),
        share: z.number().min(0).max(1),
        step: z.number().multipleOf(0.25).min(1).max(9),
        even: z.bigint().multipleOf(8n).min(10n).max(1000n),
        when: z.date().min(new Date('2040-01-01')),
      }),
      2000,
    ) as { narrow: number; wide: number }[]
    expect(new Set(seen.map(({ narrow }) => narrow)).size).toBe(8)
    expect(seen.some(({ wide }) => wide === 1000)).toBe(true)
    expect(seen.some(({ wide }) => wide === Number.MAX_SAFE_INTEGER)).toBe(true)
  })

  it('keep to the lengths of text, bytes and lists, and reach them', () => {
    const seen = valid(
      z.object({
        text: z.string().min(3).max(9),
        long: z.string().length(70_000),
        bytes: bytes({ max: 40 }),
        list: z.array(z.boolean()).min(2).max(5),
      }),
      400,
    ) as { text: string; bytes: Uint8Array; list: boolean[] }[]
    expect(Math.min(...seen.map(({ text }) => [...text].length))).toBe(3)
    expect(Math.max(...seen.map(({ text }) => [...text].length))).toBe(9)
    expect(Math.max(...seen.map(({ bytes }) => bytes.length))).toBe(40)
    expect(new Set(seen.map(({ list }) => list.length))).toEqual(new Set([2, 3, 4, 5]))
  })

  it.each(
    Object.entries({
      email: z.email(),
      url: z.url(),
      httpUrl: z.httpUrl(),
      uuid: z.uuid(),
      uuidv7: z.uuidv7(),
      hostname: z.hostname(),
      emoji: z.emoji(),
      base64: z.base64(),
      base64url: z.base64url(),
      hex: z.hex(),
      jwt: z.jwt(),
      nanoid: z.nanoid(),
      cuid: z.cuid(),
      cuid2: z.cuid2(),
      ulid: z.ulid(),
      ipv4: z.ipv4(),
      ipv6: z.ipv6(),
      mac: z.mac(),
      cidrv4: z.cidrv4(),
      cidrv6: z.cidrv6(),
      sha256: z.hash('sha256'),
      date: z.iso.date(),
      time: z.iso.time(),
      datetime: z.iso.datetime(),
      'datetime in seconds': z.iso.datetime({ precision: 0 }),
      duration: z.iso.duration(),
      e164: z.e164(),
      lowercase: z.string().lowercase().min(4),
      uppercase: z.string().uppercase(),
      affixes: z.string().startsWith('ab-').includes('::').endsWith('.z'),
      trimmed: z.string().trim().min(2).max(20),
      'template literal': z.templateLiteral(['v', z.int(), '-', z.enum(['a', 'b'])]),
      'regex of groups': z.string().regex(/^(?:(a|b)\1[^\s"x-z]{2,4}|\d+\.(?<tail>\w)\k<tail>|\p{Lu}é?)$/u),
      'regex of sets': z.string().regex(new RegExp(LETTERS_BUT_A_TO_Z, 'v')),
      'long by regex': z
        .string()
        .min(40)
        .regex(/^[a-f]+$/),
      'regex without anchors': z.string().regex(/needle/),
    }),
  )('meet the format %s', (_, schema) => {
    expect(new Set(valid(schema as z.ZodType, 100)).size).toBeGreaterThan(schema instanceof z.ZodEmoji ? 3 : 0)
  })

  it('meet checks of the author that a fair share of values passes', () => {
    const seen = valid(
      z.object({ from: z.int().min(0).max(100), to: z.int().min(0).max(100) }).refine(({ from, to }) => from < to),
    )
    expect(seen.length).toBe(200)
  })

  it('name the field whose checks no made-up value passes', () => {
    const contract = contractOf(
      z.object({ order: z.object({ sku: z.string().refine((value) => value === 'the one and only') }) }),
    )
    const next = generateEvents(contract, 'onMade')
    const error = refusalOf(() => take(next, 10))
    expect(error.code).toBe('EVENT_NOT_GENERATED')
    expect(error.path).toEqual(['onMade', 'order', 'sku'])
    expect(error.message).toMatch(/^onMade\.order\.sku: .*recording/)
  })

  it('say so when a check throws', () => {
    const thrown = new Error('no idea')
    const contract = contractOf(
      z.string().refine(() => {
        throw thrown
      }),
    )
    expect(refusalOf(() => generateEvents(contract, 'onMade')()).cause).toBe(thrown)
  })

  it('end for types that hold themselves, and are refused for one without an end', () => {
    interface Tree {
      left: Tree | null
      list: Tree[]
    }
    const tree: z.ZodType<Tree> = z.lazy(() => z.object({ left: tree.nullable(), list: z.array(tree) }))
    valid(tree, 300)
    const expression: z.ZodType<unknown> = z.lazy(() =>
      z.union([z.object({ kind: z.literal('add'), parts: z.tuple([expression, expression]) }), z.string()]),
    )
    valid(expression, 300)

    const endless: z.ZodType<unknown> = z.lazy(() => z.object({ next: endless }))
    expect(refusalOf(() => generateEvents(contractOf(endless), 'onMade')).code).toBe('EVENT_NOT_GENERATED')
  })

  it('name the hookpoints there are, when asked for another', () => {
    const error = refusalOf(() => generateEvents(delivery, 'onMessage' as 'onAuth'))
    expect(error.code).toBe('HOOKPOINT_UNKNOWN')
    expect(error.message).toContain('onMessageEnqueue')
  })
})

describe('generated events of delivery@1', () => {
  const events = <Name extends keyof typeof delivery.hookpoints>(name: Name, count = 2000) =>
    take(generateEvents(delivery, name, { seed: 11 }), count)

  it('are accepted, at every hookpoint', () => {
    for (const name of Object.keys(delivery.hookpoints) as (keyof typeof delivery.hookpoints)[]) {
      for (const event of events(name, 300)) expectAccepted(delivery, name, event)
    }
  })

  it('have payloads of all sizes, sealed senders, and recipients who come again', () => {
    const messages = events('onMessageEnqueue')
    const sizes = messages.map(({ payloadLen }) => payloadLen)
    expect(sizes.filter((size) => size < 2500).length).toBeGreaterThan(1000)
    expect(sizes.filter((size) => size > 65_536).length).toBeGreaterThan(50)
    const sealed = messages.filter(({ senderIdentity }) => senderIdentity === null).length
    expect(sealed).toBeGreaterThan(400)
    expect(sealed).toBeLessThan(1000)
    const recipients = new Set(messages.map(({ recipientKey }) => Buffer.from(recipientKey).toString('hex')))
    expect(recipients.size).toBeLessThan(700)
  })

  it('give a reason for a failed login, and mostly none for a good one', () => {
    const logins = events('onAuth')
    const failed = logins.filter(({ success }) => !success)
    expect(failed.length).toBeGreaterThan(200)
    expect(logins.filter(({ success, failureReason }) => success !== (failureReason === '')).length).toBeLessThan(150)
  })

  it('are plausible for a contract that has the events of delivery@1 among its own', () => {
    const contract = defineContract('mail', 1, { onMail: gate(delivery.hookpoints.onMessageEnqueue.event) })
    const large = take(generateEvents(contract, 'onMail'), 500).filter(({ payloadLen }) => payloadLen > 2 ** 24)
    expect(large.length).toBeLessThan(25)
    expect(plainOf(large)).toEqual(large)
  })
})
