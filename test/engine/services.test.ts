/** Host services: what the server does for plugins, by name, for those that were granted it. */
import { createHookEngine, type EngineOptions, type HookringError, type PluginOptions } from 'hookring'
import { defineContract, gate, service } from 'hookring/contracts'
import { runInline } from 'hookring/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import asker from '../fixtures/services/asker.mjs'
import { desk } from '../fixtures/services/contract.mjs'
import { fixture, refusalOf, silent, until } from '../support/lab.js'

type Options = Omit<EngineOptions<typeof desk.hookpoints, typeof desk.services>, 'contract' | 'plugins'>

const PROVIDED: NonNullable<Options['services']> = {
  double: ({ value }) => value * 2,
  whoAmI: async (_input, { plugin }) => plugin,
}

async function open(plugin: Partial<PluginOptions> = {}, options: Options = {}) {
  const engine = await createHookEngine({
    contract: desk,
    services: PROVIDED,
    plugins: [{ from: fixture('services/asker.mjs'), services: ['double', 'whoAmI'], timeoutMs: 5_000, ...plugin }],
    spares: 0,
    logger: silent,
    ...options,
  })
  onTestFinished(() => engine.close())
  const told = async (verdict: Promise<{ kind: string }>) => {
    const { kind, reason } = (await verdict) as { kind: string; reason?: string }
    expect(kind).toBe('reject')
    return reason ?? ''
  }
  return {
    engine,
    asked: async (name: string, input?: unknown, times = 1) =>
      JSON.parse(await told(engine.hooks.onAsk({ service: name, input, times }))),
    grants: () => told(engine.hooks.onGrants({})),
    heard: async () => JSON.parse(await told(engine.hooks.onHeard({}))),
  }
}

describe('a host service', () => {
  it('answers the plugin that was granted it', async () => {
    const { asked } = await open()
    expect(await asked('double', { value: 21 })).toEqual({ output: 42 })
  })

  it('is told who asks, by the operator’s name for the plugin', async () => {
    const { asked } = await open({ name: 'counter' })
    expect(await asked('whoAmI')).toEqual({ output: 'counter' })
  })

  it('is not there without a grant', async () => {
    const { grants } = await open({ services: ['whoAmI'] })
    expect(await grants()).toBe('whoAmI')
  })

  it('is granted to nobody by default', async () => {
    const { grants } = await open({ services: undefined })
    expect(await grants()).toBe('')
  })

  it('that nobody provides is refused, until somebody does', async () => {
    const { engine, asked } = await open({ services: ['never', 'double'] }, { services: {} })
    expect(await asked('double', { value: 1 })).toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
      message: 'the server does not provide double',
    })
    engine.provide({ double: ({ value }) => value * 3 })
    expect(await asked('double', { value: 1 })).toEqual({ output: 3 })
  })

  it('is not called with what its schema refuses', async () => {
    const { asked } = await open()
    expect(await asked('double', { value: 'x' })).toMatchObject({
      code: 'SERVICE_INPUT_INVALID',
      message: expect.stringMatching(/^double\.value: .*number/),
    })
  })

  it.each([
    ['long', 'x'.repeat(300_000)],
    ['wide', Array.from({ length: 200_000 }, () => 1)],
  ])('is not asked with an input that is %s', async (_what, value) => {
    const { engine, asked } = await open()
    let isAsked = false
    engine.provide({
      double() {
        isAsked = true
        return 0
      },
    })
    expect(await asked('double', value)).toMatchObject({ code: 'SERVICE_INPUT_INVALID' })
    expect(isAsked).toBe(false)
  })

  it('takes inputs up to maxServiceBytes, as V8 serialises them', async () => {
    const { asked } = await open({}, { maxServiceBytes: 1_000_000 })
    expect(await asked('double', { value: 4, ignored: 'x'.repeat(300_000) })).toEqual({ output: 8 })
    expect(await asked('double', { value: 4, ignored: 'x'.repeat(1_000_000) })).toEqual({
      code: 'SERVICE_INPUT_INVALID',
      message: expect.stringMatching(/^double: its input takes 10000\d\d bytes, and maxServiceBytes is 1000000$/),
    })
  })

  it.each([0, 63, 64 * 1024 * 1024 + 1, 1.5, '256k'])(
    'cannot have a maxServiceBytes of %s',
    async (maxServiceBytes) => {
      const refused = open({}, { maxServiceBytes: maxServiceBytes as number })
      expect(await refusalOf(refused)).toMatchObject({ code: 'OPTIONS_INVALID', path: ['maxServiceBytes'] })
    },
  )

  // Which part gives up first (zod, V8 on either side) depends on the depth and on the stack that Node.js has.
  it.each([
    [500, [7]],
    [2_000, [7, 'SERVICE_INPUT_INVALID']],
    [5_000, [7, 'SERVICE_INPUT_INVALID']],
    [1_000_000, ['SERVICE_INPUT_INVALID']],
  ])('that is asked with an input nested %s deep answers %j', async (levels, answers) => {
    const { engine, asked } = await open({ services: ['measure', 'double'] }, { maxServiceBytes: 8_000_000 })
    engine.provide({ measure: () => 7 })
    const { output, code } = await asked('measure', levels)
    expect(answers).toContain(code ?? output)
    expect(await asked('double', { value: 2 })).toEqual({ output: 4 })
  })

  it('that throws says so, with the code of a coded error', async () => {
    const refused = await refusalOf(createHookEngine({ contract: 1 as never }))
    const { engine, asked } = await open()
    engine.provide({
      double() {
        throw new RangeError('too many')
      },
      whoAmI: () => Promise.reject(refused),
    })
    expect(await asked('double', { value: 1 })).toEqual({ code: 'SERVICE_FAILED', message: 'double: too many' })
    expect(await asked('whoAmI')).toMatchObject({ code: 'OPTIONS_INVALID' })
  })

  it('whose answer cannot cross is a failure', async () => {
    const { engine, asked } = await open()
    engine.provide({ double: () => (() => 1) as never })
    expect(await asked('double', { value: 1 })).toMatchObject({ code: 'SERVICE_FAILED' })
  })

  it('has a bound for what is under way', async () => {
    const { engine, asked } = await open()
    let release = (): void => {}
    const held = new Promise<number>((resolve) => {
      release = () => resolve(1)
    })
    engine.provide({ double: () => held })
    const answers = asked('double', { value: 1 }, 70)
    // Those over the bound are answered without the server.
    setTimeout(release, 50)
    const codes = (await answers) as (string | number)[]
    expect(codes.filter((code) => code === 1)).toHaveLength(64)
    expect(codes.filter((code) => code === 'SERVICE_OVERLOAD')).toHaveLength(6)
    expect(await asked('double', { value: 1 })).toEqual({ output: 1 })
  })

  it('is heard by a lane that sleeps, when no hook waited for it', async () => {
    const { engine, heard } = await open({}, { wait: 'park' })
    let calls = 0
    engine.provide({
      async double({ value }) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        calls += 1
        return value * 2
      },
    })
    engine.hooks.onTell({ service: 'double', input: { value: 4 } })
    await until('the service to be called', () => calls === 1)
    await until('its answer to arrive', async () => (await heard()).length === 1)
    expect(await heard()).toEqual([{ output: 8 }])
  })

  it('that never answers does not keep the engine from closing', async () => {
    const { engine } = await open({ services: ['never'] })
    let isAsked = false
    engine.provide({
      never() {
        isAsked = true
        return new Promise<void>(() => {})
      },
    })
    engine.hooks.onTell({ service: 'never', input: undefined })
    await until('the service to be called', () => isAsked)
    await engine.close()
  })

  it('is stood in for where a plugin runs inline', async () => {
    const { hooks, close } = await runInline(asker, { contract: desk, services: { double: async () => 7 } })
    onTestFinished(close)
    expect(await hooks.onAsk({ service: 'double', input: {} })).toMatchObject({ reason: '{"output":7}' })
    expect(await hooks.onGrants({})).toMatchObject({ reason: 'double' })
  })
})

