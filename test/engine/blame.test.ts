/** What counts against a plugin, and what does not: its caller's impatience, its neighbours, a machine that stood still. */
import { describe, expect, it } from 'vitest'
import { actor, openLab, until } from '../support/lab.js'
import { startProgram } from '../support/programs.js'

/** One failure of its own, and a plugin is quarantined. */
const touchy = { windowMs: 60_000, minFailures: 1, ratio: 0.01, cooldownMs: 60_000 }

describe('a caller’s own limit', () => {
  it('ends the call and is not counted against the plugin, however often', async () => {
    const { engine, hooks, metric } = await openLab({
      quarantine: touchy,
      plugins: [actor('healthy', { timeoutMs: 20_000 })],
    })
    for (let call = 0; call < 30; call += 1) {
      const verdict = await hooks.onGate({ acts: { healthy: 'pends' } }, { timeoutMs: 5 })
      expect(verdict).toMatchObject({ kind: 'reject', failure: { kind: 'timeout', cutShortBy: 'caller' } })
    }
    expect(engine.plugins[0]?.state).toBe('active')
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
    expect(await metric('plugin_failures_total', { plugin: 'healthy' })).toBe(0)
    expect(await metric('calls_cut_short_total', { hookpoint: 'onGate', by: 'caller' })).toBe(30)
  })

  it('an abort, or one that comes while the hook keeps the thread, is not counted either', async () => {
    const { engine, hooks } = await openLab({
      quarantine: touchy,
      hangMs: 5_000,
      plugins: [actor('healthy', { timeoutMs: 20_000 })],
    })
    expect(await hooks.onGate({ acts: { healthy: 'blocks 80' } }, { timeoutMs: 20 })).toMatchObject({
      failure: { kind: 'timeout', cutShortBy: 'caller' },
    })
    await expect(hooks.onGate({ acts: { healthy: 'pends' } }, { signal: AbortSignal.timeout(5) })).rejects.toThrow()
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
    expect(engine.plugins[0]?.state).toBe('active')
  })

  it('that is used up by plugins before it does not reach a plugin, and no failure tells of less than no time', async () => {
    const { engine, hooks, metric } = await openLab({
      quarantine: { ...touchy, minFailures: 1_000 },
      plugins: [
        ...['slow1', 'slow2'].map((name, index) =>
          actor(name, { bulkhead: name, priority: 2 - index, timeoutMs: 40, onFailure: 'allow' }),
        ),
        actor('quick', { bulkhead: 'quick', timeoutMs: 20_000 }),
      ],
    })
    for (let call = 0; call < 5; call += 1) {
      const verdict = await hooks.onGate({ acts: { slow1: 'pends', slow2: 'pends' } }, { timeoutMs: 60 })
      expect(verdict).toMatchObject({ kind: 'reject', plugin: 'quick', failure: { cutShortBy: 'caller' } })
      expect(verdict.failure?.waitedMs).toBeGreaterThanOrEqual(0)
      expect(verdict.failure?.ranMs).toBeGreaterThanOrEqual(0)
      expect(verdict.failure?.message).not.toMatch(/-\d/)
    }
    expect(await metric('plugin_failures_total', { plugin: 'quick' })).toBe(0)
    expect(engine.plugins.find(({ name }) => name === 'quick')?.state).toBe('active')
  })

  it('longer than the plugin’s own is not what ended the call', async () => {
    const { engine, hooks } = await openLab({ quarantine: touchy, plugins: [actor('slow', { timeoutMs: 40 })] })
    const verdict = await hooks.onGate({ acts: { slow: 'pends' } }, { timeoutMs: 10_000 })
    expect(verdict.failure).toMatchObject({ kind: 'timeout' })
    expect(verdict.failure).not.toHaveProperty('cutShortBy')
    expect(engine.plugins[0]?.state).toBe('quarantined')
  })
})

describe('a neighbour', () => {
  it('that keeps the lane takes the time of those behind it, and not their good name', async () => {
    const { engine, hooks } = await openLab({
      quarantine: touchy,
      workers: 1,
      hangMs: 5_000,
      plugins: [
        actor('observer', { timeoutMs: 5_000, config: { hooks: ['onObserve'] } }),
        actor('quick', { timeoutMs: 60 }),
      ],
    })
    hooks.onObserve({ acts: { observer: 'blocks 300' } })
    const verdicts = await Promise.all([1, 2, 3].map(() => hooks.onGate({ acts: { quick: 'continues' } })))
    for (const { failure } of verdicts) expect(failure).toMatchObject({ kind: 'timeout', cutShortBy: 'waiting' })
    await engine.flush()
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
    expect(engine.plugins.map(({ state }) => state)).toEqual(['active', 'active'])
  })

  it('that keeps the thread while a promise is awaited takes that hook’s time', async () => {
    const { engine, hooks } = await openLab({
      quarantine: touchy,
      workers: 1,
      hangMs: 5_000,
      plugins: [
        actor('observer', { timeoutMs: 5_000, config: { hooks: ['onObserve'] } }),
        actor('patient', { timeoutMs: 80 }),
      ],
    })
    const asked = hooks.onGate({ acts: { patient: 'waits 10' } })
    hooks.onObserve({ acts: { observer: 'blocks 400' } })
    expect((await asked).failure).toMatchObject({ plugin: 'patient', cutShortBy: 'waiting' })
    expect(engine.plugins.find(({ name }) => name === 'patient')?.state).toBe('active')
  })

  it('that takes the lane down is quarantined, and nobody beside it', async () => {
    const lab = await openLab({
      quarantine: touchy,
      workers: 1,
      plugins: [actor('bad', { priority: 1, onFailure: 'allow' }), actor('good', { timeoutMs: 20_000 })],
    })
    const asked = lab.hooks.onGate({ acts: { good: 'pends' } })
    await until('the promise to be pending', async () => (await lab.metric('in_flight')) === 1)
    await lab.hooks.onGate({ acts: { bad: 'exits 1' } })
    expect((await asked).failure).toMatchObject({ kind: 'crash', plugin: 'good', cutShortBy: 'neighbour' })
    const states = Object.fromEntries(lab.engine.plugins.map(({ name, state }) => [name, state]))
    expect(states).toEqual({ bad: 'quarantined', good: 'active' })
  })
})

describe('a process that stands still', () => {
  it('gives its lanes the time again that they did not have: no lane is replaced, nobody quarantined', async () => {
    const server = startProgram('stopped-server.mjs')
    await server.says('up')
    for (let stop = 0; stop < 3; stop += 1) {
      await server.says(`calls ${stop}`)
      server.child.kill('SIGSTOP')
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      server.child.kill('SIGCONT')
    }
    await server.says('last')
    server.child.kill('SIGTERM')
    const { said } = await server.ended
    expect(said.filter(({ what }) => what === 'replaced' || what === 'quarantined')).toEqual([])
    expect(said.find(({ what }) => what === 'last')).toMatchObject({ failures: 0 })
  })
})
