/** `hookring check` as a user meets it: on plugins with which nothing is wrong, and on one for each thing that can be. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { generateEvents } from 'hookring/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { runCommand, startCommand } from '../support/command.js'
import { silent, until } from '../support/lab.js'

const folder = mkdtempSync(join(tmpdir(), 'hookring-check-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const local = (name: string) => fileURLToPath(new URL(`../fixtures/check/${name}.mjs`, import.meta.url))
/** Ample time for hooks: on a busy machine the default may run out. */
const QUICK = ['--events', '120', '--timeout', '2000']

interface Finding {
  id: string
  message: string
  hookpoint?: string
  event?: { index: number; seed?: number; file?: string; line?: number }
  count?: number
  advice: string
}

interface Report {
  from: string
  name: string | null
  contract: string | null
  isLoaded: boolean
  error: { code: string; message: string } | null
  hooks: {
    hookpoint: string
    kind: string
    isAsync: boolean | null
    events: number
    verdicts: Record<string, number>
    failures: Record<string, number>
    runUs: Record<'p50' | 'p99' | 'max', number | null>
    bytesPerEvent: number | null
    note: string | null
  }[]
  config: { properties?: Record<string, object> } | null
  importMs: number | null
  setupMs: number | null
  destroyMs: number | null
  findings: Finding[]
}

async function check(...args: string[]): Promise<{ code: number | null; reports: Report[]; stderr: string }> {
  const { code, stdout, stderr } = await runCommand(['check', ...args, '--json'])
  expect(stdout, stderr).toMatch(/^\{.*\}\n$/)
  return { code, reports: JSON.parse(stdout).plugins, stderr }
}

async function checkOne(plugin: string, ...args: string[]) {
  const { code, reports, stderr } = await check(plugin, ...args)
  expect(stderr).toBe('')
  const [report] = reports as [Report]
  return { code, report, ids: report.findings.map(({ id }) => id) }
}

describe.concurrent('plugins with which nothing is wrong', () => {
  it('are the ones that ship', { timeout: 60_000 }, async () => {
    const { code, reports } = await check(
      ...['payload-limiter', 'tracing', 'login-auditor', 'noop'].map((name) => `hookring/hooks/${name}`),
      ...['--config', '{"maxBytes":65536}', ...QUICK],
    )
    expect(reports.map(({ findings }) => findings)).toEqual([[], [], [], []])
    expect(code).toBe(0)
    expect(reports.map(({ name, contract }) => `${name} ${contract}`)).toEqual([
      'payload-limiter delivery@1',
      'tracing delivery@1',
      'login-auditor delivery@1',
      'noop delivery@1',
    ])
    const noop = reports[3] as Report
    expect(noop.hooks.map(({ hookpoint }) => hookpoint).sort()).toEqual(Object.keys(delivery.hookpoints).sort())
  })

  it('are told of whole: what they hook, their config, their times', async () => {
    const { code, report } = await checkOne(local('good'), '--events', '300', '--timeout', '5000')
    expect(report.findings).toEqual([])
    expect(code).toBe(0)
    expect(report.config?.properties).toMatchObject({
      maxBytes: { type: 'integer', minimum: 1, maximum: 1_000_000, default: 65_536 },
      tags: { type: 'array', items: { type: 'string' } },
    })
    const [gate, observer] = report.hooks
    expect(gate).toMatchObject({ hookpoint: 'onMessageEnqueue', kind: 'gate', isAsync: true, events: 300, note: null })
    expect((gate?.verdicts.continue ?? 0) + (gate?.verdicts.reject ?? 0)).toBe(300)
    expect(gate?.verdicts.reject).toBeGreaterThan(0)
    expect(observer).toMatchObject({ hookpoint: 'onAuth', kind: 'observe', isAsync: false, verdicts: { heard: 300 } })
    for (const { runUs, bytesPerEvent } of report.hooks) {
      expect(runUs.p50).toBeGreaterThan(0)
      expect(runUs.p99).toBeGreaterThanOrEqual(runUs.p50 as number)
      expect(runUs.max).toBeGreaterThanOrEqual(runUs.p99 as number)
      expect(bytesPerEvent).not.toBeNull()
    }
    for (const ms of [report.importMs, report.setupMs, report.destroyMs]) expect(ms).toBeGreaterThan(0)
  })

  it('may have a contract of their own, found with them or named', async () => {
    const contract = [
      '--contract',
      `${fileURLToPath(new URL('../fixtures/check/shop-contract.mjs', import.meta.url))}#shop`,
    ]
    for (const args of [[], contract]) {
      const { report } = await checkOne(local('shop'), ...QUICK, ...args)
      expect(report.contract).toBe('shop@1')
      expect(report.hooks.find(({ hookpoint }) => hookpoint === 'onOrder')).toMatchObject({
        kind: 'gate',
        verdicts: { continue: 120 },
      })
    }
  })
})

