/**
 * The example plugins in C: the modules that ship are what their sources give, and the payload-limiter gives the verdicts
 * of the one in TypeScript.
 */
import { readFileSync } from 'node:fs'
import { delivery, type MessageEvent } from 'hookring/contracts'
import { payloadLimiter } from 'hookring/hooks'
import { generateEvents } from 'hookring/testing'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  ACTS,
  because,
  clangMajor,
  compileLibrary,
  compileWasm,
  EXAMPLES,
  LIBRARY_LINES,
  missing,
  open,
  WASM_LINES,
} from './c-abi-plugins.js'

const EVENTS = 10_000
const MAX_BYTES = 65_536
/** The largest size of a 32-bit machine. */
const SIZE_MAX = 2 ** 32 - 1

const noClang = missing('clang', 'wasm-ld')
const notAsBuilt = noClang ?? (clangMajor() === '14' ? null : `clang 14 built them, this is ${clangMajor()}`)

describe('the README of the SDK', () => {
  it('has a build line for each module that ships, and one for libraries', () => {
    expect(WASM_LINES.map((line) => line.split(' ').at(-1))).toEqual([
      'examples/payload-limiter.c',
      'examples/login-auditor.c',
    ])
    expect(LIBRARY_LINES).toHaveLength(1)
  })
})

describe.skipIf(notAsBuilt !== null)(because('the modules of the tree', notAsBuilt), () => {
  it.each([
    ['the payload-limiter', EXAMPLES.limiter],
    ['the login-auditor', EXAMPLES.auditor],
    ['the plugin of these tests', ACTS],
  ])('are what their sources give: %s', (_, { source, wasm }) => {
    const built = readFileSync(compileWasm({ source }))
    expect(built.equals(readFileSync(wasm)), 'build it anew: sdk/c/README.md').toBe(true)
  })
})

/** The kind of each verdict, and the reason. */
async function verdicts(plugin: Parameters<typeof open>[0]['plugins'][number]): Promise<string[]> {
  const { engine, hooks } = await open({ timeoutMs: 10_000, plugins: [plugin] }, { keep: true })
  const next = generateEvents(delivery, 'onMessageEnqueue', { seed: 11 })
  const given = []
  while (given.length < EVENTS) {
    given.push(...(await Promise.all(Array.from({ length: 1000 }, () => hooks.onMessageEnqueue(next())))))
  }
  await engine.close()
  return given.map((verdict) => (verdict.kind === 'reject' ? verdict.reason : verdict.kind))
}

describe('the payload-limiter', () => {
  let wanted: string[] = []
  beforeAll(async () => {
    wanted = await verdicts(payloadLimiter({ maxBytes: MAX_BYTES }, { name: 'payload-limiter' }))
  })
  const next = generateEvents(delivery, 'onMessageEnqueue', { seed: 11 })
  const lengths = Array.from({ length: EVENTS }, () => (next() as MessageEvent).payloadLen)

  it('is asked of events on both sides of its limit, and of what 32 bits can say', () => {
    expect(lengths.filter((length) => length > MAX_BYTES).length).toBeGreaterThan(200)
    expect(lengths.filter((length) => length <= MAX_BYTES).length).toBeGreaterThan(5000)
    expect(lengths.filter((length) => length > SIZE_MAX).length).toBeGreaterThan(2)
  })

  it('gives the same verdicts as WebAssembly as in TypeScript; a length above 32 bits is told as the largest', async () => {
    const given = await verdicts({ from: EXAMPLES.limiter.wasm, trust: 'untrusted' })
    const expected = wanted.map((verdict, at) => {
      const length = lengths[at] as number
      return length > SIZE_MAX ? verdict.replace(String(length), String(SIZE_MAX)) : verdict
    })
    expect(given).toEqual(expected)
  })

  it.each(['compartment', 'quickjs'] as const)(
    'gives the same verdicts in runtime %s as in a module',
    async (runtime) => {
      expect(await verdicts(payloadLimiter({ maxBytes: MAX_BYTES }, { name: 'payload-limiter', runtime }))).toEqual(
        wanted,
      )
    },
  )

  const reason = missing('cc', 'koffi')
  it.skipIf(reason !== null)(because('gives the same verdicts as a shared library', reason), async () => {
    expect(await verdicts({ from: compileLibrary({ source: EXAMPLES.limiter.source }) })).toEqual(wanted)
  })

  it.skipIf(noClang !== null)(because('has the limit that it is compiled with', noClang), async () => {
    const from = compileWasm({ source: EXAMPLES.limiter.source, defines: { MAX_BYTES: 5 } })
    const { hooks } = await open({ plugins: [{ from }] })
    const event = { ...(generateEvents(delivery, 'onMessageEnqueue')() as MessageEvent), payloadLen: 6 }
    expect(await hooks.onMessageEnqueue(event)).toMatchObject({ reason: 'payload too large: 6 > 5 bytes' })
    expect(await hooks.onMessageEnqueue({ ...event, payloadLen: 5 })).toEqual({ kind: 'continue' })
  })
})
