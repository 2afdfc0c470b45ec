/** Plugins in QuickJS that mean harm, or know no better: what they do stays theirs, and their lane serves on. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { actor, fixture, type Lab, type LabOptions, openLab, until } from '../support/lab.js'

const guest = (name: string, options: object = {}) => ({
  from: fixture('quickjs/actor.mjs'),
  name,
  trust: 'untrusted' as const,
  ...options,
})

const open = (options: LabOptions = {}) => openLab({ plugins: [guest('guest', { timeoutMs: 100 })], ...options })
const asks = (act: string) => ({ text: 'e', acts: { guest: act } })

/** One lane for all tests of a group: each finds it as the one before has left it, which is what they show. */
function useOne(options: object): () => Lab {
  let lab: Lab | undefined
  beforeAll(async () => {
    lab = await openLab({ plugins: [guest('guest', options)] }, { keep: true })
  })
  afterAll(() => lab?.engine.close())
  return () => lab as Lab
}

/** How often the plugin remembers to have been called. */
async function calls({ hooks }: Lab): Promise<number> {
  const verdict = await hooks.onGate(asks('counts'))
  return 'reason' in verdict ? Number(verdict.reason.replace('call ', '')) : Number.NaN
}

describe('a hook that does not come back', () => {
  const lab = useOne({ timeoutMs: 100 })

  test.each([
    ['loops', 'loops'],
    ['loops in a promise', 'loops in a promise'],
    ['loops after a microtask', 'later loops'],
    ['searches with a regular expression', 'evaluates /(a+)+$/.test("a".repeat(60) + "b")'],
    ['sorts for ever', 'evaluates [2, 1].sort(() => { for (;;); })'],
    ['reads a getter that loops', 'evaluates ({ get x() { for (;;); } }).x'],
    ['loops in toJSON', 'evaluates JSON.stringify({ toJSON() { for (;;); } })'],
    ['generates for ever', 'evaluates [...(function* () { for (;;) yield 1 })()].length'],
    ['catches its own stop', 'evaluates (() => { for (;;) { try { for (;;); } finally { continue } } })()'],
  ])('is stopped at its deadline, and its lane serves on: %s', async (_, act) => {
    const before = await calls(lab())
    const verdict = await lab().hooks.onGate(asks(act))
    expect(verdict).toMatchObject({ kind: 'reject', failure: { kind: 'timeout', plugin: 'guest' } })
    expect(await lab().hooks.onGate(asks('shows'))).toMatchObject({ reason: 'guest saw "e"' })
    // What it remembered is still there: neither the lane nor the VM was replaced.
    expect(await calls(lab())).toBe(before + 3)
    expect(lab().said.laneReplaced).toEqual([])
  })

  test('in a job that it leaves behind, its neighbours in other bulkheads are asked all the while', async () => {
    const { hooks, said } = await openLab({ plugins: [guest('guest', { timeoutMs: 300 }), actor('other')] })
    expect(await hooks.onGate(asks('loops in a job'))).toMatchObject({ kind: 'continue' })
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => hooks.onGate({ text: 'e', acts: { other: 'rejects no' } })),
    )
    expect(new Set(answers.map((verdict) => ('reason' in verdict ? verdict.reason : verdict.kind)))).toContain('no')
    expect(await hooks.onGate(asks('counts'))).toMatchObject({ kind: 'reject' })
    expect(said.laneReplaced).toEqual([])
  })
})

