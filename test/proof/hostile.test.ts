/** The siege of `npm run hostile`, in short; and what its long runs have found, each on its own. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { metricOf } from '../support/lab.js'
import { ATTACKS } from './hostile/attack-list.mjs'
import { openEngine, runCampaign } from './hostile/campaign.js'
import { ATTACKERS } from './hostile/judge.js'
import { createOrders, IN_FORCE_WORD, WANTED_WORD } from './hostile/orders.mjs'
import { sealed } from './hostile/verdicts.mjs'

const FOLDER = fileURLToPath(new URL('./hostile', import.meta.url))
const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)

describe('a lane in an attacker’s hands', () => {
  it(`is replaced, and nobody else hears of it (seed ${SEED})`, { timeout: 60_000 }, async () => {
    const report = await runCampaign({
      seed: SEED,
      completions: 20_000,
      folder: FOLDER,
      undisturbedMs: 0,
      disturbedMs: 60_000,
    })
    expect(report.wrongVerdictsFound).toEqual([])
    expect(report.hostErrorsFound).toEqual([])
    expect(report.completions).toBeGreaterThanOrEqual(20_000)
    expect(report.pushed).toBeGreaterThanOrEqual(report.completions)
    expect(Object.values(report.violations).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0)
    expect(report.neighbourVerdicts).toBeGreaterThan(100)
  })

  it('that says nonsense of a replacement, and nothing else, leaves the next bulkhead its say', async () => {
    const orders = createOrders()
    const engine = await openEngine(FOLDER, orders)
    onTestFinished(() => engine.close())
    const attack = 'finished with nonsense'
    expect(Object.keys(ATTACKS)).toContain(attack)
    Atomics.store(orders, WANTED_WORD, 7)
    await engine.hooks.onGate({ id: 1, order: attack, seed: 7 })
    expect(Atomics.load(orders, IN_FORCE_WORD)).toBe(7)
    for (const name of ATTACKERS) engine.release(name)
    const event = { id: 2, text: 'asked' }
    const verdict = await engine.hooks.onMixedTransform(event)
    const text = sealed('south', { id: 2, text: sealed('north', event) })
    expect(verdict).toMatchObject({ kind: 'replace', plugin: 'south', event: { id: 2, text } })
    expect(verdict.failure).toMatchObject({ plugin: 'accomplice' })
    expect(await metricOf(engine, 'protocol_violations_total', { kind: 'bounds' })).toBe(1)
    expect(
      await metricOf(engine, 'plugin_failures_total', { plugin: 'accomplice', hookpoint: 'onMixedTransform' }),
    ).toBe(1)
    expect(await metricOf(engine, 'plugin_calls_total', { plugin: 'south' })).toBe(1)
  })
})
