/** Plugins that do not come back, or crash: what it costs their callers, their neighbours and themselves. */
import { describe, expect, it } from 'vitest'
import { actor, createTrail, fixture, openLab, readTrail, until } from '../support/lab.js'
import { runProgram } from '../support/programs.js'

describe('a hook that loops for ever', () => {
  it('costs its caller the deadline and its lane the thread, and is named', async () => {
    const { hooks, heard, said, metric } = await openLab({
      spares: 1,
      hangMs: 20,
      plugins: [actor('looper', { timeoutMs: 100 })],
    })
    const began = performance.now()
    const verdict = await hooks.onGate({ acts: { looper: 'loops' } })
    expect(performance.now() - began).toBeLessThan(400)
    expect(verdict).toMatchObject({
      kind: 'reject',
      plugin: 'looper',
      failure: { kind: 'timeout', plugin: 'looper', hookpoint: 'onGate' },
    })
    await heard('laneReplaced')
    expect(said.laneReplaced).toEqual([
      {
        bulkhead: 'trusted',
        lane: 'trusted/0#1',
        reason: 'hang',
        plugin: 'looper',
        hookpoint: 'onGate',
        tookMs: expect.any(Number),
        message: expect.stringMatching(/plugin looper had been running for \d+\.\d ms at onGate/),
      },
    ])
    expect(await metric('lane_restarts_total', { bulkhead: 'trusted', reason: 'hang' })).toBe(1)
    expect(await metric('zombies')).toBe(0)
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
  })

  it('delays the calls behind it, which the next lane answers', async () => {
    const trail = createTrail()
    const { hooks, said, heard } = await openLab({
      spares: 1,
      hangMs: 0,
      plugins: [actor('looper', { timeoutMs: 150, config: { trail } })],
    })
    const stuck = hooks.onGate({ id: 1, acts: { looper: 'loops' } })
    await until('the loop', () => readTrail(trail).includes('looper 1 loops'))
    const behind = [2, 3, 4, 5].map((id) =>
      hooks.onGate({ id, acts: { looper: 'rejects seen' } }, { timeoutMs: 5_000 }),
    )
    hooks.onObserve({ id: 6 })
    expect(await stuck).toMatchObject({ kind: 'reject', failure: { kind: 'timeout' } })
    for (const verdict of await Promise.all(behind)) {
      // Those whose own time had run out before the lane was given up may fail with it.
      expect([
        { kind: 'reject', reason: 'seen', plugin: 'looper' },
        expect.objectContaining({ failure: expect.objectContaining({ kind: 'timeout' }) }),
      ]).toContainEqual(verdict)
    }
    await heard('laneReplaced')
    const next = await hooks.onGate({ id: 7, acts: { looper: 'rejects seen' } }, { timeoutMs: 5_000 })
    expect(next).toMatchObject({ reason: 'seen' })
    const runs = readTrail(trail).filter((line) => / \d+$/.test(line))
    expect(new Set(runs).size).toBe(runs.length)
    expect(runs).toContain('looper 6')
    expect(said.deadLetter).toEqual([])
  })

  it('leaves calls that have time to the lane that follows', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({
      spares: 1,
      hangMs: 0,
      plugins: [
        actor('patient', { timeoutMs: 5_000, priority: 1, config: { trail } }),
        actor('looper', { timeoutMs: 60, config: { trail } }),
      ],
    })
    const stuck = hooks.onGate({ id: 1, acts: { looper: 'loops' } })
    await until('the loop', () => readTrail(trail).includes('looper 1 loops'))
    const behind = [2, 3, 4].map((id) => hooks.onGate({ id, acts: { looper: 'rejects seen' } }))
    expect(await stuck).toMatchObject({ failure: { plugin: 'looper', kind: 'timeout' } })
    for (const verdict of await Promise.all(behind))
      expect(verdict).toEqual({ kind: 'reject', reason: 'seen', plugin: 'looper' })
    expect(readTrail(trail).filter((line) => /^patient \d/.test(line))).toEqual([
      'patient 1',
      'patient 2',
      'patient 3',
      'patient 4',
    ])
  })

  it('is nothing to plugins in another bulkhead', async () => {
    const { hooks, heard } = await openLab({
      spares: 1,
      hangMs: 0,
      plugins: [
        actor('looper', { bulkhead: 'bad', timeoutMs: 100, config: { hooks: ['onParallel'] } }),
        actor('neighbour', { bulkhead: 'good', timeoutMs: 1_000, config: { hooks: ['onGate'] } }),
      ],
    })
    const stuck = hooks.onParallel({ acts: { looper: 'loops' } })
    const replaced = heard('laneReplaced')
    let isReplaced = false
    void replaced.then(() => {
      isReplaced = true
    })
    let asked = 0
    let longestMs = 0
    while (!isReplaced) {
      const began = performance.now()
      expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
      longestMs = Math.max(longestMs, performance.now() - began)
      asked += 1
    }
    expect(await stuck).toMatchObject({ kind: 'reject', plugin: 'looper' })
    expect(asked).toBeGreaterThan(10)
    expect(longestMs).toBeLessThan(500)
  })

  it('at an observation is reported with the event that it was told', async () => {
    const { hooks, heard, said, engine, metric } = await openLab({
      spares: 1,
      hangMs: 0,
      plugins: [actor('looper', { timeoutMs: 60 }), actor('after')],
    })
    hooks.onObserve({ id: 7, text: 'lost', acts: { looper: 'loops' } })
    await engine.flush()
    await heard('deadLetter')
    const event = expect.objectContaining({ id: 7, text: 'lost', acts: { looper: 'loops' } })
    expect(said.deadLetter).toEqual([{ hookpoint: 'onObserve', plugin: 'looper', event, reason: 'hang' }])
    expect(await metric('observations_undelivered_total')).toBe(1)
    expect(await metric('plugin_failures_total', { plugin: 'looper', failure: 'timeout' })).toBe(1)
    expect(await metric('plugin_calls_total', { plugin: 'after' })).toBe(1)
  })

  it('after an await is found too, and its lane replaced', async () => {
    const { hooks, heard, said } = await openLab({
      spares: 1,
      hangMs: 0,
      plugins: [actor('looper', { timeoutMs: 60 })],
    })
    expect(await hooks.onGate({ acts: { looper: 'later loops' } })).toMatchObject({
      kind: 'reject',
      failure: { kind: 'timeout' },
    })
    await heard('laneReplaced')
    expect(said.laneReplaced).toMatchObject([{ reason: 'stall', plugin: 'looper' }])
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
  })

  it('that V8 cannot end leaves a zombie, and the engine works and closes all the same', {
    timeout: 30_000,
  }, async () => {
    const { signal, said, stderr } = await runProgram('zombie.mjs')
    expect(stderr).toBe('')
    expect(said.map(({ what }) => what)).toEqual(['verdict', 'replaced', 'next', 'zombie', 'closed'])
    const [verdict, replaced, next, zombie, closed] = said
    expect(verdict).toMatchObject({
      kind: 'reject',
      failure: 'timeout',
      trail: expect.arrayContaining(['stuck 1 wedges']),
    })
    expect(verdict?.tookMs).toBeLessThan(1_000)
    expect(replaced).toMatchObject({ reason: 'hang', plugin: 'stuck' })
    expect(next).toMatchObject({ kind: 'continue' })
    expect(zombie).toMatchObject({ plugin: 'stuck', graceMs: 150, counted: '1' })
    expect(closed?.tookMs).toBeLessThan(5_000)
    expect(signal).toBe('SIGKILL')
  })
})

