/** From setup to destroy: the lives of plugins, engines and the programs that have them. */
import { createHookEngine } from 'hookring'
import { describe, expect, it } from 'vitest'
import { lab } from '../fixtures/lab/contract.mjs'
import { actor, createTrail, openLab, readTrail, refusalOf, silent, stagesIn } from '../support/lab.js'
import { runProgram } from '../support/programs.js'
import { recordingLogger } from '../support/recording-logger.js'

describe('a plugin’s life', () => {
  it('is setup, calls, onShutdown, destroy: each once, the last in reverse order', async () => {
    const trail = createTrail()
    const { engine, hooks } = await openLab({
      plugins: ['a', 'b', 'c'].map((name) => actor(name, { config: { trail } })),
    })
    hooks.onObserve({ id: 1 })
    await hooks.onGate({ id: 2 })
    await engine.close()
    expect(stagesIn(trail)).toEqual([
      ...['a', 'b', 'c'].map((name) => `${name} setup`),
      ...['a', 'b', 'c'].map((name) => `${name} onShutdown`),
      ...['c', 'b', 'a'].map((name) => `${name} destroy`),
    ])
    expect(readTrail(trail).indexOf('a destroy')).toBe(readTrail(trail).length - 1)
  })

  it('happens in each of its lanes', async () => {
    const trail = createTrail()
    const { engine } = await openLab({ plugins: [actor('a', { workers: 3, config: { trail } })] })
    await engine.close()
    expect(stagesIn(trail).sort()).toEqual(
      ['onShutdown', 'setup', 'destroy'].flatMap((stage) => Array(3).fill(`a ${stage}`)).sort(),
    )
  })

  it('ends for those already set up when another one’s setup fails half-way, in its bulkhead and elsewhere', async () => {
    const trail = createTrail()
    const plugins = [
      actor('a', { config: { trail } }),
      actor('bad', { config: { trail, setup: 'waits 100 throws no' } }),
      actor('never', { config: { trail } }),
      actor('elsewhere', { bulkhead: 'elsewhere', config: { trail } }),
    ]
    expect(await refusalOf(createHookEngine({ contract: lab, logger: silent, plugins }))).toMatchObject({
      code: 'PLUGIN_SETUP_FAILED',
      plugin: 'bad',
    })
    expect(stagesIn(trail).sort()).toEqual([
      'a destroy',
      'a setup',
      'bad setup',
      'elsewhere destroy',
      'elsewhere setup',
    ])
  })

  it('ends for one whose hooks are refused after its setup', async () => {
    const trail = createTrail()
    const plugins = [actor('odd', { config: { trail, hooks: ['onNothing'] } })]
    expect(await refusalOf(createHookEngine({ contract: lab, logger: silent, plugins }))).toMatchObject({
      code: 'HOOKPOINT_UNKNOWN',
    })
    expect(stagesIn(trail)).toEqual(['odd setup', 'odd destroy'])
  })

  it('is told in the log also when it was short', async () => {
    const logger = recordingLogger()
    const plugins = [
      actor('odd', { config: { setup: 'prints console before it failed' } }),
      actor('bad', { config: { setup: 'throws no' } }),
    ]
    await refusalOf(createHookEngine({ contract: lab, logger, plugins }))
    expect(logger.lines).toContainEqual({
      level: 'info',
      message: 'before it failed',
      fields: expect.objectContaining({ plugin: 'odd' }),
    })
  })

  it.each([
    ['throws', 'throws no', /failed: TypeError: no/],
    ['rejects', 'later throws no', /failed: TypeError: no/],
    ['never finishes', 'pends', /took longer than 400 ms/],
  ])('ends in time and for the others as well when its end %s', async (_, act, logged) => {
    const trail = createTrail()
    const { engine, line } = await openLab({
      shutdownTimeoutMs: 400,
      plugins: [
        actor('a', { config: { trail } }),
        actor('bad', { config: { trail, onShutdown: act, destroy: act } }),
        actor('c', { config: { trail } }),
      ],
    })
    const began = performance.now()
    await engine.close()
    expect(performance.now() - began).toBeLessThan(4_000)
    expect(stagesIn(trail).filter((stage) => stage.endsWith('destroy'))).toEqual([
      'c destroy',
      'bad destroy',
      'a destroy',
    ])
    for (const stage of ['onShutdown', 'destroy'])
      await line(({ message, fields }) => message.startsWith(stage) && logged.test(message) && fields.plugin === 'bad')
  })

  it('ends with its thread when destroy loops for ever', async () => {
    const { engine } = await openLab({
      shutdownTimeoutMs: 100,
      plugins: [actor('bad', { config: { destroy: 'loops' } })],
    })
    const began = performance.now()
    await engine.close()
    expect(performance.now() - began).toBeLessThan(3_000)
  })

  it('hears of the shutdown while calls still go on', async () => {
    const trail = createTrail()
    const { engine, hooks } = await openLab({ plugins: [actor('a', { config: { trail } })] })
    await engine.shutdown()
    expect(stagesIn(trail)).toEqual(['a setup', 'a onShutdown'])
    expect(await hooks.onGate({ acts: { a: 'rejects still here' } })).toMatchObject({ reason: 'still here' })
    await engine.close()
    expect(stagesIn(trail)).toEqual(['a setup', 'a onShutdown', 'a destroy'])
  })
})

