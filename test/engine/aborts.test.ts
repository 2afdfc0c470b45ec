import { describe, expect, it } from 'vitest'
import { actor, createTrail, openLab, readTrail, refusalOf, until } from '../support/lab.js'

describe('a call that is given up', () => {
  it('before it is made is refused and runs nowhere', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({ plugins: [actor('a', { config: { trail } })] })
    const reason = new Error('changed my mind')
    for (const hookpoint of ['onGate', 'onParallel', 'onTransform', 'onRespond'] as const) {
      const error = await refusalOf(hooks[hookpoint]({ id: 1 }, { signal: AbortSignal.abort(reason) }))
      expect(error).toMatchObject({ name: 'HookringError', code: 'CALL_ABORTED', hookpoint, cause: reason })
    }
    await hooks.onGate({ id: 2 })
    expect(readTrail(trail).filter((line) => /\d$/.test(line))).toEqual(['a 2'])
    expect(await metric('calls_aborted_total')).toBe(4)
  })

  it('while it waits is taken back and runs nowhere', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({
      hangMs: 5_000,
      plugins: [actor('a', { limits: { slots: 1 }, timeoutMs: 5_000, config: { trail } })],
    })
    const busy = hooks.onGate({ id: 1, acts: { a: 'blocks 100' } })
    await until('it to run', () => readTrail(trail).includes('a 1'))
    const controller = new AbortController()
    const waiting = refusalOf(hooks.onGate({ id: 2 }, { signal: controller.signal }))
    expect(await metric('queue_depth')).toBe(1)
    controller.abort()
    expect(await waiting).toMatchObject({ code: 'CALL_ABORTED' })
    expect(await metric('queue_depth')).toBe(0)
    await busy
    await hooks.onGate({ id: 3 })
    expect(readTrail(trail).filter((line) => /\d$/.test(line))).toEqual(['a 1', 'a 3'])
  })

  it('while it stands in a lane that has not begun it is taken back and runs nowhere', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ hangMs: 5_000, plugins: [actor('a', { timeoutMs: 5_000, config: { trail } })] })
    const busy = hooks.onGate({ id: 1, acts: { a: 'blocks 100' } })
    await until('it to run', () => readTrail(trail).includes('a 1'))
    const controller = new AbortController()
    const waiting = refusalOf(hooks.onGate({ id: 2 }, { signal: controller.signal }))
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort()
    expect(await waiting).toMatchObject({ code: 'CALL_ABORTED' })
    await busy
    await hooks.onGate({ id: 3 })
    expect(readTrail(trail).filter((line) => /\d$/.test(line))).toEqual(['a 1', 'a 3'])
  })

  it('by its deadline is told so, though an earlier plugin of the lane had more time', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({
      plugins: [
        actor('patient', { bulkhead: 'both', priority: 1, timeoutMs: 60_000 }),
        actor('hasty', { bulkhead: 'both', timeoutMs: 50, config: { trail } }),
      ],
    })
    const verdict = await hooks.onGate({ id: 1, acts: { patient: 'waits 1', hasty: 'listens' } })
    expect(verdict).toMatchObject({ kind: 'reject', failure: { kind: 'timeout', plugin: 'hasty' } })
    await until('it to be told', () => readTrail(trail).includes('hasty 1 TimeoutError'))
  })

  it('while it runs is told so by ctx.signal', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({ plugins: [actor('a', { timeoutMs: 10_000, config: { trail } })] })
    const controller = new AbortController()
    const running = refusalOf(hooks.onGate({ id: 1, acts: { a: 'listens' } }, { signal: controller.signal }))
    await until('it to listen', () => readTrail(trail).includes('a 1 listening'))
    controller.abort(new Error('enough'))
    expect(await running).toMatchObject({ code: 'CALL_ABORTED', cause: expect.objectContaining({ message: 'enough' }) })
    await until('it to be told', () => readTrail(trail).includes('a 1 AbortError'))
    await until('the lane to be idle', async () => (await metric('in_flight')) === 0)
  })

  it('while its hook holds the thread is refused at once, and the plugins behind are not asked', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({
      hangMs: 5_000,
      plugins: [actor('a', { timeoutMs: 5_000, config: { trail } }), actor('behind', { config: { trail } })],
    })
    const controller = new AbortController()
    const running = refusalOf(hooks.onGate({ id: 1, acts: { a: 'blocks 200' } }, { signal: controller.signal }))
    await until('it to run', () => readTrail(trail).includes('a 1'))
    const began = performance.now()
    controller.abort()
    expect(await running).toMatchObject({ code: 'CALL_ABORTED' })
    expect(performance.now() - began).toBeLessThan(150)
    await until('the lane to be idle', async () => (await metric('in_flight')) === 0)
    expect(readTrail(trail)).not.toContain('behind 1')
  })

  it('at its deadline is told so by ctx.signal', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: [actor('a', { timeoutMs: 60, config: { trail } })] })
    expect(await hooks.onGate({ id: 1, acts: { a: 'listens' } })).toMatchObject({ failure: { kind: 'timeout' } })
    await until('it to be told', () => readTrail(trail).includes('a 1 TimeoutError'))
  })

  it('after it has settled makes no difference', async () => {
    const { hooks, metric } = await openLab({ plugins: [actor('a')] })
    const controller = new AbortController()
    expect(await hooks.onGate({}, { signal: controller.signal })).toEqual({ kind: 'continue' })
    controller.abort()
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
    expect(await metric('calls_aborted_total')).toBe(0)
  })
})
