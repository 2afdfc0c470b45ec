import { createHookEngine } from 'hookring'
import { describe, expect, it, onTestFinished } from 'vitest'
import { lab } from '../fixtures/lab/contract.mjs'
import { pluginFile } from '../support/broken-plugins.js'
import { actor, createTrail, openLab, readTrail, until } from '../support/lab.js'

describe('log lines of plugins', () => {
  it('reach the host’s logger with level, fields and name', async () => {
    const from = pluginFile(`export default definePlugin(lab, { name: 'talker', setup({ log }) {
      log.debug('setting up')
      return {
        onGate(event, ctx) {
          ctx.log.info('info', { id: event.id, nested: { list: [1, 'two'] }, none: undefined })
          ctx.log.warn('warn', { big: 5n, when: new Date(0), error: new RangeError('inner'), run() {} })
          const cycle = {}
          cycle.self = cycle
          ctx.log.error('error', { cycle, get bad() { return Symbol('bad') } })
          ctx.log.info('x'.repeat(100_000), { long: 'y'.repeat(100_000) })
          ctx.log.info({ not: 'a string' })
        },
      }
    } })`)
    const { hooks, lines, line } = await openLab({ plugins: [{ from }] })
    await hooks.onGate({ id: 7 })
    await line(({ message }) => message.includes('not'))
    const own = lines.filter(({ fields }) => fields.plugin === 'talker')
    expect(own.map(({ level }) => level)).toEqual(['debug', 'info', 'warn', 'error', 'info', 'info'])
    const [, info, warn, error, long] = own
    expect(info).toEqual({
      level: 'info',
      message: 'info',
      fields: { plugin: 'talker', bulkhead: 'trusted', id: 7, nested: { list: [1, 'two'] }, none: undefined },
    })
    expect(warn?.fields).toMatchObject({
      big: '5',
      when: '1970-01-01T00:00:00.000Z',
      error: expect.stringContaining('RangeError: inner'),
    })
    expect(error?.fields).toMatchObject({
      cycle: expect.stringContaining('Circular'),
      bad: expect.stringContaining('Symbol'),
    })
    expect(long?.message.length).toBeLessThan(10_000)
    expect(long?.message).toContain('100000 characters')
  })

  it('are what plugins print, too', async () => {
    const { hooks, line } = await openLab({ plugins: [actor('a'), actor('b')] })
    const printed: readonly (readonly [string, string])[] = [
      ['console', 'info'],
      ['warn', 'warn'],
      ['stdout', 'info'],
      ['stderr', 'error'],
    ]
    for (const [how, level] of printed) {
      for (const plugin of ['a', 'b']) {
        await hooks.onGate({ acts: { [plugin]: `prints ${how} by ${plugin} to ${how}` } })
        expect(await line(({ message }) => message === `by ${plugin} to ${how}`)).toMatchObject({
          level,
          fields: { plugin },
        })
      }
    }
  })

  it('have the right name after an await, with several plugins in a lane', async () => {
    const { hooks, line } = await openLab({
      plugins: [actor('a', { timeoutMs: 5_000 }), actor('b', { timeoutMs: 5_000 })],
    })
    // The first time tells the lane that these hooks are async.
    await hooks.onGate({ acts: { a: 'later', b: 'later' } })
    await Promise.all(
      Array.from({ length: 10 }, (_, id) =>
        hooks.onGate({ id, acts: { a: `waits 5 prints console a ${id}`, b: `waits 3 prints console b ${id}` } }),
      ),
    )
    for (const plugin of ['a', 'b']) {
      for (let id = 0; id < 10; id += 1)
        expect(await line(({ message }) => message === `${plugin} ${id}`)).toMatchObject({ fields: { plugin } })
    }
  })

  it('arrive although their lane has gone to sleep', async () => {
    const { hooks, line } = await openLab({ wait: 'park', plugins: [actor('a'), actor('b'), actor('c')] })
    await hooks.onGate({ acts: { a: 'tells one', b: 'tells two', c: 'tells three' } })
    for (const message of ['one', 'two', 'three']) await line((logged) => logged.message === message)
  })

  it('are dropped when there are too many, and the dropped ones counted', async () => {
    const { hooks, lines, metric } = await openLab({ hangMs: 10_000, plugins: [actor('a', { timeoutMs: 10_000 })] })
    const flood = 20_000
    await hooks.onGate({ acts: { a: `prints flood ${flood}` } })
    const printed = () => lines.filter(({ message }) => /^line \d+$/.test(message)).length
    await until('all to be accounted for', async () => printed() + (await metric('log_lines_dropped_total')) === flood)
    expect(printed()).toBeLessThan(flood / 2)
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'log lines of plugins were dropped' }),
    )
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
  })

  it('that the logger throws at harm nobody', async () => {
    const refuse = () => {
      throw new Error('disk full')
    }
    const engine = await createHookEngine({
      contract: lab,
      logger: { debug: refuse, info: refuse, warn: refuse, error: refuse },
      plugins: [actor('a')],
    })
    onTestFinished(() => engine.close())
    for (let id = 0; id < 3; id += 1)
      expect(await engine.hooks.onGate({ acts: { a: 'tells x' } })).toEqual({ kind: 'continue' })
  })
})

