import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type BreakerChange,
  CircuitBreaker,
  MAX_COOLDOWN_FACTOR,
} from '../../../dist/host/primitives/circuit-breaker.js'

const OPTIONS = { windowMs: 1_000, minFailures: 5, ratio: 0.5, cooldownMs: 100 }

function createWatched(options: Partial<typeof OPTIONS> = {}) {
  const changes: BreakerChange[] = []
  const breaker = new CircuitBreaker({ ...OPTIONS, ...options, onChange: (change) => changes.push(change) })
  const fail = (times: number, nowMs: number) => {
    for (let count = 0; count < times; count++) breaker.record('failure', nowMs)
  }
  return { breaker, changes, fail, path: () => changes.map(({ to }) => to) }
}

describe('the breaker', () => {
  it('opens at minFailures when their share is high enough, and says what it counted', () => {
    const { breaker, changes, fail } = createWatched()
    for (let count = 0; count < 5; count++) breaker.record('success', 10)
    fail(4, 10)
    expect(breaker.state).toBe('closed')
    fail(1, 20)
    expect(breaker.state).toBe('open')
    expect(breaker.admit(20)).toBe('no')
    expect(changes).toEqual([{ from: 'closed', to: 'open', nowMs: 20, calls: 10, failures: 5 }])
  })

  it('stays closed while the share of failures is low', () => {
    const { breaker, fail } = createWatched()
    for (let count = 0; count < 100; count++) breaker.record('success', 10)
    fail(99, 20)
    expect(breaker.state).toBe('closed')
    fail(1, 20)
    expect(breaker.state).toBe('open')
  })

  it('ignores the successes of a past window', () => {
    const { breaker, fail } = createWatched()
    for (let count = 0; count < 1_000_000; count++) breaker.record('success', count / 1_000)
    fail(4, 60_000)
    expect(breaker.state).toBe('closed')
    fail(1, 60_000)
    expect(breaker.state).toBe('open')
  })

  it('opens exactly when a list of outcomes in the window says so', () => {
    const outcome = fc.record({ isFailure: fc.boolean(), afterMs: fc.integer({ min: 0, max: 400 }) })
    const options = fc.record({
      windowMs: fc.constantFrom(1_000, 777, 10),
      minFailures: fc.integer({ min: 1, max: 8 }),
      ratio: fc.double({ min: 0.01, max: 1, noNaN: true }),
      startMs: fc.constantFrom(0, 5, 2 ** 31 - 100, 1_790_000_000_000),
    })
    fc.assert(
      fc.property(options, fc.array(outcome, { maxLength: 100 }), ({ startMs, ...options }, outcomes) => {
        const breaker = new CircuitBreaker({ ...OPTIONS, ...options })
        const cellOf = (timeMs: number) => Math.floor(timeMs / (options.windowMs / 10))
        const seen: { cell: number; isFailure: boolean }[] = []
        let nowMs = startMs
        for (const { isFailure, afterMs } of outcomes) {
          nowMs += afterMs
          breaker.record(isFailure ? 'failure' : 'success', nowMs)
          seen.push({ cell: cellOf(nowMs), isFailure })
          const recent = seen.filter(({ cell }) => cell > cellOf(nowMs) - 10)
          const failures = recent.filter((one) => one.isFailure).length
          const isOpen = isFailure && failures >= options.minFailures && failures >= options.ratio * recent.length
          expect(breaker.state).toBe(isOpen ? 'open' : 'closed')
          if (isOpen) return
        }
      }),
      { numRuns: 300 },
    )
  })

  it('lets exactly one probe through after the cooldown, and closes when it succeeds', () => {
    const { breaker, fail, path } = createWatched()
    fail(5, 0)
    expect(breaker.nextProbeMs).toBe(100)
    expect(breaker.admit(99.9)).toBe('no')
    expect(breaker.admit(100)).toBe('probe')
    expect(breaker.state).toBe('half-open')
    expect(breaker.nextProbeMs).toBeNull()
    expect(breaker.admit(100)).toBe('no')
    expect(breaker.admit(9_999)).toBe('no')
    breaker.recordProbe('success', 120)
    expect(breaker.admit(120)).toBe('yes')
    expect(path()).toEqual(['open', 'half-open', 'closed'])
  })

  it('forgets earlier failures when it closes', () => {
    const { breaker, fail } = createWatched()
    fail(5, 0)
    breaker.admit(100)
    breaker.recordProbe('success', 100)
    fail(4, 100)
    expect(breaker.state).toBe('closed')
  })

  it('waits twice as long after each probe that failed, up to a cap, and as at first once it has closed', () => {
    const { breaker, fail } = createWatched()
    fail(5, 0)
    let nowMs = 0
    const factors: number[] = []
    for (let count = 0; count < 7; count++) {
      const probeMs = breaker.nextProbeMs!
      factors.push((probeMs - nowMs) / OPTIONS.cooldownMs)
      nowMs = probeMs
      expect(breaker.admit(nowMs)).toBe('probe')
      breaker.recordProbe('failure', nowMs)
      expect(breaker.state).toBe('open')
    }
    expect(factors).toEqual([1, 2, 4, 8, MAX_COOLDOWN_FACTOR, MAX_COOLDOWN_FACTOR, MAX_COOLDOWN_FACTOR])
    nowMs = breaker.nextProbeMs!
    breaker.admit(nowMs)
    breaker.recordProbe('success', nowMs)
    fail(5, nowMs)
    expect(breaker.nextProbeMs).toBe(nowMs + OPTIONS.cooldownMs)
  })

  it('does not count calls that were made before it opened, whatever their outcome', () => {
    const { breaker, fail } = createWatched()
    fail(5, 0)
    breaker.record('success', 1)
    fail(20, 2)
    expect(breaker.nextProbeMs).toBe(100)
    breaker.admit(100)
    breaker.record('success', 101)
    breaker.record('failure', 101)
    expect(breaker.state).toBe('half-open')
  })

  it('probes again at the next call when the probe never reached the plugin', () => {
    const { breaker, fail, changes } = createWatched()
    fail(5, 0)
    breaker.admit(100)
    breaker.recordProbe('failure', 110)
    expect(breaker.admit(310)).toBe('probe')
    breaker.forgoProbe(315)
    expect(changes.at(-1)).toMatchObject({ from: 'half-open', to: 'open' })
    expect(breaker.admit(315)).toBe('probe')
    breaker.recordProbe('failure', 320)
    expect(breaker.nextProbeMs).toBe(320 + 400)
  })

  it('is held until it is released, from every state', () => {
    for (const reach of [0, 1, 2]) {
      const { breaker, fail, changes } = createWatched()
      if (reach > 0) fail(5, 0)
      if (reach > 1) breaker.admit(100)
      breaker.hold(200)
      expect(breaker.state).toBe('held')
      expect(breaker.admit(1e9)).toBe('no')
      expect(breaker.nextProbeMs).toBeNull()
      breaker.recordProbe('success', 201)
      breaker.record('failure', 201)
      breaker.hold(202)
      expect(breaker.state).toBe('held')
      breaker.release(300)
      expect(breaker.admit(300)).toBe('yes')
      expect(changes.slice(-2).map(({ to }) => to)).toEqual(['held', 'closed'])
    }
  })

  it('treats a probe that comes back after the release as any other call', () => {
    const { breaker, fail } = createWatched()
    fail(5, 0)
    breaker.admit(100)
    breaker.release(110)
    breaker.recordProbe('failure', 120)
    expect(breaker.state).toBe('closed')
    fail(4, 120)
    expect(breaker.state).toBe('open')
  })

  it('never opens by itself when quarantine is off, and can still be held', () => {
    const breaker = new CircuitBreaker({
      windowMs: 1_000,
      minFailures: Number.POSITIVE_INFINITY,
      ratio: 1,
      cooldownMs: 1_000,
    })
    for (let count = 0; count < 1_000; count++) breaker.record('failure', count)
    expect(breaker.admit(1_000)).toBe('yes')
    breaker.hold(1_000)
    expect(breaker.admit(1_000)).toBe('no')
    breaker.release(1_000)
    expect(breaker.admit(1_000)).toBe('yes')
  })
})
