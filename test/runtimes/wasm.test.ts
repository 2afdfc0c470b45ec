/** WebAssembly plugins: what their faults cost, what they may have, and which modules are refused. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { delivery } from 'hookring/contracts'
import { describe, expect, it, vi } from 'vitest'
import { wasmRuntime } from '../../dist/worker/runtimes/wasm/index.js'
import { metricOf, refusalOf, until } from '../support/lab.js'
import { ACTS, type Act, EXAMPLES, message, open, type SceneOptions, scratch } from './c-abi-plugins.js'
import {
  body,
  call,
  constant,
  F64,
  I32,
  I64,
  local,
  PLUGIN,
  type Sections,
  store,
  text,
  type,
  unreachable,
  vector,
  wasmModule,
} from './wasm-modules.js'

const folder = scratch()
let files = 0

/** A file with the module in it. */
function module(changes: Sections | Uint8Array = {}): string {
  files += 1
  const file = join(folder, `m${files}.wasm`)
  writeFileSync(file, changes instanceof Uint8Array ? changes : wasmModule(changes))
  return file
}

const acts = (options: Partial<SceneOptions> = {}) =>
  open({ plugins: [{ from: ACTS.wasm, trust: 'untrusted' }], ...options })
type Hooks = Awaited<ReturnType<typeof acts>>['hooks']

/** The reason that the plugin gives. */
async function told(hooks: Hooks, act: Act, argument = 0): Promise<string> {
  const verdict = await hooks.onMessageEnqueue(message(act, argument))
  if (verdict.kind !== 'reject' || verdict.failure !== undefined) throw new Error(JSON.stringify(verdict))
  return verdict.reason
}

