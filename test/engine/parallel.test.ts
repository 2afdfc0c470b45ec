/** Parallel gates: all hops at once, and the verdict that the chain would have come to. */
import { describe, expect, it, vi } from 'vitest'
import { actor, createTrail, openLab, readTrail, refusalOf, until } from '../support/lab.js'

describe('a parallel gate', () => {
  const three = (trail?: SharedArrayBuffer) =>
    ['high', 'middle', 'low'].map((name) => actor(name, { bulkhead: name, config: { trail }, timeoutMs: 5_000 }))

  it('asks all at once', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: three(trail) })
    const { signal, abort } = controller()
    const asked = refusalOf(
      hooks.onParallel({ id: 1, acts: { high: 'listens', middle: 'listens', low: 'listens' } }, { signal }),
    )
    await until('all to listen', () => readTrail(trail).filter((line) => line.endsWith('listening')).length === 3)
    abort()
    expect(await asked).toMatchObject({ code: 'CALL_ABORTED', hookpoint: 'onParallel' })
    await until('all to be told', () => readTrail(trail).filter((line) => line.endsWith('AbortError')).length === 3)
  })

  it('comes to the first reject in the order of the chain, even when another one is sooner', async () => {
    const { hooks } = await openLab({ plugins: three() })
    const acts = { high: 'waits 60 rejects high', middle: 'rejects middle', low: 'rejects low' }
    expect(await hooks.onParallel({ acts })).toEqual({ kind: 'reject', reason: 'high', plugin: 'high' })
    expect(await hooks.onParallel({ acts: { ...acts, high: 'waits 60' } })).toEqual({
      kind: 'reject',
      reason: 'middle',
      plugin: 'middle',
    })
    expect(await hooks.onParallel({ acts: { low: 'waits 20 rejects low' } })).toEqual({
      kind: 'reject',
      reason: 'low',
      plugin: 'low',
    })
    expect(await hooks.onParallel({})).toEqual({ kind: 'continue' })
  })

  it('lets go of the others once it is decided', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({ plugins: three(trail) })
    // Async at the first call, so that the lanes can hear of the second.
    await hooks.onParallel({ id: 1, acts: { middle: 'later', low: 'later' } })
    const verdict = await hooks.onParallel({
      id: 2,
      acts: { high: 'waits 50 rejects enough', middle: 'listens', low: 'listens' },
    })
    expect(verdict).toEqual({ kind: 'reject', reason: 'enough', plugin: 'high' })
    await until('the others to be told', () =>
      ['middle 2 AbortError', 'low 2 AbortError'].every((line) => readTrail(trail).includes(line)),
    )
    await until('the lanes to be idle', async () => (await metric('in_flight')) === 0)
    expect(await metric('calls_total', { hookpoint: 'onParallel' })).toBe(2)
    expect(await metric('verdicts_total', { hookpoint: 'onParallel' })).toBe(2)
  })

  it('applies each plugin’s own failure policy', async () => {
    const { hooks } = await openLab({
      plugins: [
        actor('allowed', { bulkhead: 'a', onFailure: 'allow' }),
        actor('denied', { bulkhead: 'b', onFailure: 'deny' }),
      ],
    })
    const failure = { kind: 'error', plugin: 'allowed' }
    expect(await hooks.onParallel({ acts: { allowed: 'throws x' } })).toMatchObject({ kind: 'continue', failure })
    expect(await hooks.onParallel({ acts: { denied: 'throws x' } })).toMatchObject({
      kind: 'reject',
      plugin: 'denied',
      failure: { kind: 'error' },
    })
  })

  it('leaves no listener on a signal that outlives it', async () => {
    const { hooks } = await openLab({ plugins: three() })
    const { signal } = controller()
    const add = vi.spyOn(signal, 'addEventListener')
    const remove = vi.spyOn(signal, 'removeEventListener')
    for (let call = 0; call < 5; call += 1) await hooks.onParallel({}, { signal })
    for (let call = 0; call < 5; call += 1) await hooks.onGate({}, { signal })
    expect(remove.mock.calls.length).toBe(add.mock.calls.length)
  })
})

function controller(): { signal: AbortSignal; abort(): void } {
  const own = new AbortController()
  return { signal: own.signal, abort: () => own.abort() }
}
