/** From setup to destroy: plugins' lives, an engine's end, changes under traffic, calls that are given up. */
import { createHookEngine, type HookringError } from 'hookring'
import { describe, expect, it } from 'vitest'
import { lab } from '../fixtures/lab/contract.mjs'
import { pluginFile, rewrite } from '../support/broken-plugins.js'
import { actor, createTrail, type Lab, openLab, readTrail, refusalOf, until } from '../support/lab.js'
import { runProgram } from '../support/programs.js'
import { recordingLogger } from '../support/recording-logger.js'

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const stages = (trail: SharedArrayBuffer) => readTrail(trail).filter((line) => !/ \d/.test(line))

describe('a plugin’s life', () => {
  it('is setup, calls, onShutdown, destroy: each once, the last in reverse order', async () => {
    const trail = createTrail()
    const { engine, hooks } = await openLab({ plugins: ['a', 'b', 'c'].map((name) => actor(name, { config: { trail } })) })
    hooks.onObserve({ id: 1 })
    await hooks.onGate({ id: 2 })
    await engine.close()
    expect(stages(trail)).toEqual([
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
    expect(stages(trail).sort()).toEqual(['onShutdown', 'setup', 'destroy'].flatMap((stage) => Array(3).fill(`a ${stage}`)).sort())
  })

  it('ends for those already set up when another one’s setup fails half-way, in its bulkhead and elsewhere', async () => {
    const trail = createTrail()
    const plugins = [
      actor('a', { config: { trail } }),
      actor('bad', { config: { trail, setup: 'waits 100 throws no' } }),
      actor('never', { config: { trail } }),
      actor('elsewhere', { bulkhead: 'elsewhere', config: { trail } }),
    ]
    expect(await refusalOf(createHookEngine({ contract: lab, logger: silent, plugins }))).toMatchObject({ code: 'PLUGIN_SETUP_FAILED', plugin: 'bad' })
    expect(stages(trail).sort()).toEqual(['a destroy', 'a setup', 'bad setup', 'elsewhere destroy', 'elsewhere setup'])
  })

  it('ends for one whose hooks are refused after its setup', async () => {
    const trail = createTrail()
    const plugins = [actor('odd', { config: { trail, hooks: ['onNothing'] } })]
    expect(await refusalOf(createHookEngine({ contract: lab, logger: silent, plugins }))).toMatchObject({ code: 'HOOKPOINT_UNKNOWN' })
    expect(stages(trail)).toEqual(['odd setup', 'odd destroy'])
  })

  it('is told in the log also when it was short', async () => {
    const logger = recordingLogger()
    const plugins = [actor('odd', { config: { setup: 'prints console before it failed' } }), actor('bad', { config: { setup: 'throws no' } })]
    await refusalOf(createHookEngine({ contract: lab, logger, plugins }))
    expect(logger.lines).toContainEqual({ level: 'info', message: 'before it failed', fields: expect.objectContaining({ plugin: 'odd' }) })
  })

  it.each([
    ['throws', 'throws no', /failed: TypeError: no/],
    ['rejects', 'later throws no', /failed: TypeError: no/],
    ['never finishes', 'pends', /took longer than 150 ms/],
  ])('ends in time and for the others as well when its end %s', async (_, act, logged) => {
    const trail = createTrail()
    const { engine, line } = await openLab({
      shutdownTimeoutMs: 150,
      plugins: [actor('a', { config: { trail } }), actor('bad', { config: { trail, onShutdown: act, destroy: act } }), actor('c', { config: { trail } })],
    })
    const began = performance.now()
    await engine.close()
    expect(performance.now() - began).toBeLessThan(2_000)
    expect(stages(trail).filter((stage) => stage.endsWith('destroy'))).toEqual(['c destroy', 'bad destroy', 'a destroy'])
    for (const stage of ['onShutdown', 'destroy']) await line(({ message, fields }) => message.startsWith(stage) && logged.test(message) && fields.plugin === 'bad')
  })

  it('ends with its thread when destroy loops for ever', async () => {
    const { engine } = await openLab({ shutdownTimeoutMs: 100, plugins: [actor('bad', { config: { destroy: 'loops' } })] })
    const began = performance.now()
    await engine.close()
    expect(performance.now() - began).toBeLessThan(3_000)
  })

  it('hears of the shutdown while calls still go on', async () => {
    const trail = createTrail()
    const { engine, hooks } = await openLab({ plugins: [actor('a', { config: { trail } })] })
    await engine.shutdown()
    expect(stages(trail)).toEqual(['a setup', 'a onShutdown'])
    expect(await hooks.onGate({ acts: { a: 'rejects still here' } })).toMatchObject({ reason: 'still here' })
    await engine.close()
    expect(stages(trail)).toEqual(['a setup', 'a onShutdown', 'a destroy'])
  })
})

describe('a program', () => {
  it.each(['plain', 'unused', 'async', 'replaced', 'replacing', 'hanging', 'reloaded', 'failed', 'disposed'])(
    'ends by itself when its engine is closed: %s',
    async (how) => {
      const { code, signal, said, stderr } = await runProgram('whole-life.mjs', [how])
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
      if (how === 'failed') expect(said.filter(({ what }) => what === 'refused').map((refused) => refused.code)).toEqual(['PLUGIN_SETUP_FAILED', 'PLUGIN_SETUP_TIMEOUT', 'PLUGIN_NOT_FOUND'])
      expect(said.at(-2)).toMatchObject({ what: 'closed', strayThreads: 0, alive: [] })
      expect(said.at(-1)).toMatchObject({ what: 'exit', code: 0 })
      expect(said.at(-1)?.afterMs).toBeLessThan(1_000)
    },
  )

  it('may leave the closing to await using', async () => {
    const trail = createTrail()
    {
      await using engine = await createHookEngine({ contract: lab, logger: silent, plugins: [actor('a', { config: { trail } })] })
      expect(await engine.hooks.onGate({})).toEqual({ kind: 'continue' })
    }
    expect(stages(trail)).toEqual(['a setup', 'a onShutdown', 'a destroy'])
  })

  it.each(['park', 'adaptive', 'spin'] as const)('may choose how lanes wait: %s', async (wait) => {
    const { hooks, engine } = await openLab({ wait, spinUs: 200, plugins: [actor('a'), actor('b', { bulkhead: 'b' })] })
    for (let round = 0; round < 3; round += 1) {
      for (let id = 0; id < 20; id += 1) expect(await hooks.onTransform({ acts: { a: 'marks', b: 'later marks' } })).toMatchObject({ event: { text: '+a+b' } })
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await engine.close()
  })
})

/** Calls without end, numbered, from several callers at once. */
function traffic({ hooks }: Pick<Lab, 'hooks'>, acts: Record<string, string> = {}) {
  const verdicts = new Map<number, string[]>()
  let last = 0
  let isOver = false
  const caller = async () => {
    while (!isOver) {
      last += 1
      const id = last
      const kinds = verdicts.set(id, []).get(id) as string[]
      if (id % 5 === 0) {
        hooks.onObserve({ id, acts })
        kinds.push('continue')
        await new Promise((resolve) => setImmediate(resolve))
      } else {
        const verdict = await hooks.onGate({ id, acts }).catch((error: HookringError) => ({ kind: error.code, failure: undefined }))
        kinds.push(verdict.failure?.kind ?? verdict.kind)
      }
    }
  }
  const callers = Promise.all(Array.from({ length: 6 }, caller))
  return {
    get made() {
      return last
    },
    /** Resolves when so many more calls were made. */
    more: (count: number) => {
      const enough = last + count
      return until('traffic', () => last >= enough)
    },
    async stop() {
      isOver = true
      await callers
      return verdicts
    },
  }
}

/** Ids by how often the plugin ran them. */
function runsOf(trail: SharedArrayBuffer, plugin: string): Map<number, number> {
  const runs = new Map<number, number>()
  for (const line of readTrail(trail)) {
    const id = Number(new RegExp(`^${plugin} (\\d+)$`).exec(line)?.[1] ?? Number.NaN)
    if (!Number.isNaN(id)) runs.set(id, (runs.get(id) ?? 0) + 1)
  }
  return runs
}

describe('under traffic', () => {
  it('plugins are added, quarantined, released, reloaded and removed, and no call is lost or run twice', async () => {
    const trail = createTrail(400_000)
    const lived = await openLab({ timeoutMs: 10_000, workers: 2, plugins: [actor('steady', { config: { trail } }), actor('apart', { bulkhead: 'apart', config: { trail } })] })
    const { engine } = lived
    const calls = traffic(lived)
    await calls.more(100)
    for (let round = 0; round < 3; round += 1) {
      await engine.add(actor('guest', { config: { trail }, onFailure: 'allow' }))
      await calls.more(100)
      engine.quarantine('guest')
      await calls.more(50)
      engine.release('guest')
      await calls.more(50)
      await Promise.all([engine.reload('steady'), engine.reload('apart')])
      await calls.more(50)
      await engine.remove('guest')
      await calls.more(50)
    }
    const verdicts = await calls.stop()
    await engine.flush()
    const odd = [...verdicts].filter(([, kinds]) => kinds.length !== 1 || !['continue', 'quarantined'].includes(kinds[0] as string))
    expect(odd).toEqual([])
    expect(engine.plugins.map(({ name }) => name)).toEqual(['steady', 'apart'])
    for (const plugin of ['steady', 'apart']) {
      const runs = runsOf(trail, plugin)
      expect([...verdicts.keys()].filter((id) => runs.get(id) !== 1)).toEqual([])
    }
    expect([...runsOf(trail, 'guest').values()].filter((times) => times !== 1)).toEqual([])
    expect(runsOf(trail, 'guest').size).toBeGreaterThan(300)
    // Every lane that was let go was ended as it should be.
    await until('the old lanes to end', () => count(stages(trail), 'steady destroy') === count(stages(trail), 'steady setup') - 2)
    await engine.close()
    for (const plugin of ['steady', 'apart', 'guest']) expect(count(stages(trail), `${plugin} destroy`)).toBe(count(stages(trail), `${plugin} setup`))
    expect(lived.said.deadLetter).toEqual([])
    expect(lived.said.laneReplaced).toEqual([])
  })

  it('lanes are killed again and again, and no call is lost or run twice', async () => {
    const trail = createTrail(400_000)
    const lived = await openLab({ timeoutMs: 10_000, hangMs: 0, workers: 2, plugins: [actor('a', { config: { trail } }), actor('b', { config: { trail } })] })
    const calls = traffic(lived)
    for (let kill = 1; kill <= 6; kill += 1) {
      await calls.more(100)
      const id = 1_000_000 + kill
      const verdict = await lived.hooks.onGate({ id, acts: kill % 2 === 0 ? { b: 'exits 1' } : { a: 'exits 1' } })
      expect(verdict).toMatchObject({ kind: 'reject', failure: { kind: 'crash', plugin: kill % 2 === 0 ? 'b' : 'a' } })
      await lived.heard('laneReplaced', kill)
    }
    const verdicts = await calls.stop()
    await lived.engine.flush()
    for (const plugin of ['a', 'b']) {
      const runs = runsOf(trail, plugin)
      expect([...runs.values()].filter((times) => times !== 1)).toEqual([])
      expect([...verdicts.keys()].filter((id) => !runs.has(id))).toEqual([])
    }
    expect([...verdicts].filter(([, kinds]) => kinds.join() !== 'continue')).toEqual([])
    expect(lived.said.deadLetter).toEqual([])
  })

  it('a reload brings the file as it is now, and calls under way keep the version that they began with', async () => {
    const source = (version: string) => `export default definePlugin(lab, { name: 'evolving', setup: () => ({
      async onRespond(event) {
        if (event.text === 'slow') await new Promise((resolve) => setTimeout(resolve, 150))
        return { text: '${version}' }
      },
    }) })`
    const from = pluginFile(source('one'))
    const { hooks, engine, metric } = await openLab({ plugins: [{ from, timeoutMs: 5_000 }] })
    const slow = hooks.onRespond({ text: 'slow' })
    rewrite(from, source('two'))
    await engine.reload('evolving')
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'two' }, plugin: 'evolving' })
    expect(await slow).toMatchObject({ value: { text: 'one' } })
    await until('the old lane to be let go', async () => (await metric('lane_restarts_total', { reason: 'reload' })) === 1)
  })

  it('a reload that fails stays with the old version, whatever the reason', async () => {
    const trail = createTrail(100_000)
    const good = (version: string) => `export default definePlugin(lab, { name: 'evolving', setup: () => ({ onRespond: () => ({ text: '${version}' }) }) })`
    const from = pluginFile(good('one'))
    const lived = await openLab({ setupTimeoutMs: 300, timeoutMs: 5_000, plugins: [{ from }, actor('steady', { config: { trail } })] })
    const { hooks, engine } = lived
    const calls = traffic(lived)
    const failures: readonly (readonly [string, string])[] = [
      ['{{{', 'PLUGIN_IMPORT_FAILED'],
      ['', 'PLUGIN_NO_EXPORT'],
      ["export default definePlugin(lab, { name: 'evolving', setup() { throw new Error('no') } })", 'PLUGIN_SETUP_FAILED'],
      ["export default definePlugin(lab, { name: 'evolving', setup: () => new Promise(() => {}) })", 'PLUGIN_SETUP_TIMEOUT'],
      ["export default definePlugin(lab, { name: 'evolving', setup: () => ({ onNothing() {} }) })", 'HOOKPOINT_UNKNOWN'],
    ]
    for (const [source, code] of failures) {
      rewrite(from, source)
      expect(await refusalOf(engine.reload('evolving'))).toMatchObject({ code })
      expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'one' } })
    }
    expect(await refusalOf(engine.reload('evolving', { from: './nowhere.mjs' }))).toMatchObject({ code: 'PLUGIN_NOT_FOUND' })
    rewrite(from, good('two'))
    await engine.reload('evolving')
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'two' } })
    const verdicts = await calls.stop()
    expect([...verdicts].filter(([, kinds]) => kinds.join() !== 'continue')).toEqual([])
    expect([...runsOf(trail, 'steady').values()].filter((times) => times !== 1)).toEqual([])
  })

  it('a reload may change options, and the plugin keeps its place and its quarantine', async () => {
    const { hooks, engine } = await openLab({ plugins: [actor('a'), actor('b', { config: { version: ' one' } }), actor('c')] })
    await engine.reload('b', { config: { version: ' two' }, onFailure: 'allow' })
    expect(await hooks.onRespond({ acts: { b: 'shows' } })).toMatchObject({ value: { text: 'b two saw ""' } })
    expect(await hooks.onTransform({ acts: { a: 'marks', b: 'marks', c: 'marks' } })).toMatchObject({ event: { text: '+a+b+c' } })
    expect(await hooks.onGate({ acts: { b: 'throws x' } })).toMatchObject({ kind: 'continue', failure: { plugin: 'b' } })
    engine.quarantine('b')
    await engine.reload('b')
    expect(engine.plugins.find(({ name }) => name === 'b')?.state).toBe('held')
    engine.release('b')
    expect(engine.plugins.map(({ name, state }) => `${name} ${state}`)).toEqual(['a active', 'b active', 'c active'])
  })

  it('changes that are asked for at once are made one after the other', async () => {
    const { hooks, engine } = await openLab({ plugins: [actor('a')] })
    await Promise.all([engine.add(actor('b')), engine.add(actor('c')), engine.reload('a'), engine.remove('a'), engine.add(actor('d', { priority: 1 }))])
    expect(engine.plugins.map(({ name }) => name)).toEqual(['b', 'c', 'd'])
    expect(await hooks.onTransform({ acts: { a: 'marks', b: 'marks', c: 'marks', d: 'marks' } })).toMatchObject({ event: { text: '+d+b+c' } })
  })
})

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
    const { hooks, metric } = await openLab({ hangMs: 5_000, plugins: [actor('a', { limits: { slots: 1 }, timeoutMs: 5_000, config: { trail } })] })
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
    const { hooks, metric } = await openLab({ hangMs: 5_000, plugins: [actor('a', { timeoutMs: 5_000, config: { trail } }), actor('behind', { config: { trail } })] })
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

describe('flush', () => {
  it('resolves when what was told so far is delivered, and does not wait for what is told later', async () => {
    const trail = createTrail()
    const { hooks, engine } = await openLab({ hangMs: 5_000, plugins: [actor('a', { timeoutMs: 5_000, config: { trail } }), actor('b', { bulkhead: 'b', timeoutMs: 5_000, config: { trail } })] })
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

function count(lines: readonly string[], wanted: string): number {
  return lines.filter((line) => line === wanted).length
}
