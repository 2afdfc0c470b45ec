/** From what an operator wrote to the file that is loaded. */
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { openLab } from '../../support/lab.js'
import { answering, project } from '../../support/projects.js'

const ANSWER = { value: { text: '1' } }

describe('a name of a file that is not there', () => {
  it.each([
    ['plugin.ts', 'plugin.js'],
    ['plugin.js', 'plugin.ts'],
    ['plugin.mts', 'plugin.mjs'],
    ['plugin.mjs', 'plugin.mts'],
    ['plugin.tsx', 'plugin.js'],
    ['plugin.js', 'plugin.tsx'],
    ['plugin.jsx', 'plugin.tsx'],
  ])('is taken for what a compiler makes of it, or made it of: %s for %s', async (named, there) => {
    const made = project({ 'package.json': '{ "type": "module" }', [there]: answering('1') })
    const { hooks } = await openLab({ plugins: [{ from: new URL(`./${named}`, made.url('server.js')) }] })
    expect(await hooks.onRespond({})).toMatchObject(ANSWER)
  })

  it('is taken for nothing else', async () => {
    const made = project({ 'plugin.mjs': answering('1') })
    await expect(openLab({ plugins: [{ from: made.url('plugin.js') }] })).rejects.toMatchObject({
      code: 'PLUGIN_NOT_FOUND',
      message: expect.stringContaining('plugin.js does not exist'),
    })
  })

  it('is not looked for beside a file that is there', async () => {
    const made = project({ 'plugin.mjs': answering('1'), 'plugin.mts': answering('2') })
    const { hooks } = await openLab({ plugins: [{ from: made.url('plugin.mjs') }] })
    expect(await hooks.onRespond({})).toMatchObject(ANSWER)
  })
})

describe('root', () => {
  const inFolder = () =>
    project({
      'app/server.mjs': '',
      'app/plugins/own.mjs': answering('1'),
      'app/node_modules/packaged/package.json': '{ "name": "packaged", "type": "module", "exports": "./index.js" }',
      'app/node_modules/packaged/index.js': answering('1'),
      'parts/part.ts': 'export const part = 1 as const',
      'app/guest/package.json': '{ "type": "module" }',
      'app/guest/plugin.mjs': answering('part', "import { part } from '../../parts/part.ts'"),
    })

  it.each(['./plugins/own.mjs', 'packaged'])('is where %s is found from', async (from) => {
    const made = inFolder()
    const server = made.url('app/server.mjs')
    for (const root of [server, server.href, new URL('.', server), `${made.folder}/app`]) {
      const { hooks, engine } = await openLab({ root, plugins: [{ from }] })
      expect(await hooks.onRespond({})).toMatchObject(ANSWER)
      await engine.close()
    }
    await expect(openLab({ root: made.folder, plugins: [{ from }] })).rejects.toMatchObject({
      code: 'PLUGIN_NOT_FOUND',
    })
  })

  it('holds for later plugins, and for sourceRoots', async () => {
    const made = inFolder()
    const { hooks, engine } = await openLab({ root: pathToFileURL(`${made.folder}/app/`) })
    const sourceRoots = ['../parts', new URL('../../fixtures/lab/', import.meta.url)]
    await engine.add({ from: './guest/plugin.mjs', trust: 'untrusted', sourceRoots, timeoutMs: 5_000 })
    expect(await hooks.onRespond({})).toMatchObject(ANSWER)
  })

  it('that is no folder is refused', async () => {
    const root = new URL('nowhere/', project({}).url('.'))
    await expect(openLab({ root })).rejects.toMatchObject({ code: 'OPTIONS_INVALID', path: ['root'] })
    await expect(openLab({ root: 'file:///%00' })).rejects.toMatchObject({ code: 'OPTIONS_INVALID', path: ['root'] })
  })
})
