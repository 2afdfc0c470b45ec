/**
 * Guests of the other runtimes behind the process boundary: the same verdicts as in a thread, and what brings a process down
 * brings down no more than that.
 */
import type { HookEngine, PluginOptions } from 'hookring'
import type { delivery } from 'hookring/contracts'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fixture, openLab, until } from '../support/lab.js'
import { noSandbox, pluginProcesses } from '../support/processes.js'
import { ACTS, because, compileLibrary, message, missing, open } from './c-abi-plugins.js'

const untrusted = { trust: 'untrusted', boundary: 'process' } as const

type Engine = HookEngine<typeof delivery.hookpoints>

function replacements(engine: Engine): { reason: string; plugin: string | undefined; message: string }[] {
  const heard: { reason: string; plugin: string | undefined; message: string }[] = []
  engine.on('laneReplaced', (event) => heard.push(event))
  return heard
}

describe.skipIf(noSandbox !== null)(because('guests in a process', noSandbox), () => {
  describe.each(['quickjs', 'compartment'] as const)('of runtime %s', (runtime) => {
    const guest = (options: Partial<PluginOptions> = {}): PluginOptions => ({
      from: fixture(`${runtime}/actor.mjs`),
      name: 'a',
      runtime,
      ...untrusted,
      timeoutMs: 5_000,
      ...options,
    })

    it('give every kind of verdict', async () => {
      const { hooks, line } = await openLab({ plugins: [guest()] })
      expect(await hooks.onGate({ acts: { a: 'continues' } })).toEqual({ kind: 'continue' })
      expect(await hooks.onGate({ acts: { a: 'rejects no' } })).toMatchObject({ kind: 'reject', reason: 'no' })
      expect(await hooks.onGate({ acts: { a: 'later rejects no' } })).toMatchObject({ kind: 'reject', reason: 'no' })
      expect(await hooks.onTransform({ text: 'e', acts: { a: 'marks' } })).toMatchObject({ event: { text: 'e+a' } })
      expect(await hooks.onRespond({ text: 'e', acts: { a: 'shows' } })).toMatchObject({ value: { text: 'a saw "e"' } })
      expect(await hooks.onGate({ acts: { a: 'throws spoiled' } })).toMatchObject({
        failure: { kind: 'error', message: expect.stringContaining('TypeError: spoiled') },
      })
      expect(await hooks.onGate({ acts: { a: 'returns a number' } })).toMatchObject({ failure: { kind: 'invalid' } })
      await hooks.onGate({ acts: { a: 'tells something' } })
      await line(({ message }) => message === 'something')
    })

    it('that loop are stopped, and serve again', async () => {
      const { hooks } = await openLab({ hangMs: 100, spares: 1, plugins: [guest({ timeoutMs: 60 })] })
      expect(await hooks.onGate({ acts: { a: 'loops' } })).toMatchObject({ failure: { kind: 'timeout', plugin: 'a' } })
      await until('it to serve', async () => (await hooks.onGate({ acts: { a: 'continues' } })).kind === 'continue')
    })
  })

  describe.each([
    ['wasm', null],
    ['native', missing('cc', 'koffi')],
  ] as const)('of runtime %s', (runtime, reason) => {
    const guest = (options: Partial<PluginOptions> = {}): PluginOptions => ({
      from: runtime === 'wasm' ? ACTS.wasm : compileLibrary({ source: ACTS.source }),
      name: 'a',
      ...untrusted,
      timeoutMs: 5_000,
      ...options,
    })

    it.skipIf(reason !== null)(because('give verdicts, and log', reason), async () => {
      const { hooks, lines } = await open({ plugins: [guest()] })
      expect(await hooks.onMessageEnqueue(message('continues'))).toEqual({ kind: 'continue' })
      expect(await hooks.onMessageEnqueue(message('rejects'))).toMatchObject({ kind: 'reject', plugin: 'a' })
      expect(await hooks.onMessageEnqueue(message('shows', 3))).toMatchObject({ kind: 'reject', plugin: 'a' })
      expect(lines.filter(({ level }) => level === 'error')).toEqual([])
    })

    it.skipIf(reason !== null)(because('that loop cost their process, and serve again', reason), async () => {
      const { engine, hooks } = await open({ hangMs: 50, spares: 1, plugins: [guest({ timeoutMs: 50 })] })
      const replaced = replacements(engine)
      expect(await hooks.onMessageEnqueue(message('loops'))).toMatchObject({
        failure: { kind: 'timeout', plugin: 'a' },
      })
      await until('its lane to be replaced', () => replaced.length === 1)
      expect(replaced).toMatchObject([{ reason: 'hang', plugin: 'a' }])
      await until('it to serve', async () => (await hooks.onMessageEnqueue(message('continues'))).kind === 'continue')
    })
  })

  it.skipIf(missing('cc', 'koffi') !== null)(
    because('a shared library that traps crashes its process, and the host goes on', missing('cc', 'koffi')),
    async () => {
      const from = compileLibrary({ source: ACTS.source })
      const { engine, hooks } = await open({
        spares: 1,
        plugins: [{ from, name: 'a', ...untrusted, timeoutMs: 5_000 }],
      })
      onTestFinished(() => until('no process to be left', () => pluginProcesses().length === 0))
      const replaced = replacements(engine)
      expect(await hooks.onMessageEnqueue(message('traps'))).toMatchObject({ failure: { kind: 'crash', plugin: 'a' } })
      await until('its lane to be replaced', () => replaced.length === 1)
      expect(replaced).toMatchObject([{ reason: 'crash', plugin: 'a', message: expect.stringMatching(/SIG/) }])
      expect(await hooks.onMessageEnqueue(message('continues'))).toEqual({ kind: 'continue' })
      await engine.close()
    },
  )
})
