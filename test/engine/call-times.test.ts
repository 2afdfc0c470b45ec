/** How long a call waited and ran, told to the caller who asks. */
import { describe, expect, it } from 'vitest'
import { actor, openLab } from '../support/lab.js'

const unset = () => ({ waitedMs: Number.NaN, ranMs: Number.NaN })

describe('times', () => {
  it('are filled in when a call has settled, whatever it came to', async () => {
    const { hooks } = await openLab({ plugins: [actor('a')] })
    for (const [act, runsMs] of [
      ['continues', 0],
      ['blocks 20 rejects no', 20],
      ['blocks 20 throws no', 20],
      ['waits 20', 19],
    ] as const) {
      const times = unset()
      const beganMs = performance.now()
      await hooks.onGate({ acts: { a: act } }, { times })
      const tookMs = performance.now() - beganMs
      expect(times.ranMs, act).toBeGreaterThanOrEqual(runsMs)
      expect(times.waitedMs, act).toBeGreaterThanOrEqual(0)
      // Two threads' clocks agree to some microseconds.
      expect(times.waitedMs + times.ranMs, act).toBeLessThanOrEqual(tookMs + 1)
    }
  })

  it('add up over the hops of a chain, and start anew when the object is used again', async () => {
    const { hooks } = await openLab({ plugins: ['a', 'b'].map((name) => actor(name, { bulkhead: name })) })
    const times = unset()
    await hooks.onGate({ acts: { a: 'blocks 20', b: 'blocks 30' } }, { times })
    expect(times.ranMs).toBeGreaterThanOrEqual(50)
    await hooks.onGate({}, { times })
    expect(times.ranMs).toBeLessThan(50)
  })

  it('tell a call that ran too long from one that waited behind it', async () => {
    const { hooks } = await openLab({ hangMs: 1_000, plugins: [actor('a', { timeoutMs: 50 })] })
    const [ran, waited] = [unset(), unset()]
    await Promise.all([
      hooks.onGate({ acts: { a: 'blocks 200' } }, { times: ran }),
      hooks.onGate({ acts: { a: 'continues' } }, { times: waited }),
    ])
    expect(ran.ranMs).toBeGreaterThanOrEqual(40)
    expect(waited).toEqual({ waitedMs: expect.any(Number), ranMs: 0 })
    expect(waited.waitedMs).toBeGreaterThanOrEqual(50)
  })

  it('and deadlines count from when a turn of the event loop publishes its calls, so that a busy server takes none of it', async () => {
    const { hooks } = await openLab({ plugins: [actor('a', { timeoutMs: 400 })] })
    const first = hooks.onGate({ acts: { a: 'continues' } })
    const times = unset()
    const second = hooks.onGate({ acts: { a: 'continues' } }, { times })
    const untilMs = performance.now() + 500
    while (performance.now() < untilMs);
    expect(await Promise.all([first, second])).toEqual([{ kind: 'continue' }, { kind: 'continue' }])
    expect(times.waitedMs).toBeLessThan(400)
  })

  it('of an observation are there when flush() has resolved; a shadow adds nothing', async () => {
    const { engine, hooks } = await openLab({
      plugins: [actor('a'), actor('s', { mode: 'shadow', bulkhead: 's' })],
    })
    const times = unset()
    hooks.onObserve({ acts: { a: 'blocks 20', s: 'blocks 60' } }, { times })
    expect(times).toEqual({ waitedMs: 0, ranMs: 0 })
    await engine.flush()
    expect(times.ranMs).toBeGreaterThanOrEqual(20)
    const shadowed = unset()
    await hooks.onGate({ acts: { a: 'blocks 20', s: 'blocks 60' } }, { times: shadowed })
    await engine.flush()
    expect(shadowed.ranMs).toBeGreaterThanOrEqual(20)
    expect(Math.max(times.ranMs, shadowed.ranMs)).toBeLessThan(60)
  })
})