describe('a lane that ends', () => {
  it('by process.exit outside of any call is replaced, its only plugin named', async () => {
    const { hooks, heard, said } = await openLab({ spares: 1, plugins: [actor('quitter')] })
    expect(await hooks.onGate({ acts: { quitter: 'timer 20 exits 5' } })).toEqual({ kind: 'continue' })
    await heard('laneReplaced')
    expect(said.laneReplaced).toMatchObject([{ reason: 'exit', plugin: 'quitter', hookpoint: undefined }])
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
  })

  it.each([
    'a thing that is no text',
    'an error whose message is no text',
    'an error whose message is a thing',
    'an error of a foreign kind',
    'nothing',
    'a null',
    'a function',
  ])('by %s that was thrown, and caught by nobody, is replaced', async (what) => {
    const { hooks, heard, said } = await openLab({
      spares: 1,
      plugins: [{ from: fixture('lab/falling.mjs') }],
    })
    expect(await hooks.onGate({ acts: { falling: what } })).toMatchObject({ kind: 'reject', plugin: 'falling' })
    await heard('laneReplaced')
    expect(said.laneReplaced).toMatchObject([
      { plugin: 'falling', message: expect.stringMatching(/^its thread ended: ./) },
    ])
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
  })

  it('by a heap that is full fails the call as a crash, and is replaced', async () => {
    const { hooks, heard, said } = await openLab({
      spares: 1,
      hangMs: 10_000,
      plugins: [actor('hoarder', { limits: { memoryMb: 16 }, timeoutMs: 10_000 })],
    })
    const verdict = await hooks.onGate({ acts: { hoarder: 'hoards' } })
    expect(verdict).toMatchObject({ kind: 'reject', plugin: 'hoarder', failure: { kind: 'crash' } })
    await heard('laneReplaced')
    expect(said.laneReplaced).toMatchObject([{ reason: 'memory', plugin: 'hoarder', hookpoint: 'onGate' }])
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
  })

  it('with hooks pending fails each of them, and runs what it had not begun in the next', async () => {
    const trail = createTrail()
    const { hooks, heard } = await openLab({
      spares: 1,
      limits: { concurrency: 2 },
      plugins: [actor('quitter', { timeoutMs: 5_000, config: { trail } })],
    })
    const pending = hooks.onGate({ id: 1, acts: { quitter: 'pends' } })
    const quitting = hooks.onGate({ id: 2, acts: { quitter: 'waits 50 exits 1' } })
    const later = [3, 4, 5].map((id) => hooks.onGate({ id, acts: { quitter: 'rejects seen' } }))
    expect(await pending).toMatchObject({ failure: { kind: 'crash' } })
    expect(await quitting).toMatchObject({ failure: { kind: 'crash' } })
    for (const verdict of await Promise.all(later)) expect(verdict).toMatchObject({ reason: 'seen' })
    await heard('laneReplaced')
    expect(readTrail(trail).filter((line) => /\d$/.test(line))).toEqual([1, 2, 3, 4, 5].map((id) => `quitter ${id}`))
  })

  it('is tried again when its successor does not start, and says so', async () => {
    const trail = createTrail()
    const { hooks, heard, said } = await openLab({
      spares: 1,
      plugins: [actor('flaky', { timeoutMs: 5_000, config: { trail, setup: 'fails-at 2 throws not now' } })],
    })
    expect(await hooks.onGate({ acts: { flaky: 'exits 1' } })).toMatchObject({ failure: { kind: 'crash' } })
    // Waits for the lane.
    expect(await hooks.onGate({ id: 2, acts: { flaky: 'rejects seen' } })).toMatchObject({ reason: 'seen' })
    await heard('laneReplaced')
    expect(said.error).toMatchObject([{ code: 'PLUGIN_SETUP_FAILED', plugin: 'flaky' }])
    expect(readTrail(trail).filter((line) => line === 'flaky setup')).toHaveLength(3)
  })
})