describe.concurrent('what is wrong with a plugin', () => {
  it.each<{
    plugin: string
    args?: string[]
    /** All that is found: its id and hookpoint, and what is said of it. */
    found: Record<string, RegExp>
  }>([
    { plugin: 'throws', found: { 'throws onMessageEnqueue': /^TypeError: Cannot read properties of null/ } },
    {
      plugin: 'reply-invalid',
      found: { 'reply-invalid onMessageEnqueue': /got a boolean/, 'reply-invalid onAuth': /which nobody asks for/ },
    },
    { plugin: 'shop', found: { 'reply-invalid onPrice': /cents must be an integer from 0/ } },
    {
      plugin: 'times-out',
      args: ['--timeout', '100'],
      found: {
        'times-out onMessageEnqueue': /^no verdict within 100 ms/,
        'ignores-signal onMessageEnqueue': /still pending \d+ ms after ctx\.signal had aborted/,
      },
    },
    {
      plugin: 'slow',
      args: ['--events', '12', '--timeout', '600'],
      found: {
        'slow onAuth': /^half of the runs took \d+\.\d ms or more, of 600 ms that it has$/,
        'ignores-signal onAuth': /still pending/,
      },
    },
    {
      plugin: 'blocks',
      args: ['--timeout', '100'],
      found: { 'blocks onMessageEnqueue': /^it did not come back within 100 ms, nor after that/ },
    },
    {
      plugin: 'cannot-be-stopped',
      args: ['--timeout', '100'],
      found: { 'blocks onFetch': /its lane was replaced/, 'cannot-be-stopped onFetch': /told to end, and has not/ },
    },
    { plugin: 'kills-lane', found: { 'kills-lane onUserRegistered': /exited with code: 3/ } },
    { plugin: 'kills-process', found: { 'kills-process': /ended with SIGKILL \(onFetch\)$/ } },
    { plugin: 'leaves-handles', found: { 'leaves-handles': /^still alive after destroy: TCPServerWrap, Timeout$/ } },
    {
      plugin: 'memory-grows',
      args: ['--events', '1000'],
      found: { 'memory-grows onMessageEnqueue': /^about \d+ bytes stay behind/ },
    },
    {
      plugin: 'import-slow',
      found: {
        'import-slow': /^import took \d+ ms; more than 500/,
        'setup-slow': /^setup took \d+ ms; more than 1000/,
      },
    },
    { plugin: 'name-missing', found: { 'name-missing': /letters, digits, dots and dashes, got undefined$/ } },
    { plugin: 'no-hooks', found: { 'no-hooks': /subscribes to nothing/ } },
    {
      plugin: 'uncaught-error',
      found: { 'uncaught-error': /^unhandled rejection: Error: nobody caught me \(and \d+ more\)$/ },
    },
    { plugin: 'destroy-fails', found: { 'destroy-fails': /the file is closed already/ } },
    { plugin: 'shutdown-fails', found: { 'shutdown-fails': /there is nobody to tell/ } },
  ])('is found by its id, with what to do: $plugin', { timeout: 60_000 }, async ({ plugin, args = [], found }) => {
    const { code, report } = await checkOne(local(plugin), ...QUICK, ...args)
    expect(code).toBe(1)
    expect(report).toMatchObject({ isLoaded: true, error: null })
    const keys = report.findings.map(({ id, hookpoint }) => [id, hookpoint].filter(Boolean).join(' '))
    expect(keys.sort()).toEqual(Object.keys(found).sort())
    for (const { id, hookpoint, message, advice } of report.findings) {
      expect(message).toMatch(found[[id, hookpoint].filter(Boolean).join(' ')] as RegExp)
      expect(advice).toMatch(/^[A-Z].*\.$/)
    }
  })

  it('is found again by the seed and the index that it came with', async () => {
    const { report } = await checkOne(local('throws'), ...QUICK, '--seed', '77')
    const [{ event, count }] = report.findings as [Finding]
    expect(event).toEqual({ index: expect.any(Number), seed: 77 })
    const next = generateEvents(delivery, 'onMessageEnqueue', { seed: 77, from: event?.index })
    expect(next().senderIdentity).toBeNull()
    expect(count).toBe(report.hooks[0]?.failures.error)
  })
})

