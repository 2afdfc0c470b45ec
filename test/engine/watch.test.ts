/** engine.watch(): plugins are reloaded when their files change. */
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { HookringError, PluginOptions } from 'hookring'
import { describe, expect, it } from 'vitest'
import { openLab } from '../support/lab.js'
import { noSandbox } from '../support/processes.js'
import { answering, LAB, type Project, project } from '../support/projects.js'

interface Reloaded {
  readonly plugin: string
  readonly files: readonly string[]
  readonly tookMs: number
}

async function open(made: Project, ...plugins: readonly PluginOptions[]) {
  const lab = await openLab({ plugins: plugins.map((plugin) => ({ timeoutMs: 5_000, ...plugin })) })
  const { engine, hooks } = lab
  const watching = await engine.watch({ debounceMs: 10 })
  return {
    ...lab,
    watching,
    answer: async () => (await hooks.onRespond({}).catch((error: unknown) => ({ value: { text: error } }))) as never,
    /** What is said after `change`. */
    async reloadedBy(change: () => void): Promise<Reloaded> {
      const said = new Promise<Reloaded>((resolve) => engine.once('pluginReloaded', resolve))
      change()
      return said
    },
    async failedBy(change: () => void): Promise<HookringError> {
      const said = new Promise<HookringError>((resolve) => engine.once('error', resolve))
      change()
      return said
    },
    path: (file: string) => join(made.folder, file),
  }
}

const text = (answer: string) => ({ value: { text: answer } })
const guestFolders = [new URL('../fixtures/lab/', import.meta.url)]

describe('a plugin whose file is written', () => {
  it.each<[string, string, Partial<PluginOptions>]>([
    ['in TypeScript', 'plugin.ts', {}],
    ['in JavaScript', 'plugin.mjs', {}],
    ['that is not trusted', 'plugin.ts', { trust: 'untrusted', sourceRoots: guestFolders }],
    ...(noSandbox === null
      ? [
          ['in a process', 'plugin.mjs', { boundary: 'process', trust: 'untrusted', sourceRoots: guestFolders }] as [
            string,
            string,
            object,
          ],
        ]
      : []),
  ])('%s is loaded anew', async (_, file, options) => {
    const made = project({ 'package.json': '{ "type": "module" }', [file]: answering('"one"') })
    const { answer, reloadedBy, path } = await open(made, { from: made.url(file), ...options })
    expect(await answer()).toMatchObject(text('one'))
    const said = await reloadedBy(() => made.write(file, answering('"two"')))
    expect(said).toMatchObject({ plugin: 'answering', files: [path(file)], tookMs: expect.any(Number) })
    expect(await answer()).toMatchObject(text('two'))
    await reloadedBy(() => made.write(file, answering('"three"')))
    expect(await answer()).toMatchObject(text('three'))
  })
})

describe('a file that a plugin imports', () => {
  it.each<[string, Record<string, string>, string, Partial<PluginOptions>]>([
    [
      'as TypeScript',
      {
        'plugin.ts': answering('part', "import { part } from './lib/part.js'"),
        'lib/part.ts': "export const part: string = 'one'",
      },
      'lib/part.ts',
      {},
    ],
    [
      'as JavaScript',
      {
        'plugin.mjs': answering('part', "import { part } from './lib/part.mjs'"),
        'lib/part.mjs': "export const part = 'one'",
      },
      'lib/part.mjs',
      {},
    ],
    [
      'by another file',
      {
        'plugin.mjs': answering('part', "import { part } from './other.mjs'"),
        'other.mjs': "export * from './lib/part.mjs'",
        'lib/part.mjs': "export const part = 'one'",
      },
      'lib/part.mjs',
      {},
    ],
    [
      'while it runs',
      { 'plugin.mjs': answering("(await import('./lib/part.mjs')).part"), 'lib/part.mjs': "export const part = 'one'" },
      'lib/part.mjs',
      {},
    ],
    [
      'by require',
      {
        'package.json': '{}',
        'plugin.ts': answering('part.part', "import part from './part.cjs'"),
        'part.cjs': "module.exports = require('./lib/part.cjs')",
        'lib/part.cjs': "exports.part = 'one'",
      },
      'lib/part.cjs',
      {},
    ],
    [
      'in a bundle',
      {
        'plugin.ts': answering('part', "import { part } from './lib/part.js'"),
        'lib/part.ts': "export const part: string = 'one'",
      },
      'lib/part.ts',
      { trust: 'untrusted', sourceRoots: guestFolders },
    ],
  ])('%s counts as the plugin', async (_, files, file, options) => {
    const made = project({ 'package.json': '{ "type": "module" }', ...files })
    const entry = Object.keys(files).find((name) => name.startsWith('plugin.')) as string
    const { answer, reloadedBy, path } = await open(made, { from: made.url(entry), ...options })
    expect(await answer()).toMatchObject(text('one'))
    const said = await reloadedBy(() => made.write(file, (files[file] as string).replace('one', 'two')))
    expect(said).toMatchObject({ plugin: 'answering', files: [path(file)] })
    expect(await answer()).toMatchObject(text('two'))
  })

  it('and others do not, reloads both, in one change', async () => {
    const gate = (name: string, before: string) => `${before}
      import { definePlugin, reject } from 'hookring/plugin'
      import { lab } from '${LAB}'
      export default definePlugin(lab, { name: '${name}', setup: () => ({ onGate: () => reject(part) }) })`
    const made = project({
      'a.mjs': gate('a', "import { part } from './part.mjs'"),
      'b.mjs': answering('part', "import { part } from './part.mjs'"),
      'part.mjs': "export const part = 'one'",
    })
    const { hooks, answer, engine } = await open(made, { from: made.url('a.mjs') }, { from: made.url('b.mjs') })
    const said: string[] = []
    const both = new Promise<void>((resolve) => {
      engine.on('pluginReloaded', ({ plugin }) => {
        said.push(plugin)
        if (said.length === 2) resolve()
      })
    })
    made.write('part.mjs', "export const part = 'two'")
    await both
    expect(said).toEqual(['a', 'answering'])
    expect(await hooks.onGate({})).toMatchObject({ kind: 'reject', reason: 'two' })
    expect(await answer()).toMatchObject(text('two'))
  })
})

