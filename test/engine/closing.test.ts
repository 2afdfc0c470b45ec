/** The end of an engine, with calls under way and calls that come too late. */
import type { HookringError } from 'hookring'
import { describe, expect, it } from 'vitest'
import { actor, createTrail, openLab, readTrail, refusalOf, until } from '../support/lab.js'

describe('an engine that closes', () => {
  it('finishes what it has accepted, and refuses what comes after', async () => {
    const trail = createTrail()
    const { hooks, engine, heard, said } = await openLab({
      hangMs: 5_000,
      plugins: [actor('a', { timeoutMs: 2_000, config: { trail } })],
    })
    const settled: string[] = []
    const note = async (name: string, promise: Promise<{ kind: string }>) => {
      const { kind } = await promise.catch((error: HookringError) => ({ kind: error.code }))
      settled.push(`${name} ${kind}`)
    }
    const calls = [
      note('async', hooks.onGate({ id: 1, acts: { a: 'waits 80' } })),
      note('sync', hooks.onGate({ id: 2, acts: { a: 'blocks 30 rejects no' } })),
    ]
    for (let id = 10; id < 20; id += 1) hooks.onObserve({ id })
    const closing = note(
      'close',
      engine.close().then(() => ({ kind: 'closed' })),
    )
    await until(
      'it to refuse',
      async () => (await hooks.onGate({ id: 3 }).catch((error: HookringError) => error)) instanceof Error,
    )
    expect(await refusalOf(hooks.onGate({ id: 4 }))).toMatchObject({ code: 'ENGINE_CLOSED', hookpoint: 'onGate' })
    hooks.onObserve({ id: 5 })
    await Promise.all([...calls, closing])
    expect(settled).toEqual(['sync reject', 'async continue', 'close closed'])
    await heard('error')
    expect(said.error).toMatchObject([{ code: 'ENGINE_CLOSED', hookpoint: 'onObserve' }])
    expect(said.deadLetter).toEqual([])
    for (const id of [1, 2, 10, 19]) expect(readTrail(trail)).toContain(`a ${id}`)
  })

  it('waits no longer than it was told to, and names what is left', async () => {
    const { hooks, engine, said, metric } = await openLab({
      closeTimeoutMs: 100,
      hangMs: 60_000,
      shutdownTimeoutMs: 100,
      plugins: [actor('a', { timeoutMs: 60_000, limits: { slots: 2 } })],
    })
    const refused = Promise.all(
      [hooks.onGate({ acts: { a: 'pends' } }), hooks.onRespond({ acts: { a: 'pends' } }), hooks.onTransform({})].map(
        refusalOf,
      ),
    )
    hooks.onObserve({ id: 7 })
    await until('them to be under way', async () => (await metric('queue_depth')) === 2)
    const began = performance.now()
    await engine.close()
    expect(performance.now() - began).toBeLessThan(3_000)
    for (const error of await refused) expect(error).toMatchObject({ code: 'ENGINE_CLOSED' })
    expect(said.deadLetter).toMatchObject([{ hookpoint: 'onObserve', plugin: 'a', event: { id: 7 }, reason: 'close' }])
  })

  it('does so once, however often it is told', async () => {
    const trail = createTrail()
    const { engine } = await openLab({ plugins: [actor('a', { config: { trail } })] })
    await Promise.all([engine.close(), engine.close(), engine.shutdown()])
    await engine.close()
    await engine[Symbol.asyncDispose]()
    expect(readTrail(trail)).toEqual(['a setup', 'a onShutdown', 'a destroy'])
  })

  it('answers everything afterwards with ENGINE_CLOSED or with nothing to do', async () => {
    const { engine, hooks, said, heard } = await openLab({ plugins: [actor('a')] })
    await engine.close()
    for (const hookpoint of ['onGate', 'onParallel', 'onTransform', 'onRespond'] as const) {
      expect(await refusalOf(hooks[hookpoint]({}))).toMatchObject({ code: 'ENGINE_CLOSED', hookpoint })
    }
    hooks.onObserve({})
    await heard('error')
    expect(said.error).toMatchObject([{ code: 'ENGINE_CLOSED' }])
    expect(await refusalOf(engine.add(actor('b')))).toMatchObject({ code: 'ENGINE_CLOSED' })
    expect(await refusalOf(engine.remove('a'))).toMatchObject({ code: 'ENGINE_CLOSED' })
    expect(await refusalOf(engine.reload('a'))).toMatchObject({ code: 'ENGINE_CLOSED' })
    await engine.flush()
    await engine.shutdown()
  })

  it('while a plugin is being added ends that one too', async () => {
    const trail = createTrail()
    const { engine } = await openLab({ plugins: [actor('a', { config: { trail } })] })
    const adding = engine.add(actor('b', { bulkhead: 'b', config: { trail, setup: 'waits 100' } })).then(
      () => 'added',
      (error: HookringError) => error.code,
    )
    await until('its setup', () => readTrail(trail).includes('b setup'))
    await engine.close()
    expect(['added', 'ENGINE_CLOSED']).toContain(await adding)
    const lived = readTrail(trail)
    for (const name of ['a', 'b']) expect(lived.filter((line) => line === `${name} destroy`)).toHaveLength(1)
  })
})
