/** Plugins in hardened compartments: every failure they can come to, and what they cannot reach. */
import type { PluginOptions } from 'hookring'
import { describe, expect, it } from 'vitest'
import { describeConformance, SPOILED } from '../support/conformance.js'
import { actor, fixture, openLab, refusalOf } from '../support/lab.js'
import { written } from '../support/written-plugins.js'

const compartment = (name: string, options: Partial<PluginOptions> = {}): PluginOptions => ({
  from: fixture('compartment/actor.mjs'),
  name,
  runtime: 'compartment',
  ...options,
})

describeConformance({
  name: 'compartment',
  plugin: (name) => compartment(name),
  acts: {
    timeout: ['pends'],
    // It has no clock to wait by.
    late: [],
    // Nothing that it can say ends its thread.
    crash: [],
    ...SPOILED,
  },
  crashReason: 'exit',
})

describe('a plugin in a compartment', () => {
  it('has its config, its context, its logger and its state', async () => {
    const { hooks, line } = await openLab({
      plugins: [compartment('a', { config: { greeting: 'hello' }, timeoutMs: 5_000 })],
    })
    const ask = async (act: string) => (await hooks.onGate({ id: 3, acts: { a: act } }, { traceId: 't-1' })) as object
    expect(await ask('config')).toMatchObject({ reason: 'hello true' })
    expect(await ask('context')).toMatchObject({ reason: 't-1 true false' })
    expect(await ask('counts')).toMatchObject({ reason: '1' })
    expect(await ask('counts')).toMatchObject({ reason: '2' })
    expect(await ask('tells something')).toEqual({ kind: 'continue' })
    expect(await line(({ message }) => message === 'something')).toMatchObject({ fields: { plugin: 'a', id: 3 } })
    expect(await line(({ message }) => message.startsWith('set up'))).toMatchObject({
      message: 'set up {"as":"a"}',
      fields: { plugin: 'a' },
    })
    await ask('forgets throws nobody caught this')
    expect(await line(({ message }) => message.includes('nobody caught this'))).toMatchObject({ level: 'error' })
  })

  it('hears that its caller has given up', async () => {
    const { hooks, line } = await openLab({ plugins: [compartment('a', { timeoutMs: 50 })] })
    await hooks.onGate({ acts: { a: 'listens' } })
    expect(await line(({ message }) => message.startsWith('heard'))).toMatchObject({ message: 'heard TimeoutError' })
  })

  it('that loops costs its lane, and no more', async () => {
    const { hooks, heard, said } = await openLab({
      hangMs: 50,
      spares: 1,
      plugins: [compartment('a', { timeoutMs: 50 })],
    })
    expect(await hooks.onGate({ acts: { a: 'loops' } })).toMatchObject({ failure: { kind: 'timeout', plugin: 'a' } })
    await heard('laneReplaced')
    expect(said.laneReplaced).toMatchObject([{ reason: 'hang', plugin: 'a' }])
  })

  it.each([
    'names of the host',
    'the function constructor',
    'the async function constructor',
    'the generator constructor',
    'the async generator constructor',
    'the constructor of a host function',
    'the constructor of the context',
    'the constructor of an event',
    'the class behind a signal',
    'a prototype of everyone',
    'an array method of everyone',
    'the promise of everyone',
    'the event',
    'the context',
    'the config',
    'stack frames',
    'who calls',
    'what logs are shown with',
    'a module by its name',
    'a clock',
    'the time of day',
    'randomness',
    'the registry of symbols',
  ])('does not reach %s', async (what) => {
    const { hooks } = await openLab({
      plugins: [compartment('a', { config: { greeting: 'hello' }, timeoutMs: 5_000 })],
    })
    const verdict = await hooks.onGate({ text: 'as it was', acts: { a: `reaches ${what}` } })
    expect(verdict).toMatchObject({
      kind: 'reject',
      reason: expect.stringMatching(/^(?:kept: \w+|got: (?:|undefined|null|NaN))$/),
    })
    expect(await hooks.onTransform({ text: 'as it was', acts: { a: 'marks' } })).toMatchObject({
      event: { text: 'as it was+a' },
    })
  })

  it('shares its thread with plugins of its kind, and none of their state', async () => {
    const { hooks } = await openLab({
      plugins: [compartment('a', { bulkhead: 'b', timeoutMs: 5_000 }), compartment('c', { bulkhead: 'b' })],
    })
    expect(await hooks.onGate({ acts: { a: 'counts' } })).toMatchObject({ plugin: 'a', reason: '1' })
    expect(await hooks.onGate({ acts: { c: 'counts' } })).toMatchObject({ plugin: 'c', reason: '1' })
  })

  it('shares no thread with modules', async () => {
    const error = await refusalOf(
      openLab({ plugins: [actor('m', { bulkhead: 'b' }), compartment('a', { bulkhead: 'b' })] }),
    )
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', path: ['bulkhead'] })
  })

  it.each([
    ['imports Node.js when it runs', "import('node:fs')"],
    ['asks for a phase of an import', 'import.source(globalThis.kept)'],
    ['asks to evaluate', "eval('1')"],
  ])('that %s is not admitted', async (_what, code) => {
    const { from } = await written(`globalThis.kept = () => ${code}`)
    const error = await refusalOf(openLab({ plugins: [{ from, runtime: 'compartment' }] }))
    expect(error).toMatchObject({ code: 'PLUGIN_IMPORT_FAILED' })
  })

  it('that needs Node.js is refused with the import that leads there', async () => {
    const error = await refusalOf(openLab({ plugins: [actor('a', { runtime: 'compartment' })] }))
    expect(error).toMatchObject({ code: 'PLUGIN_IMPORT_FAILED' })
    expect(error.message).toMatch(/node:(?:worker_threads|timers)/)
  })
})
