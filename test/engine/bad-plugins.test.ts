/** Plugins that cannot be started: each has a coded error, and the engine goes on as it was. */
import { createHookEngine, type PluginOptions } from 'hookring'
import { describe, expect, it } from 'vitest'
import { lab } from '../fixtures/lab/contract.mjs'
import { pluginFile } from '../support/broken-plugins.js'
import { actor, createTrail, fixture, openLab, readTrail, refusalOf, silent } from '../support/lab.js'

/** Long enough for a sound neighbour on a slow machine, and for what a broken plugin says of itself. */
const PATIENT_MS = 10_000
/** For plugins that never come to an end. */
const HASTY_MS = 1_000
const setupTimeoutFor = (code: string) => (code === 'PLUGIN_SETUP_TIMEOUT' ? HASTY_MS : PATIENT_MS)

const setup = (body: string) => `export default definePlugin(lab, { name: 'broken', setup() { ${body} } })`

type Case = readonly [what: string, plugin: () => PluginOptions, code: string, message: RegExp]

const CASES: readonly Case[] = [
  ['is not there', () => ({ from: fixture('lab/nowhere.mjs') }), 'PLUGIN_NOT_FOUND', /nowhere\.mjs does not exist/],
  ['is a folder', () => ({ from: fixture('lab/') }), 'PLUGIN_NOT_FOUND', /is not a file/],
  [
    'is a package that is not installed',
    () => ({ from: 'hookring-plugin-of-nobody' }),
    'PLUGIN_NOT_FOUND',
    /must begin with \.\/ or \//,
  ],
  [
    'is on the network',
    () => ({ from: 'https://plugins.example/a.mjs' }),
    'PLUGIN_NOT_FOUND',
    /only files and packages/,
  ],
  [
    'does not parse',
    () => ({ from: pluginFile('export default {{{') }),
    'PLUGIN_IMPORT_FAILED',
    /does not parse: SyntaxError/,
  ],
  [
    'is TypeScript that does not parse',
    () => ({ from: pluginFile('const x: = 1', { extension: 'ts' }) }),
    'PLUGIN_IMPORT_FAILED',
    /does not compile/,
  ],
  [
    'imports what is not there',
    () => ({ from: pluginFile("import './nowhere.mjs'") }),
    'PLUGIN_IMPORT_FAILED',
    /threw while it was imported: .*nowhere\.mjs/,
  ],
  [
    'imports a package that is not installed',
    () => ({ from: pluginFile("import 'no-such-package'") }),
    'PLUGIN_IMPORT_FAILED',
    /Cannot find package 'no-such-package' imported from .*plugin-\d+\.mjs/,
  ],
  [
    'throws while it is imported',
    () => ({ from: pluginFile("throw new RangeError('at import')") }),
    'PLUGIN_IMPORT_FAILED',
    /threw while it was imported: RangeError: at import/,
  ],
  [
    'throws nothing while it is imported',
    () => ({ from: pluginFile('throw undefined') }),
    'PLUGIN_IMPORT_FAILED',
    /threw while it was imported/,
  ],
  [
    'ends its thread while it is imported',
    () => ({ from: pluginFile('process.exit(4)') }),
    'PLUGIN_CRASHED',
    /ended its thread while it was loaded/,
  ],
  [
    'never finishes its import',
    () => ({ from: pluginFile('await new Promise(() => {})') }),
    'PLUGIN_SETUP_TIMEOUT',
    /did not finish import and setup within 1000 ms/,
  ],
  ['exports nothing', () => ({ from: pluginFile('') }), 'PLUGIN_NO_EXPORT', /it has no default export/],
  [
    'exports a function',
    () => ({ from: pluginFile('export default () => ({})') }),
    'PLUGIN_NO_EXPORT',
    /its default export is function/,
  ],
  ['exports null', () => ({ from: pluginFile('export default null') }), 'PLUGIN_NO_EXPORT', /definePlugin/],
  [
    'exports an object of its own',
    () => ({ from: pluginFile("export default { name: 'x', setup: () => ({}) }") }),
    'PLUGIN_NO_EXPORT',
    /its default export is object/,
  ],
  [
    'exports what throws when it is looked at',
    () => ({ from: pluginFile("export default new Proxy({}, { get() { throw new Error('no') } })") }),
    'PLUGIN_SETUP_FAILED',
    /no/,
  ],
  [
    'has a name that is none',
    () => ({ from: pluginFile("export default definePlugin(lab, { name: 'two words', setup: () => ({}) })") }),
    'PLUGIN_NO_EXPORT',
    /its name must be/,
  ],
  [
    'is for another contract',
    () => ({ from: pluginFile("export default definePlugin(otherLab, { name: 'other', setup: () => ({}) })") }),
    'PLUGIN_CONTRACT_MISMATCH',
    /written for other-lab@1, the engine asks lab@1/,
  ],
  [
    'is for another version of the contract',
    () => ({ from: pluginFile("export default definePlugin(newerLab, { name: 'newer', setup: () => ({}) })") }),
    'PLUGIN_CONTRACT_MISMATCH',
    /lab@2/,
  ],
  [
    'hooks what the contract does not have',
    () => ({ from: pluginFile(setup('return { onNothing() {} }')) }),
    'HOOKPOINT_UNKNOWN',
    /hooks onNothing.*it has onGate, onParallel/,
  ],
  [
    'has a hook that is no function',
    () => ({ from: pluginFile(setup('return { onGate: 5 }')) }),
    'PLUGIN_SETUP_FAILED',
    /onGate must be a function, got number/,
  ],
  [
    'has an onShutdown that is no function',
    () => ({ from: pluginFile(setup('return { onShutdown: {} }')) }),
    'PLUGIN_SETUP_FAILED',
    /onShutdown must be a function/,
  ],
  [
    'has hooks that throw when they are looked at',
    () => ({ from: pluginFile(setup("return { get onGate() { throw new Error('no') } }")) }),
    'PLUGIN_SETUP_FAILED',
    /no/,
  ],
  [
    'throws in setup',
    () => ({ from: pluginFile(setup("throw new RangeError('at setup')")) }),
    'PLUGIN_SETUP_FAILED',
    /setup threw: RangeError: at setup/,
  ],
  [
    'rejects in setup',
    () => ({ from: pluginFile(setup("return Promise.reject('words')")) }),
    'PLUGIN_SETUP_FAILED',
    /setup threw: words/,
  ],
  [
    'returns nothing from setup',
    () => ({ from: pluginFile(setup('')) }),
    'PLUGIN_SETUP_FAILED',
    /must return an object of hooks, got undefined/,
  ],
  [
    'returns a function from setup',
    () => ({ from: pluginFile(setup('return () => {}')) }),
    'PLUGIN_SETUP_FAILED',
    /got function/,
  ],
  [
    'has no setup',
    () => ({ from: pluginFile("export default definePlugin(lab, { name: 'broken' })") }),
    'PLUGIN_SETUP_FAILED',
    /setup/,
  ],
  [
    'ends its thread in setup',
    () => ({ from: pluginFile(setup('process.exit(0)')) }),
    'PLUGIN_CRASHED',
    /ended its thread while it was loaded/,
  ],
  [
    'never finishes setup',
    () => ({ from: pluginFile(setup('return new Promise(() => {})')) }),
    'PLUGIN_SETUP_TIMEOUT',
    /did not finish/,
  ],
  ['loops in setup', () => ({ from: pluginFile(setup('for (;;);')) }), 'PLUGIN_SETUP_TIMEOUT', /did not finish/],
  ['refuses its config', () => actor('picky', { config: { setup: 5 } }), 'PLUGIN_CONFIG_INVALID', /config\.setup: /],
  [
    'is given no config and needs one',
    () => ({
      from: pluginFile(
        "export default definePlugin(lab, { name: 'needy', config: z.object({ a: z.string() }), setup: () => ({}) })",
      ),
    }),
    'PLUGIN_CONFIG_INVALID',
    /config: /,
  ],
  [
    'is given config and takes none',
    () => ({ from: pluginFile(setup('return {}')), config: { a: 1 } }),
    'PLUGIN_CONFIG_INVALID',
    /takes no config/,
  ],
  [
    'has a config schema that is none',
    () => ({
      from: pluginFile(
        "export default definePlugin(lab, { name: 'broken', config: { a: String }, setup: () => ({}) })",
      ),
    }),
    'PLUGIN_CONFIG_INVALID',
    /not a zod schema/,
  ],
  [
    'offers other hooks in one lane than in the other',
    () => ({
      from: pluginFile(`
    export default definePlugin(lab, {
      name: 'moody',
      config: z.object({ turn: z.instanceof(SharedArrayBuffer) }),
      setup: ({ config }) => (Atomics.add(new Int32Array(config.turn), 0, 1) === 0 ? { onGate() {} } : { onRespond() {} }),
    })`),
      workers: 2,
      config: { turn: new SharedArrayBuffer(4) },
    }),
    'PLUGIN_INCONSISTENT',
    /in one lane and/,
  ],
  [
    'is not trusted',
    () => actor('stranger', { trust: 'untrusted', runtime: 'module' }),
    'UNTRUSTED_RUNTIME',
    /no boundary/,
  ],
]

