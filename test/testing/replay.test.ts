/** replayEvents: recordings read back, and what is wrong with files that are none. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { bytes, defineContract, delivery, gate, type HookringError, observe, u64 } from 'hookring/contracts'
import { type ReplayOptions, replayEvents } from 'hookring/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'

const shop = defineContract('shop', 2, {
  onOrder: gate(z.object({ id: u64(), sku: z.string().regex(/^[a-z]+$/), blob: bytes().optional() })),
  onPaid: observe(z.object({ id: u64() })),
})
type Shop = (typeof shop)['hookpoints']

const HEADER = {
  hookring: 'recording',
  version: 1,
  contract: { name: 'shop', version: 2 },
  hookpoints: ['onOrder', 'onPaid'],
  startedAt: '2026-11-01T00:00:00.000Z',
  sample: 1,
  redacted: [],
}
const ORDER = { at: 0.5, hookpoint: 'onOrder', event: { id: '1', sku: 'tea' } }
const PAID = { at: 1.5, hookpoint: 'onPaid', traceId: 't', event: { id: '18446744073709551615' } }
const END = { end: { recorded: 2, dropped: 0, left: 0 } }

let folder: string
let file: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hookring-replay-'))
  file = join(folder, 'shop.ndjson')
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const textOf = (...lines: readonly unknown[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

/** What was read, and the error that ended it. */
async function replayed(text: string, options: Partial<ReplayOptions<Shop, keyof Shop>> = {}) {
  await writeFile(file, text)
  const events: unknown[] = []
  try {
    for await (const event of replayEvents(file, { contract: shop, ...options })) events.push(event)
    return { events, error: null }
  } catch (error) {
    return { events, error: error as HookringError }
  }
}

describe('a recording', () => {
  it('gives its events, exact and in order, and where they stood', async () => {
    const { events, error } = await replayed(textOf(HEADER, ORDER, PAID, END))
    expect(error).toBeNull()
    expect(events).toEqual([
      { hookpoint: 'onOrder', event: { id: 1n, sku: 'tea' }, atMs: 0.5, traceId: undefined, line: 2 },
      { hookpoint: 'onPaid', event: { id: 2n ** 64n - 1n }, atMs: 1.5, traceId: 't', line: 3 },
    ])
  })

  it('gives those of one hookpoint alone', async () => {
    const { events } = await replayed(textOf(HEADER, ORDER, PAID, END), { hookpoint: 'onPaid' })
    expect(events).toMatchObject([{ hookpoint: 'onPaid', line: 3 }])
  })

  it('may have lines longer than what is read at once, and be named by a URL', async () => {
    const large = { ...ORDER, event: { ...ORDER.event, blob: Buffer.alloc(300_000, 7).toString('base64') } }
    await writeFile(file, textOf(HEADER, large, ORDER, large, END))
    const lengths = []
    for await (const { event } of replayEvents(pathToFileURL(file), { contract: shop, hookpoint: 'onOrder' })) {
      lengths.push(event.blob?.length)
    }
    expect(lengths).toEqual([300_000, undefined, 300_000])
  })

  it('that is cut short gives what is whole, and is no error where that is allowed', async () => {
    const text = textOf(HEADER, ORDER, PAID)
    for (const cut of [text, text.slice(0, -1), text.slice(0, -20)]) {
      const { events, error } = await replayed(cut, { allowTruncated: true })
      expect(error).toBeNull()
      expect(events.length).toBe(cut === text ? 2 : 1)
    }
  })
})

describe('a file that is no whole recording is refused, by name and line', () => {
  const whole = textOf(HEADER, ORDER, PAID, END)
  it.each<[string, string, number, string]>([
    ['an empty one', '', 1, 'the file is empty'],
    ['a text', 'Dear diary,\n', 1, 'it is no recording of hookring'],
    ['some other JSON', textOf({ level: 'info' }), 1, 'it is no recording of hookring'],
    ['null', 'null\n', 1, 'it is no recording of hookring'],
    ['one cut off in its first line', whole.slice(0, 60), 1, 'the file is cut off in its first line'],
    ['one of a later version', textOf({ ...HEADER, version: 2 }), 1, 'it is of version 2'],
    ['one with a damaged first line', textOf({ ...HEADER, sample: 'x' }), 1, 'first line of the recording is damaged'],
    [
      'one of another contract',
      textOf({ ...HEADER, contract: { name: 'delivery', version: 1 } }),
      1,
      'it was recorded for delivery@1, and is asked for shop@2',
    ],
    [
      'one of another version of the contract',
      textOf({ ...HEADER, contract: { name: 'shop', version: 1 } }),
      1,
      'it was recorded for shop@1',
    ],
    ['one that is cut off', whole.slice(0, -90), 3, 'the line is cut off; the 2 before it are whole'],
    ['one without its end', textOf(HEADER, ORDER), 3, 'its end is missing'],
    ['one with more behind its end', textOf(HEADER, END, ORDER), 3, 'something stands behind its end'],
    ['one with a damaged line', `${textOf(HEADER, ORDER)}{"at":\n${textOf(END)}`, 3, 'the line is no JSON'],
    ['one with a line of something else', textOf(HEADER, { at: 1 }, END), 2, 'it is no recorded event'],
    [
      'one with a hookpoint that there is not',
      textOf(HEADER, { ...ORDER, hookpoint: 'onGone' }, END),
      2,
      'shop@2 has no hookpoint onGone',
    ],
    [
      'one with an event of another shape',
      textOf(HEADER, ORDER, { ...PAID, event: { id: 1 } }, END),
      3,
      'the event does not fit onPaid: id must be an integer as a string',
    ],
    [
      'one with an event that the schema refuses',
      textOf({ ...HEADER, redacted: ['sku'] }, { ...ORDER, event: { id: '1', sku: 'TEA' } }, END),
      2,
      '(what was redacted: sku)',
    ],
  ])('%s', async (_, text, line, message) => {
    const { error } = await replayed(text)
    expect(error?.code).toBe('RECORDING_INVALID')
    expect(error?.message).toContain(`recording ${file}:${line}: `)
    expect(error?.message).toContain(message)
  })

  it('one that does not exist', async () => {
    const missing = join(folder, 'none.ndjson')
    const error = await replayEvents(missing, { contract: shop })
      .next()
      .catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'RECORDING_INVALID', message: expect.stringContaining(missing) })
  })
})

it('a hookpoint that the contract does not have is refused', async () => {
  const { error } = await replayed(textOf(HEADER), { hookpoint: 'onOrdr' as never })
  expect(error?.code).toBe('HOOKPOINT_UNKNOWN')
  await expect(replayEvents(file, { contract: delivery }).next()).rejects.toMatchObject({ code: 'RECORDING_INVALID' })
})
