/** Plugins of the examples that are made of packages from npm, run as an operator runs what is not trusted. */
import { createHookEngine, type PluginOptions } from 'hookring'
import { describe, expect, it, onTestFinished } from 'vitest'
import { authz } from '../../examples/bench-plugins/authz-contract.js'
import { chat } from '../../examples/bench-plugins/chat-contract.js'
import { refusalOf, silent } from '../support/lab.js'
import { noSandbox } from '../support/processes.js'

const plugin = (name: string) => new URL(`../../examples/bench-plugins/plugins/${name}.ts`, import.meta.url)
const untrusted = { trust: 'untrusted', timeoutMs: 5_000 } as const
const options = { spares: 0, logger: silent, setupTimeoutMs: 30_000 }

describe('a plugin made of a package', () => {
  it.each([
    ['quickjs', 'thread'],
    ['quickjs', 'process'],
    ['module', 'process'],
  ] as const)('obscenity: %s in a %s', { timeout: 60_000 }, async (runtime, boundary) => {
    if (boundary === 'process' && noSandbox !== null) return
    const plugins: PluginOptions[] = [{ from: plugin('clean-language'), ...untrusted, runtime, boundary }]
    const engine = await createHookEngine({ ...options, contract: chat, plugins })
    onTestFinished(() => engine.close())
    const event = { room: 'lobby', author: 'ada', text: 'the lazy turd jumps ' }
    expect(await engine.hooks.onMessage(event)).toMatchObject({
      kind: 'replace',
      event: { ...event, text: 'the lazy **** jumps ' },
    })
  })

  it('casbin, which needs files, is refused by name in QuickJS', { timeout: 60_000 }, async () => {
    const open = createHookEngine({
      ...options,
      contract: authz,
      plugins: [{ from: plugin('authorize'), ...untrusted }],
    })
    const refused = await refusalOf(open)
    expect(refused.code).toBe('PLUGIN_IMPORT_FAILED')
    expect(refused.message).toMatch(/imports (node:)?fs: .*casbin/)
  })

  it.skipIf(noSandbox !== null)('casbin: module in a process', { timeout: 60_000 }, async () => {
    const plugins: PluginOptions[] = [
      { from: plugin('authorize'), ...untrusted, runtime: 'module', boundary: 'process' },
    ]
    const engine = await createHookEngine({ ...options, contract: authz, plugins })
    onTestFinished(() => engine.close())
    const ask = (user: string) => engine.hooks.onRequest({ user, object: '/orders/1', action: 'delete' })
    expect(await ask('alice')).toEqual({ kind: 'continue' })
    expect(await ask('bob')).toMatchObject({ kind: 'reject', reason: 'bob may not delete /orders/1' })
  })
})
