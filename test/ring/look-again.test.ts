/** How long a side looks again before it parks. */
import { describe, expect, it } from 'vitest'
import { createLookAgain } from '../../dist/ring/look-again.js'

describe('looking again', () => {
  it('begins with the whole budget and keeps it while it pays', () => {
    const look = createLookAgain({ maxUs: 50, fades: true })
    for (let round = 0; round < 100; round += 1) {
      expect(look.budgetUs()).toBe(50)
      look.hit()
    }
  })

  it('fades to none when it does not pay', () => {
    const look = createLookAgain({ maxUs: 50, fades: true })
    const budgets: number[] = []
    for (let round = 0; round < 20; round += 1) {
      budgets.push(look.budgetUs())
      look.miss()
    }
    expect(budgets[0]).toBe(50)
    expect(budgets.at(-1)).toBe(0)
    for (const [index, budget] of budgets.entries())
      if (index > 0) expect(budget).toBeLessThanOrEqual(budgets[index - 1] as number)
  })

  it('is tried now and then without a budget, and has it again after one hit', () => {
    const look = createLookAgain({ maxUs: 50, fades: true })
    for (let round = 0; round < 20; round += 1) look.miss()
    const tries = Array.from({ length: 100 }, () => look.budgetUs()).filter((budget) => budget > 0).length
    expect(tries).toBeGreaterThanOrEqual(1)
    expect(tries).toBeLessThan(10)
    look.hit()
    expect(look.budgetUs()).toBe(50)
  })

  it('for a fixed time never fades', () => {
    const look = createLookAgain({ maxUs: 200, fades: false })
    for (let round = 0; round < 1_000; round += 1) look.miss()
    expect(look.budgetUs()).toBe(200)
  })

  it('of no time at all never looks', () => {
    const look = createLookAgain({ maxUs: 0, fades: false })
    for (let round = 0; round < 100; round += 1) {
      expect(look.budgetUs()).toBe(0)
      look.miss()
    }
  })
})