describe('a lane that dies whenever it serves', () => {
  it('is started again ever more slowly, and its neighbours hear nothing of it', async () => {
    const { hooks, engine, said } = await openLab({
      spares: 1,
      plugins: [
        actor('dying', { bulkhead: 'dying', config: { setup: 'timer 40 exits 1', hooks: ['onGate'] } }),
        actor('neighbour', { bulkhead: 'good', config: { hooks: ['onParallel'] } }),
      ],
    })
    const end = Date.now() + 1_500
    while (Date.now() < end || said.laneReplaced.length < 3)
      expect(await hooks.onParallel({ acts: { neighbour: 'waits 10' } })).toEqual({ kind: 'continue' })
    expect(said.laneReplaced.length).toBeLessThan(8)
    const began = performance.now()
    await engine.close()
    expect(performance.now() - began).toBeLessThan(1_000)
  })
})

describe('an error that nobody caught', () => {
  it.each([
    ['an exception in a timer', 'timer 1 throws fell', 'uncaught exception'],
    ['a rejected promise', 'forgets throws fell', 'unhandled rejection'],
  ])('%s is logged under the plugin’s name and its lane lives', async (_, act, what) => {
    const { hooks, line, said, engine } = await openLab({
      spares: 1,
      quarantine: { minFailures: 1, ratio: 0.1, windowMs: 10_000, cooldownMs: 60_000 },
      plugins: [actor('clumsy'), actor('other')],
    })
    // Async once, so that what follows from it is known to be its own.
    await hooks.onGate({ acts: { clumsy: 'later' } })
    expect(await hooks.onGate({ acts: { clumsy: act } })).toEqual({ kind: 'continue' })
    const logged = await line(({ message }) => message.startsWith(what))
    expect(logged).toMatchObject({
      level: 'error',
      fields: { plugin: 'clumsy' },
      message: expect.stringContaining('TypeError: fell'),
    })
    expect(said.laneReplaced).toEqual([])
    // It counts against the plugin.
    await until('the quarantine', () => engine.plugins.find(({ name }) => name === 'clumsy')?.state === 'quarantined')
  })
})