describe('a hook that takes all there is', () => {
  const lab = useOne({ timeoutMs: 5_000, limits: { memoryMb: 16 } })

  test.each([
    ['the stack', 'recurses'],
    ['one huge array', 'evaluates new Array(5e7).fill(1.1).length'],
    ['one huge buffer', 'evaluates new ArrayBuffer(2 ** 31).byteLength'],
    ['one huge string', 'evaluates "x".repeat(2 ** 29).length'],
    ['a huge bigint', 'evaluates (() => { let n = 2n; for (;;) n *= n })()'],
    ['text nested deeply', 'evaluates JSON.parse("[".repeat(200000) + "]".repeat(200000))'],
  ])('fails by itself, and its lane serves on: %s', async (_, act) => {
    const before = await calls(lab())
    const verdict = await lab().hooks.onGate(asks(act))
    expect(verdict).toMatchObject({ kind: 'reject', failure: { kind: 'error', plugin: 'guest' } })
    expect(await calls(lab())).toBe(before + 2)
    expect(lab().said.laneReplaced).toEqual([])
  })

  test('its memory is given back when it throws, and what it remembers is kept', async () => {
    const { hooks, said } = await open({ plugins: [guest('guest', { timeoutMs: 5_000, limits: { memoryMb: 16 } })] })
    expect(await hooks.onGate(asks('hoards'))).toMatchObject({ failure: { kind: 'error', plugin: 'guest' } })
    expect(await hooks.onGate(asks('counts'))).toMatchObject({ reason: 'call 2' })
    expect(said.laneReplaced).toEqual([])
  })

  test('its VM is started anew when it keeps the memory, and the lane is the same', async () => {
    const lab = await open({ plugins: [guest('guest', { timeoutMs: 5_000, limits: { memoryMb: 16 } })] })
    const { hooks, said } = lab
    expect(await hooks.onGate(asks('hoards for good'))).toMatchObject({ failure: { kind: 'error' } })
    await lab.line(({ message }) => /VM was given up.*out of memory/.test(message))
    expect(await hooks.onGate(asks('counts'))).toMatchObject({ reason: 'call 1' })
    await lab.line(({ message }) => message === 'its VM was started anew, and set up')
    expect(said.laneReplaced).toEqual([])
  })

  test('a VM whose setup waits for a timer is set up anew as well, and calls fail until it is', async () => {
    const options = { timeoutMs: 5_000, limits: { memoryMb: 16 }, config: { setupMs: 200 } }
    const lab = await open({ plugins: [guest('guest', options)] })
    const { hooks, said } = lab
    // More than once: what was waited for the first time must not be taken for the second time's.
    for (let time = 1; time <= 2; time += 1) {
      expect(await hooks.onGate(asks('hoards for good'))).toMatchObject({ failure: { kind: 'error' } })
      await until('a VM that is being set up', async () => {
        const { failure } = await hooks.onGate(asks('counts'))
        return /being set up anew/.test(failure?.message ?? '')
      })
      const isSetUp = () => lab.lines.filter(({ message }) => message === 'its VM was started anew, and set up')
      await until('its setup', () => isSetUp().length === time)
      expect(await hooks.onGate(asks('counts'))).toMatchObject({ reason: 'call 1' })
    }
    expect(said.laneReplaced).toEqual([])
  })

  test('a VM that is being set up anew when its plugin is removed holds nothing up', async () => {
    const options = { timeoutMs: 5_000, limits: { memoryMb: 16 }, config: { setupMs: 400 } }
    const { hooks, engine } = await open({ plugins: [guest('guest', options)] })
    await hooks.onGate(asks('hoards for good'))
    await until('a VM that is being set up', async () => {
      const { failure } = await hooks.onGate(asks('counts'))
      return /being set up anew/.test(failure?.message ?? '')
    })
    await engine.remove('guest')
    expect(engine.plugins).toEqual([])
  })

  test('a VM that is broken again and again rests', async () => {
    const { hooks, said } = await open({
      plugins: [guest('guest', { timeoutMs: 5_000, limits: { memoryMb: 16 } })],
    })
    const rests = /started anew 5 times within a minute/
    let message = ''
    // A VM that has not started yet fails calls as well, so their number says nothing.
    while (!rests.test(message)) {
      const { failure } = await hooks.onGate(asks('hoards for good'))
      expect(failure).toMatchObject({ kind: 'error', plugin: 'guest' })
      message = failure?.message ?? ''
    }
    expect(await hooks.onGate(asks('counts'))).toMatchObject({ failure: { message: expect.stringMatching(rests) } })
    expect(said.laneReplaced).toEqual([])
  })

  test('the thread’s own stack, which no limit of the VM guards, costs it its VM at the most', async () => {
    const { hooks, said } = await open({ plugins: [guest('guest', { timeoutMs: 5_000 })] })
    const act = 'evaluates eval("(".repeat(100000) + ")".repeat(100000))'
    expect(await hooks.onGate(asks(act))).toMatchObject({ failure: { kind: 'error', plugin: 'guest' } })
    expect(await hooks.onGate(asks('counts'))).toMatchObject({ reason: expect.stringMatching(/^call [12]$/) })
    expect(said.laneReplaced).toEqual([])
  })

  test('a builtin that cannot be interrupted costs it its lane, and nothing else', async () => {
    const lab = await openLab({ plugins: [guest('guest', { timeoutMs: 100 }), actor('other')], hangMs: 100 })
    const act = 'evaluates [].indexOf.call({ length: 2 ** 53 - 1 }, 1)'
    expect(await lab.hooks.onGate(asks(act))).toMatchObject({ failure: { kind: 'timeout', plugin: 'guest' } })
    await lab.heard('laneReplaced')
    expect(lab.said.laneReplaced).toMatchObject([{ reason: 'hang', plugin: 'guest' }])
    expect(await lab.hooks.onGate(asks('counts'))).toMatchObject({ reason: 'call 1' })
    expect(lab.said.zombie).toEqual([])
  })

  test('a flood of microtasks does not keep a verdict back, nor later calls', async () => {
    const { hooks, said } = await open()
    expect(await hooks.onGate(asks('floods'))).toMatchObject({ kind: 'continue' })
    expect(await hooks.onGate(asks('shows'))).toMatchObject({ reason: 'guest saw "e"' })
    expect(await hooks.onGate(asks('floods later rejects no'))).toMatchObject({ reason: 'no' })
    expect(said.laneReplaced).toEqual([])
  })

  test('a flood of log lines is cut, and says how much was lost', async () => {
    const lab = await open({ plugins: [guest('guest', { timeoutMs: 5_000 })] })
    await lab.hooks.onGate(asks('evaluates for (let i = 0; i < 20000; i++) console.log("line " + i)'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    await lab.hooks.onGate(asks('evaluates console.log("the last")'))
    await lab.line(({ message }) => /^\d+ lines were dropped/.test(message))
    expect(lab.lines.length).toBeLessThan(2_500)
  })

  test('setup that does not come back is refused, with the time it was given', async () => {
    const refused = openLab({ plugins: [guest('guest', { config: { setup: 'loops' } })] })
    await expect(refused).rejects.toMatchObject({ code: 'PLUGIN_SETUP_TIMEOUT', message: /guest.*5000 ms/ })
  }, 15_000)
})

describe('what is within reach', () => {
  test('there is nothing but JavaScript, and some of what the web has', async () => {
    const { hooks } = await open()
    const typesOf = async (names: readonly string[]) => {
      const verdict = await hooks.onGate(asks(`evaluates [${names.map((name) => `typeof ${name}`)}].join()`))
      return 'reason' in verdict ? verdict.reason.split(',') : []
    }
    const absent = [
      'process',
      'require',
      'module',
      'std',
      'os',
      'WebAssembly',
      'Worker',
      'fetch',
      'bjson',
      'scriptArgs',
    ]
    expect(new Set(await typesOf(absent))).toEqual(new Set(['undefined']))
    const present = ['console.log', 'setTimeout', 'clearTimeout', 'setInterval', 'TextDecoder', 'queueMicrotask']
    expect(new Set(await typesOf(present))).toEqual(new Set(['function']))
  })

  test('code that it makes at run time has no more', async () => {
    const { hooks } = await open()
    const imports = 'verdict import("node:fs").then(() => reject("imported"), () => reject("refused"))'
    expect(await hooks.onGate(asks(imports))).toMatchObject({ reason: 'refused' })
    const builds = 'evaluates console.log.constructor("return typeof process")()'
    expect(await hooks.onGate(asks(builds))).toMatchObject({ reason: 'undefined' })
  })

  test('two plugins do not see each other, though they share a bulkhead', async () => {
    const plugins = [guest('one', { bulkhead: 'both' }), guest('two', { bulkhead: 'both' })]
    const { hooks } = await openLab({ plugins })
    const act = 'evaluates globalThis.left = "by one"; Object.prototype.left = "by one"; "left"'
    expect(await hooks.onGate({ acts: { one: act } })).toMatchObject({ reason: 'left' })
    expect(await hooks.onGate({ acts: { one: 'evaluates globalThis.left' } })).toMatchObject({ reason: 'by one' })
    const other = { acts: { two: 'evaluates String(globalThis.left) + String({}.left)' } }
    expect(await hooks.onGate(other)).toMatchObject({ reason: 'undefinedundefined' })
  })
})

describe('a verdict', () => {
  const lab = useOne({ timeoutMs: 5_000 })

  test.each([
    ['replaced JSON.stringify', 'JSON.stringify = () => "[6]"'],
    ['a toJSON for all', 'Object.prototype.toJSON = String.prototype.toJSON = () => ({ text: "polluted" })'],
    ['replaced array methods', 'Array.prototype.map = Array.prototype.push = Array.prototype.join = () => "polluted"'],
    ['a setter on arrays', 'Object.defineProperty(Array.prototype, "0", { set() {}, configurable: true })'],
    [
      'replaced Reflect and call',
      'Reflect.apply = Function.prototype.call = Function.prototype.apply = () => "polluted"',
    ],
    ['a replaced iterator', 'Array.prototype[Symbol.iterator] = function* () { yield "polluted" }'],
    ['replaced Object.keys', 'Object.keys = Reflect.ownKeys = () => []'],
    ['replaced Promise.then', 'Promise.prototype.then = Promise.resolve = () => "polluted"'],
  ])('is what the hook returned, whatever was done to the prototypes: %s', async (_, pollution) => {
    const { hooks } = await open()
    await hooks.onGate(asks(`evaluates ${pollution}; "done"`))
    expect(await hooks.onTransform(asks('verdict replace({ id: 1, text: "mine", acts: {} })'))).toMatchObject({
      kind: 'replace',
      event: { id: 1, text: 'mine' },
    })
    expect(await hooks.onRespond(asks('verdict ({ text: "mine" })'))).toMatchObject({
      kind: 'respond',
      value: { text: 'mine' },
    })
    expect(await hooks.onGate(asks('rejects no'))).toMatchObject({ reason: 'no' })
  })

  test.each([
    ['a getter that throws', 'verdict replace({ get text() { throw new Error("no") } })', 'error'],
    ['a Proxy that throws', 'verdict replace(new Proxy({}, { ownKeys() { throw new Error("no") } }))', 'error'],
    [
      'a Proxy without end',
      'verdict replace(new Proxy({}, { ownKeys: () => ["a"], getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }), get: (t, k, r) => r }))',
      'invalid',
    ],
    ['a cycle', 'verdict (() => { const a = {}; a.a = a; return replace(a) })()', 'invalid'],
    ['a huge string', 'verdict replace({ text: "x".repeat(4_000_000) })', 'invalid'],
    ['a huge array', 'verdict replace({ text: new Array(1_000_000).fill("x") })', 'invalid'],
    ['an array of a length that it has not', 'verdict replace({ text: new Array(2 ** 32 - 1) })', 'invalid'],
    ['bytes without end', 'verdict replace({ blob: new Uint8Array(8_000_000) })', 'invalid'],
    ['a function', 'verdict replace(() => {})', 'invalid'],
  ])('that cannot be read fails, and the lane serves on: %s', async (_, act, failure) => {
    const { hooks, said } = lab()
    expect(await hooks.onTransform(asks(act))).toMatchObject({ kind: 'reject', failure: { kind: failure } })
    expect(await hooks.onTransform(asks('marks'))).toMatchObject({ kind: 'replace', event: { text: 'e+guest' } })
    expect(said.laneReplaced).toEqual([])
  })

  test('a huge reason arrives, cut to what there is room for', async () => {
    const verdict = await lab().hooks.onGate(asks('verdict reject("x".repeat(5_000_000))'))
    expect(verdict).toMatchObject({ kind: 'reject', plugin: 'guest' })
    expect('reason' in verdict && verdict.reason.length).toBeLessThan(1_000)
  })

  test('a thenable that is no promise is waited for like one, once', async () => {
    const { hooks } = await open()
    expect(
      await hooks.onGate(asks('verdict ({ then(done) { done(reject("one")); done(reject("two")) } })')),
    ).toMatchObject({
      reason: 'one',
    })
    expect(await hooks.onGate(asks('verdict ({ then() { throw new TypeError("no") } })'))).toMatchObject({
      failure: { kind: 'error' },
    })
    const nested = await hooks.onRespond(asks('verdict ({ text: "t", then: 5 })'))
    expect(nested).toMatchObject({ kind: 'respond', value: { text: 't' } })
  })
})

describe('a plugin in QuickJS', () => {
  test('keeps what it remembers from call to call', async () => {
    const { hooks } = await open()
    for (const count of [1, 2, 3]) expect(await hooks.onGate(asks('counts'))).toMatchObject({ reason: `call ${count}` })
  })

  test('waits for a timer, and another call is served meanwhile', async () => {
    const { hooks } = await open({ plugins: [guest('guest', { timeoutMs: 5_000 })] })
    const slow = hooks.onGate(asks('sleeps 50 rejects slow'))
    expect(await hooks.onGate(asks('rejects quick'))).toMatchObject({ reason: 'quick' })
    expect(await slow).toMatchObject({ reason: 'slow' })
  })

  test('hears of the caller who gives up, and of the deadline', async () => {
    const lab = await open()
    const late = await lab.hooks.onGate(asks('listens'))
    expect(late).toMatchObject({ failure: { kind: 'timeout' } })
    await lab.line(({ message, fields }) => message === 'heard' && fields.reason === 'TimeoutError')
    const controller = new AbortController()
    const given = lab.hooks.onGate(asks('listens'), { signal: controller.signal }).catch(() => {})
    await until('it to listen', () => lab.lines.filter(({ message }) => message === 'listening').length === 2)
    controller.abort()
    await given
    await lab.line(({ message, fields }) => message === 'heard' && fields.reason === 'AbortError')
  })

  test('promises that never settle are forgotten at their deadlines: the lane is not full of them', async () => {
    const { hooks, said } = await open({
      plugins: [guest('guest', { timeoutMs: 30, limits: { concurrency: 2 } })],
    })
    for (let i = 0; i < 6; i += 1) {
      expect(await hooks.onGate(asks('pends'))).toMatchObject({ failure: { kind: 'timeout' } })
    }
    expect(await hooks.onGate(asks('shows'))).toMatchObject({ reason: 'guest saw "e"' })
    expect(said.laneReplaced).toEqual([])
  })

  test('what falls in a timer is reported, and counted as its failure', async () => {
    const lab = await open()
    await lab.hooks.onGate(asks('evaluates void setTimeout(() => { throw new RangeError("fallen") }, 1)'))
    const line = await lab.line(({ message }) => message.includes('fallen'))
    expect(line.fields).toMatchObject({ plugin: 'guest' })
  })

  test('is told of the shutdown and destroyed, once', async () => {
    const lab = await openLab({ plugins: [guest('guest')] }, { keep: true })
    await lab.engine.close()
    const told = lab.lines.map(({ message }) => message).filter((message) => /^(onShutdown|destroyed)$/.test(message))
    expect(told).toEqual(['onShutdown', 'destroyed'])
  })

  test('has other random numbers in each lane', async () => {
    const plugins = [guest('one', { bulkhead: 'a' }), guest('two', { bulkhead: 'b' })]
    const { hooks } = await openLab({ plugins })
    const [one, two] = await Promise.all(
      ['one', 'two'].map((name) => hooks.onGate({ acts: { [name]: 'evaluates Math.random()' } })),
    )
    expect(one).not.toMatchObject({ reason: (two as { reason: string }).reason })
  })
})

describe('a stack', () => {
  test('gives no functions, of the plugin or of what called it', async () => {
    const { hooks } = await open()
    const shows = `evaluates (() => { Error.prepareStackTrace = (error, sites) => sites.map((site) => [site.getFunctionName(), typeof site.getFunction, typeof site.getThis].join(" ")); const seen = new Error().stack; Error.prepareStackTrace = undefined; return seen.join() })()`
    const { reason } = (await hooks.onGate(asks(shows))) as { reason: string }
    expect(reason).toContain('dispatch undefined undefined')
    expect(reason).not.toContain('function')
  })
})