describe('a lane that cannot boot', () => {
  it('is refused with what it was given, in time', async () => {
    const error = await refusalOf(openLab({ plugins: [actor('a', { limits: { memoryMb: 8 } })] }))
    // The least that is taken is now and then enough to boot, and never for what comes next.
    expect(['LANE_BOOT_FAILED', 'PLUGIN_CRASHED']).toContain(error.code)
    expect(error.message).toMatch(
      /^a lane (of bulkhead a-0 did not boot: .*memory.*limits\.memoryMb is 8|ended its thread while it was loaded: .*memory)/,
    )
  })
})

describe('an engine', () => {
  it.each(CASES)('is not made with a plugin that %s', async (_, plugin, code, message) => {
    const trail = createTrail()
    const options = {
      contract: lab,
      logger: silent,
      spares: 0,
      setupTimeoutMs: setupTimeoutFor(code),
      terminateGraceMs: 500,
      plugins: [actor('good', { config: { trail } }), plugin()],
    }
    const error = await refusalOf(createHookEngine(options))
    expect(error).toMatchObject({ name: 'HookringError', code, message: expect.stringMatching(message) })
    // A neighbour that was set up is destroyed, once, unless the thread that they shared was lost.
    const isLost = code === 'PLUGIN_SETUP_TIMEOUT' || code === 'PLUGIN_CRASHED'
    const lived = readTrail(trail)
    if (!isLost)
      expect(lived.filter((line) => line === 'good destroy')).toHaveLength(
        lived.filter((line) => line === 'good setup').length,
      )
  })

  it.each(CASES)('goes on as it was when it is to add a plugin that %s', async (_, plugin, code) => {
    const { engine, hooks, said } = await opened(setupTimeoutFor(code))
    expect(await refusalOf(engine.add(plugin()))).toMatchObject({ code })
    expect(engine.plugins.map(({ name }) => name)).toEqual(['good'])
    expect(await hooks.onGate({ acts: { good: 'rejects here' } })).toMatchObject({ kind: 'reject', reason: 'here' })
    expect(said.laneReplaced).toEqual([])
  })

  // One engine for all that have as much time: it must be none the worse.
  const shared = new Map<number, ReturnType<typeof openLab>>()
  const opened = (setupTimeoutMs: number) => {
    const lab =
      shared.get(setupTimeoutMs) ??
      openLab({ setupTimeoutMs, plugins: [actor('good', { bulkhead: 'its own', timeoutMs: 5_000 })] }, { keep: true })
    shared.set(setupTimeoutMs, lab)
    return lab
  }
  it('closes after all that', async () => {
    expect(shared.size).toBe(2)
    for (const lab of shared.values()) await (await lab).engine.close()
  })
})

