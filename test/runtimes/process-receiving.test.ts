/** What a lane takes from a child: frames by their size, JSON by its depth, log lines one by one, standard error by its lines. */
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { ByteBudget } from '../../dist/primitives/byte-budget.js'
import { jsonIn } from '../../dist/worker/process/answers.js'
import { ChildStderr } from '../../dist/worker/process/child-stderr.js'
import {
  BadFrame,
  FROM_CHILD,
  type Frame,
  HEAD_BYTES,
  MAX_JSON_DEPTH,
  MAX_LOG_BYTES,
  mostBytesFromChild,
  PipeFrameReader,
  writeHead,
} from '../../dist/worker/process/frames.js'
import { logPayloads } from '../../dist/worker/process/log-frames.js'
import { takeLog } from '../../dist/worker/process/log-lines.js'

const MAX_REPLY_BYTES = 1000

function frame(what: number, payload: Uint8Array | string = ''): Buffer {
  const content = Buffer.from(payload)
  const bytes = Buffer.alloc(HEAD_BYTES + content.length)
  writeHead(bytes, 0, { what, bytes: bytes.length })
  content.copy(bytes, HEAD_BYTES)
  return bytes
}

function read(bytes: Buffer, chunkBytes = bytes.length): Frame[] {
  const frames: Frame[] = []
  const reader = new PipeFrameReader(
    (what) => mostBytesFromChild(what, MAX_REPLY_BYTES),
    (one) => void frames.push(one),
  )
  for (let at = 0; at < bytes.length; at += chunkBytes) reader.push(bytes.subarray(at, at + chunkBytes))
  return frames
}

const one = (what: number, payload: string) => read(frame(what, payload))[0] as Frame

describe('frames', () => {
  it.each(Object.entries(FROM_CHILD))('of kind %s have a largest size', (_, what) => {
    const most = mostBytesFromChild(what, MAX_REPLY_BYTES) - HEAD_BYTES
    expect(read(frame(what, new Uint8Array(most)))).toHaveLength(1)
    expect(() => read(frame(what, new Uint8Array(most + 1)))).toThrow(BadFrame)
    expect(() => read(frame(what, new Uint8Array(most + 1)), 7)).toThrow(BadFrame)
  })

  it('that are larger are refused by their heads, before anything is made for the rest', () => {
    const head = Buffer.alloc(HEAD_BYTES)
    writeHead(head, 0, { what: FROM_CHILD.log, bytes: 2 ** 32 - 1 })
    expect(() => read(head)).toThrow(/kind 26 with 4294967295 bytes; 24 to \d+ are allowed/)
  })

  it('of no known kind have a head alone', () => {
    expect(() => read(frame(200, 'x'))).toThrow(BadFrame)
  })

  it('come whole, however the stream was cut', () => {
    const stream = Buffer.concat([
      frame(FROM_CHILD.fails, 'first'),
      frame(FROM_CHILD.pong),
      frame(FROM_CHILD.fails, 'last'),
    ])
    for (const size of [1, 23, 24, 25, stream.length]) {
      expect(read(stream, size).map(({ what, payload }) => [what, payload.toString()])).toEqual([
        [FROM_CHILD.fails, 'first'],
        [FROM_CHILD.pong, ''],
        [FROM_CHILD.fails, 'last'],
      ])
    }
  })
})

