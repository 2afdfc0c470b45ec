/**
 * The soak of `npm run soak -- mqtt`, in short, and its ledger: one that could not find anything amiss would prove nothing.
 */
import { describe, expect, it } from 'vitest'
import { noRedis } from '../support/redis.js'
import { isClean, Ledger, type Message } from './soak-mqtt/ledger.js'
import { FAULT_KINDS, planFaults } from './soak-mqtt/plan.js'
import { runSoakMqtt } from './soak-mqtt/run.js'

const SECONDS = 20
const LIMIT_MS = 180_000

describe('the plan of faults', () => {
  const first = (seed: number, count: number) => {
    const plan = planFaults(seed)
    return Array.from({ length: count }, () => plan.next().value)
  }

  it('follows from the seed, and has every kind in its first round', () => {
    expect(first(5, 100)).toEqual(first(5, 100))
    expect(first(5, 100)).not.toEqual(first(6, 100))
    expect(new Set(first(1, 22).map(({ kind }) => kind))).toEqual(new Set(FAULT_KINDS))
  })
})

describe('the ledger', () => {
  /** Messages of one publisher that were acknowledged, one a millisecond. */
  function ledgerOf(qos: 1 | 2, count: number) {
    const ledger = new Ledger(['s'])
    const texts = Array.from({ length: count }, (_, number) => {
      const message: Message = { publisher: 'p', qos, number }
      const text = ledger.publish(message, number)
      ledger.acknowledge(text)
      return text
    })
    return { ledger, arrive: (...which: number[]) => which.map((at) => ledger.arrive('s', texts[at] as string, 100)) }
  }

  it.each([1, 2] as const)('finds nothing amiss where all of QoS %i came once, in order', (qos) => {
    const { ledger, arrive } = ledgerOf(qos, 3)
    arrive(0, 1, 2)
    expect(isClean(ledger.figures())).toBe(true)
    expect(ledger.figures()).toMatchObject({ expected: 3, arrived: 3, lost: 0 })
  })

  it('finds what was acknowledged and did not come', () => {
    const { ledger, arrive } = ledgerOf(1, 3)
    arrive(0, 2)
    expect(ledger.figures()).toMatchObject({ lost: 1 })
    expect(ledger.missing(10)).toEqual(['s: p 1 1'])
    expect(isClean(ledger.figures())).toBe(false)
  })

  it('finds what came behind a later message', () => {
    const { ledger, arrive } = ledgerOf(1, 3)
    arrive(0, 2, 1)
    expect(ledger.figures()).toMatchObject({ lost: 0, outOfOrder: 1 })
    expect(isClean(ledger.figures())).toBe(false)
  })

  it('lets QoS 1 come again, and QoS 2 when a node died in between', () => {
    const [once, twice, afterDeath] = [ledgerOf(1, 1), ledgerOf(2, 1), ledgerOf(2, 1)]
    for (const { arrive } of [once, twice]) arrive(0, 0)
    afterDeath.ledger.died(50)
    afterDeath.arrive(0, 0)
    expect(isClean(once.ledger.figures())).toBe(true)
    expect(twice.ledger.figures()).toMatchObject({ repeatedQos2: 1 })
    expect(isClean(twice.ledger.figures())).toBe(false)
    expect(afterDeath.ledger.figures()).toMatchObject({ repeatedQos2: 0, repeatedQos2AfterDeath: 1 })
  })
})

it.skipIf(noRedis !== null)(
  `${SECONDS} seconds lose no acknowledged message, while nodes and Redis are stopped, killed and started again${noRedis === null ? '' : ` (${noRedis})`}`,
  async () => {
    const { isClean: isAsItMustBe, amiss, lines, ...figures } = await runSoakMqtt({ minutes: SECONDS / 60, seed: 1 })
    expect({ isAsItMustBe, amiss, lines }).toEqual({ isAsItMustBe: true, amiss: [], lines: [] })
    expect(figures).toMatchObject({ lost: 0, outOfOrder: 0, repeatedQos2: 0 })
    expect(figures.acknowledged.qos1).toBeGreaterThan(0)
    expect(figures.acknowledged.qos2).toBeGreaterThan(0)
    const { stallShort, stallLong, killNode, killRedis, stallRedis } = figures.faults
    expect(stallShort + stallLong + killNode).toBeGreaterThan(0)
    expect(killRedis + stallRedis).toBeGreaterThan(0)
  },
  LIMIT_MS,
)
