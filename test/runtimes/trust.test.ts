/** Which runtime and boundary a plugin gets, and what the operator's trust allows. */
import type { PluginOptions } from 'hookring'
import { describe, expect, it } from 'vitest'
import { pluginOptionsSchema } from '../../dist/contracts/option-schemas.js'
import { parseOptions } from '../../dist/contracts/parse-options.js'
import { placementOf } from '../../dist/host/plugins/placement.js'
import { actor, openLab, refusalOf, scrape } from '../support/lab.js'
import { written } from '../support/written-plugins.js'

const place = (options: PluginOptions) => placementOf(parseOptions(pluginOptionsSchema, options, 'plugin'))

describe('a plugin that is placed by its name', () => {
  it.each([
    ['trusted JavaScript', { from: './a.mjs' }, 'module'],
    ['trusted TypeScript', { from: './a.ts' }, 'module'],
    ['a trusted package', { from: 'some-package' }, 'module'],
    ['untrusted JavaScript', { from: './a.js', trust: 'untrusted' }, 'quickjs'],
    ['an untrusted package', { from: 'some-package', trust: 'untrusted' }, 'quickjs'],
    ['a WebAssembly module', { from: './a.wasm' }, 'wasm'],
    ['an untrusted WebAssembly module', { from: './a.wasm', trust: 'untrusted' }, 'wasm'],
    ['a WebAssembly module with a query', { from: 'file:///a.wasm?v=2' }, 'wasm'],
    ['a shared library', { from: './liba.so' }, 'native'],
    ['a shared library with a version', { from: './liba.so.1.2' }, 'native'],
    ['a shared library of macOS', { from: './liba.dylib' }, 'native'],
    ['a shared library of Windows', { from: './a.dll' }, 'native'],
  ] as const)('%s runs in a thread as it is', (_what, options, runtime) => {
    expect(place(options)).toEqual({ runtime, boundary: 'thread' })
  })

  it.each([
    ['JavaScript as a shared library', { from: './a.mjs', runtime: 'native' }],
    ['JavaScript as WebAssembly', { from: './a.mjs', runtime: 'wasm' }],
    ['WebAssembly as a module', { from: './a.wasm', runtime: 'module' }],
    ['a shared library in QuickJS', { from: './a.so', runtime: 'quickjs' }],
  ] as const)('is refused as what it is not: %s', async (_what, options) => {
    const error = await refusalOf(Promise.resolve().then(() => place(options)))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', path: ['runtime'] })
  })
})

describe('a plugin without trust', () => {
  it.each([
    ['module', './a.mjs', /can reach everything.*'quickjs' .*boundary: 'process'/],
    ['compartment', './a.mjs', /memory and time.*'quickjs' .*boundary: 'process'/],
    ['native', './a.so', /do anything to the process\. Choose boundary: 'process'$/],
  ] as const)('as %s in a thread is refused, with the choices that are open', async (runtime, from, says) => {
    const error = await refusalOf(Promise.resolve().then(() => place({ from, runtime, trust: 'untrusted' })))
    expect(error).toMatchObject({ code: 'UNTRUSTED_RUNTIME', path: ['runtime'] })
    expect(error.message).toMatch(says)
  })

  it.each([
    ['module', './a.mjs'],
    ['compartment', './a.mjs'],
    ['quickjs', './a.mjs'],
    ['wasm', './a.wasm'],
    ['native', './a.so'],
  ] as const)('as %s behind the process boundary is taken', (runtime, from) => {
    expect(place({ from, runtime, trust: 'untrusted', boundary: 'process' })).toEqual({ runtime, boundary: 'process' })
  })

  it('is refused by the engine before any of its code runs', async () => {
    const error = await refusalOf(openLab({ plugins: [actor('a', { trust: 'untrusted', runtime: 'module' })] }))
    expect(error.code).toBe('UNTRUSTED_RUNTIME')
  })

  it('cannot raise its own trust', async () => {
    const { from } = await written(
      'export const trust = "trusted"; export const runtime = "module"; export const manifest = { trust, runtime }',
      '{ onGate: () => reject(typeof process), trust: undefined }',
    )
    const { hooks } = await openLab({ plugins: [{ from, trust: 'untrusted', timeoutMs: 5_000 }] })
    expect(await hooks.onGate({})).toMatchObject({ kind: 'reject', reason: 'undefined' })
  })

  it('has lanes of its own, unless the operator groups it', async () => {
    const { from } = await written('', '{ onGate: () => undefined }')
    const options = { from, trust: 'untrusted', timeoutMs: 5_000 } as const
    const { engine } = await openLab({
      plugins: [
        { ...options, name: 'one' },
        { ...options, name: 'two' },
        { ...options, name: 'three', bulkhead: 'guests' },
        { ...options, name: 'four', bulkhead: 'guests' },
      ],
    })
    const bulkheads = (await scrape(engine)).filter(({ name }) => name === 'queue_depth')
    expect(bulkheads).toHaveLength(3)
  })
})

it('sandbox says how strict the process boundary is, and nothing without one', async () => {
  const error = await refusalOf(Promise.resolve().then(() => place({ from: './a.mjs', sandbox: 'best-effort' })))
  expect(error).toMatchObject({ code: 'OPTIONS_INVALID', path: ['sandbox'] })
})
