/** Which of the server's flags its lanes get. */
import { describe, expect, it } from 'vitest'
import { inheritedFlags } from '../../../dist/host/lanes/lane-flags.js'
import { pluginFile } from '../../support/broken-plugins.js'
import { openLab, refusalOf } from '../../support/lab.js'

describe('a lane inherits', () => {
  it.each([
    [['--enable-source-maps'], undefined, ['--enable-source-maps']],
    [['--import', './a.mjs', '--inspect', '-r', 'b'], undefined, ['--import', './a.mjs', '-r', 'b']],
    [['--conditions=x', '--max-old-space-size=99', '--test'], undefined, ['--conditions=x']],
    [[], '--require "/a b/\\"c\\".cjs" --inspect-brk -C y', ['--require', '/a b/"c".cjs', '-C', 'y']],
    [['--import'], '', []],
    [['-e', '--import'], '', []],
  ])('of %j and NODE_OPTIONS %j: %j', (execArgv, nodeOptions, flags) => {
    expect(inheritedFlags(execArgv, nodeOptions)).toEqual(flags)
  })
})

describe('execArgv', () => {
  const shows = () =>
    pluginFile(`export default definePlugin(lab, { name: 'own', setup: () => ({
    onGate: () => reject(String(globalThis.fromServer) + ' ' + process.execArgv.join(' ')),
  }) })`)
  const preload = 'data:text/javascript,globalThis.fromServer=1'

  it('reaches lanes of trusted plugins', async () => {
    const execArgv = ['--import', preload, '--conditions=x']
    const { hooks } = await openLab({ execArgv, timeoutMs: 5_000, plugins: [{ from: shows() }] })
    expect(await hooks.onGate({})).toMatchObject({
      reason: expect.stringContaining(`1 --import ${preload} --conditions=x`),
    })
  })

  it('that is empty keeps the server’s own from them', async () => {
    const { hooks } = await openLab({ execArgv: [], timeoutMs: 5_000, plugins: [{ from: shows() }] })
    expect(await hooks.onGate({})).toMatchObject({ reason: 'undefined ' })
  })

  it.each([['--max-old-space-size=10'], ['--inspect'], ['script.js'], ['--import']])('%s is refused', async (flag) => {
    const error = await refusalOf(openLab({ execArgv: [flag] }))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', path: ['execArgv'] })
    expect(error.message).toContain(flag)
  })
})
