/** The layout of a lane's memory keeps its promises. */
import { describe, expect, it } from 'vitest'
import { SMALLEST_EXTENT_BYTES } from '../../dist/ring/extents.js'
import * as layout from '../../dist/ring/layout.js'

const HOST_POLLS = ['COMPLETE_TAIL_WORD', 'HOST_PARK_WORD', 'RUNNING_SLOT_WORD']
const WORKER_POLLS = ['SUBMIT_TAIL_WORD', 'WORKER_PARK_WORD', 'CONTROL_SEQUENCE_WORD']
const HEADER = [
  'LAYOUT_VERSION_WORD',
  'SLOT_COUNT_WORD',
  'CANCEL_SEQUENCE_WORD',
  'LOADING_PLUGIN_WORD',
  ...HOST_POLLS,
  ...WORKER_POLLS,
]
const DOUBLES = ['DEADLINE_WORD', 'STARTED_AT_WORD', 'MARK_AT_WORD']
/** The worker's half of a slot starts here. */
const HALF_WORDS = 16
const LINE_WORDS = 32

const wordOf = (name: string) => (layout as unknown as Record<string, number>)[name] as number
const slotNames = Object.keys(layout).filter((name) => name.endsWith('_WORD') && !HEADER.includes(name))
const lengthOf = (name: string) => (DOUBLES.includes(name) || name === 'REPLACED_BYTES_WORD' ? 2 : 1)

describe('the header', () => {
  it('gives each value a word of its own', () => {
    const words = HEADER.map(wordOf)
    expect(new Set(words).size).toBe(HEADER.length)
    for (const word of words) expect(word).toBeLessThan(layout.HEADER_WORDS)
  })

  it('keeps words that one side polls 128 bytes apart, and away from what is written once', () => {
    const polled = [...HOST_POLLS, ...WORKER_POLLS].map(wordOf).sort((a, b) => a - b)
    for (const [index, word] of polled.entries()) {
      expect(word % LINE_WORDS).toBe(0)
      if (index > 0) expect(word - (polled[index - 1] as number)).toBeGreaterThanOrEqual(LINE_WORDS)
    }
    expect(polled[0]).toBeGreaterThanOrEqual(LINE_WORDS)
    expect(layout.HEADER_WORDS - (polled.at(-1) as number)).toBeGreaterThanOrEqual(LINE_WORDS)
  })

  it('puts two words on one cache line only if one side writes both', () => {
    expect(Math.floor(wordOf('CANCEL_SEQUENCE_WORD') / LINE_WORDS)).toBe(
      Math.floor(wordOf('CONTROL_SEQUENCE_WORD') / LINE_WORDS),
    )
    expect(Math.floor(wordOf('LOADING_PLUGIN_WORD') / LINE_WORDS)).toBe(
      Math.floor(wordOf('RUNNING_SLOT_WORD') / LINE_WORDS),
    )
  })
})

describe('a slot', () => {
  it('has words that do not overlap, and doubles on even words', () => {
    const taken = new Map<number, string>()
    for (const name of slotNames) {
      for (let word = wordOf(name); word < wordOf(name) + lengthOf(name); word += 1) {
        expect([name, taken.get(word)]).toEqual([name, undefined])
        taken.set(word, name)
        expect(word).toBeLessThan(layout.SLOT_WORDS)
      }
      if (DOUBLES.includes(name)) expect([name, wordOf(name) % 2]).toEqual([name, 0])
    }
    expect(slotNames.length).toBeGreaterThan(15)
  })

  it('keeps the host’s words in the first half and the worker’s in the second, whole lines each', () => {
    const ofHost = [
      'HOOKPOINT_WORD',
      'MASK_WORD',
      'EXTENT_AT_WORD',
      'EVENT_BYTES_WORD',
      'TRACE_BYTES_WORD',
      'REPLY_ROOM_WORD',
      'CANCELLED_WORD',
      'DEADLINE_WORD',
    ]
    for (const name of slotNames) expect([name, wordOf(name) < HALF_WORDS]).toEqual([name, ofHost.includes(name)])
    expect(layout.SLOT_WORDS % LINE_WORDS).toBe(0)
  })

  it('has room for every state in the state word, and in the done mask for a bit that is no plugin', () => {
    const states = [layout.FREE, layout.SUBMITTED, layout.CLAIMED, layout.RECALLED, layout.COMPLETED]
    expect(new Set(states).size).toBe(states.length)
    for (const state of states) expect(state & ~layout.STATE_MASK).toBe(0)
    expect(layout.STATE_MASK).toBe(2 ** layout.STATE_BITS - 1)
    expect(layout.STOPPED_BIT).toBe(1 << 31)
  })
})

describe('a lane’s memory', () => {
  it.each([1, 2, 4, 64, 1024, 32_768])('has its parts one after the other, for %i slots', (slotCount) => {
    const arenaBytes = 64 * 1024
    const { submitRingWord, completeRingWord, slotsWord, messagesByte, arenaByte, totalBytes } = layout.layoutOf({
      slotCount,
      arenaBytes,
    })
    expect(submitRingWord).toBeGreaterThanOrEqual(layout.HEADER_WORDS)
    expect(completeRingWord - submitRingWord).toBeGreaterThanOrEqual(slotCount)
    expect(slotsWord - completeRingWord).toBeGreaterThanOrEqual(slotCount)
    expect(messagesByte).toBe((slotsWord + slotCount * layout.SLOT_WORDS) * 4)
    expect(arenaByte).toBe(messagesByte + slotCount * layout.MESSAGE_BYTES)
    expect(totalBytes).toBe(arenaByte + arenaBytes)
    for (const word of [submitRingWord, completeRingWord, slotsWord]) expect(word % LINE_WORDS).toBe(0)
    // Whole lines, which the slots' own extents are as well.
    for (const byte of [messagesByte, arenaByte]) expect(byte % (LINE_WORDS * 4)).toBe(0)
    expect(SMALLEST_EXTENT_BYTES % (LINE_WORDS * 4)).toBe(0)
  })

  it.each([0, 3, 6, -4])('is refused for %i slots, which is no power of two', (slotCount) => {
    expect(() => layout.layoutOf({ slotCount, arenaBytes: 512 })).toThrow(RangeError)
  })

  it('has room in an extent for everything in it', () => {
    for (const [eventBytes, traceBytes, replyRoom, replyAreas] of [
      [0, 0, 0, 0],
      [1, 0, 8, 1],
      [129, 7, 4096, 2],
      [1_048_576, 256, 1_052_672, 2],
    ] as const) {
      const bytes = layout.extentBytes(eventBytes, traceBytes, replyRoom, replyAreas)
      const at = 4096
      const replies = layout.repliesAt(at, eventBytes, traceBytes)
      expect(replies).toBeGreaterThanOrEqual(at + eventBytes + traceBytes)
      expect(replies % 8).toBe(0)
      for (let area = 0; area < replyAreas; area += 1) {
        const reply = layout.replyAt(replies, replyRoom, area)
        expect(reply).toBe(replies + area * replyRoom)
        expect(reply % 8).toBe(0)
        expect(reply + replyRoom).toBeLessThanOrEqual(at + bytes)
      }
    }
  })
})