describe('two plugins of one name', () => {
  it('are refused, together and one after the other', async () => {
    expect(
      await refusalOf(createHookEngine({ contract: lab, logger: silent, plugins: [actor('twin'), actor('twin')] })),
    ).toMatchObject({ code: 'PLUGIN_NAME_TAKEN', plugin: 'twin' })
    const { engine, hooks, metric } = await openLab({ plugins: [actor('twin')] })
    expect(await refusalOf(engine.add(actor('twin', { bulkhead: 'elsewhere' })))).toMatchObject({
      code: 'PLUGIN_NAME_TAKEN',
    })
    expect(await hooks.onGate({ acts: { twin: 'rejects once' } })).toMatchObject({ reason: 'once' })
    // The metrics are those of the one that stayed.
    engine.quarantine('twin')
    expect(await metric('quarantined', { plugin: 'twin' })).toBe(3)
  })

  it('get along when one of them is named by the operator', async () => {
    const { engine } = await openLab({ plugins: [{ from: fixture('lab/actor.mjs') }, actor('other')] })
    expect(engine.plugins.map(({ name }) => name)).toEqual(['actor', 'other'])
  })
})

describe('a bulkhead', () => {
  it('holds 31 plugins and refuses one more', async () => {
    const names = Array.from({ length: 31 }, (_, index) => `p${index}`)
    const { engine, hooks } = await openLab({ plugins: names.map((name) => actor(name)) })
    expect(await hooks.onTransform({ acts: Object.fromEntries(names.map((name) => [name, 'marks'])) })).toMatchObject({
      event: { text: names.map((name) => `+${name}`).join('') },
    })
    expect(await hooks.onGate({ acts: { p30: 'rejects last' } })).toEqual({
      kind: 'reject',
      reason: 'last',
      plugin: 'p30',
    })
    expect(await refusalOf(engine.add(actor('p31')))).toMatchObject({ code: 'BULKHEAD_FULL' })
  })

  it('whose plugins ask for different things is refused', async () => {
    const plugins = [actor('a', { bulkhead: 'x', workers: 2 }), actor('b', { bulkhead: 'x', workers: 3 })]
    expect(await refusalOf(createHookEngine({ contract: lab, logger: silent, plugins }))).toMatchObject({
      code: 'OPTIONS_INVALID',
      plugin: 'b',
      message: expect.stringContaining('workers'),
    })
  })
})
