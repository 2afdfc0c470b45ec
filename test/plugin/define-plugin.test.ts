/** What a plugin author imports, in values and in types. */
import { build } from 'esbuild'
import type { Verdict } from 'hookring'
import type { GateVerdict, TransformVerdict } from 'hookring/contracts'
import { definePlugin, type PluginHooks, reject, replace } from 'hookring/plugin'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { type LabEvent, type LabPoints, lab } from '../fixtures/lab/contract.mjs'
import { pluginFile } from '../support/broken-plugins.js'
import { actor, type LabEngine, openLab } from '../support/lab.js'

describe('definePlugin', () => {
  it('says for whom the plugin is, and nothing that needs the schemas', () => {
    const plugin = definePlugin(lab, { name: 'a', setup: () => ({}) })
    expect(plugin).toMatchObject({
      name: 'a',
      config: undefined,
      contract: {
        name: 'lab',
        version: 1,
        hookpoints: {
          onGate: 'gate',
          onParallel: 'gate',
          onObserve: 'observe',
          onTransform: 'transform',
          onRespond: 'respond',
        },
      },
    })
    expect(JSON.parse(JSON.stringify(plugin.contract))).toEqual(plugin.contract)
    // For tools, beside it.
    expect(plugin.writtenFor).toBe(lab)
  })

  it('gives hooks their event, config and context typed, and takes only what the kind of hookpoint allows', () => {
    definePlugin(lab, {
      name: 'typed',
      config: z.object({ limit: z.coerce.number() }),
      setup({ config, log, plugin }) {
        expectTypeOf(config).toEqualTypeOf<{ limit: number }>()
        expectTypeOf(plugin).toBeString()
        log.info('words', { field: 1 })
        return {
          onGate(event, ctx) {
            expectTypeOf(event.text).toBeString()
            expectTypeOf(event.copy()).toEqualTypeOf<LabEvent>()
            expectTypeOf(ctx.signal).toEqualTypeOf<AbortSignal>()
            expectTypeOf(ctx.traceId).toEqualTypeOf<string | undefined>()
            // @ts-expect-error an event is read-only
            event.text = ''
            return reject('no', 7)
          },
          onTransform: async (event) => replace({ ...event.copy(), text: 'new' }),
          onRespond: () => ({ text: 'answer' }),
        }
      },
    })
    // @ts-expect-error a gate replaces nothing
    const gate: PluginHooks<LabPoints>['onGate'] = () => replace({ text: '' })
    // @ts-expect-error an answer has the reply's type
    const answer: PluginHooks<LabPoints>['onRespond'] = () => ({ text: 5 })
    expect([gate, answer]).toHaveLength(2)
  })

  it('gives servers their verdicts typed', () => {
    type Hooks = LabEngine['hooks']
    expectTypeOf<Awaited<ReturnType<Hooks['onGate']>>>().toEqualTypeOf<GateVerdict>()
    expectTypeOf<Awaited<ReturnType<Hooks['onTransform']>>>().toEqualTypeOf<TransformVerdict<LabEvent>>()
    expectTypeOf<ReturnType<Hooks['onObserve']>>().toBeVoid()
    expectTypeOf<Awaited<ReturnType<Hooks['onRespond']>>>().toExtend<Verdict>()
  })
})

describe('a plugin that brings its own copy of hookring', () => {
  it('bundled into one file is understood all the same', async () => {
    const { outputFiles } = await build({
      entryPoints: [actor('a').from instanceof URL ? (actor('a').from as URL).pathname : ''],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      logLevel: 'silent',
    })
    const bundled = outputFiles[0]?.text ?? ''
    expect(bundled).not.toMatch(/from ["']hookring/)
    const from = pluginFile(bundled, { prelude: '' })
    const { hooks } = await openLab({ plugins: [actor('a', { from })] })
    expect(await hooks.onGate({ acts: { a: 'rejects no' } })).toEqual({ kind: 'reject', reason: 'no', plugin: 'a' })
    expect(await hooks.onTransform({ text: 'e', acts: { a: 'marks' } })).toMatchObject({
      kind: 'replace',
      event: { text: 'e+a' },
    })
    expect(await hooks.onRespond({ acts: { a: 'answers yes' } })).toMatchObject({ value: { text: 'yes' } })
  })
})