describe('JSON', () => {
  const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`

  it('is parsed up to a depth', () => {
    expect(jsonIn(one(FROM_CHILD.log, deep(MAX_JSON_DEPTH)))).toBeDefined()
    expect(jsonIn(one(FROM_CHILD.log, deep(MAX_JSON_DEPTH + 1)))).toBeUndefined()
    expect(jsonIn(one(FROM_CHILD.log, '{"a":'.repeat(20_000)))).toBeUndefined()
  })

  it('counts no brackets in texts', () => {
    expect(
      jsonIn(one(FROM_CHILD.log, JSON.stringify({ a: '[[[[{{{{'.repeat(9), b: '\\"[[[[[[[[[[[[[[[' }))),
    ).toBeDefined()
  })
})

describe('log lines', () => {
  const taken = (payload: string) => {
    const lines: unknown[] = []
    let dropped = 0
    const isBatch = takeLog(one(FROM_CHILD.log, payload), {
      onLog: (line, plugin) => void lines.push([plugin, line]),
      onDropped: (count) => {
        dropped += count
      },
    })
    return { isBatch, lines, dropped }
  }

  it('that are none are counted, one by one', () => {
    const good = { level: 'info', plugin: 0, message: 'good', fields: { a: 1 } }
    const bad = [1, null, 'x', { ...good, level: 'loud' }, { ...good, message: 'x'.repeat(9000) }, { ...good, more: 1 }]
    const wide = { ...good, fields: Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`f${at}`, at])) }
    expect(taken(JSON.stringify({ lines: [...bad, wide, good], dropped: 3 }))).toEqual({
      isBatch: true,
      lines: [[0, { level: 'info', plugin: '', message: 'good', fields: { a: 1 } }]],
      dropped: 10,
    })
  })

  it.each(['', 'null', '[]', '{"lines":1}', '[[[[[[[[[[[[[[[[[[', '{"lines":[],"dropped"'])(
    'in %j are no batch',
    (payload) => {
      expect(taken(payload)).toMatchObject({ isBatch: false, lines: [] })
    },
  )

  it('cross as an honest child sends them, however long and deep they are', () => {
    let deep: object = {}
    for (let level = 0; level < 100; level += 1) deep = { deep }
    const lines = Array.from({ length: 200 }, (_, at) => ({
      level: 'info' as const,
      plugin: 0,
      message: `${at} ${'é'.repeat(8000)}`,
      fields: at % 2 === 0 ? { deep } : { text: '\u0001'.repeat(8000), other: 'x'.repeat(8000) },
    }))
    const payloads = logPayloads(lines, 5)
    expect(payloads.length).toBeGreaterThan(1)
    let count = 0
    for (const payload of payloads) {
      expect(payload.length).toBeLessThanOrEqual(MAX_LOG_BYTES)
      const { isBatch, lines, dropped } = taken(payload.toString())
      expect({ isBatch, dropped }).toEqual({ isBatch: true, dropped: payload === payloads.at(-1) ? 5 : 0 })
      count += lines.length
    }
    expect(count).toBe(200)
  })
})

describe('a budget of bytes', () => {
  it('has a burst, and then so many a second', () => {
    const budget = new ByteBudget({ bytesPerSecond: 1000, burstBytes: 500 }, 0)
    expect(budget.left(0)).toBe(500)
    expect(budget.take(500, 0)).toBe(0)
    expect(budget.take(100, 0)).toBe(100)
    expect(budget.left(100)).toBe(0)
    expect(budget.left(200)).toBe(100)
    expect(budget.left(100_000)).toBe(500)
  })
})

describe('standard error', () => {
  function listened() {
    const stream = new PassThrough()
    const stderr = new ChildStderr(stream)
    const lines: string[] = []
    let dropped = 0
    stderr.listen({
      said: (line) => void lines.push(line),
      saidTooMuch: (bytes) => {
        dropped += bytes
      },
    })
    const write = async (text: string) => {
      stream.write(text)
      await new Promise((resolve) => setImmediate(resolve))
    }
    return { stderr, lines, write, dropped: () => dropped }
  }

  it('is told in whole lines; the last one at the end, whether or not it has one', async () => {
    const { stderr, lines, write } = listened()
    await write('first half, ')
    await write('second half\nnext\n\nunended')
    expect(lines).toEqual(['first half, second half', 'next'])
    stderr.end()
    expect(lines).toEqual(['first half, second half', 'next', 'unended'])
  })

  it('is bounded, and what was dropped is counted', async () => {
    const { stderr, lines, write, dropped } = listened()
    const line = `${'x'.repeat(99)}\n`
    stderr.drain()
    for (let i = 0; i < 100; i += 1) await write(line.repeat(100))
    stderr.end()
    expect(lines.length).toBeGreaterThan(100)
    expect(lines.length).toBeLessThan(5_000)
    expect(lines.length * 99 + dropped()).toBe(10_000 * 99)
  })

  it('has lines that are cut, and counted', async () => {
    const { stderr, lines, write, dropped } = listened()
    await write(`${'y'.repeat(5000)}\n`)
    stderr.end()
    expect(lines).toEqual(['y'.repeat(1024)])
    expect(dropped()).toBe(5000 - 1024)
  })

  it('of a process that V8 ended says so, however much came before', async () => {
    const { stderr, write } = listened()
    stderr.drain()
    await write(`${'noise\n'.repeat(40_000)}`)
    await write(`FATAL ERROR: Reached heap limit Allocation failed - ${'long '.repeat(5000)}\n`)
    const { fatal, isMemory } = stderr.end()
    expect(isMemory).toBe(true)
    expect(fatal).toMatch(/^FATAL ERROR: Reached heap limit/)
    expect(fatal.length).toBeLessThanOrEqual(1024)
  })
})
