/** How calls pass the plugins of a chain: order, hops, lanes, and which plugins they pass at all. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { actor, createTrail, openLab, readTrail, refusalOf, until } from '../support/lab.js'

describe('a chain', () => {
  it('runs by priority, and by the order of registration where that is equal', async () => {
    const { hooks } = await openLab({ plugins: [actor('a'), actor('b', { priority: 5 }), actor('c'), actor('d', { priority: -1 }), actor('e', { priority: 5 })] })
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
    expect(await hooks.onTransform({ text: 'e', acts })).toMatchObject({ kind: 'replace', plugin: 'b2', event: { text: 'e+a1+b1+a2+b2' } })
    expect(await hooks.onTransform({ text: 'e', acts: { a1: 'marks', b2: 'shows' } })).toEqual({ kind: 'reject', plugin: 'b2', reason: 'b2 saw "e+a1"' })
    expect(await hooks.onTransform({ text: 'e', acts: {} })).toEqual({ kind: 'continue' })
  })

  it.each(['one bulkhead', 'two bulkheads'])('stops at the first reject, in %s', async (where) => {
    const trail = createTrail()
    const bulkhead = (name: string) => (where === 'one bulkhead' ? 'shared' : name)
    const { hooks } = await openLab({
      plugins: ['first', 'second', 'third'].map((name) => actor(name, { bulkhead: bulkhead(name === 'first' ? 'one' : 'two'), config: { trail } })),
    })
    expect(await hooks.onGate({ id: 1, acts: { second: 'rejects no' } })).toEqual({ kind: 'reject', reason: 'no', plugin: 'second' })
    expect(await hooks.onGate({ id: 2, acts: { second: 'rejects-code 7 no' } })).toEqual({ kind: 'reject', reason: 'no', code: 7, plugin: 'second' })
    expect(await hooks.onGate({ id: 3, acts: { second: 'later rejects-code 0 no' } })).toEqual({ kind: 'reject', reason: 'no', code: 0, plugin: 'second' })
    expect(runs(trail)).toEqual(['first 1', 'second 1', 'first 2', 'second 2', 'first 3', 'second 3'])
  })

  it('of sync and async hooks in one hop runs them one after the other', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: ['a', 'b', 'c'].map((name) => actor(name, { config: { trail } })) })
    expect(await hooks.onGate({ id: 1, acts: { a: 'waits 20', b: 'notes after a', c: 'later notes after b' } })).toEqual({ kind: 'continue' })
    expect(runs(trail)).toEqual(['a 1', 'b 1', 'b 1 after a', 'c 1', 'c 1 after b'])
  })

  it('that somebody has answered asks no one else', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({ plugins: ['a', 'b', 'c'].map((name) => actor(name, { bulkhead: name, config: { trail } })) })
    expect(await hooks.onRespond({ id: 1, acts: { b: 'answers b', c: 'answers c' } })).toEqual({ kind: 'respond', value: { text: 'b' }, plugin: 'b' })
    expect(await hooks.onRespond({ id: 2, acts: { a: 'rejects no', b: 'answers b' } })).toEqual({ kind: 'reject', reason: 'no', plugin: 'a' })
    expect(await hooks.onRespond({ id: 3 })).toEqual({ kind: 'continue' })
    expect(runs(trail)).toEqual(['a 1', 'b 1', 'a 2', 'a 3', 'b 3', 'c 3'])
    expect(await metric('calls_unanswered_total')).toBe(1)
  })

  it('without plugins continues, whatever the event', async () => {
    const { hooks } = await openLab()
    expect(await hooks.onGate({ id: -1 })).toEqual({ kind: 'continue' })
    expect(hooks.onObserve({})).toBeUndefined()
  })

  it('reasons of any length arrive, long ones cut with a note of their length', async () => {
    const { hooks } = await openLab({ plugins: [actor('a')] })
    const reasonOf = async (text: string) => ((await hooks.onGate({ acts: { a: `rejects ${text}` } })) as { reason: string }).reason
    for (const text of ['', 'é', '日本'.repeat(50), 'x'.repeat(384)]) expect(await reasonOf(text)).toBe(text)
    expect(await reasonOf('日'.repeat(1000))).toMatch(/^日+… \(3000 bytes\)$/)
  })

  it('keeps the failure of a plugin apart from the work of the ones behind it: none runs twice', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({
      hangMs: 5_000,
      workers: 2,
      plugins: [actor('slow', { timeoutMs: 40, onFailure: 'allow', config: { trail } }), actor('behind', { timeoutMs: 5_000, config: { trail } })],
    })
    const verdicts = await Promise.all([1, 2, 3, 4].map((id) => hooks.onGate({ id, acts: { slow: 'blocks 120', behind: 'rejects seen' } })))
    for (const verdict of verdicts) expect(verdict).toMatchObject({ kind: 'reject', plugin: 'behind', failure: { kind: 'timeout', plugin: 'slow' } })
    await until('the lanes to be idle', async () => (await metric('in_flight')) === 0)
    expect(runs(trail).filter((line) => line.startsWith('behind')).sort()).toEqual(['behind 1', 'behind 2', 'behind 3', 'behind 4'])
  })

  it('gives each plugin of a hop its own time', async () => {
    const { hooks } = await openLab({ hangMs: 5_000, plugins: [actor('patient', { timeoutMs: 5_000 }), actor('brief', { timeoutMs: 40 }), actor('calm', { timeoutMs: 5_000 })] })
    expect(await hooks.onGate({ acts: { patient: 'blocks 100', calm: 'blocks 100' } })).toEqual({ kind: 'continue' })
    const began = performance.now()
    const verdict = await hooks.onGate({ acts: { patient: 'blocks 30', brief: 'blocks 400' } })
    expect(verdict).toMatchObject({ kind: 'reject', plugin: 'brief', failure: { kind: 'timeout', message: expect.stringContaining('timed out after 40 ms') } })
    expect(performance.now() - began).toBeLessThan(300)
  })

  it('holds the caller’s own limit over all of its plugins', async () => {
    const { hooks } = await openLab({ hangMs: 5_000, plugins: ['a', 'b'].map((name) => actor(name, { bulkhead: name, timeoutMs: 5_000 })) })
    const verdict = await hooks.onGate({ acts: { a: 'waits 30', b: 'pends' } }, { timeoutMs: 80 })
    expect(verdict).toMatchObject({ kind: 'reject', plugin: 'b', failure: { kind: 'timeout' } })
  })

  it('that waits for one bulkhead and then for another is asked by neither for the other', async () => {
    const { hooks, metric } = await openLab({
      hangMs: 5_000,
      plugins: [
        actor('a', { limits: { slots: 1 }, timeoutMs: 120, onFailure: 'allow', priority: 1, config: { hooks: ['onGate'] } }),
        actor('b', { limits: { slots: 1 }, timeoutMs: 5_000 }),
      ],
    })
    const waiting = (bulkhead: string, count: number) => until('calls to wait', async () => (await metric('queue_depth', { bulkhead })) === count)
    const occupying = [hooks.onParallel({ acts: { b: 'blocks 450' } }), hooks.onGate({ acts: { a: 'blocks 200' } })]
    await until('both to be busy', async () => (await metric('in_flight')) === 2)
    // Waits for a, past its time; then for b. Another call waits for a when a gets room again.
    const asked = hooks.onGate({ acts: { a: 'rejects by-a', b: 'rejects by-b' } })
    await waiting('b-1', 2)
    occupying.push(hooks.onGate({ acts: { a: 'waits 1' } }, { timeoutMs: 5_000 }))
    await waiting('a-0', 1)
    expect(await asked).toMatchObject({ kind: 'reject', plugin: 'b', reason: 'by-b', failure: { kind: 'timeout', plugin: 'a' } })
    await Promise.all(occupying)
  })
})

describe('a parallel gate', () => {
  const three = (trail?: SharedArrayBuffer) => ['high', 'middle', 'low'].map((name) => actor(name, { bulkhead: name, config: { trail }, timeoutMs: 5_000 }))

  it('asks all at once', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: three(trail) })
    const { signal, abort } = controller()
    const asked = refusalOf(hooks.onParallel({ id: 1, acts: { high: 'listens', middle: 'listens', low: 'listens' } }, { signal }))
    await until('all to listen', () => readTrail(trail).filter((line) => line.endsWith('listening')).length === 3)
    abort()
    expect(await asked).toMatchObject({ code: 'CALL_ABORTED', hookpoint: 'onParallel' })
    await until('all to be told', () => readTrail(trail).filter((line) => line.endsWith('AbortError')).length === 3)
  })

  it('comes to the first reject in the order of the chain, even when another one is sooner', async () => {
    const { hooks } = await openLab({ plugins: three() })
    const acts = { high: 'waits 60 rejects high', middle: 'rejects middle', low: 'rejects low' }
    expect(await hooks.onParallel({ acts })).toEqual({ kind: 'reject', reason: 'high', plugin: 'high' })
    expect(await hooks.onParallel({ acts: { ...acts, high: 'waits 60' } })).toEqual({ kind: 'reject', reason: 'middle', plugin: 'middle' })
    expect(await hooks.onParallel({ acts: { low: 'waits 20 rejects low' } })).toEqual({ kind: 'reject', reason: 'low', plugin: 'low' })
    expect(await hooks.onParallel({})).toEqual({ kind: 'continue' })
  })

  it('lets go of the others once it is decided', async () => {
    const trail = createTrail()
    const { hooks, metric } = await openLab({ plugins: three(trail) })
    // Async at the first call, so that the lanes can hear of the second.
    await hooks.onParallel({ id: 1, acts: { middle: 'later', low: 'later' } })
    const verdict = await hooks.onParallel({ id: 2, acts: { high: 'waits 50 rejects enough', middle: 'listens', low: 'listens' } })
    expect(verdict).toEqual({ kind: 'reject', reason: 'enough', plugin: 'high' })
    await until('the others to be told', () => ['middle 2 AbortError', 'low 2 AbortError'].every((line) => readTrail(trail).includes(line)))
    await until('the lanes to be idle', async () => (await metric('in_flight')) === 0)
    expect(await metric('calls_total', { hookpoint: 'onParallel' })).toBe(2)
    expect(await metric('verdicts_total', { hookpoint: 'onParallel' })).toBe(2)
  })

  it('applies each plugin’s own failure policy', async () => {
    const { hooks } = await openLab({ plugins: [actor('allowed', { bulkhead: 'a', onFailure: 'allow' }), actor('denied', { bulkhead: 'b', onFailure: 'deny' })] })
    const failure = { kind: 'error', plugin: 'allowed' }
    expect(await hooks.onParallel({ acts: { allowed: 'throws x' } })).toMatchObject({ kind: 'continue', failure })
    expect(await hooks.onParallel({ acts: { denied: 'throws x' } })).toMatchObject({ kind: 'reject', plugin: 'denied', failure: { kind: 'error' } })
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

describe('a shadow plugin', () => {
  it('is asked, and its verdict never applied', async () => {
    const { hooks, metric } = await openLab({ plugins: [actor('judge', { priority: 1 }), actor('shadow', { mode: 'shadow', timeoutMs: 5_000 })] })
    expect(await hooks.onGate({ acts: { shadow: 'rejects no' } })).toEqual({ kind: 'continue' })
    expect(await hooks.onGate({ acts: { judge: 'rejects yes', shadow: 'rejects no' } })).toEqual({ kind: 'reject', reason: 'yes', plugin: 'judge' })
    expect(await hooks.onTransform({ text: 'e', acts: { judge: 'marks', shadow: 'marks' } })).toMatchObject({ event: { text: 'e+judge' }, plugin: 'judge' })
    expect(await hooks.onRespond({ acts: { shadow: 'answers no' } })).toEqual({ kind: 'continue' })
    expect(await hooks.onRespond({ acts: { shadow: 'throws x' } })).toEqual({ kind: 'continue' })
    expect(await hooks.onParallel({ acts: { shadow: 'throws x' } })).toEqual({ kind: 'continue' })
    await until('its verdicts', async () => (await metric('shadow_verdicts_total', { plugin: 'shadow' })) === 6)
    const said = async (hookpoint: string, verdict: string, enforced: string) => metric('shadow_verdicts_total', { hookpoint, verdict, enforced })
    expect(await said('onGate', 'reject', 'continue')).toBe(1)
    expect(await said('onGate', 'reject', 'reject')).toBe(1)
    expect(await said('onTransform', 'replace', 'replace')).toBe(1)
    expect(await said('onRespond', 'respond', 'continue')).toBe(1)
    expect(await said('onRespond', 'failure', 'continue')).toBe(1)
    expect(await said('onParallel', 'failure', 'continue')).toBe(1)
  })

  it('is no part of what calls and verdicts are counted', async () => {
    const { hooks, metric, engine } = await openLab({ plugins: [actor('judge'), actor('shadow', { mode: 'shadow' })] })
    await hooks.onGate({})
    hooks.onObserve({})
    await engine.flush()
    await until('the shadow', async () => (await metric('plugin_calls_total', { plugin: 'shadow' })) === 2)
    expect(await metric('calls_total', { hookpoint: 'onGate' })).toBe(1)
    expect(await metric('verdicts_total', { hookpoint: 'onGate' })).toBe(1)
    expect(await metric('calls_total', { hookpoint: 'onObserve' })).toBe(1)
  })

  it('makes nobody wait, and sees the event as it was made', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ hangMs: 5_000, plugins: [actor('judge', { priority: 1 }), actor('shadow', { mode: 'shadow', timeoutMs: 5_000, config: { trail } })] })
    const began = performance.now()
    expect(await hooks.onTransform({ id: 1, text: 'e', acts: { judge: 'marks', shadow: 'blocks 400 notes done' } })).toMatchObject({ kind: 'replace' })
    expect(performance.now() - began).toBeLessThan(300)
    await until('the shadow', () => readTrail(trail).includes('shadow 1 done'))
  })

  it('alone at a hookpoint leaves it without judges', async () => {
    const { hooks, metric, engine } = await openLab({ plugins: [actor('shadow', { mode: 'shadow' })] })
    expect(await hooks.onGate({ acts: { shadow: 'rejects no' } })).toEqual({ kind: 'continue' })
    hooks.onObserve({})
    await engine.flush()
    await until('its verdict', async () => (await metric('shadow_verdicts_total', { verdict: 'reject', enforced: 'continue' })) === 1)
  })
})

describe('sample', () => {
  it('of 0 asks never, of 1 always', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: [actor('never', { sample: 0, config: { trail } }), actor('always', { sample: 1, config: { trail } })] })
    for (let id = 1; id <= 20; id += 1) await hooks.onGate({ id })
    expect(runs(trail)).toEqual(Array.from({ length: 20 }, (_, index) => `always ${index + 1}`))
  })

  it('asks the share of calls that chance gives it', async () => {
    const trail = createTrail()
    let draw = 0
    // 0, 0.1 ... 0.9 and again.
    const random = vi.spyOn(Math, 'random').mockImplementation(() => (draw++ % 10) / 10)
    const { hooks } = await openLab({ plugins: [actor('some', { sample: 0.3, config: { trail } })] })
    onTestFinished(() => random.mockRestore())
    draw = 0
    for (let id = 0; id < 30; id += 1) await hooks.onGate({ id })
    expect(runs(trail)).toEqual([0, 1, 2, 10, 11, 12, 20, 21, 22].map((id) => `some ${id}`))
  })
})

describe('match', () => {
  const asked = async (match: NonNullable<Parameters<typeof actor>[1]>['match'], events: object[]) => {
    const trail = createTrail()
    const lab = await openLab({ plugins: [actor('picky', { match, config: { trail } })] })
    for (const event of events) await lab.hooks.onGate(event)
    return { ids: runs(trail).map((line) => Number(line.split(' ')[1])), lab }
  }

  it('asks by fields', async () => {
    const { ids } = await asked({ key: ['a', 'b'], id: { gte: 2 } }, [{ id: 1, key: 'a' }, { id: 2, key: 'a' }, { id: 3, key: 'c' }, { id: 4, key: 'b' }])
    expect(ids).toEqual([2, 4])
  })

  it('asks by topic filters', async () => {
    const events = ['a/b', 'a/c', 'a/b/c', '$a/b', 'b'].map((topic, id) => ({ id, topic }))
    expect((await asked({ topic: { mqtt: ['+/b', 'b/#'] } }, events)).ids).toEqual([0, 4])
  })

  it('asks by a function; one that throws is reported once and asks', async () => {
    const even = ({ id }: { id: number }) => {
      if (id === 5) throw new RangeError('five')
      return id % 2 === 0
    }
    const { ids, lab } = await asked(even as (event: unknown) => boolean, [{ id: 3 }, { id: 4 }, { id: 5 }, { id: 5 }, { id: 6 }])
    expect(ids).toEqual([4, 5, 5, 6])
    await lab.heard('error')
    expect(lab.said.error).toEqual([expect.objectContaining({ code: 'OPTIONS_INVALID', plugin: 'picky', message: expect.stringContaining('five') })])
  })

  it('looks at the event as it has become', async () => {
    const { hooks } = await openLab({
      plugins: [actor('maker', { priority: 1, bulkhead: 'a' }), actor('picky', { match: { topic: { mqtt: 'new/#' } }, bulkhead: 'b' })],
    })
    const acts = { picky: 'rejects asked' }
    expect(await hooks.onTransform({ topic: 'old/1', acts: { ...acts, maker: 'replaces {"topic":"new/1"}' } })).toMatchObject({ kind: 'reject', plugin: 'picky' })
    expect(await hooks.onTransform({ topic: 'new/1', acts: { ...acts, maker: 'replaces {"topic":"old/1"}' } })).toMatchObject({ kind: 'replace', plugin: 'maker' })
  })
})

describe('lanes of a bulkhead', () => {
  /** For each call the thread that ran it, in the order of the runs. */
  const placesOf = (trail: SharedArrayBuffer) =>
    readTrail(trail)
      .map((line) => line.split(' '))
      .filter((words) => words.length === 3)
      .map(([, id, lane]) => ({ id: Number(id), lane: lane as string }))

  it('share out calls by what they have in flight', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: [actor('a', { workers: 3, timeoutMs: 5_000, config: { trail } })] })
    // One lane is kept busy; what follows goes to the other two.
    const busy = hooks.onGate({ id: 0, acts: { a: 'blocks 150' } })
    await until('it to run', () => readTrail(trail).includes('a 0'))
    for (let id = 1; id <= 20; id += 1) await hooks.onGate({ id, acts: { a: 'context lane' } })
    expect(new Set(placesOf(trail).map(({ lane }) => lane)).size).toBe(2)
    await busy
    await Promise.all([1, 2, 3].map((index) => hooks.onGate({ id: 100 + index, acts: { a: 'blocks 60 context lane' } })))
    expect(new Set(placesOf(trail).filter(({ id }) => id > 100).map(({ lane }) => lane)).size).toBe(3)
  })

  it('with partitionBy keep equal keys on one lane, in order', async () => {
    const trail = createTrail()
    const { hooks, engine } = await openLab({ plugins: [actor('a', { workers: 3, partitionBy: 'key', config: { trail } })] })
    const keyOf = (id: number) => `key-${id % 7}`
    for (let id = 0; id < 400; id += 1) {
      if (id % 3 === 0) hooks.onObserve({ id, key: keyOf(id), acts: { a: 'context lane' } })
      else void hooks.onGate({ id, key: keyOf(id), acts: { a: 'context lane' } })
      if (id % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await hooks.onGate({ id: 400, key: keyOf(400), acts: { a: 'context lane' } })
    await engine.flush()
    await until('all to run', () => placesOf(trail).length === 401)
    checkPartition(placesOf(trail), keyOf)
  })

  it('with partitionBy keep equal keys in order when a lane is replaced', async () => {
    const trail = createTrail()
    const { hooks, heard, said } = await openLab({ plugins: [actor('a', { workers: 2, partitionBy: 'key', timeoutMs: 5_000, config: { trail } })] })
    const keyOf = (id: number) => `key-${id % 5}`
    const verdicts = Array.from({ length: 300 }, (_, id) =>
      hooks.onGate({ id, key: keyOf(id), acts: { a: id === 100 ? 'exits 1' : 'context lane' } }),
    )
    const kinds = (await Promise.all(verdicts)).map(({ kind }) => kind)
    await heard('laneReplaced')
    expect(said.laneReplaced).toHaveLength(1)
    expect(kinds.map((kind, id) => [id, kind]).filter(([, kind]) => kind !== 'continue')).toEqual([[100, 'reject']])
    const places = placesOf(trail)
    expect(places.map(({ id }) => id).sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, id) => id).filter((id) => id !== 100))
    const crashed = keyOf(100)
    checkPartition(places.filter(({ id }) => keyOf(id) !== crashed || id < 100), keyOf, { mayMove: true })
    checkPartition(places.filter(({ id }) => keyOf(id) === crashed && id > 100), keyOf)
  })

  function checkPartition(places: { id: number; lane: string }[], keyOf: (id: number) => string, { mayMove = false } = {}): void {
    const byKey = groupBy(places, ({ id }) => keyOf(id))
    for (const [key, own] of byKey) {
      const ids = own.map(({ id }) => id)
      expect(ids, key).toEqual([...ids].sort((a, b) => a - b))
      if (!mayMove) expect(new Set(own.map(({ lane }) => lane)).size, key).toBe(1)
    }
  }
})

describe('an observation', () => {
  it('is told to all plugins, in all bulkheads, whatever becomes of one of them', async () => {
    const trail = createTrail()
    const names = ['a', 'b', 'c', 'd']
    const { hooks, engine } = await openLab({ plugins: names.map((name, index) => actor(name, { bulkhead: index < 2 ? 'x' : name, timeoutMs: 100, config: { trail } })) })
    hooks.onObserve({ id: 1, acts: { a: 'throws x', c: 'pends' } })
    hooks.onObserve({ id: 2, acts: { b: 'rejects ignored', d: 'returns a number' } })
    await engine.flush()
    expect(runs(trail).sort()).toEqual(names.flatMap((name) => [`${name} 1`, `${name} 2`]))
  })
})

/** Lines of the trail that are about hooks. */
function runs(trail: SharedArrayBuffer): string[] {
  return readTrail(trail).filter((line) => / \d/.test(line))
}

function controller(): { signal: AbortSignal; abort(): void } {
  const own = new AbortController()
  return { signal: own.signal, abort: () => own.abort() }
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}