describe.concurrent('a plugin that an engine would refuse', () => {
  it.each<[plugin: string, id: string | undefined, code: string, message: RegExp]>([
    ['hook-unknown', 'hook-unknown', 'HOOKPOINT_UNKNOWN', /did you mean onMessageEnqueue\?$/],
    ['load-failed', 'load-failed', 'PLUGIN_IMPORT_FAILED', /Error: no such service$/],
    ['no-plugin', 'load-failed', 'PLUGIN_NO_EXPORT', /must export default definePlugin/],
    ['none-such', undefined, 'PLUGIN_NOT_FOUND', /none-such/],
  ])('%s ends with exit code 2, and says why', async (plugin, id, code, message) => {
    const { code: exitCode, report, ids } = await checkOne(local(plugin), ...QUICK)
    expect(exitCode).toBe(2)
    expect(report).toMatchObject({ isLoaded: false, error: { code } })
    expect(ids).toEqual(id === undefined ? [] : [id])
    expect(report.findings[0]?.message ?? report.error?.message).toMatch(message)
  })

  it('for its config is told of with its schema', async () => {
    const { code, report, ids } = await checkOne('hookring/hooks/payload-limiter', '--config', '{"maxBytes":-1}')
    expect(code).toBe(2)
    expect(ids).toEqual(['config-invalid'])
    expect(report.findings[0]?.message).toContain('config.maxBytes')
    expect(report.config?.properties).toHaveProperty('maxBytes')
  })

  it('because it does not come to an end is given up', { timeout: 60_000 }, async () => {
    const { code, report, ids } = await checkOne(local('load-hangs'), '--setup-timeout', '1500')
    expect(code).toBe(2)
    expect(ids).toEqual(['load-hangs'])
    expect(report.error?.code).toBe('PLUGIN_SETUP_TIMEOUT')
  })

  it('does not keep others from being checked', async () => {
    const { code, reports } = await check(local('load-failed'), local('throws'), local('good'), ...QUICK)
    expect(code).toBe(2)
    expect(reports.map(({ isLoaded, findings }) => [isLoaded, findings.length])).toEqual([
      [false, 1],
      [true, 1],
      [true, 0],
    ])
  })
})

describe.concurrent('a plugin that is to be confined', () => {
  const untrusted = ['--trust', 'untrusted', '--contract', 'delivery', '--events', '100', '--timeout', '5000']

  it('runs nowhere else', { timeout: 60_000 }, async () => {
    const mark = join(folder, 'mark')
    const config = ['--config', JSON.stringify({ mark })]
    const { code, report } = await checkOne(local('stranger'), ...config, ...untrusted)
    expect(existsSync(mark)).toBe(false)
    expect(report).toMatchObject({ name: 'stranger', contract: 'delivery@1', isLoaded: true, findings: [] })
    expect(code).toBe(0)
    const [gate] = report.hooks
    expect(gate).toMatchObject({ hookpoint: 'onMessageEnqueue', kind: 'gate', isAsync: null, events: 100 })
    expect(gate?.verdicts.reject).toBeGreaterThan(0)
    // Else it does what its author likes.
    await checkOne(local('stranger'), ...config, ...QUICK)
    expect(existsSync(mark)).toBe(true)
  })

  it('is told of, and what is wrong with it', { timeout: 60_000 }, async () => {
    const confined = ['--runtime', 'quickjs', '--boundary', 'process', ...untrusted.slice(2)]
    const { code, stdout } = await runCommand(['check', local('throws'), ...confined])
    expect(stdout).toMatch(/^ {2}run {7}in quickjs, behind boundary process, and in no other way$/m)
    expect(stdout).toMatch(/^ {2}throws {2}onMessageEnqueue, event \d+ of seed 1 \(\d+ events\)$/m)
    expect(code).toBe(1)
  })

  it('is refused by name where what it needs is not there', { timeout: 60_000 }, async () => {
    const { code, report } = await checkOne(local('good'), ...untrusted)
    expect(report).toMatchObject({ isLoaded: false, isComplete: true })
    expect(report.error).toMatchObject({ code: 'PLUGIN_IMPORT_FAILED' })
    expect(report.error?.message).toMatch(/good\.mjs -> node:timers\/promises/)
    expect(code).toBe(2)
  })

  it.each([
    ['--trust', 'untrusted'],
    ['--runtime', 'quickjs'],
    ['--boundary', 'process'],
  ])('is not run to find out its contract: %s %s', async (...confined) => {
    const mark = join(folder, `mark of ${confined.join()}`)
    const config = ['--config', JSON.stringify({ mark })]
    const { code, stderr } = await runCommand(['check', local('stranger'), ...config, ...confined])
    expect(stderr).toMatch(/OPTIONS_INVALID: --contract: say for which one/)
    expect(code).toBe(2)
    expect(existsSync(mark)).toBe(false)
  })
})

