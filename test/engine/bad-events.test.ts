import { inspect } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { actor, openLab, refusalOf } from '../support/lab.js'

describe('an event', () => {
  const huge = 'x'.repeat(5_000)
  const cases: readonly (readonly [what: string, event: unknown, code: string, at: string])[] = [
    ['is a string', 'event', 'EVENT_INVALID', 'onGate'],
    ['is null', null, 'EVENT_INVALID', 'onGate'],
    ['is undefined', undefined, 'EVENT_INVALID', 'onGate'],
    ['is a list', [], 'EVENT_INVALID', 'onGate'],
    ['has a number below its range', { id: -1 }, 'EVENT_INVALID', 'id'],
    ['has a number above its range', { id: 2 ** 32 }, 'EVENT_INVALID', 'id'],
    ['has half a number', { id: 1.5 }, 'EVENT_INVALID', 'id'],
    ['has a number in words', { id: '1' }, 'EVENT_INVALID', 'id'],
    ['has a string that is none', { text: 5 }, 'EVENT_INVALID', 'text'],
    ['has bytes that are none', { blob: [1, 2] }, 'EVENT_INVALID', 'blob'],
    ['has a wrong value in a record', { acts: { a: 1 } }, 'EVENT_INVALID', 'acts.a'],
    ['has a field that only the schema refuses', { even: 3 }, 'EVENT_INVALID', 'even'],
    [
      'throws when it is read',
      {
        get text(): string {
          throw new RangeError('no')
        },
      },
      'EVENT_INVALID',
      'onGate',
    ],
    ['has a string that is too long', { text: huge }, 'EVENT_TOO_LARGE', 'maxEventBytes is 2048'],
    ['has bytes that are too many', { blob: Buffer.alloc(5_000) }, 'EVENT_TOO_LARGE', 'maxEventBytes is 2048'],
    [
      'is too large as a whole',
      { text: 'x'.repeat(1_100), key: 'x'.repeat(1_100) },
      'EVENT_TOO_LARGE',
      'maxEventBytes is 2048',
    ],
  ]
  // One engine for all: none of them may leave anything taken.
  let shared: ReturnType<typeof openLab> | undefined
  const opened = () =>
    (shared ??= openLab(
      { maxEventBytes: 2048, limits: { slots: 2 }, plugins: [actor('a'), actor('b', { bulkhead: 'b' })] },
      { keep: true },
    ))

  it.each(cases)('that %s is refused at the call', async (_, event, code, at) => {
    const { hooks } = await opened()
    const refusal = await refusalOf(hooks.onGate(event as never))
    expect(refusal).toMatchObject({ name: 'HookringError', code, message: expect.stringContaining(at) })
    expect(refusal.message).toContain('onGate')
    expect(await refusalOf(hooks.onParallel(event as never))).toMatchObject({ code })
    expect(await refusalOf(hooks.onRespond(event as never))).toMatchObject({ code })
  })

  it.each(cases)('that %s is reported, once, when it is an observation', async (_, event, code) => {
    const { hooks, said, heard } = await opened()
    said.error.length = 0
    expect(hooks.onObserve(event as never)).toBeUndefined()
    await heard('error')
    await new Promise((resolve) => setImmediate(resolve))
    expect(said.error).toMatchObject([{ code, message: expect.stringContaining('onObserve') }])
  })

  it('that was refused has cost nothing', async () => {
    const { hooks, metric, engine } = await opened()
    for (let round = 0; round < 2_000; round += 1) await hooks.onGate({ id: 1, text: 5 as never }).catch(() => {})
    for (let round = 0; round < 100; round += 1) await hooks.onGate({ text: huge }).catch(() => {})
    expect(
      await hooks.onTransform({ text: 'fine', blob: Buffer.alloc(500), acts: { a: 'marks', b: 'marks' } }),
    ).toMatchObject({ event: { text: 'fine+a+b' } })
    await engine.flush()
    expect([await metric('in_flight'), await metric('queue_depth')]).toEqual([0, 0])
    await engine.close()
  })

  it('takes no more than maxEventBytes, in whole words, whatever room it is given', async () => {
    const rests: number[] = []
    for (const maxEventBytes of [128, 100, 127, 129, 201, 1_001]) {
      const { engine, hooks } = await openLab({ maxEventBytes, plugins: [actor('a')] })
      const fits = (bytes: number): Promise<boolean> =>
        hooks.onGate({ text: 'x'.repeat(bytes) }).then(
          ({ kind }) => kind === 'continue',
          ({ code }) => code !== 'EVENT_TOO_LARGE',
        )
      let least = 0
      let most = maxEventBytes
      while (most - least > 1) {
        const middle = (least + most) >> 1
        if (await fits(middle)) least = middle
        else most = middle
      }
      rests.push(maxEventBytes - least)
      await engine.close()
    }
    const [fixedBytes] = rests as [number]
    for (const rest of rests) {
      expect(rest).toBeGreaterThanOrEqual(fixedBytes)
      expect(rest).toBeLessThan(fixedBytes + 8)
    }
  })

  it('of the largest size crosses, there and back', async () => {
    const { hooks } = await openLab({ plugins: [actor('a', { timeoutMs: 5_000 })] })
    const blob = Buffer.alloc(1024 * 1024 - 4096, 7)
    const verdicts = await Promise.all(
      Array.from({ length: 8 }, () => hooks.onTransform({ blob, acts: { a: 'marks' } })),
    )
    for (const verdict of verdicts) {
      if (verdict.kind !== 'replace') throw new Error(JSON.stringify(verdict))
      expect(verdict.event.text).toBe('+a')
      expect(blob.equals(verdict.event.blob as Uint8Array)).toBe(true)
    }
  })

  it('whose getters make calls of their own is as good as any, each of them', async () => {
    const { hooks } = await openLab({ plugins: [actor('a', { timeoutMs: 5_000 })] })
    const inner: unknown[] = []
    const nested = (depth: number): object => ({
      id: depth,
      get text() {
        if (depth < 3) inner.push(hooks.onGate(nested(depth + 1)))
        return `level ${depth}`
      },
      acts: { a: 'shows' },
    })
    expect(await hooks.onGate(nested(0))).toMatchObject({ reason: 'a saw "level 0"' })
    const reasons = (await Promise.all(inner)).map((verdict) => (verdict as { reason: string }).reason)
    expect(new Set(reasons)).toEqual(new Set(['a saw "level 1"', 'a saw "level 2"', 'a saw "level 3"']))
  })

  it('by whoever looks for names in the hooks finds nothing that is not there', async () => {
    const { engine, hooks } = await openLab()
    for (const value of [engine, hooks, { hooks }]) expect(() => inspect(value, { depth: 5 })).not.toThrow()
    expect(inspect(hooks)).toContain('onGate')
    expect(`${hooks} ${JSON.stringify(hooks)}`).toBe('[object Object] {}')
    expect(await hooks).toBe(hooks)
    const asked = hooks as unknown as Record<string | symbol, unknown>
    for (const name of ['then', 'getter', 'asymmetricMatch', 'nodeType', 'on', 'onModuleInit', Symbol.toStringTag]) {
      expect(asked[name], String(name)).toBeUndefined()
    }
    // A server's tests may spy on a hook.
    const spied = vi.spyOn(hooks, 'onGate')
    await hooks.onGate({})
    expect(spied).toHaveBeenCalledOnce()
  })

  it('to a hookpoint that the contract does not have is refused by name', async () => {
    const { hooks } = await openLab()
    expect(() => (hooks as unknown as { onGatee(event: object): void }).onGatee({})).toThrow(
      expect.objectContaining({
        code: 'HOOKPOINT_UNKNOWN',
        hookpoint: 'onGatee',
        message: expect.stringContaining('onGate, onParallel'),
      }),
    )
  })
})
