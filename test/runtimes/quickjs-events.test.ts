/**
 * What a hook in QuickJS sees of an event, and what its verdict carries: the same values as in a lane, of every type that
 * the codec knows. A failure prints its seed: set it as SEED to see it again.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { createEncoder } from '../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import { bytes, i64, u64 } from '../../dist/contracts/types.js'
import { monotonicMs } from '../../dist/ring/clock.js'
import { CallContext } from '../../dist/worker/runtimes/call-context.js'
import { quickjsRuntime } from '../../dist/worker/runtimes/quickjs/index.js'
import type { RuntimePlugin } from '../../dist/worker/runtimes/runtime.js'
import { anyCases, objectCases, plainOf, sampleCases } from '../support/arbitrary-contracts.js'
import { silent } from '../support/lab.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)
const CASES = 80
const ROOM = 256 * 1024
const memory = codecMemory(new SharedArrayBuffer(2 * ROOM))
/** As in a ring, nothing begins at 0. */
const BASE = 1024

/** Reads its event in one of several ways and gives back what it has read. */
const PLUGIN = `
const walk = (value) => {
  if (typeof value !== 'object' || value === null || value instanceof Date || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(walk)
  const plain = {}
  for (const key in value) if (typeof value[key] !== 'function') Object.defineProperty(plain, key, { value: walk(value[key]), enumerable: true })
  return plain
}
const ways = { event: (event) => event, walk, copy: (event) => event.copy(), later: (event) => Promise.resolve().then(() => walk(event)) }
const marked = (kind, event) => ({ [Symbol.for('hookring.verdict@1')]: kind, event })
export default {
  [Symbol.for('hookring.plugin@1')]: 1,
  name: 'reader',
  contract: { name: 'generated', version: 1 },
  config: undefined,
  setup() {
    const hooks = {}
    for (let i = 0; i < ${CASES}; i++) {
      for (const way in ways) hooks[way + i] = (event) => {
        const read = ways[way](event)
        return read instanceof Promise ? read.then((value) => marked('replace', value)) : marked('replace', read)
      }
    }
    return hooks
  },
}`
const WAYS = ['event', 'walk', 'copy', 'later'] as const

interface Loaded {
  readonly plugin: RuntimePlugin
  ask(hookpoint: string, schema: z.ZodType, event: unknown): Promise<unknown>
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hookring-quickjs-'))
  writeFileSync(join(folder, 'reader.mjs'), PLUGIN)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function load(schemas: readonly z.ZodType[]): Promise<Loaded> {
  const hookpoints = Array.from({ length: CASES }, (_, i) => schemas[i] ?? z.object({})).flatMap((schema, i) =>
    WAYS.map((way) => ({
      name: `${way}${i}`,
      kind: 'transform' as const,
      plan: structuredClone(compileLayout(schema, [`on${i}`])),
      replyPlan: null,
    })),
  )
  rmSync(join(folder, 'reader.mjs.image'), { force: true })
  const plugin = await quickjsRuntime.load({
    plugin: {
      name: 'reader',
      isNamed: true,
      url: pathToFileURL(join(folder, 'reader.mjs')).href,
      config: undefined,
      timeoutMs: 10_000,
      runtime: 'quickjs',
      boundary: 'thread',
      memoryMb: 32,
      services: [],
    },
    contract: { name: 'generated', version: 1 },
    hookpoints,
    named() {},
    logger: () => silent,
  })
  return {
    plugin,
    async ask(hookpoint, schema, event) {
      const length = createEncoder(compileLayout(schema, ['on'])).encode(memory, BASE, BASE + ROOM, event)
      expect(length).toBeGreaterThan(0)
      const ctx = new CallContext(plugin, monotonicMs() + 10_000, undefined)
      const hook = plugin.hooks[hookpoints.findIndex(({ name }) => name === hookpoint)]
      const verdict = await hook?.({ u8: memory.u8, at: BASE, bytes: length }, ctx)
      return (verdict as { event: unknown }).event
    },
  }
}

describe('an event in QuickJS', () => {
  test.each(WAYS)('of any contract is what zod says it is: read by %s', async (way) => {
    const cases = [...sampleCases(objectCases, SEED, CASES / 2), ...sampleCases(anyCases, SEED, CASES / 2)]
    const { plugin, ask } = await load(cases.map(({ schema }) => schema))
    onTestFinished(() => plugin.dispose?.())
    for (const [i, { schema, event, expected, text }] of cases.entries()) {
      const isObject = typeof expected === 'object' && expected !== null && !Array.isArray(expected)
      // What is no object with fields of its own is given whole, and has no copy().
      if (way === 'copy' && !(isObject && schema instanceof z.ZodObject)) continue
      const given = await ask(`${way}${i}`, schema, event)
      if (!isDeepStrictEqual(plainOf(given), expected)) {
        expect.fail(`seed ${SEED}, case ${i}: ${text}: ${String(JSON.stringify(given, readable))}`)
      }
    }
  })

  const exact = z.object({
    most: u64(),
    least: i64(),
    key: bytes(32),
    free: bytes(),
    text: z.string(),
    when: z.date(),
    share: z.number(),
    anything: z.unknown(),
  })
  const event = {
    most: 0xffff_ffff_ffff_ffffn,
    least: -0x8000_0000_0000_0000n,
    key: Uint8Array.from({ length: 32 }, (_, i) => 255 - i),
    free: new Uint8Array([0, 1, 2, 0]),
    text: 'a\u0000b \u00e9 \u4e2d \u{1f600} \ufeff end',
    when: new Date(Date.UTC(2026, 1, 3)),
    share: -0,
    anything: { 'a"b': [null, true, { deep: ['\u2028'] }], __proto__x: 1 },
  }

  test('64-bit numbers, bytes, dates and every kind of text arrive exactly, and leave exactly', async () => {
    const { plugin, ask } = await load([exact])
    onTestFinished(() => plugin.dispose?.())
    for (const way of WAYS) expect(plainOf(await ask(`${way}0`, exact, event)), way).toStrictEqual(plainOf(event))
  })

  test('a large event has room, before and after a small one', async () => {
    const { plugin, ask } = await load([exact])
    onTestFinished(() => plugin.dispose?.())
    const large = { ...event, free: new Uint8Array(100_000).fill(7), text: '\u00e9'.repeat(30_000) }
    for (const sent of [event, large, event]) {
      expect(plainOf(await ask('later0', exact, sent))).toStrictEqual(plainOf(sent))
    }
  })
})

function readable(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}
