/**
 * Generated events cross to a lane's thread as it ships and come back whole, with the ring's sequences and its slots' uses
 * running over their ends on the way. A failure prints its seed: set it as SEED to see it again.
 */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import type { HookpointSpec } from '../../dist/contracts/control.js'
import * as layout from '../../dist/ring/layout.js'
import { anyCases, type ContractCase, objectCases, plainOf, sampleCases } from '../support/arbitrary-contracts.js'
import { openBareLane } from '../support/bare-lane.js'
import { fixture } from '../support/lab.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)
const SCHEMAS = 320
const ROUNDS = 4
/** Few slots, so that each is used often: their uses run over their end as well. */
const SLOTS = 16
const STARTS = [2 ** 31 - 100, 2 ** 32 - 100, 2 ** 29 - 20, 0]

function specOf(cases: readonly ContractCase[]) {
  const hookpoints: HookpointSpec[] = cases.map(({ schema }, index) => {
    const kind = index % 2 === 0 ? 'transform' : 'respond'
    const plan = compileLayout(schema, [`on${index}`])
    return {
      name: `on${index}`,
      kind,
      plan,
      replyPlan: kind === 'respond' ? compileLayout(schema, [`on${index}`, 'reply']) : null,
    }
  })
  const placement = { runtime: 'module', boundary: 'thread', memoryMb: 64, services: [] } as const
  const config = Object.fromEntries(hookpoints.map(({ name, kind }) => [name, kind]))
  const plugins = [
    { name: 'echo', isNamed: true, url: fixture('lab/echo.mjs').href, config, timeoutMs: 10_000, ...placement },
  ]
  return { contract: { name: 'generated', version: 1 }, hookpoints, plugins }
}

describe('generated events', () => {
  it.each(STARTS)(`survive a ring whose sequences start at %i (seed ${SEED})`, { timeout: 60_000 }, async (start) => {
    const seed = SEED + STARTS.indexOf(start)
    const cases = [...sampleCases(objectCases, seed, SCHEMAS / 2), ...sampleCases(anyCases, seed, SCHEMAS / 2)]
    const spec = specOf(cases)
    // The lane's copy of the plans has no checks of the schema's: the host's have.
    const lane = await openBareLane({ spec, slotCount: SLOTS, firstSequence: start })
    let asked = 0
    const wrong: string[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [index, { event, expected, text }] of cases.entries()) {
        let reply = lane.ask(index, event)
        if (reply === null) {
          await lane.settle()
          reply = lane.ask(index, event)
        }
        if (reply === null) throw new Error('there is no room')
        asked += 1
        void reply.then(({ outcome, message, value }) => {
          const isAnswered = outcome === layout.OUTCOME_RESPOND || outcome === layout.OUTCOME_CONTINUE
          // An answer of undefined is none.
          if (isAnswered && isDeepStrictEqual(plainOf(value), expected)) return
          wrong.push(
            `${text} with ${fc.stringify(event)}: outcome ${outcome} ${message} ${fc.stringify(plainOf(value))}`,
          )
        })
      }
      await lane.settle()
    }
    expect(wrong).toEqual([])
    expect(asked).toBe(SCHEMAS * ROUNDS)
    await lane.stop()
  })
})
