/** Changes and crashes under traffic: no call is lost, and none is run twice. */
import type { HookringError } from 'hookring'
import { describe, expect, it } from 'vitest'
import { pluginFile, rewrite } from '../support/broken-plugins.js'
import { actor, createTrail, type Lab, openLab, readTrail, refusalOf, stagesIn, until } from '../support/lab.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)

/** Numbers from 0 to 1, the same for the same seed. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Calls without end, numbered, from several callers at once. */
function traffic({ hooks }: Pick<Lab, 'hooks'>, acts: Record<string, string> = {}) {
  const verdicts = new Map<number, string[]>()
  let last = 0
  let isOver = false
  const caller = async () => {
    while (!isOver) {
      if (last % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      last += 1
      const id = last
      const kinds = verdicts.set(id, []).get(id) as string[]
      if (id % 5 === 0) {
        hooks.onObserve({ id, acts })
        kinds.push('continue')
        await new Promise((resolve) => setImmediate(resolve))
      } else {
        const verdict = await hooks
          .onGate({ id, acts })
          .catch((error: HookringError) => ({ kind: error.code, failure: undefined }))
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
    const lived = await openLab({
      spares: 1,
      timeoutMs: 10_000,
      workers: 2,
      plugins: [actor('steady', { config: { trail } }), actor('apart', { bulkhead: 'apart', config: { trail } })],
    })
    const { engine } = lived
    const calls = traffic(lived)
    await calls.more(100)
    for (let round = 0; round < 2; round += 1) {
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
    const odd = [...verdicts].filter(
      ([, kinds]) => kinds.length !== 1 || !['continue', 'quarantined'].includes(kinds[0] as string),
    )
    expect(odd).toEqual([])
    expect(engine.plugins.map(({ name }) => name)).toEqual(['steady', 'apart'])
    for (const plugin of ['steady', 'apart']) {
      const runs = runsOf(trail, plugin)
      expect([...verdicts.keys()].filter((id) => runs.get(id) !== 1)).toEqual([])
    }
    expect([...runsOf(trail, 'guest').values()].filter((times) => times !== 1)).toEqual([])
    expect(runsOf(trail, 'guest').size).toBeGreaterThan(200)
    // Every lane that was let go was ended as it should be.
    await until(
      'the old lanes to end',
      () => count(stagesIn(trail), 'steady destroy') === count(stagesIn(trail), 'steady setup') - 2,
    )
    await engine.close()
    for (const plugin of ['steady', 'apart', 'guest'])
      expect(count(stagesIn(trail), `${plugin} destroy`)).toBe(count(stagesIn(trail), `${plugin} setup`))
    expect(lived.said.deadLetter).toEqual([])
    expect(lived.said.laneReplaced).toEqual([])
  })

  it('lanes are killed again and again, and no call is lost or run twice', async () => {
    const trail = createTrail(400_000)
    const lived = await openLab({
      spares: 1,
      timeoutMs: 10_000,
      hangMs: 0,
      workers: 2,
      plugins: [actor('a', { config: { trail } }), actor('b', { config: { trail } })],
    })
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

  it.each([
    ['are let finish', 60_000, 200],
    ['are killed for it', 0, 60],
  ])(
    `hooks that return at about their deadline and ${'%s'} have nothing run twice behind them (seed ${SEED})`,
    async (_, hangMs, calls) => {
      const trail = createTrail(100_000)
      const { hooks, engine, metric } = await openLab({
        spares: 1,
        hangMs,
        workers: 2,
        plugins: [
          actor('brief', { timeoutMs: 5, onFailure: 'allow', config: { trail } }),
          actor('behind', { timeoutMs: 20_000, config: { trail } }),
        ],
      })
      const random = createRandom(SEED)
      const odd: unknown[] = []
      let late = 0
      // A lane that is killed just as it has gone on takes the plugin behind with it: that is a crash, and no second run.
      const interrupted = { kind: 'crash', plugin: 'behind' }
      for (let id = 0; id < calls; id += 2) {
        const pair = [id, id + 1].map((each) =>
          hooks.onGate({ id: each, acts: { brief: `blocks ${(4 + 2 * random()).toFixed(3)}` } }),
        )
        for (const [index, { kind, failure }] of (await Promise.all(pair)).entries()) {
          const runs = runsOf(trail, 'behind').get(id + index) ?? 0
          const isInterrupted =
            hangMs === 0 && failure?.kind === interrupted.kind && failure.plugin === interrupted.plugin
          if (failure !== undefined) late += 1
          if (kind === 'continue' ? runs !== 1 : !isInterrupted || runs > 1)
            odd.push({ id: id + index, kind, failure, runs })
        }
      }
      expect(odd).toEqual([])
      // Some were late and some were not, or nothing was tried.
      expect(late).toBeGreaterThan(0)
      expect(late).toBeLessThan(calls)
      await until('the lanes to be idle', async () => (await metric('in_flight')) === 0)
      await engine.flush()
      expect([...runsOf(trail, 'behind')].filter(([, times]) => times !== 1)).toEqual([])
    },
  )

  it('a reload brings the file as it is now, and calls under way keep the version that they began with', async () => {
    const source = (version: string) => `export default definePlugin(lab, { name: 'evolving', setup: () => ({
      async onRespond(event) {
        if (event.text === 'slow') await new Promise((resolve) => setTimeout(resolve, 150))
        return { text: '${version}' }
      },
    }) })`
    const from = pluginFile(source('one'))
    const { hooks, engine, metric } = await openLab({ spares: 1, plugins: [{ from, timeoutMs: 5_000 }] })
    const slow = hooks.onRespond({ text: 'slow' })
    rewrite(from, source('two'))
    await engine.reload('evolving')
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'two' }, plugin: 'evolving' })
    expect(await slow).toMatchObject({ value: { text: 'one' } })
    await until(
      'the old lane to be let go',
      async () => (await metric('lane_restarts_total', { reason: 'reload' })) === 1,
    )
  })

  it('a reload that fails stays with the old version, whatever the reason', async () => {
    const trail = createTrail(100_000)
    const good = (version: string) =>
      `export default definePlugin(lab, { name: 'evolving', setup: () => ({ onRespond: () => ({ text: '${version}' }) }) })`
    const from = pluginFile(good('one'))
    const lived = await openLab({
      spares: 1,
      setupTimeoutMs: 1_500,
      timeoutMs: 5_000,
      plugins: [{ from }, actor('steady', { config: { trail } })],
    })
    const { hooks, engine } = lived
    const calls = traffic(lived)
    const failures: readonly (readonly [string, string])[] = [
      ['{{{', 'PLUGIN_IMPORT_FAILED'],
      ['', 'PLUGIN_NO_EXPORT'],
      [
        "export default definePlugin(lab, { name: 'evolving', setup() { throw new Error('no') } })",
        'PLUGIN_SETUP_FAILED',
      ],
      [
        "export default definePlugin(lab, { name: 'evolving', setup: () => new Promise(() => {}) })",
        'PLUGIN_SETUP_TIMEOUT',
      ],
      [
        "export default definePlugin(lab, { name: 'evolving', setup: () => ({ onNothing() {} }) })",
        'HOOKPOINT_UNKNOWN',
      ],
    ]
    for (const [source, code] of failures) {
      rewrite(from, source)
      expect(await refusalOf(engine.reload('evolving'))).toMatchObject({ code })
      expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'one' } })
    }
    expect(await refusalOf(engine.reload('evolving', { from: './nowhere.mjs' }))).toMatchObject({
      code: 'PLUGIN_NOT_FOUND',
    })
    rewrite(from, good('two'))
    await engine.reload('evolving')
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'two' } })
    const verdicts = await calls.stop()
    expect([...verdicts].filter(([, kinds]) => kinds.join() !== 'continue')).toEqual([])
    expect([...runsOf(trail, 'steady').values()].filter((times) => times !== 1)).toEqual([])
  })

  it('a reload may change options, and the plugin keeps its place and its quarantine', async () => {
    const { hooks, engine } = await openLab({
      spares: 1,
      plugins: [actor('a'), actor('b', { config: { version: ' one' } }), actor('c')],
    })
    await engine.reload('b', { config: { version: ' two' }, onFailure: 'allow' })
    expect(await hooks.onRespond({ acts: { b: 'shows' } })).toMatchObject({ value: { text: 'b two saw ""' } })
    expect(await hooks.onTransform({ acts: { a: 'marks', b: 'marks', c: 'marks' } })).toMatchObject({
      event: { text: '+a+b+c' },
    })
    expect(await hooks.onGate({ acts: { b: 'throws x' } })).toMatchObject({
      kind: 'continue',
      failure: { plugin: 'b' },
    })
    engine.quarantine('b')
    await engine.reload('b')
    expect(engine.plugins.find(({ name }) => name === 'b')?.state).toBe('held')
    engine.release('b')
    expect(engine.plugins.map(({ name, state }) => `${name} ${state}`)).toEqual(['a active', 'b active', 'c active'])
  })

  it('changes that are asked for at once are made one after the other', async () => {
    const { hooks, engine } = await openLab({ spares: 1, plugins: [actor('a')] })
    await Promise.all([
      engine.add(actor('b')),
      engine.add(actor('c')),
      engine.reload('a'),
      engine.remove('a'),
      engine.add(actor('d', { priority: 1 })),
    ])
    expect(engine.plugins.map(({ name }) => name)).toEqual(['b', 'c', 'd'])
    expect(await hooks.onTransform({ acts: { a: 'marks', b: 'marks', c: 'marks', d: 'marks' } })).toMatchObject({
      event: { text: '+d+b+c' },
    })
  })
})

function count(lines: readonly string[], wanted: string): number {
  return lines.filter((line) => line === wanted).length
}
