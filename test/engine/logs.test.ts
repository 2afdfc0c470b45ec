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

  it('come out of the console as Node.js prints them', async () => {
    const from = pluginFile(`export default definePlugin(lab, { name: 'prints', setup: () => ({ onGate() {
      console.table([{ a: 1, b: 'two' }])
      console.group('outer')
      console.warn('inner')
      console.groupEnd()
      console.dir({ deep: { deeper: { deepest: { end: 1 } } } }, { depth: 0 })
      console.assert(false, 'wrong')
      console.error(new Error('with a stack').stack)
      console.debug('%s is %d', 'x', 1)
    } }) })`)
    const { hooks, lines, line } = await openLab({ plugins: [{ from }] })
    await hooks.onGate({})
    await line(({ message }) => message === 'x is 1')
    const own = lines.filter(({ fields }) => fields.plugin === 'prints')
    expect(own.map(({ level }) => level)).toEqual(['info', 'info', 'warn', 'info', 'warn', 'error', 'debug'])
    const [table, , inner, dir, assertion, stack] = own.map(({ message }) => message)
    expect(table).toMatch(/│ +0 +│ +1 +│ 'two' │/)
    expect(table?.split('\n').length).toBeGreaterThan(3)
    expect(inner).toBe('  inner')
    expect(dir).toBe('{ deep: [Object] }')
    expect(assertion).toBe('Assertion failed: wrong')
    expect(stack).toMatch(/with a stack\n +at /)
  })

  it('are whole when they are written in pieces, and end where nothing more comes', async () => {
    const from = pluginFile(`export default definePlugin(lab, { name: 'writes', setup: () => ({ async onGate() {
      process.stdout.write('one ')
      await null
      process.stdout.write('line\\nand another\\n\\nan end')
    } }) })`)
    const { hooks, lines, line } = await openLab({ plugins: [{ from }] })
    await hooks.onGate({})
    await line(({ message }) => message === 'an end')
    expect(lines.map(({ message }) => message)).toEqual(['one line', 'and another', 'an end'])
  })

  it('keep their fields apart from those of the logger', async () => {
    const from = pluginFile(`export default definePlugin(lab, { name: 'forger', setup: () => ({ onGate(event, { log }) {
      log.info('forged', { level: 60, time: 0, msg: 'x', pid: 1, plugin: 'other', bulkhead: 'other', ['__proto__']: 1, own: 2 })
    } }) })`)
    const { hooks, line } = await openLab({ plugins: [{ from }] })
    await hooks.onGate({})
    const { fields } = await line(({ message }) => message === 'forged')
    expect(Object.entries(fields).sort()).toEqual([
      ['bulkhead', 'trusted'],
      ['field___proto__', 1],
      ['field_bulkhead', 'other'],
      ['field_level', 60],
      ['field_msg', 'x'],
      ['field_pid', 1],
      ['field_plugin', 'other'],
      ['field_time', 0],
      ['own', 2],
      ['plugin', 'forger'],
    ])
  })

  it('are small records by the time that they leave', async () => {
    const from =
      pluginFile(`export default definePlugin(lab, { name: 'hoarder', setup: () => ({ onGate(event, { log }) {
      let deep = 1
      for (let i = 0; i < 1000; i++) deep = [deep]
      log.info('deep', { deep })
      log.info('wide', Object.fromEntries(Array.from({ length: 1000 }, (_, i) => ['k' + i, i])))
      log.info('long', { a: 'x'.repeat(7000), b: 'x'.repeat(7000), c: 'x'.repeat(7000), ['k'.repeat(1e6)]: 1 })
    } }) })`)
    const { hooks, line } = await openLab({ plugins: [{ from }] })
    await hooks.onGate({})
    const fieldsOf = async (message: string) => (await line((logged) => logged.message === message)).fields
    expect(typeof (await fieldsOf('deep')).deep).toBe('string')
    const wide = await fieldsOf('wide')
    expect(wide).toMatchObject({ k31: 31, skippedFields: 968 })
    expect(Object.keys(wide)).toHaveLength(32 + 1 + 2)
    expect(Object.keys(await fieldsOf('long')).sort()).toEqual(['a', 'b', 'bulkhead', 'plugin', 'skippedFields'])
  })

  it('tell with its stack what a hook threw, and not at every call', async () => {
    const from = pluginFile(`export default definePlugin(lab, { name: 'broken', setup: () => ({
      onGate() { inner() },
      async onTransform() { inner() },
    }) })
    function inner() { throw new TypeError('broken inside') }`)
    const { hooks, lines, line } = await openLab({ plugins: [{ from }] })
    for (let i = 0; i < 50; i += 1) await hooks.onGate({})
    const told = await line(({ message }) => message === 'onGate threw: TypeError: broken inside')
    expect(told).toMatchObject({ level: 'warn', fields: { plugin: 'broken', hookpoint: 'onGate' } })
    expect(told.fields.stack).toMatch(/TypeError: broken inside\n +at inner \(.*plugin-\d+\.mjs:\d+:\d+\)/)
    await hooks.onTransform({})
    expect(lines.filter(({ message }) => message.includes('threw')).length).toBeLessThan(20)
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
