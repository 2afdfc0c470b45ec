/** How long a side polls before it parks. */
import { describe, expect, it } from 'vitest'
import {
  createIdleStrategy,
  type IdleStrategy,
  lookInPlace,
  lookWithTurns,
  type RingSide,
} from '../../dist/ring/idle-strategy.js'

describe('the adaptive idle strategy', () => {
  it('starts with the whole budget and keeps it while polling pays', () => {
    const idle = createIdleStrategy('adaptive', 50)
    for (let round = 0; round < 100; round += 1) {
      expect(idle.budgetUs()).toBe(50)
      idle.hit()
    }
  })

  it('shrinks to none when polling does not pay', () => {
    const idle = createIdleStrategy('adaptive', 50)
    const budgets: number[] = []
    for (let round = 0; round < 20; round += 1) {
      budgets.push(idle.budgetUs())
      idle.miss()
    }
    expect(budgets[0]).toBe(50)
    expect(budgets.at(-1)).toBe(0)
    for (const [index, budget] of budgets.entries())
      if (index > 0) expect(budget).toBeLessThanOrEqual(budgets[index - 1] as number)
  })

  it('polls now and then without a budget, and gets the whole budget back after one hit', () => {
    const idle = createIdleStrategy('adaptive', 50)
    for (let round = 0; round < 20; round += 1) idle.miss()
    const tries = Array.from({ length: 100 }, () => idle.budgetUs()).filter((budget) => budget > 0).length
    expect(tries).toBeGreaterThanOrEqual(1)
    expect(tries).toBeLessThan(10)
    idle.hit()
    expect(idle.budgetUs()).toBe(50)
  })
})

describe('the other idle strategies', () => {
  it('spin keeps its budget', () => {
    const idle = createIdleStrategy('spin', 200)
    for (let round = 0; round < 1_000; round += 1) idle.miss()
    expect(idle.budgetUs()).toBe(200)
  })

  it.each([
    ['park', 50],
    ['spin', 0],
    ['adaptive', 0],
  ] as const)('%s with %i microseconds never looks', (wait, maxUs) => {
    const idle = createIdleStrategy(wait, maxUs)
    for (let round = 0; round < 100; round += 1) {
      expect(idle.budgetUs()).toBe(0)
      idle.miss()
    }
  })
})

describe('looking again', () => {
  /** A side that has work from the `nth` look on. */
  const sideWith = (nth: number) => ({
    looks: 0,
    lookAgain() {
      this.looks += 1
      return this.looks >= nth
    },
  })

  const WAYS = [
    (side: RingSide, idle: IdleStrategy, budgetUs: number) => lookInPlace(side, idle, budgetUs, 1),
    (side: RingSide, idle: IdleStrategy, budgetUs: number) => lookWithTurns(side, idle, budgetUs, turn),
  ]

  it('finds what comes while it polls, and counts a hit', async () => {
    for (const look of WAYS) {
      const idle = counted()
      expect(await look(sideWith(3), idle, 1e6)).toBe(true)
      expect(idle).toMatchObject({ hits: 1, misses: 0 })
    }
  })

  it('ends when the budget is used up, after at least one look', async () => {
    for (const look of WAYS) {
      const idle = counted()
      const side = sideWith(Number.POSITIVE_INFINITY)
      expect(await look(side, idle, 0)).toBe(false)
      expect(side.looks).toBe(1)
      expect(idle).toMatchObject({ hits: 0, misses: 1 })
    }
  })

  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

  function counted() {
    return {
      hits: 0,
      misses: 0,
      budgetUs: () => 1,
      hit() {
        this.hits += 1
      },
      miss() {
        this.misses += 1
      },
    }
  }
})
