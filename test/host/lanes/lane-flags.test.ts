/** Which of the server's flags its lanes get. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { inheritedFlags } from '../../../dist/host/lanes/lane-flags.js'
import { pluginFile } from '../../support/broken-plugins.js'
import { openLab, refusalOf } from '../../support/lab.js'

const TAKES_VALUE =
  /^(?:-r|-C|--(?:import|require|conditions|(?:experimental-)?loader|.*-type|dns-.*|.*-timeout|.*-size|disable-warning))$/

describe('a lane inherits', () => {
  it.each([
    [['--enable-source-maps'], undefined, ['--enable-source-maps']],
    [['--import', './a.mjs', '--inspect', '-r', 'b'], undefined, ['--import', './a.mjs', '-r', 'b']],
    [['--conditions=x', '--max-old-space-size=99', '--test'], undefined, ['--conditions=x']],
    [[], '--require "/a b/\\"c\\".cjs" --inspect-brk -C y', ['--require', '/a b/"c".cjs', '-C', 'y']],
    [['--import'], '', []],
    [['-e', '--import'], '', []],
    [
      ['--dns-result-order', 'ipv4first', '--no-experimental-detect-module'],
      '--max-http-header-size=9000',
      ['--max-http-header-size=9000', '--dns-result-order', 'ipv4first', '--no-experimental-detect-module'],
    ],
    [['--unhandled-rejections=none', '--stack-trace-limit=50', '--expose-gc'], '', []],
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

  it('may have all that a thread of this Node.js takes of what is inherited', async () => {
    const known = inheritedFlags([...process.allowedNodeEnvironmentFlags].map((flag) => `${flag}=1`))
    const flags = known.map((flag) => flag.replace('=1', '')).filter((flag) => !TAKES_VALUE.test(flag))
    expect(flags.length).toBeGreaterThan(10)
    for (const execArgv of flags) {
      const worker = new Worker('', { eval: true, execArgv: [execArgv] })
      await once(worker, 'exit')
    }
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
