/** Plugins written in TypeScript, on every Node. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { pluginFile, rewrite } from '../support/broken-plugins.js'
import { fixture, openLab } from '../support/lab.js'
import { runProgram } from '../support/programs.js'

const typed = { from: fixture('typescript/typed.ts'), config: { limit: 2, colour: 'green' } }

// Apart from other tests, so that what is left behind can be counted.
const folder = mkdtempSync(join(tmpdir(), 'hookring-typescript-'))
process.env.TMPDIR = folder
afterAll(() => rmSync(folder, { recursive: true }))

describe('a plugin in TypeScript', () => {
  it('runs with its enums, its neighbours and what it reads beside itself', async () => {
    const { hooks } = await openLab({ plugins: [typed] })
    expect([await hooks.onGate({}), await hooks.onGate({})]).toEqual([{ kind: 'continue' }, { kind: 'continue' }])
    expect(await hooks.onGate({ text: 'e' })).toEqual({ kind: 'reject', reason: 'green: 3 > 2 <e>', plugin: 'typed' })
    expect(await hooks.onRespond({})).toMatchObject({
      kind: 'respond',
      value: { text: 'black found beside the plugin' },
    })
  })

  it('has its config checked by its own schema', async () => {
    await expect(openLab({ plugins: [{ ...typed, config: { limit: 2, colour: 'blue' } }] })).rejects.toMatchObject({
      code: 'PLUGIN_CONFIG_INVALID',
      plugin: 'typed',
      message: expect.stringContaining('config.colour'),
    })
  })

  it.each(['ts', 'mts'])('with the ending .%s is compiled anew at each reload', async (extension) => {
    const source = (text: string) => `
      type Answer = { text: string }
      export default definePlugin(lab, { name: 'changing', setup: () => ({ onRespond: (): Answer => ({ text: '${text}' as const }) }) })`
    const from = pluginFile(source('one'), { extension })
    const { hooks, engine } = await openLab({ plugins: [{ from }] })
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'one' } })
    rewrite(from, source('two'))
    await engine.reload('changing')
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'two' } })
  })

  it('fails with the lines of its own file in the stack', async () => {
    const from = pluginFile(
      `
      interface Shape { sides: number }
      export default definePlugin(lab, { name: 'thrower', setup(): never { const shape: Shape = { sides: 3 }; throw new RangeError(String(shape.sides)) } })`,
      { extension: 'ts' },
    )
    await expect(openLab({ plugins: [{ from }] })).rejects.toMatchObject({
      code: 'PLUGIN_SETUP_FAILED',
      message: expect.stringContaining('RangeError: 3'),
    })
  })

  it('knows where it is, and so does each file of it', async () => {
    const from = pluginFile(
      `import { where } from './where.js'
      export default definePlugin(lab, { name: 'placed', setup: () => ({
        onRespond: () => ({ text: [import.meta.url, import.meta.dirname, where].join(' ') as string }) }) })`,
      { extension: 'ts' },
    )
    const helper = new URL('where.ts', from)
    onTestFinished(() => rmSync(helper))
    writeFileSync(helper, '#!/usr/bin/env node\nexport const where: string = import.meta.filename')
    const { hooks } = await openLab({ plugins: [{ from }] })
    const text = [from.href, dirname(fileURLToPath(from)), fileURLToPath(helper)].join(' ')
    expect(await hooks.onRespond({})).toMatchObject({ value: { text } })
  })

  it('comes back when the temporary folder was emptied, and leaves no old version in it', async () => {
    const source = (text: string) => `
      export default definePlugin(lab, { name: 'kept', setup: () => ({
        onGate({ text }: { text: string }) { for (; text === 'hang'; ) {} }, onRespond: () => ({ text: '${text}' as string }) }) })`
    const from = pluginFile(source('0'), { extension: 'ts' })
    const { hooks, engine } = await openLab({ plugins: [{ from, timeoutMs: 100 }], quarantine: false })
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true })
    const replaced = new Promise((resolve) => engine.once('laneReplaced', resolve))
    await hooks.onGate({ text: 'hang' })
    await replaced
    await expect.poll(() => hooks.onRespond({}).catch(() => null)).toMatchObject({ value: { text: '0' } })
    const files = () => readdirSync(folder, { recursive: true }).length
    const before = files()
    for (const version of ['1', '2', '3']) {
      rewrite(from, source(version))
      await engine.reload('kept')
      expect(await hooks.onRespond({})).toMatchObject({ value: { text: version } })
    }
    await expect.poll(files).toBe(before)
  })

  it('writes no file', async () => {
    const { engine } = await openLab({ plugins: [typed] })
    expect(readdirSync(folder)).toEqual([])
    await engine.close()
    await openLab({ plugins: [{ ...typed, config: {} }] }).catch(() => {})
    expect(readdirSync(folder)).toEqual([])
  })

  it('without esbuild is what the types of Node.js itself allow, or is refused', async () => {
    const { code, said, stderr } = await runProgram('no-esbuild.mjs')
    expect(code).toBe(0)
    const [typed, plain] = said
    const advice = /install esbuild/
    expect(typed).toMatchObject({ code: 'TYPESCRIPT_UNSUPPORTED', message: expect.stringMatching(advice) })
    if ('stripTypeScriptTypes' in nodeModule) {
      expect(typed?.message).toContain('typed.ts')
      expect(plain).toMatchObject({ text: 'part of plain.ts', line: 17 })
      expect(stderr).toBe('')
    } else {
      expect(plain).toMatchObject({ code: 'TYPESCRIPT_UNSUPPORTED', message: expect.stringMatching(advice) })
    }
  })
})