describe('a version that does not load', () => {
  it('is told, the one before goes on, and the next one is taken', async () => {
    const made = project({ 'plugin.ts': answering('"one"') })
    const { answer, failedBy, reloadedBy, path } = await open(made, { from: made.url('plugin.ts') })
    const failed = await failedBy(() => made.write('plugin.ts', 'export default {'))
    expect(failed).toMatchObject({ code: 'PLUGIN_IMPORT_FAILED', message: expect.stringContaining(path('plugin.ts')) })
    expect(await answer()).toMatchObject(text('one'))
    await reloadedBy(() => made.write('plugin.ts', answering('"two"')))
    expect(await answer()).toMatchObject(text('two'))
  })

  it('because a file is missing is taken when the file is there', async () => {
    const made = project({ 'plugin.ts': answering('"one"') })
    const { answer, failedBy, reloadedBy } = await open(made, { from: made.url('plugin.ts') })
    await failedBy(() => made.write('plugin.ts', answering('part', "import { part } from './part.js'")))
    await reloadedBy(() => made.write('part.ts', "export const part = 'two'"))
    expect(await answer()).toMatchObject(text('two'))
  })
})

describe('the watchers', () => {
  it('see files that are put in the place of others, and folders', async () => {
    const made = project({ 'app/plugin.mjs': answering('"one"') })
    const { answer, reloadedBy, path } = await open(made, { from: made.url('app/plugin.mjs') })
    await reloadedBy(() => {
      made.write('app/plugin.mjs.new', answering('"two"'))
      renameSync(path('app/plugin.mjs.new'), path('app/plugin.mjs'))
    })
    expect(await answer()).toMatchObject(text('two'))
    await reloadedBy(() => {
      rmSync(path('app'), { recursive: true })
      mkdirSync(path('app'))
      made.write('app/plugin.mjs', answering('"three"'))
    })
    expect(await answer()).toMatchObject(text('three'))
    await reloadedBy(() => made.write('app/plugin.mjs', answering('"four"')))
    expect(await answer()).toMatchObject(text('four'))
  })

  it('see plugins that are added, and end with close()', async () => {
    const made = project({ 'plugin.mjs': answering('"one"') })
    const { engine, answer, reloadedBy, watching } = await open(made)
    await engine.add({ from: made.url('plugin.mjs') })
    await reloadedBy(() => made.write('plugin.mjs', answering('"two"')))
    expect(await engine.watch()).toBe(watching)
    await watching.close()
    expect(await engine.watch({ debounceMs: 0 })).not.toBe(watching)
    await reloadedBy(() => made.write('plugin.mjs', answering('"three"')))
    expect(await answer()).toMatchObject(text('three'))
  })

  it('refuse options that are none', async () => {
    const { engine } = await openLab()
    await expect(engine.watch({ debounceMs: -1 })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
  })
})