describe('a trap', () => {
  const TRAPS: [Act, string][] = [
    ['traps', 'unreachable'],
    ['readsOutside', 'memory access out of bounds'],
    ['dividesByZero', 'divide by zero'],
    ['overflowsStack', 'stack overflow'],
    ['callsNothing', 'table index is out of bounds'],
    ['callsAnotherType', 'null function or function signature mismatch'],
    ['logsOutside', 'hookring.log was given a text outside of the memory'],
  ]
  it.each(TRAPS)('(%s) fails the call as an error that names it, and the lane lives on', async (act, name) => {
    const { engine, hooks } = await acts()
    expect(await hooks.onMessageEnqueue(message(act))).toMatchObject({
      kind: 'reject',
      plugin: 'acts',
      failure: {
        kind: 'error',
        plugin: 'acts',
        message: expect.stringContaining(`trap in on_message_enqueue: ${name}`),
      },
    })
    expect(await hooks.onMessageEnqueue(message('rejects'))).toMatchObject({ reason: 'acts: rejected' })
    expect(await metricOf(engine, 'lane_restarts_total')).toBe(0)
  })

  it('in error_message fails the call as well', async () => {
    const { hooks } = await acts()
    expect(await hooks.onMessageEnqueue(message('trapsInErrorMessage'))).toMatchObject({
      failure: { kind: 'error', message: expect.stringContaining('trap in error_message: unreachable') },
    })
    expect(await told(hooks, 'rejects')).toBe('acts: rejected')
  })

  it('in a hook that is told is counted, and the next call is answered', async () => {
    const { engine, hooks } = await acts()
    const key = new Uint8Array(32)
    const channelId = new Uint8Array(16).fill('t'.charCodeAt(0))
    hooks.onBatchEnqueue({ events: [message('traps')] })
    hooks.onAuth({ username: 'trap', success: true, failureReason: '' })
    hooks.onChannelCreated({ channelId, initiatorKey: key, peerKey: key, wasNew: true })
    hooks.onFetch({ channelId, recipientKey: key, messageCount: 1 })
    hooks.onUserRegistered({ username: 'trap', identityKey: key })
    await engine.flush()
    for (const hookpoint of ['onBatchEnqueue', 'onAuth', 'onChannelCreated', 'onFetch', 'onUserRegistered']) {
      expect(await metricOf(engine, 'plugin_failures_total', { hookpoint, failure: 'error' }), hookpoint).toBe(1)
    }
    expect(await told(hooks, 'rejects')).toBe('acts: rejected')
  })

  it('ends what the instance has kept: the next one begins anew, with its init', async () => {
    const { hooks, lines } = await acts()
    expect(await told(hooks, 'counts')).toBe('1')
    expect(await told(hooks, 'counts')).toBe('2')
    await hooks.onMessageEnqueue(message('traps'))
    expect(await told(hooks, 'counts')).toBe('1')
    await until('both to be told', () => lines.filter((line) => line.message === 'init').length === 2)
  })

  it('at shutdown is told, and destroy is not called in what is left', async () => {
    const { engine, hooks, lines } = await acts()
    await hooks.onMessageEnqueue(message('trapsAtShutdown'))
    await engine.close()
    expect(lines.map((line) => line.message)).toEqual([
      'init',
      'on_shutdown',
      'onShutdown failed: trap in on_shutdown: unreachable',
    ])
  })

  it('in destroy is told', async () => {
    const { engine, hooks, lines } = await acts()
    await hooks.onMessageEnqueue(message('trapsAtDestroy'))
    await engine.close()
    expect(lines.map((line) => line.message).slice(-2)).toEqual([
      'destroy',
      'destroy failed: trap in destroy: unreachable',
    ])
  })

  it('a thousand times over costs no memory that stays', async () => {
    const { hooks } = await acts()
    for (let i = 0; i < 1000; i++) await hooks.onMessageEnqueue(message('traps'))
    expect(await told(hooks, 'rejects')).toBe('acts: rejected')
  })

  it('after which the plugin does not start again fails the calls that need it, until it does', async () => {
    // Its init refuses after one o'clock.
    const after = [0x44, ...new Uint8Array(new Float64Array([1000]).buffer)]
    const source = module({
      ...PLUGIN,
      type: vector(type([I32], [I32]), type([I32, I32], [I32]), type([], [F64])),
      import: vector([...text('hookring'), ...text('clock_ms'), 0, 2]),
      export: vector(
        [...text('memory'), 2, 0],
        [...text('qpc_plugin_init'), 0, 1],
        [...text('__indirect_function_table'), 1, 0],
      ),
      element: vector([0x00, ...constant(1), 0x0b, ...vector([2])]),
      code: vector(
        body(
          ...local(0),
          ...constant(1),
          ...store(4),
          ...call(0),
          ...after,
          0x64,
          ...[0x04, I32],
          ...constant(-7),
          0x05,
          ...constant(0),
          0x0b,
        ),
        body(...unreachable),
      ),
    })
    const now = vi.spyOn(Date, 'now').mockReturnValue(1)
    try {
      const hook = await gateOf(source)
      expect(hook).toThrow('trap in on_message_enqueue: unreachable')
      expect(hook).toThrow('trap in on_message_enqueue: unreachable')
      now.mockReturnValue(2000)
      expect(hook).toThrow('qpc_plugin_init returned -7')
      expect(hook).toThrow('qpc_plugin_init returned -7')
      now.mockReturnValue(1)
      expect(hook).toThrow('trap in on_message_enqueue: unreachable')
    } finally {
      now.mockRestore()
    }
  })
})

/** The gate of a module that runs in this thread, called with the emptiest of messages. */
async function gateOf(file: string): Promise<() => unknown> {
  const hookpoints = Object.entries(delivery.hookpoints).map(([name, { kind, plan }]) => ({
    name,
    kind,
    plan,
    replyPlan: null,
  }))
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const { hooks } = await wasmRuntime.load({
    plugin: {
      name: 'm',
      isNamed: true,
      url: `file://${file}`,
      config: undefined,
      timeoutMs: 100,
      runtime: 'wasm',
      boundary: 'thread',
      memoryMb: 8,
      services: [],
    },
    contract: delivery,
    hookpoints,
    named() {},
    logger: () => log,
  })
  const bytes = delivery.hookpoints.onMessageEnqueue.plan.fixedBytes
  return () => hooks[0]?.({ u8: new Uint8Array(bytes), at: 0, bytes }, null)
}

