/**
 * The host's decoders: bytes that nobody vouches for, read by the plans of generated contracts and of delivery@1. Out comes a
 * value of the contract or a coded error, from the bytes of the event alone.
 */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { delivery } from 'hookring/contracts'
import { compileLayout } from '../../../dist/contracts/codec/compile.js'
import { createEncoder } from '../../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../../dist/contracts/codec/memory.js'
import type { LayoutPlan } from '../../../dist/contracts/codec/plan.js'
import { createReader, type EventReader } from '../../../dist/contracts/codec/read.js'
import { anyCases, objectCases, plainOf } from '../../support/arbitrary-contracts.js'
import { type Target, type TargetTally, tryInput } from './target.js'

const ROOM = 64 * 1024
/** Around the event there is other memory. What it holds must make no difference. */
const AROUND = 64
/** Nothing that fits into the room takes longer, unless the machine does something else meanwhile. */
const SLOW_MS = 2_000

/** What becomes of an encoded event; positions are shares of its length. */
type Edit =
  | { readonly kind: 'byte' | 'bit' | 'word'; readonly at: number; readonly value: number }
  | { readonly kind: 'cut' | 'longer'; readonly at: number }
  | { readonly kind: 'move'; readonly at: number; readonly to: number; readonly bytes: number }

const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const telling = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 4, 7, 8, 16, 127, 128, 255, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fff8),
  fc.nat(512),
  fc.nat(0xffff_ffff),
)
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant('byte' as const), at: share, value: fc.nat(255) }),
  fc.record({ kind: fc.constant('bit' as const), at: share, value: fc.nat(7) }),
  fc.record({ kind: fc.constant('word' as const), at: share, value: telling }),
  fc.record({ kind: fc.constantFrom('cut' as const, 'longer' as const), at: share }),
  fc.record({ kind: fc.constant('move' as const), at: share, to: share, bytes: fc.integer({ min: 1, max: 32 }) }),
)

/** One input: made up of nothing, or the valid bytes with edits. */
const input = fc.oneof(
  { weight: 1, arbitrary: fc.record({ bytes: fc.uint8Array({ maxLength: 400 }) }) },
  { weight: 4, arbitrary: fc.record({ edits: fc.array(edit, { minLength: 1, maxLength: 5 }) }) },
)
type Input = { readonly bytes: Uint8Array } | { readonly edits: readonly Edit[] }

function bytesOf(given: Input, valid: Uint8Array): Uint8Array {
  if ('bytes' in given) return given.bytes
  let bytes = valid.slice()
  for (const change of given.edits) bytes = edited(bytes, change)
  return bytes
}

function edited(bytes: Uint8Array<ArrayBuffer>, change: Edit): Uint8Array<ArrayBuffer> {
  const at = Math.floor(change.at * bytes.length)
  switch (change.kind) {
    case 'cut':
      return bytes.slice(0, at)
    case 'longer':
      return Uint8Array.from([...bytes, ...bytes.subarray(at, at + 64)])
    case 'move':
      return bytes.copyWithin(Math.floor(change.to * bytes.length), at, at + change.bytes)
    case 'byte':
      return bytes.fill(change.value, at, at + 1)
    case 'bit':
      return bytes.fill((bytes[at] ?? 0) ^ (1 << change.value), at, at + 1)
    case 'word':
      if (bytes.length < 4) return bytes
      new DataView(bytes.buffer).setUint32(Math.min(at & ~3, bytes.length - 4), change.value, true)
      return bytes
  }
}

interface Codec {
  readonly plan: LayoutPlan
  readonly reader: EventReader
  /** As a lane has it: no more than the layout. */
  readonly laneReader: EventReader
}

function codecOf(plan: LayoutPlan): Codec {
  return { plan, reader: createReader(plan), laneReader: createReader(structuredClone(plan)) }
}

/** The bytes between two stretches of other memory. */
function surrounded(bytes: Uint8Array, by: number): ReturnType<typeof codecMemory> {
  const around = new Uint8Array(bytes.length + 2 * AROUND).fill(by)
  around.set(bytes, AROUND)
  return codecMemory(around.buffer)
}

