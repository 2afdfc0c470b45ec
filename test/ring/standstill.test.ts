/** Noticing that the process stood still, and for how long. */
import { describe, expect, it } from 'vitest'
import { Standstills } from '../../dist/ring/standstill.js'

describe('a timer', () => {
  it('that is a little late means nothing', () => {
    const standstills = new Standstills()
    expect(standstills.notice(0, 100, 120)).toBe(false)
    expect(standstills.notice(0, Number.POSITIVE_INFINITY, 120)).toBe(false)
    expect(standstills.lostMsSince(0)).toBe(0)
  })

  it('that is much too late means that the process stood still, since any moment after the timer was set', () => {
    const standstills = new Standstills()
    expect(standstills.notice(1000, 1020, 4000)).toBe(true)
    expect(standstills.lostMsSince(1000)).toBe(3000)
    expect(standstills.lostMsSince(3900)).toBe(100)
    expect(standstills.lostMsSince(4000)).toBe(0)
  })

  it('that was set far ahead counts for at most twice its lateness', () => {
    const standstills = new Standstills()
    standstills.notice(0, 10_000, 10_100)
    expect(standstills.lostMsSince(0)).toBe(200)
  })
})

describe('standstills', () => {
  it('that are noticed twice count once', () => {
    const standstills = new Standstills()
    standstills.add(0, 100)
    standstills.add(50, 120)
    standstills.add(10, 120)
    expect(standstills.lostMsSince(0)).toBe(120)
  })

  it('add up, and the last ones count', () => {
    const standstills = new Standstills()
    for (let each = 0; each < 100; each += 1) standstills.add(each * 10, each * 10 + 5)
    expect(standstills.lostMsSince(900)).toBe(50)
    expect(standstills.lostMsSince(0)).toBe(80)
  })
})