describe.concurrent('--replay', () => {
  it('asks about recorded events, and says where they stand', async () => {
    const file = join(folder, 'traffic.ndjson')
    await using engine = await createHookEngine({ contract: delivery, spares: 0, logger: silent })
    const recording = await engine.record(file)
    const next = generateEvents(delivery, 'onMessageEnqueue', { seed: 3 })
    for (let count = 0; count < 20; count += 1) await engine.hooks.onMessageEnqueue(next())
    const sealed = { ...next(), senderIdentity: null }
    await engine.hooks.onMessageEnqueue(sealed)
    await recording.stop()
    const { code, report } = await checkOne(local('throws'), '--replay', file, '--timeout', '2000')
    expect(code).toBe(1)
    expect(report.hooks[0]?.events).toBe(21)
    const { event } = report.findings[0] as Finding
    expect(event?.file).toBe(file)
    expect(event?.line).toBe((event?.index as number) + 2)
  })

  it('of a file that is no recording is wrong usage, and names the line', async () => {
    const file = join(folder, 'notes.txt')
    writeFileSync(file, 'Dear diary,\n')
    const { code, report } = await checkOne(local('throws'), '--replay', file)
    expect(code).toBe(2)
    expect(report.error).toMatchObject({ code: 'RECORDING_INVALID', message: expect.stringContaining(`${file}:1: `) })
  })
})

describe.concurrent('the command', () => {
  it('prints for people, without colours where there is no terminal', async () => {
    const plugin = relative(process.cwd(), local('throws'))
    const { code, stdout, stderr } = await runCommand(['check', plugin, ...QUICK])
    expect(code).toBe(1)
    expect(stderr).toBe('')
    expect(stdout).not.toContain('\u001b')
    expect(stdout).toContain(`throws  ${plugin}\n`)
    expect(stdout).toMatch(/contract +delivery@1\n/)
    expect(stdout).toMatch(
      /hooks +onMessageEnqueue +gate, sync\n +120 events: \d+ continue, \d+ error\n +p50 .* p99 .* max/,
    )
    expect(stdout).toMatch(/\n {2}throws {2}onMessageEnqueue, event \d+ of seed 1 \(\d+ events\)\n {4}TypeError: /)
  })

  it('prints the config that a plugin takes', async () => {
    const { stdout } = await runCommand(['check', local('good'), ...QUICK])
    expect(stdout).toMatch(
      /config +maxBytes {2}integer from 1 up to 1000000, default 65536\n +tags +list of string, optional\n/,
    )
    expect(stdout).toContain('no findings')
  })

  it('says what a hookpoint lacks for which no events can be made up', async () => {
    const { stdout } = await runCommand(['check', local('shop'), ...QUICK])
    expect(stdout).toMatch(/onVoucher\.code: no valid value could be made up.*recording/)
  })

  it('has help with examples', async () => {
    const { code, stdout } = await runCommand(['check', '--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/Examples:\n {2}\$ hookring check .*\n/)
    expect(stdout).toMatch(/Exit codes: 0 .*; 1 .*; 2 /)
  })

  it.each<[string, string[], RegExp]>([
    ['no plugin', [], /missing required argument/],
    ['an option that there is not', [local('good'), '--fast'], /unknown option '--fast'/],
    ['a number that is none', [local('good'), '--events', 'many'], /--events.*number/],
    ['JSON that is none', [local('good'), '--config', '{'], /is no JSON/],
    ['more configs than plugins', [local('good'), '--config', '{}', '--config', '{}'], /--config was given 2 times/],
  ])('refuses %s with exit code 2', async (_, args, message) => {
    const { code, stdout, stderr } = await runCommand(['check', ...args])
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(message)
  })

  it('ends at Ctrl-C with the reports so far', { timeout: 60_000 }, async () => {
    const sign = join(folder, 'sign')
    const plugins = [local('no-hooks'), local('load-hangs')]
    const { child, ended } = startCommand(['check', ...plugins, '--json'], { CHECK_SIGN: sign })
    await until('the second plugin to be imported', () => existsSync(sign))
    child.kill('SIGINT')
    const { code, stdout } = await ended
    expect(code).toBe(130)
    expect(JSON.parse(stdout).plugins).toMatchObject([{ name: 'no-hooks', isComplete: true }])
  })
})