describe('ctx', () => {
  it('has the caller’s trace id, in every hop, also after waiting', async () => {
    const trail = createTrail()
    const traceId = 'trace-é-'.repeat(20)
    const { hooks, engine } = await openLab({
      hangMs: 5_000,
      plugins: [
        actor('a', { timeoutMs: 5_000, limits: { slots: 1 }, config: { trail } }),
        actor('b', { bulkhead: 'b', timeoutMs: 5_000, config: { trail } }),
      ],
    })
    const acts = { a: 'context trace', b: 'context trace' }
    const busy = hooks.onGate({ id: 1, acts: { a: 'blocks 50' } })
    const short = traceId.slice(0, 30)
    hooks.onObserve({ id: 2, acts }, { traceId: short })
    await Promise.all([
      busy,
      hooks.onTransform({ id: 3, acts: { a: 'marks', b: 'context trace' } }, { traceId: short }),
      hooks.onGate({ id: 4, acts }),
    ])
    await engine.flush()
    const lines = readTrail(trail)
    for (const line of [`a 2 ${short}`, `b 2 ${short}`, `b 3 ${short}`, 'a 4 undefined', 'b 4 undefined'])
      expect(lines).toContain(line)
  })

  it('has the time that is left', async () => {
    const trail = createTrail()
    const { hooks, engine } = await openLab({
      plugins: [actor('a', { timeoutMs: 5_000, config: { trail } }), actor('b', { timeoutMs: 300, config: { trail } })],
    })
    await hooks.onGate({ id: 1, acts: { a: 'context deadline', b: 'context deadline' } })
    await hooks.onGate({ id: 2, acts: { a: 'context deadline' } }, { timeoutMs: 1_000 })
    hooks.onObserve({ id: 3, acts: { a: 'context deadline' } })
    await engine.flush()
    const left = (prefix: string) =>
      Number(
        readTrail(trail)
          .find((line) => line.startsWith(prefix) && line.split(' ').length === 3)
          ?.split(' ')[2],
      )
    const about = (value: number, ms: number) => {
      expect(value).toBeLessThanOrEqual(ms + 1)
      expect(value).toBeGreaterThan(ms - 250)
    }
    about(left('a 1 '), 5_000)
    about(left('b 1 '), 300)
    about(left('a 2 '), 1_000)
    about(left('a 3 '), 5_000)
  })

  it('has the plugin’s registered name and parsed config', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: [actor('renamed', { config: { trail, version: 'v7' } })] })
    await hooks.onGate({ id: 1, acts: { renamed: 'context plugin' } })
    await hooks.onGate({ id: 2, acts: { renamed: 'context version' } })
    expect(readTrail(trail)).toEqual(expect.arrayContaining(['renamed 1 renamed', 'renamed 2 v7']))
  })
})
