import { describe, expect, it } from 'vitest'
import { actor, createTrail, openLab, readTrail } from '../support/lab.js'

describe('a full queue', () => {
  it('refuses further calls at once and forgets none that it took', async () => {
    const { hooks, metric } = await openLab({
      hangMs: 5_000,
      plugins: [actor('a', { timeoutMs: 5_000, limits: { slots: 1, queue: 2 } })],
    })
    const kinds: string[] = []
    const taken = Array.from({ length: 6 }, async (_, index) => {
      const verdict = await hooks.onGate({ acts: { a: index === 0 ? 'blocks 100' : 'rejects seen' } })
      kinds.push(verdict.failure?.kind ?? verdict.kind)
    })
    await Promise.all(taken)
    expect(kinds).toEqual(['overload', 'overload', 'overload', 'continue', 'reject', 'reject'])
    expect(await metric('plugin_failures_total', { failure: 'overload' })).toBe(3)
  })

  it('drops further observations, counted and reported, and delivers the ones that it took', async () => {
    const trail = createTrail()
    const { hooks, engine, metric, said, heard } = await openLab({
      hangMs: 5_000,
      plugins: [actor('a', { timeoutMs: 5_000, limits: { slots: 1, queue: 2 }, config: { trail } })],
    })
    for (let id = 1; id <= 5; id += 1) hooks.onObserve({ id, acts: { a: id === 1 ? 'blocks 100' : 'continues' } })
    await engine.flush()
    await heard('deadLetter', 2)
    expect(readTrail(trail).filter((line) => /\d$/.test(line))).toEqual(['a 1', 'a 2', 'a 3'])
    expect(said.deadLetter).toMatchObject([4, 5].map((id) => ({ plugin: 'a', event: { id }, reason: 'overload' })))
    expect(await metric('observations_dropped_total')).toBe(2)
  })
})