describe('a grant', () => {
  it('of a service that the contract does not have is refused', async () => {
    const error = await refusalOf(open({ services: ['reboot'] }))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', path: ['services', 'reboot'] })
    expect(error.message).toContain('desk@1 has no service "reboot"; it has: double, whoAmI, never, measure')
  })

  it.each([
    [{ trust: 'untrusted' }, 'quickjs in a thread'],
    [{ boundary: 'process' }, 'module in a process'],
    [{ runtime: 'compartment' }, 'compartment in a thread'],
  ] as const)('to a plugin behind a wall is refused: %o', async (plugin, where) => {
    const error = await refusalOf(open(plugin))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', path: ['services'] })
    expect(error.message).toContain(where)
  })

  it('holds for the plugin alone, and changes with a reload', async () => {
    const { engine, grants } = await open({ services: ['double'] })
    await engine.reload('asker', { services: ['whoAmI'] })
    expect(await grants()).toBe('whoAmI')
  })
})

describe('bad services are refused', () => {
  const refusalBy = (act: () => unknown): HookringError => {
    try {
      act()
    } catch (error) {
      return error as HookringError
    }
    throw new Error('nothing was refused')
  }

  it('by defineContract', () => {
    const points = { onIt: gate(z.object({})) }
    const error = refusalBy(() => defineContract('c', 1, points, { services: { ok: {} as never } }))
    expect(error).toMatchObject({ code: 'CONTRACT_INVALID', path: ['services', 'ok'] })
    const named = refusalBy(() =>
      defineContract('c', 1, points, { services: { 'not a name': service(z.void(), z.void()) } }),
    )
    expect(named).toMatchObject({ code: 'CONTRACT_INVALID' })
  })

  it('by the engine, when it is made and when they are provided', async () => {
    expect(await refusalOf(open({}, { services: { double: 2 as never } }))).toMatchObject({ code: 'OPTIONS_INVALID' })
    const { engine } = await open()
    expect(refusalBy(() => engine.provide({ reboot: () => 1 } as never))).toMatchObject({ code: 'OPTIONS_INVALID' })
    expect(refusalBy(() => engine.provide({ double: 1 as never }))).toMatchObject({ code: 'OPTIONS_INVALID' })
  })
})
