/** Which calls a plugin is asked about at all: shadows, samples, matches. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { actor, createTrail, openLab, readTrail, runsIn, until } from '../support/lab.js'

describe('a shadow plugin', () => {
  it('is asked, and its verdict never applied', async () => {
    const { hooks, metric } = await openLab({
      plugins: [actor('judge', { priority: 1 }), actor('shadow', { mode: 'shadow', timeoutMs: 5_000 })],
    })
    expect(await hooks.onGate({ acts: { shadow: 'rejects no' } })).toEqual({ kind: 'continue' })
    expect(await hooks.onGate({ acts: { judge: 'rejects yes', shadow: 'rejects no' } })).toEqual({
      kind: 'reject',
      reason: 'yes',
      plugin: 'judge',
    })
    expect(await hooks.onTransform({ text: 'e', acts: { judge: 'marks', shadow: 'marks' } })).toMatchObject({
      event: { text: 'e+judge' },
      plugin: 'judge',
    })
    expect(await hooks.onRespond({ acts: { shadow: 'answers no' } })).toEqual({ kind: 'continue' })
    expect(await hooks.onRespond({ acts: { shadow: 'throws x' } })).toEqual({ kind: 'continue' })
    expect(await hooks.onParallel({ acts: { shadow: 'throws x' } })).toEqual({ kind: 'continue' })
    await until('its verdicts', async () => (await metric('shadow_verdicts_total', { plugin: 'shadow' })) === 6)
    const said = async (hookpoint: string, verdict: string, enforced: string) =>
      metric('shadow_verdicts_total', { hookpoint, verdict, enforced })
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
    const { hooks } = await openLab({
      hangMs: 5_000,
      plugins: [
        actor('judge', { priority: 1 }),
        actor('shadow', { mode: 'shadow', timeoutMs: 5_000, config: { trail } }),
      ],
    })
    const began = performance.now()
    expect(
      await hooks.onTransform({ id: 1, text: 'e', acts: { judge: 'marks', shadow: 'blocks 400 notes done' } }),
    ).toMatchObject({ kind: 'replace' })
    expect(performance.now() - began).toBeLessThan(300)
    await until('the shadow', () => readTrail(trail).includes('shadow 1 done'))
  })

  it('alone at a hookpoint leaves it without judges', async () => {
    const { hooks, metric, engine } = await openLab({ plugins: [actor('shadow', { mode: 'shadow' })] })
    expect(await hooks.onGate({ acts: { shadow: 'rejects no' } })).toEqual({ kind: 'continue' })
    hooks.onObserve({})
    await engine.flush()
    await until(
      'its verdict',
      async () => (await metric('shadow_verdicts_total', { verdict: 'reject', enforced: 'continue' })) === 1,
    )
  })
})

describe('sample', () => {
  it('of a shadow that nobody is beside leaves calls that are counted, and that it is not told of', async () => {
    const { hooks, metric, engine } = await openLab({ plugins: [actor('shadow', { mode: 'shadow', sample: 0 })] })
    expect(await hooks.onGate({ acts: { shadow: 'rejects no' } })).toEqual({ kind: 'continue' })
    hooks.onObserve({})
    await engine.flush()
    expect(await metric('calls_total', { hookpoint: 'onGate' })).toBe(1)
    expect(await metric('calls_total', { hookpoint: 'onObserve' })).toBe(1)
    expect(await metric('plugin_calls_total', { plugin: 'shadow' })).toBe(0)
    expect(await metric('shadow_verdicts_total')).toBe(0)
  })

  it('of 0 asks never, of 1 always', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({
      plugins: [actor('never', { sample: 0, config: { trail } }), actor('always', { sample: 1, config: { trail } })],
    })
    for (let id = 1; id <= 20; id += 1) await hooks.onGate({ id })
    expect(runsIn(trail)).toEqual(Array.from({ length: 20 }, (_, index) => `always ${index + 1}`))
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
    expect(runsIn(trail)).toEqual([0, 1, 2, 10, 11, 12, 20, 21, 22].map((id) => `some ${id}`))
  })
})

describe('match', () => {
  const asked = async (match: NonNullable<Parameters<typeof actor>[1]>['match'], events: object[]) => {
    const trail = createTrail()
    const lab = await openLab({ plugins: [actor('picky', { match, config: { trail } })] })
    for (const event of events) await lab.hooks.onGate(event)
    return { ids: runsIn(trail).map((line) => Number(line.split(' ')[1])), lab }
  }

  it('asks by fields', async () => {
    const { ids } = await asked({ key: ['a', 'b'], id: { gte: 2 } }, [
      { id: 1, key: 'a' },
      { id: 2, key: 'a' },
      { id: 3, key: 'c' },
      { id: 4, key: 'b' },
    ])
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
    const { ids, lab } = await asked(even as (event: unknown) => boolean, [
      { id: 3 },
      { id: 4 },
      { id: 5 },
      { id: 5 },
      { id: 6 },
    ])
    expect(ids).toEqual([4, 5, 5, 6])
    await lab.heard('error')
    expect(lab.said.error).toEqual([
      expect.objectContaining({ code: 'OPTIONS_INVALID', plugin: 'picky', message: expect.stringContaining('five') }),
    ])
  })

  it('looks at the event as it has become', async () => {
    const { hooks } = await openLab({
      plugins: [
        actor('maker', { priority: 1, bulkhead: 'a' }),
        actor('picky', { match: { topic: { mqtt: 'new/#' } }, bulkhead: 'b' }),
      ],
    })
    const acts = { picky: 'rejects asked' }
    expect(
      await hooks.onTransform({ topic: 'old/1', acts: { ...acts, maker: 'replaces {"topic":"new/1"}' } }),
    ).toMatchObject({ kind: 'reject', plugin: 'picky' })
    expect(
      await hooks.onTransform({ topic: 'new/1', acts: { ...acts, maker: 'replaces {"topic":"old/1"}' } }),
    ).toMatchObject({ kind: 'replace', plugin: 'maker' })
  })
})
