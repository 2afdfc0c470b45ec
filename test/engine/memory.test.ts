/**
 * Generated contracts and events through a whole engine: what a plugin gives back is what the caller gave. A failure prints
 * its seed: set it as SEED to see it again.
 */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { createHookEngine, defineContract, type HookringError, type Verdict } from 'hookring'
import { type Hookpoint, respond, transform } from 'hookring/contracts'
import { expect, it, onTestFinished } from 'vitest'
import { anyCases, type ContractCase, objectCases, plainOf, sampleCases } from '../support/arbitrary-contracts.js'
import { fixture, metricOf } from '../support/lab.js'
import { recordingLogger } from '../support/recording-logger.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)
const ENGINES = 2
const SCHEMAS = 250
const TIMEOUT_MS = 30_000

const maxReplyBytes = 64 * 1024

it.each(Array.from({ length: ENGINES }, (_, index) => SEED + index))(
  'events of generated contracts survive an engine (seed %i)',
  { timeout: 60_000 },
  async (seed) => {
    const cases = [...sampleCases(objectCases, seed, SCHEMAS / 2), ...sampleCases(anyCases, seed, SCHEMAS / 2)]
    const hookpoints: Record<string, Hookpoint> = {}
    for (const [index, { schema }] of cases.entries()) {
      hookpoints[`onTransform${index}`] = transform(schema, { maxReplyBytes })
      hookpoints[`onRespond${index}`] = respond(schema, schema, { maxReplyBytes })
    }
    const config = Object.fromEntries(Object.entries(hookpoints).map(([name, { kind }]) => [name, kind]))
    const contract = defineContract('generated', 1, hookpoints)
    const { lines, ...logger } = recordingLogger()
    const engine = await createHookEngine({
      contract,
      logger,
      timeoutMs: TIMEOUT_MS,
      workers: 2,
      limits: { slots: 128 },
      plugins: [{ from: fixture('lab/echo.mjs'), config }],
    })
    onTestFinished(() => engine.close())
    const hooks = engine.hooks as unknown as Record<string, (event: unknown) => Promise<Verdict>>

    const wrong: string[] = []
    const cross = async (hookpoint: string, { event, expected, text }: ContractCase) => {
      const verdict = await (hooks[hookpoint] as (event: unknown) => Promise<Verdict>)(event).catch(
        (error: HookringError) => error,
      )
      const given = 'event' in verdict ? verdict.event : 'value' in verdict ? verdict.value : undefined
      // An answer of undefined is none, and the call continues.
      const isGiven =
        !(verdict instanceof Error) &&
        (verdict.kind === 'replace' || verdict.kind === 'respond' || expected === undefined)
      if (isGiven && isDeepStrictEqual(plainOf(given), expected)) return
      wrong.push(`${hookpoint}: ${text} with ${fc.stringify(event)} became ${fc.stringify(verdict)}`)
    }
    // All at once: large and small events share the arena, some wait for room.
    await Promise.all(
      cases.flatMap((each, index) => [cross(`onTransform${index}`, each), cross(`onRespond${index}`, each)]),
    )
    expect(wrong).toEqual([])
    expect(await metricOf(engine, 'plugin_calls_total')).toBe(2 * SCHEMAS)
    expect(await metricOf(engine, 'protocol_violations_total')).toBe(0)
    expect(lines).toEqual([])
  },
)
