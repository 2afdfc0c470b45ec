/** Generated contracts and events survive the codec. A failure prints its seed: set it as SEED to see it again. */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { createEncoder } from '../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import type { PlanField, PlanNode } from '../../dist/contracts/codec/plan.js'
import { createReader } from '../../dist/contracts/codec/read.js'
import { anyCases, type ContractCase, objectCases, plainOf } from '../support/arbitrary-contracts.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)
const RUNS = 1_050
const ROOM = 64 * 1024

const shared = codecMemory(new SharedArrayBuffer(2 * ROOM))
const BASE = 1024

const kindsSeen = new Set<string>()

const isSame = (given: unknown, expected: unknown) => isDeepStrictEqual(plainOf(given), expected)

function survives({ schema, event, expected, text }: ContractCase): void {
  const plan = compileLayout(schema, ['onGenerated'])
  collectKinds(plan.root, kindsSeen)
  const bytes = createEncoder(plan).encode(shared, BASE, BASE + ROOM, event)
  expect(bytes).toBeGreaterThan(0)
  expectSame('lazily', plan, bytes)

  // As a lane does it: the plan alone, without the schema, from what a hook returns.
  const sent = structuredClone(plan)
  const again = createEncoder(sent).encode(shared, BASE, BASE + ROOM, expected)
  expectSame('from a lane', plan, again)

  function expectSame(how: string, from: typeof plan, length: number) {
    const reader = createReader(from)
    const opened = reader.open(shared, BASE, length)
    const copied =
      opened !== null && typeof opened === 'object' && 'copy' in opened && !Array.isArray(opened)
        ? callCopy(opened)
        : opened
    if (!isSame(copied, expected)) throw new Error(`${how}, copied: ${fc.stringify(copied)} for ${text}`)
    if (!isSame(opened, expected)) throw new Error(`${how}: ${fc.stringify(plainOf(opened))} for ${text}`)
    reader.close(opened)
    const copy = codecMemory(shared.u8.slice(BASE, BASE + length).buffer)
    const decoded = reader.decode(copy, 0, length)
    if (!isSame(decoded, expected)) throw new Error(`${how}, decoded: ${fc.stringify(decoded)} for ${text}`)
    const parsed = reader.parse(copy, 0, length)
    if (!parsed.ok || !isSame(parsed.value, expected))
      throw new Error(`${how}, parsed: ${fc.stringify(parsed)} for ${text}`)
  }
}

function collectKinds(node: PlanNode | PlanField, kinds: Set<string>): void {
  if ('kind' in node) kinds.add(node.kind)
  for (const value of Object.values(node)) {
    for (const below of Array.isArray(value) ? value : [value]) {
      if (typeof below === 'object' && below !== null && ('kind' in below || 'node' in below))
        collectKinds(below, kinds)
    }
  }
}

function callCopy(opened: object): unknown {
  const { copy } = opened as { copy: unknown }
  return typeof copy === 'function' ? copy.call(opened) : opened
}

describe('the codec', () => {
  it(`keeps generated object events whole (seed ${SEED})`, { timeout: 120_000 }, () => {
    fc.assert(fc.property(objectCases, survives), { seed: SEED, numRuns: RUNS })
  })

  it(`keeps generated events of any type whole (seed ${SEED})`, { timeout: 120_000 }, () => {
    fc.assert(fc.property(anyCases, survives), { seed: SEED, numRuns: RUNS })
  })

  it('was tried with every kind of node', () => {
    const numbers = ['bool', 'u8', 'u16', 'u32', 'i32', 'int', 'f64', 'u64', 'i64', 'date']
    const others = ['string', 'enum', 'bytes', 'maybe', 'object', 'array', 'record', 'union', 'json']
    expect([...kindsSeen].sort()).toEqual([...numbers, ...others].sort())
  })
})