describe('a bad answer', () => {
  it.each(['reasonOutside', 'reasonUnterminated'] as const)('(%s) is no valid verdict', async (act) => {
    const { hooks } = await acts()
    expect(await hooks.onMessageEnqueue(message(act))).toMatchObject({
      kind: 'reject',
      failure: {
        kind: 'invalid',
        message: expect.stringMatching(/error_message gave 0x[0-9a-f]+, where no text ends within the plugin's memory/),
      },
    })
    expect(await told(hooks, 'rejects')).toBe('acts: rejected')
  })

  it.each([2 ** 32 - 300_000, 2 ** 31])('(a reason %i bytes beyond the memory) neither', async (beyond) => {
    const { hooks } = await acts()
    expect(await hooks.onMessageEnqueue(message('reasonOutside', beyond))).toMatchObject({
      failure: { kind: 'invalid' },
    })
  })
})

describe('time', () => {
  it('that is up settles the call; a plugin that then comes back keeps its lane', async () => {
    const { engine, hooks } = await acts({ timeoutMs: 40, hangMs: 5000 })
    expect(await hooks.onMessageEnqueue(message('blocksMs', 400))).toMatchObject({
      failure: { kind: 'timeout', plugin: 'acts' },
    })
    await until('the lane to be idle', async () => (await metricOf(engine, 'in_flight')) === 0)
    expect(await told(hooks, 'counts')).toBe('2')
    expect(await metricOf(engine, 'lane_restarts_total')).toBe(0)
  })

  it('that an endless loop takes ends with its thread, and the plugin is named', async () => {
    const { engine, hooks } = await acts({ timeoutMs: 40, hangMs: 20, spares: 1 })
    const replaced = new Promise((resolve) => engine.on('laneReplaced', resolve))
    expect(await told(hooks, 'counts')).toBe('1')
    expect(await hooks.onMessageEnqueue(message('loops'))).toMatchObject({
      kind: 'reject',
      failure: { kind: 'timeout', plugin: 'acts' },
    })
    expect(await replaced).toMatchObject({ reason: 'hang', plugin: 'acts', hookpoint: 'onMessageEnqueue' })
    expect(await told(hooks, 'counts')).toBe('1')
    expect(await metricOf(engine, 'zombies')).toBe(0)
  })

  it('that destroy does not come back from is not waited for', async () => {
    const { engine, hooks } = await acts({ shutdownTimeoutMs: 100, terminateGraceMs: 500 })
    await hooks.onMessageEnqueue(message('loopsAtDestroy'))
    await engine.close()
  })

  it('is given to it as milliseconds since 1970', async () => {
    const { hooks } = await acts()
    const before = Date.now()
    const now = Number(await told(hooks, 'readsClock'))
    expect(now).toBeGreaterThanOrEqual(before)
    expect(now).toBeLessThanOrEqual(Date.now())
  })
})

describe('memory', () => {
  const plugins = [{ from: ACTS.wasm, limits: { memoryMb: 32 } }]
  /** memory.grow gave -1, and 1 was added. */
  const REFUSED = 'grew from 0'

  it('grows to the operator’s limit and no further, and the plugin goes on', async () => {
    const { hooks } = await open({ plugins })
    expect(await told(hooks, 'growsPages', 512)).toBe(REFUSED)
    const [, pages] = /^grew from (\d+)$/.exec(await told(hooks, 'growsPages', 0)) ?? []
    const left = 512 - (Number(pages) - 1)
    expect(left).toBeGreaterThan(500)
    expect(await told(hooks, 'growsPages', left)).not.toBe(REFUSED)
    expect(await told(hooks, 'growsPages', 1)).toBe(REFUSED)
    expect(await told(hooks, 'shows')).toBe(`${'01'.repeat(32)}/32 ${'02'.repeat(32)}/32 ${'03'.repeat(16)}/16 0 15`)
  })

  it('that has grown meanwhile is written to where it is now, and large events go behind what the plugin has taken', async () => {
    const { hooks } = await acts()
    for (const count of [1, 2000, 1, 10_000]) {
      expect(await told(hooks, 'growsPages', 3)).not.toBe(REFUSED)
      const events = Array.from({ length: count }, (_, i) => ({
        ...message('shows', i),
        recipientKey: new Uint8Array(32).fill(i),
        seq: i,
      }))
      hooks.onBatchEnqueue({ events })
      expect(await told(hooks, 'showsLast')).toMatch(
        new RegExp(`^batch of ${count}, the last .* ${count - 1} ${count - 1}$`),
      )
    }
  })

  it('that has no room for an event fails its call, and says what to raise', async () => {
    const { engine, hooks, lines } = await open({ maxEventBytes: 64 * 1024 * 1024, plugins })
    hooks.onBatchEnqueue({ events: Array.from({ length: 300_000 }, () => message('continues')) })
    await engine.flush()
    expect(await metricOf(engine, 'plugin_failures_total', { hookpoint: 'onBatchEnqueue', failure: 'error' })).toBe(1)
    expect(await told(hooks, 'counts')).toBe('1')
    expect(lines.filter((line) => line.level === 'error')).toEqual([])
  })

  it.each([
    ['nothing', 0, '1'],
    ['ones', 0xff, '0'],
  ])('that a plugin overwrites with %s, the host’s part included, is the plugin’s own loss', async (_, byte, count) => {
    const { engine, hooks } = await acts()
    const verdict = await hooks.onMessageEnqueue(message('scribbles', byte))
    // Its reason is where -1 points to.
    expect(verdict).toMatchObject(byte === 0 ? { kind: 'continue' } : { failure: { kind: 'invalid' } })
    // The vtable is not read again, and each event is written anew.
    expect(await told(hooks, 'counts')).toBe(count)
    for (const code of [1000, 1001, 1000, 7]) {
      const { kind } = await hooks.onMessageEnqueue(message('returns', code))
      expect(kind).toBe(code === 1000 ? 'continue' : 'reject')
    }
    expect(await metricOf(engine, 'lane_restarts_total')).toBe(0)
    expect(await metricOf(engine, 'plugin_failures_total')).toBe(byte === 0 ? 0 : 1)
  })
})

describe('log lines', () => {
  it('reach the server’s logger under the plugin’s name', async () => {
    const { engine, hooks, lines } = await open({
      plugins: [{ from: EXAMPLES.auditor.wasm, trust: 'untrusted', name: 'audit' }],
    })
    hooks.onAuth({ username: "eve'\n\u{1b}[2J", success: false, failureReason: 'wrong password' })
    hooks.onAuth({ username: 'ada', success: true, failureReason: '' })
    hooks.onAuth({ username: 'x'.repeat(1000), success: false, failureReason: '' })
    await engine.close()
    expect(lines).toEqual([
      {
        level: 'warn',
        message: "AUDIT: failed login for 'eve\\x27\\x0a\\x1b[2J': wrong password",
        fields: expect.objectContaining({ plugin: 'audit' }),
      },
      expect.objectContaining({ message: `AUDIT: failed login for '${'x'.repeat(64)}...': ` }),
    ])
  })

  it('in a flood are bounded, and those that found no room are counted', async () => {
    const { engine, hooks, lines } = await acts({ timeoutMs: 5000 })
    expect(await hooks.onMessageEnqueue(message('logs', 100_000))).toEqual({ kind: 'continue' })
    await engine.close()
    expect(lines.filter((line) => line.message === 'logged').length).toBeLessThan(10_000)
    expect(lines.some((line) => /dropped|no room|lost/.test(line.message))).toBe(true)
  })
})

describe('slots that a plugin leaves null', () => {
  it('are not subscribed', async () => {
    const { engine } = await open({ plugins: [{ from: EXAMPLES.limiter.wasm }, { from: EXAMPLES.auditor.wasm }] })
    expect(engine.plugins.map(({ name, hooks }) => [name, hooks])).toEqual([
      ['payload-limiter', ['onMessageEnqueue']],
      ['login-auditor', ['onAuth']],
    ])
  })
})

describe('a module is refused', () => {
  const withTypes = { type: vector(type([I32], [I32]), type([I32, I32], [I32]), type([], []), type([I64, I32], [I32])) }
  const imports = (name: string, index: number) => ({
    ...withTypes,
    import: vector([...text(name.split('.')[0] ?? ''), ...text(name.split('.')[1] ?? ''), 0, index]),
  })
  const vtable = (slot: number, entry: number) =>
    vector(body(...local(0), ...constant(entry), ...store(4 * slot), ...constant(0)), body(...constant(1)))
  const init = (...instructions: number[]) => vector(body(...instructions), body(...constant(1)))
  const exported = (...exports: number[][]) => ({ export: vector(...exports) })
  const [memory, start, table] = [
    [...text('memory'), 2, 0],
    [...text('qpc_plugin_init'), 0, 0],
    [...text('__indirect_function_table'), 1, 0],
  ]

  const REFUSED: [string, Sections | Uint8Array, string, RegExp][] = [
    ['that is none', Uint8Array.from(Buffer.from('not wasm')), 'PLUGIN_IMPORT_FAILED', /not a WebAssembly module/],
    ['that is cut off', wasmModule().subarray(0, 90), 'PLUGIN_IMPORT_FAILED', /cut off at byte 90/],
    ['whose code V8 refuses', { code: init(0x6a) }, 'PLUGIN_IMPORT_FAILED', /does not compile: CompileError/],
    ['without init', exported(memory, table), 'PLUGIN_NO_EXPORT', /exports no function qpc_plugin_init/],
    ['that keeps its memory to itself', exported(start, table), 'PLUGIN_NO_EXPORT', /does not export its memory/],
    [
      'that has no table',
      { ...exported(memory, start), table: null, element: null },
      'PLUGIN_SETUP_FAILED',
      /has no function table/,
    ],
    [
      'whose memory is too large',
      { memory: vector([0x00, 0x80, 0x10]) },
      'WASM_TOO_LARGE',
      /2048 pages.*raise limits\.memoryMb/,
    ],
    [
      'whose memory leaves the host no room',
      { memory: vector([0x00, 0x80, 0x08]) },
      'PLUGIN_SETUP_FAILED',
      /no room for 1 of the host's; raise limits\.memoryMb/,
    ],
    ['with an import that is not there', imports('env.puts', 2), 'PLUGIN_IMPORT_FAILED', /imports "env\.puts"/],
    [
      'with an import of the host’s that is not there',
      imports('hookring.exit', 2),
      'PLUGIN_IMPORT_FAILED',
      /imports "hookring\.exit"/,
    ],
    [
      'with an import that WASI does not have',
      imports('wasi_snapshot_preview1.fd_everything', 2),
      'PLUGIN_IMPORT_FAILED',
      /fd_everything", and all there is are hookring\.log, hookring\.clock_ms and the functions of wasi_snapshot_preview1/,
    ],
    [
      'with an import of another type',
      imports('hookring.log', 2),
      'PLUGIN_IMPORT_FAILED',
      /hookring\.log as \(\) -> \(\), and it is \(i32, i32, i32\)/,
    ],
    [
      'whose init gives a negative code',
      { code: init(...constant(-3)) },
      'PLUGIN_SETUP_FAILED',
      /qpc_plugin_init returned -3$/,
    ],
    [
      'whose init gives a positive code',
      { code: init(...constant(5)) },
      'PLUGIN_SETUP_FAILED',
      /qpc_plugin_init returned 5$/,
    ],
    ['whose init traps', { code: init(...unreachable) }, 'PLUGIN_SETUP_FAILED', /trap in qpc_plugin_init: unreachable/],
    [
      'whose init is of another type',
      { function: vector([1], [1]), code: vtable(1, 1) },
      'PLUGIN_SETUP_FAILED',
      /qpc_plugin_init is \(i32, i32\) -> \(i32\), and must be \(i32\) -> \(i32\)/,
    ],
    [
      'whose start function traps',
      {
        ...withTypes,
        function: vector([0], [1], [2]),
        start: [2],
        code: vector(body(...constant(0)), body(...constant(1)), body(...unreachable)),
      },
      'PLUGIN_SETUP_FAILED',
      /trap in its start function: unreachable/,
    ],
    [
      'whose slot is an empty entry',
      { code: vtable(3, 1), element: null },
      'PLUGIN_SETUP_FAILED',
      /its on_auth is entry 1 of the function table, where no function is/,
    ],
    ['whose slot is no entry', { code: vtable(1, 60) }, 'PLUGIN_SETUP_FAILED', /its on_message_enqueue is entry 60 of/],
    [
      'whose slot is a function of another type',
      { code: vtable(3, 1) },
      'PLUGIN_SETUP_FAILED',
      /its on_auth is \(i32, i32\) -> \(i32\), and must be \(i32, i32\) -> \(\)/,
    ],
    [
      'whose slot takes 64 bits',
      { ...withTypes, function: vector([0], [3]) },
      'PLUGIN_SETUP_FAILED',
      /its on_message_enqueue is \(i64, i32\)/,
    ],
  ]
  it.each(REFUSED)('%s', async (_, changes, code, says) => {
    const error = await refusalOf(open({ plugins: [{ from: module(changes), name: 'odd' }] }, { keep: true }))
    expect(error).toMatchObject({ code, plugin: 'odd', message: expect.stringMatching(says) })
    expect(error.message).toContain('plugin odd')
  })

  it('that calls hookring.log from its start function, before it has a memory', async () => {
    const log = {
      type: vector(type([I32], [I32]), type([I32, I32], [I32]), type([], []), type([I32, I32, I32], [])),
      import: vector([...text('hookring'), ...text('log'), 0, 3]),
      function: vector([0], [1], [2]),
      export: vector(memory as number[], [...text('qpc_plugin_init'), 0, 1], table as number[]),
      start: [3],
      code: vector(
        body(...constant(0)),
        body(...constant(1)),
        body(...constant(0), ...constant(0), ...constant(0), ...call(0)),
      ),
    }
    expect(await refusalOf(open({ plugins: [{ from: module(log) }] }, { keep: true }))).toMatchObject({
      code: 'PLUGIN_SETUP_FAILED',
      message: expect.stringMatching(/trap in its start function: hookring\.log was called before/),
    })
  })

  it.each([
    ['init', { code: init(0x03, 0x40, 0x0c, 0, 0x0b, ...unreachable) }],
    [
      'its start function',
      {
        ...withTypes,
        function: vector([0], [1], [2]),
        start: [2],
        code: vector(body(...constant(0)), body(...constant(1)), body(0x03, 0x40, 0x0c, 0, 0x0b)),
      },
    ],
  ])('when %s does not come back in time', async (_, changes) => {
    const plugins = [{ from: module(changes), name: 'looper' }]
    expect(await refusalOf(open({ plugins, setupTimeoutMs: 300 }, { keep: true }))).toMatchObject({
      code: 'PLUGIN_SETUP_TIMEOUT',
      plugin: 'looper',
    })
  })
})

it('a module that is as small as can be is a plugin', async () => {
  const { hooks } = await open({ plugins: [{ from: module(), name: 'tiny', trust: 'untrusted' }] })
  expect(await hooks.onMessageEnqueue(message('continues'))).toEqual({
    kind: 'reject',
    plugin: 'tiny',
    reason: 'rejected by plugin tiny',
  })
})

it('a module that is built as a reactor has its constructors run', async () => {
  // _initialize stores 0x31 at 8; init leaves error_message null, and the gate returns what stands at 8.
  const file = module({
    type: vector(type([I32], [I32]), type([I32, I32], [I32]), type([], [])),
    function: vector([0], [1], [2]),
    export: vector(
      [...text('memory'), 2, 0],
      [...text('qpc_plugin_init'), 0, 0],
      [...text('__indirect_function_table'), 1, 0],
      [...text('_initialize'), 0, 2],
    ),
    code: vector(
      body(...local(0), ...constant(1), ...store(4), ...constant(0)),
      body(...constant(8), 0x28, 2, 0),
      body(...constant(8), ...constant(1), ...store(0)),
    ),
  })
  const { hooks } = await open({ plugins: [{ from: file }] })
  expect(await hooks.onMessageEnqueue(message('continues'))).toMatchObject({ kind: 'reject' })
})
