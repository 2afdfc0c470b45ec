/** How calls pass the plugins of a chain: order, hops, failures on the way. */
import { describe, expect, it } from 'vitest'
import { actor, createTrail, openLab, runsIn, until } from '../support/lab.js'

describe('a chain', () => {
  it('runs by priority, and by the order of registration where that is equal', async () => {
    const { hooks } = await openLab({
      plugins: [
        actor('a'),
        actor('b', { priority: 5 }),
        actor('c'),
        actor('d', { priority: -1 }),
        actor('e', { priority: 5 }),
      ],
    })
    const verdict = await hooks.onTransform({ acts: { a: 'marks', b: 'marks', c: 'marks', d: 'marks', e: 'marks' } })
    expect(verdict).toMatchObject({ kind: 'replace', plugin: 'd', event: { text: '+b+e+a+c+d' } })
  })

  it('keeps its order when it goes to and fro between bulkheads, each plugin seeing what the last one made', async () => {
    const { hooks } = await openLab({
      plugins: [
        actor('a1', { bulkhead: 'a', priority: 4 }),
        actor('b1', { bulkhead: 'b', priority: 3 }),
        actor('a2', { bulkhead: 'a', priority: 2 }),
        actor('b2', { bulkhead: 'b', priority: 1 }),
      ],
    })
    const acts = { a1: 'marks', b1: 'later marks', a2: 'marks', b2: 'later marks' }
    expect(await hooks.onTransform({ text: 'e', acts })).toMatchObject({
      kind: 'replace',
      plugin: 'b2',
      event: { text: 'e+a1+b1+a2+b2' },
    })
    expect(await hooks.onTransform({ text: 'e', acts: { a1: 'marks', b2: 'shows' } })).toEqual({
      kind: 'reject',
      plugin: 'b2',
      reason: 'b2 saw "e+a1"',
    })
    expect(await hooks.onTransform({ text: 'e', acts: {} })).toEqual({ kind: 'continue' })
  })

  it.each(['one bulkhead', 'two bulkheads'])('stops at the first reject, in %s', async (where) => {
    const trail = createTrail()
    const bulkhead = (name: string) => (where === 'one bulkhead' ? 'shared' : name)
    const { hooks } = await openLab({
      plugins: ['first', 'second', 'third'].map((name) =>
        actor(name, { bulkhead: bulkhead(name === 'first' ? 'one' : 'two'), config: { trail } }),
      ),
    })
    expect(await hooks.onGate({ id: 1, acts: { second: 'rejects no' } })).toEqual({
      kind: 'reject',
      reason: 'no',
      plugin: 'second',
    })
    expect(await hooks.onGate({ id: 2, acts: { second: 'rejects-code 7 no' } })).toEqual({
      kind: 'reject',
      reason: 'no',
      code: 7,
      plugin: 'second',
    })
    expect(await hooks.onGate({ id: 3, acts: { second: 'later rejects-code 0 no' } })).toEqual({
      kind: 'reject',
      reason: 'no',
      code: 0,
      plugin: 'second',
    })
    expect(runsIn(trail)).toEqual(['first 1', 'second 1', 'first 2', 'second 2', 'first 3', 'second 3'])
  })

  it('of sync and async hooks in one hop runs them one after the other', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: ['a', 'b', 'c'].map((name) => actor(name, { config: { trail } })) })
    expect(
      await hooks.onGate({ id: 1, acts: { a: 'waits 20', b: 'notes after a', c: 'later notes after b' } }),
    ).toEqual({ kind: 'continue' })
    expect(runsIn(trail)).toEqual(['a 1', 'b 1', 'b 1 after a', 'c 1', 'c 1 after b'])
  })

  it('that somebody has answered asks no one else', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({
      plugins: ['a', 'b', 'c'].map((name) => actor(name, { bulkhead: name, config: { trail } })),
    })
    expect(await hooks.onRespond({ id: 1, acts: { b: 'answers b', c: 'answers c' } })).toEqual({
      kind: 'respond',
      value: { text: 'b' },
      plugin: 'b',
    })
    expect(await hooks.onRespond({ id: 2, acts: { a: 'rejects no', b: 'answers b' } })).toEqual({
      kind: 'reject',
      reason: 'no',
      plugin: 'a',
    })
    expect(await hooks.onRespond({ id: 3 })).toEqual({ kind: 'continue' })
    expect(runsIn(trail)).toEqual(['a 1', 'b 1', 'a 2', 'a 3', 'b 3', 'c 3'])
    expect(await metric('calls_unanswered_total')).toBe(1)
  })

  it('without plugins continues, whatever the event', async () => {
    const { hooks } = await openLab()
    expect(await hooks.onGate({ id: -1 })).toEqual({ kind: 'continue' })
    expect(hooks.onObserve({})).toBeUndefined()
  })

  it('reasons of any length arrive, long ones cut with a note of their length', async () => {
    const { hooks } = await openLab({ plugins: [actor('a')] })
    const reasonOf = async (text: string) =>
      ((await hooks.onGate({ acts: { a: `rejects ${text}` } })) as { reason: string }).reason
    for (const text of ['', 'é', '日本'.repeat(50), 'x'.repeat(384)]) expect(await reasonOf(text)).toBe(text)
    expect(await reasonOf('日'.repeat(1000))).toMatch(/^日+… \(3000 bytes\)$/)
  })

  it('keeps the failure of a plugin apart from the work of the ones behind it: none runs twice', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({
      hangMs: 5_000,
      workers: 2,
      plugins: [
        actor('slow', { timeoutMs: 40, onFailure: 'allow', config: { trail } }),
        actor('behind', { timeoutMs: 5_000, config: { trail } }),
      ],
    })
    const verdicts = await Promise.all(
      [1, 2, 3, 4].map((id) => hooks.onGate({ id, acts: { slow: 'blocks 300', behind: 'rejects seen' } })),
    )
    for (const verdict of verdicts)
      expect(verdict).toMatchObject({ kind: 'reject', plugin: 'behind', failure: { kind: 'timeout', plugin: 'slow' } })
    await until('the lanes to be idle', async () => (await metric('in_flight')) === 0)
    expect(
      runsIn(trail)
        .filter((line) => line.startsWith('behind'))
        .sort(),
    ).toEqual(['behind 1', 'behind 2', 'behind 3', 'behind 4'])
  })

  it('gives each plugin of a hop its own time', async () => {
    const { hooks } = await openLab({
      hangMs: 5_000,
      plugins: [
        actor('patient', { timeoutMs: 5_000 }),
        actor('brief', { timeoutMs: 40 }),
        actor('calm', { timeoutMs: 5_000 }),
      ],
    })
    expect(await hooks.onGate({ acts: { patient: 'blocks 100', calm: 'blocks 100' } })).toEqual({ kind: 'continue' })
    const began = performance.now()
    const verdict = await hooks.onGate({ acts: { patient: 'blocks 30', brief: 'blocks 400' } })
    expect(verdict).toMatchObject({
      kind: 'reject',
      plugin: 'brief',
      failure: { kind: 'timeout', message: expect.stringContaining('timed out after 40 ms') },
    })
    expect(performance.now() - began).toBeLessThan(390)
  })

  it('holds the caller’s own limit over all of its plugins', async () => {
    const { hooks } = await openLab({
      hangMs: 5_000,
      plugins: ['a', 'b'].map((name) => actor(name, { bulkhead: name, timeoutMs: 5_000 })),
    })
    const verdict = await hooks.onGate({ acts: { a: 'waits 30', b: 'pends' } }, { timeoutMs: 80 })
    expect(verdict).toMatchObject({ kind: 'reject', plugin: 'b', failure: { kind: 'timeout' } })
  })

  it('that waits for one bulkhead and then for another is asked by neither for the other', async () => {
    const { hooks, metric } = await openLab({
      hangMs: 5_000,
      plugins: [
        actor('a', {
          limits: { slots: 1 },
          timeoutMs: 250,
          onFailure: 'allow',
          priority: 1,
          config: { hooks: ['onGate'] },
        }),
        actor('b', { limits: { slots: 1 }, timeoutMs: 5_000 }),
      ],
    })
    const waiting = (bulkhead: string, count: number) =>
      until('calls to wait', async () => (await metric('queue_depth', { bulkhead })) === count)
    const occupying = [hooks.onParallel({ acts: { b: 'blocks 900' } }), hooks.onGate({ acts: { a: 'blocks 450' } })]
    await until('both to be busy', async () => (await metric('in_flight')) === 2)
    // Waits for a, past its time; then for b. Another call waits for a when a gets room again.
    const asked = hooks.onGate({ acts: { a: 'rejects by-a', b: 'rejects by-b' } })
    await waiting('b-1', 2)
    occupying.push(hooks.onGate({ acts: { a: 'waits 1' } }, { timeoutMs: 5_000 }))
    await waiting('a-0', 1)
    expect(await asked).toMatchObject({
      kind: 'reject',
      plugin: 'b',
      reason: 'by-b',
      failure: { kind: 'timeout', plugin: 'a' },
    })
    await Promise.all(occupying)
  })
})

describe('an observation', () => {
  it('is told to all plugins, in all bulkheads, whatever becomes of one of them', async () => {
    const trail = createTrail()
    const names = ['a', 'b', 'c', 'd']
    const { hooks, engine } = await openLab({
      plugins: names.map((name, index) =>
        actor(name, { bulkhead: index < 2 ? 'x' : name, timeoutMs: 100, config: { trail } }),
      ),
    })
    hooks.onObserve({ id: 1, acts: { a: 'throws x', c: 'pends' } })
    hooks.onObserve({ id: 2, acts: { b: 'rejects ignored', d: 'returns a number' } })
    await engine.flush()
    expect(runsIn(trail).sort()).toEqual(names.flatMap((name) => [`${name} 1`, `${name} 2`]))
  })
})