function checkInput({ plan, reader, laneReader }: Codec, bytes: Uint8Array, tally: TargetTally): void {
  const outcome = tryInput(tally, () => reader.parse(surrounded(bytes, 0xff), AROUND, bytes.length))
  if (tally.slowestMs > SLOW_MS) throw new Error(`took ${tally.slowestMs} ms for ${bytes.length} bytes`)
  const elsewhere = outcomeOf(() => reader.parse(surrounded(bytes, 0x01), AROUND, bytes.length))
  if (!isDeepStrictEqual(comparable(outcome), comparable(elsewhere))) {
    throw new Error(`depends on what stands around the event: ${fc.stringify([outcome, elsewhere])}`)
  }
  const decoded = outcomeOf(() => laneReader.decode(surrounded(bytes, 0xff), AROUND, bytes.length))
  if ('refusal' in outcome) {
    if (outcome.refusal.code !== 'EVENT_INVALID') throw new Error(`refused as ${outcome.refusal.code}`)
    return
  }
  if (!outcome.value.ok) {
    // The schema's checks come with each value; what stands behind it is not looked at.
    tally.taken -= 1
    tally.refused['by the schema'] = (tally.refused['by the schema'] ?? 0) + 1
    return
  }
  if (!('value' in decoded)) throw new Error('parse took what decode refuses')
  const { value } = outcome.value
  const memory = codecMemory(new ArrayBuffer(ROOM * 8))
  const length = createEncoder(plan).encode(memory, 0, ROOM * 8, value)
  if (length <= 0) throw new Error(`what was decoded does not fit where its like has been: ${length}`)
  const again = reader.parse(codecMemory(memory.u8.slice(0, length).buffer), 0, length)
  if (!again.ok || !isDeepStrictEqual(plainOf(again.value), plainOf(value))) {
    throw new Error(`encoded again it is another: ${fc.stringify([value, again])}`)
  }
}

function outcomeOf<T>(run: () => T): { value: T } | { refusal: unknown } {
  try {
    return { value: run() }
  } catch (refusal) {
    return { refusal }
  }
}

function comparable(outcome: ReturnType<typeof outcomeOf>): unknown {
  if ('value' in outcome) return outcome
  const { code, message } = outcome.refusal as { code?: unknown; message?: unknown }
  return { code, message }
}

function generated(name: string, cases: typeof anyCases, part: number): Target {
  const target: Target<[{ schema: unknown; event: unknown; text: string }, readonly Input[]]> = {
    name,
    group: 'decoders',
    share: part,
    cases: fc.tuple(cases, fc.array(input, { minLength: 1, maxLength: 60, size: 'max' })),
    check([{ schema, event, text }, inputs], tally) {
      const codec = codecOf(compileLayout(schema as never, ['onFuzz']))
      const memory = codecMemory(new ArrayBuffer(ROOM))
      const valid = memory.u8.subarray(0, createEncoder(codec.plan).encode(memory, 0, ROOM, event))
      for (const given of inputs) {
        try {
          checkInput(codec, bytesOf(given, valid), tally)
        } catch (error) {
          throw new Error(`${text}, event ${fc.stringify(event)}: ${(error as Error).message}`, { cause: error })
        }
      }
    },
  }
  return target as Target
}

/** Events of delivery@1, by hookpoint. */
const key = fc.uint8Array({ minLength: 32, maxLength: 32 })
const channel = fc.uint8Array({ minLength: 16, maxLength: 16 })
const messageEvents = fc.record({
  senderIdentity: fc.option(key),
  recipientKey: key,
  channelId: channel,
  payloadLen: fc.nat(),
  seq: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
})
const text = fc.string({ unit: 'binary', maxLength: 40 })
const DELIVERY_EVENTS: Readonly<Record<keyof typeof delivery.hookpoints, fc.Arbitrary<unknown>>> = {
  onMessageEnqueue: messageEvents,
  onBatchEnqueue: fc.record({ events: fc.array(messageEvents, { maxLength: 8 }) }),
  onAuth: fc.record({ username: text, success: fc.boolean(), failureReason: text }),
  onChannelCreated: fc.record({ channelId: channel, initiatorKey: key, peerKey: key, wasNew: fc.boolean() }),
  onFetch: fc.record({ recipientKey: key, channelId: channel, messageCount: fc.nat() }),
  onUserRegistered: fc.record({ username: text, identityKey: key }),
}

const shipped: Target<[[string, unknown], readonly Input[]]> = {
  name: 'delivery@1',
  group: 'decoders',
  share: 2,
  cases: fc.tuple(
    fc.oneof(
      ...Object.entries(DELIVERY_EVENTS).map(([name, events]) =>
        events.map((event): [string, unknown] => [name, event]),
      ),
    ),
    fc.array(input, { minLength: 1, maxLength: 60, size: 'max' }),
  ),
  check([[name, event], inputs], tally) {
    const codec = DELIVERY_CODECS.get(name) as Codec
    const memory = codecMemory(new ArrayBuffer(ROOM))
    const valid = memory.u8.subarray(0, createEncoder(codec.plan).encode(memory, 0, ROOM, event))
    for (const given of inputs) checkInput(codec, bytesOf(given, valid), tally)
  },
}
const DELIVERY_CODECS = new Map(
  Object.entries(delivery.hookpoints).map(([name, { plan }]) => [name, codecOf(plan)] as const),
)

export const DECODER_TARGETS: readonly Target[] = [
  generated('generated contracts, object events', objectCases, 5),
  generated('generated contracts, any events', anyCases, 4),
  shipped as Target,
]