describe('a program', () => {
  it.each(['plain', 'unused', 'async', 'replaced', 'replacing', 'hanging', 'down', 'reloaded', 'failed', 'disposed'])(
    'ends by itself when its engine is closed: %s',
    async (how) => {
      const { code, signal, said, stderr } = await runProgram('whole-life.mjs', [how])
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
      if (how === 'failed')
        expect(said.filter(({ what }) => what === 'refused').map((refused) => refused.code)).toEqual([
          'PLUGIN_SETUP_FAILED',
          'PLUGIN_SETUP_TIMEOUT',
          'PLUGIN_NOT_FOUND',
        ])
      expect(said.at(-2)).toMatchObject({ what: 'closed', strayThreads: 0, alive: [] })
      expect(said.at(-1)).toMatchObject({ what: 'exit', code: 0 })
      expect(said.at(-1)?.afterMs).toBeLessThan(1_000)
    },
  )

  it('may leave the closing to await using', async () => {
    const trail = createTrail()
    {
      await using engine = await createHookEngine({
        contract: lab,
        logger: silent,
        plugins: [actor('a', { config: { trail } })],
      })
      expect(await engine.hooks.onGate({})).toEqual({ kind: 'continue' })
    }
    expect(stagesIn(trail)).toEqual(['a setup', 'a onShutdown', 'a destroy'])
  })

  it.each(['park', 'adaptive', 'spin'] as const)('may choose how lanes wait: %s', async (wait) => {
    const { hooks, engine } = await openLab({ wait, spinUs: 200, plugins: [actor('a'), actor('b', { bulkhead: 'b' })] })
    for (let round = 0; round < 3; round += 1) {
      for (let id = 0; id < 20; id += 1)
        expect(await hooks.onTransform({ acts: { a: 'marks', b: 'later marks' } })).toMatchObject({
          event: { text: '+a+b' },
        })
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await engine.close()
  })
})

describe('flush', () => {
  it('resolves when what was told so far is delivered, and does not wait for what is told later', async () => {
    const trail = createTrail()
    const { hooks, engine } = await openLab({
      hangMs: 5_000,
      plugins: [
        actor('a', { timeoutMs: 5_000, config: { trail } }),
        actor('b', { bulkhead: 'b', timeoutMs: 5_000, config: { trail } }),
      ],
    })
    await engine.flush()
    hooks.onObserve({ id: 1, acts: { a: 'waits 50', b: 'blocks 50' } })
    hooks.onObserve({ id: 2 })
    const flushed = engine.flush().then(() => readTrail(trail).slice())
    hooks.onObserve({ id: 3, acts: { a: 'waits 400 notes late' } })
    const lines = await flushed
    for (const line of ['a 1', 'b 1', 'a 2', 'b 2']) expect(lines).toContain(line)
    expect(lines).not.toContain('a 3 late')
    await engine.flush()
    expect(readTrail(trail)).toContain('a 3 late')
  })

  it('waits in every caller’s case for everything before it', async () => {
    const trail = createTrail()
    const { hooks, engine } = await openLab({ plugins: [actor('a', { timeoutMs: 5_000, config: { trail } })] })
    hooks.onObserve({ id: 1, acts: { a: 'waits 60 notes done' } })
    const first = engine.flush()
    await engine.flush()
    expect(readTrail(trail)).toContain('a 1 done')
    await first
  })
})

describe('isSubscribed', () => {
  it('says whether a call would reach a plugin now', async () => {
    const { engine } = await openLab({}, { keep: true })
    expect(engine.isSubscribed('onGate')).toBe(false)
    await engine.add(actor('a', { config: { hooks: ['onGate'] } }))
    expect(engine.isSubscribed('onGate')).toBe(true)
    expect(engine.isSubscribed('onObserve')).toBe(false)
    await engine.remove('a')
    expect(engine.isSubscribed('onGate')).toBe(false)
    await engine.close()
    // Its calls fail, and somebody has to learn of it.
    expect(engine.isSubscribed('onGate')).toBe(true)
  })

  it('names a hookpoint that is none', async () => {
    const { engine } = await openLab()
    expect(() => engine.isSubscribed('onOther' as never)).toThrow(
      expect.objectContaining({ code: 'HOOKPOINT_UNKNOWN', message: expect.stringContaining('onOther') }),
    )
  })
})
