/** `hookring bench` as a user meets it: what it prints, what it counts, and how it ends. */
import { existsSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { afterAll, describe, expect, it } from 'vitest'
import { runCommand, startCommand } from '../support/command.js'

const folder = mkdtempSync(join(tmpdir(), 'hookring-bench-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const local = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))
const LIMITER = ['hookring/hooks/payload-limiter', '--config', '{"maxBytes":65536}']
const moody = (config: object) => [local('moody.mjs'), '--config', JSON.stringify(config)]
// Ample time for hooks: on a busy machine the default may run out.
const SHORT = ['--duration', '250ms', '--warmup', '50ms', '--timeout', '5000']

interface Result {
  contender: string
  load: { kind: string; inFlight?: number; ratePerSecond?: number }
  calls: number
  eventsPerSecond: number
  latencyUs: Record<'waiting' | 'running' | 'total', Record<'p50' | 'p90' | 'p99' | 'p999' | 'max', number> | null>
  hostBusyUsPerEvent: number
  cpuUsPerEvent: number
  verdicts: Record<string, number>
  failures: Record<string, number>
  firstFailure?: string
  broken?: string
  memory: Record<'rssMb' | 'heapMb' | 'buffersMb' | 'grownMb', number>
  ofHookring?: Record<string, number>
}

interface Document {
  contract: string
  hookpoint: string
  kind: string
  plugins: { name: string; hooks: string[] }[]
  events: { count: number; seed?: number; replay?: string }
  isInterrupted: boolean
  results: Result[]
  limit?: { sloP99Ms: number; ratePerSecond: number | null; steps: { ratePerSecond: number; isHeld: boolean }[] }
}

async function bench(...args: string[]): Promise<{ code: number | null; document: Document; stderr: string }> {
  const { code, stdout, stderr } = await runCommand(['bench', ...args, '--json'])
  expect(stdout, stderr).toMatch(/^\{.*\}\n$/)
  return { code, document: JSON.parse(stdout), stderr }
}

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0)

describe('a closed loop', () => {
  it('measures each level, and prints one JSON document with every figure', async () => {
    const { code, document, stderr } = await bench(...LIMITER, ...SHORT, '--in-flight', '1,16')
    expect(code).toBe(0)
    expect(stderr).toBe('')
    expect(document).toMatchObject({
      command: 'bench',
      contract: 'delivery@1',
      hookpoint: 'onMessageEnqueue',
      kind: 'gate',
      plugins: [{ name: 'payload-limiter', hooks: ['onMessageEnqueue'] }],
      events: { count: 1024, seed: 1 },
      isInterrupted: false,
    })
    expect(document.results.map(({ load }) => load)).toEqual([
      { kind: 'closed', inFlight: 1 },
      { kind: 'closed', inFlight: 16 },
    ])
    for (const result of document.results) {
      expect(result.calls).toBeGreaterThan(0)
      expect(sum(result.verdicts)).toBe(result.calls)
      expect(result.verdicts).toMatchObject({ continue: expect.any(Number), reject: expect.any(Number) })
      expect(result.failures).toEqual({})
      for (const name of ['waiting', 'running', 'total'] as const) {
        const { p50, p90, p99, p999, max } = result.latencyUs[name] ?? expect.fail(name)
        expect([p50, p90, p99, p999, max]).toEqual([p50, p90, p99, p999, max].sort((a, b) => a - b))
      }
      expect(result.hostBusyUsPerEvent).toBeGreaterThan(0)
      expect(result.cpuUsPerEvent).toBeGreaterThan(0)
      expect(Object.values(result.memory).every(Number.isFinite)).toBe(true)
    }
  })

  it('says the same to a person, without colours where there is no terminal', async () => {
    const { code, stdout, stderr } = await runCommand(['bench', ...LIMITER, ...SHORT, '--in-flight', '4'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^payload-limiter at onMessageEnqueue, gate of delivery@1\n/)
    expect(stdout).toMatch(/closed loop, 4 in flight: [\d.]+ [kM]?\/?s?/)
    expect(stdout).toMatch(/ p50 +p90 +p99 +p99\.9 +max\n +waiting .*\n +running .*\n +total /)
    expect(stdout).toMatch(/verdicts: [\d,]+ continue, [\d,]+ reject; failures: none/)
    expect(stdout).toMatch(/host busy .* per event/)
    expect(stdout).not.toContain('\u001b')
  })

  it('counts what a plugin throws, names it, and ends with exit code 1', async () => {
    const { code, document } = await bench(...moody({ throws: true }), ...SHORT, '--in-flight', '4')
    const [result] = document.results as [Result]
    expect(code).toBe(1)
    expect(result.failures.error).toBeGreaterThan(0)
    expect(sum(result.failures) + sum(result.verdicts)).toBe(result.calls)
    expect(result.firstFailure).toContain('every second one')
  })

  it('gives hooks the time that it is told', async () => {
    const { code, document } = await bench(...moody({ takesMs: 30 }), ...SHORT, '--in-flight', '2', '--timeout', '10')
    expect(code).toBe(1)
    expect(document.results[0]?.failures.timeout).toBeGreaterThan(0)
  })
})

describe('a contract of the user', () => {
  it('is the one that the plugin was written for, TypeScript included', async () => {
    const { code, document } = await bench(local('shopkeeper.ts'), ...SHORT, '--in-flight', '4')
    expect(code).toBe(0)
    expect(document).toMatchObject({ contract: 'shop@1', hookpoint: 'onOrder', kind: 'gate' })
    expect(document.results[0]?.verdicts).toMatchObject({ continue: expect.any(Number), reject: expect.any(Number) })
  })

  it('is taken from the module and export that are named; a transform replaces', async () => {
    const contract = `${local('shop-contract.ts')}#shop`
    const args = ['--contract', contract, '--hookpoint', 'onBasket', '--seed', '7']
    const { code, document } = await bench(local('shopkeeper.ts'), ...args, ...SHORT, '--in-flight', '4')
    expect(code).toBe(0)
    expect(document).toMatchObject({ hookpoint: 'onBasket', kind: 'transform', events: { seed: 7 } })
    expect(document.results[0]?.verdicts.replace).toBeGreaterThan(0)
  })

  it('may have observations, whose failures are counted though nobody waits for them', async () => {
    const { code, document } = await bench(
      local('shopkeeper.ts'),
      '--hookpoint',
      'onPaid',
      ...SHORT,
      '--in-flight',
      '4',
    )
    const [result] = document.results as [Result]
    expect(code).toBe(1)
    expect(result.failures.error).toBeGreaterThan(0)
    expect(result.failures.error).toBeLessThan(result.calls)
    expect(result.latencyUs.waiting).not.toBeNull()
  })
})

describe('an open loop', () => {
  it('makes as many calls as the rate says, and shows a stalled plugin in the percentiles', async () => {
    const args = ['--rate', '1000', '--timeout', '5000', '--duration', '2s', '--warmup', '10ms']
    const { code, document } = await bench(...moody({ stallMs: 300 }), ...args)
    const [result] = document.results as [Result]
    expect(code).toBe(0)
    expect(result.load).toEqual({ kind: 'open', ratePerSecond: 1000 })
    expect(result.calls).toBe(2000)
    // 300 calls were due while it stood still: the last tenth of all waited for it, 100 ms and more.
    expect(result.latencyUs.total?.p90).toBeGreaterThan(50_000)
    expect(result.latencyUs.waiting?.p90).toBeGreaterThan(50_000)
    expect(result.latencyUs.running?.max).toBeGreaterThan(290_000)
  })
})

describe('--replay', () => {
  it('asks about the events of a recording, and names the line where one is cut', async () => {
    const file = join(folder, 'traffic.ndjson')
    await using engine = await createHookEngine({ contract: delivery, spares: 0 })
    const recording = await engine.record(file)
    for (let seq = 0; seq < 20; seq += 1) {
      const key = new Uint8Array(32)
      const event = { senderIdentity: null, recipientKey: key, channelId: key.subarray(16), payloadLen: seq % 4, seq }
      await engine.hooks.onMessageEnqueue(event)
    }
    await recording.stop()
    const args = ['hookring/hooks/payload-limiter', '--config', '{"maxBytes":2}', ...SHORT, '--in-flight', '4']
    const { code, document } = await bench(...args, '--replay', file)
    expect(code).toBe(0)
    expect(document.events).toEqual({ count: 20, replay: file })
    const { verdicts, calls } = document.results[0] as Result
    // One payload in four is of 3 bytes.
    expect((verdicts.reject ?? 0) / calls).toBeCloseTo(0.25, 1)

    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.slice(0, text.indexOf('\n', text.length / 2) + 10))
    const cut = await runCommand(['bench', ...args, '--replay', file])
    expect(cut.code).toBe(2)
    expect(cut.stderr).toMatch(/RECORDING_INVALID: .*traffic\.ndjson:\d+/)
  })
})

describe('--compare', () => {
  it('puts the same plugin beside the contenders, as ratios, and draws them', async () => {
    const svg = join(folder, 'compare.svg')
    const names = ['inline', 'postMessage', 'comlink', 'piscina', 'tinypool', 'workerpool']
    const args = [...SHORT, '--compare', names.join(','), '--in-flight', '4', '--svg', svg]
    const { code, document } = await bench(local('shopkeeper.ts'), ...args)
    expect(document.results.map(({ contender }) => contender)).toEqual(['hookring', ...names])
    expect(document.results.map(({ failures, broken }) => ({ failures, broken }))).toEqual(
      document.results.map(() => ({ failures: {}, broken: undefined })),
    )
    expect(code).toBe(0)
    const share = ({ verdicts, calls }: Result) => (verdicts.reject ?? 0) / calls
    const [own, ...others] = document.results as [Result, ...Result[]]
    expect(own.ofHookring).toBeUndefined()
    for (const other of others) {
      // Ratios and figures are rounded, each by itself.
      const ratio = other.eventsPerSecond / own.eventsPerSecond
      expect((other.ofHookring?.eventsPerSecond ?? 0) / ratio).toBeCloseTo(1, 2)
      // The same events, asked in the same order: the same verdicts, up to where the last round ended.
      expect(share(other)).toBeGreaterThan(0.2)
      expect(share(other)).toBeLessThan(0.8)
    }
    const drawn = readFileSync(svg, 'utf8')
    expectWellFormed(drawn)
    for (const name of names) expect(drawn).toContain(`>${name}</text>`)
    expect(drawn).toContain('>99.9 %</text>')
  })
})

describe('--find-limit', () => {
  it('searches the highest rate that holds the p99, shows each step, and draws the curve', async () => {
    const svg = join(folder, 'limit.svg')
    const args = ['--find-limit', '--slo-p99', '40', '--rate', '60', '--duration', '150ms', '--warmup', '10ms']
    const { document } = await bench(...moody({ takesMs: 5 }), ...args, '--timeout', '5000', '--svg', svg)
    const { sloP99Ms, ratePerSecond, steps } = document.limit ?? expect.fail('no limit')
    expect(sloP99Ms).toBe(40)
    // It takes 5 ms: what comes faster than 200 a second waits, and at twice that for longer than asked within the step.
    expect(steps.some(({ isHeld }) => !isHeld)).toBe(true)
    for (const step of steps) if (step.isHeld) expect(step.ratePerSecond).toBeLessThan(400)
    expect(ratePerSecond).toBe(Math.max(...steps.filter(({ isHeld }) => isHeld).map((step) => step.ratePerSecond)))
    expectWellFormed(readFileSync(svg, 'utf8'))
  })
})

describe('the end', () => {
  it('comes with the figures so far when it is interrupted', async () => {
    const marker = join(folder, 'running')
    const args = ['bench', ...moody({ marker }), '--duration', '10m', '--warmup', '0s', '--in-flight', '1', '--json']
    const { child, ended } = startCommand(args)
    await created(marker)
    child.kill('SIGINT')
    const { code, stdout } = await ended
    expect(code).toBe(130)
    const document = JSON.parse(stdout) as Document
    expect(document.isInterrupted).toBe(true)
    expect(document.results[0]?.calls).toBeGreaterThan(0)
  })

  it('comes though threads of the plugin cannot be ended', async () => {
    const args = [...SHORT, '--timeout', '20', '--in-flight', '1']
    const { code, document } = await bench(...moody({ wedges: true }), ...args)
    expect(code).toBe(1)
    expect(document.results[0]?.failures.timeout).toBeGreaterThan(0)
  })
})

describe.concurrent('a plugin that is not trusted', () => {
  const stranger = fileURLToPath(new URL('../fixtures/check/stranger.mjs', import.meta.url))
  const marked = (mark: string) => [stranger, '--config', JSON.stringify({ mark }), ...SHORT, '--in-flight', '1']

  it('is measured as an engine runs it, and runs nowhere else', async () => {
    const mark = join(folder, 'untrusted')
    const confined = ['--trust', 'untrusted', '--contract', 'delivery', '--timeout', '5000']
    const { code, document } = await bench(...marked(mark), ...confined)
    expect(document.plugins).toEqual([{ name: 'stranger', hooks: ['onMessageEnqueue'] }])
    expect(code).toBe(0)
    expect(existsSync(mark)).toBe(false)
  })

  it.each([
    ['to find out its contract', [], /--contract: say for which/],
    [
      'for a comparison',
      ['--contract', 'delivery', '--compare', 'inline'],
      /--compare would run the plugins unconfined/,
    ],
  ])('is not run %s', async (why, args, message) => {
    const mark = join(folder, `untrusted ${why}`)
    const { code, stderr } = await runCommand(['bench', ...marked(mark), '--trust', 'untrusted', ...args])
    expect(stderr).toMatch(message)
    expect(code).toBe(2)
    expect(existsSync(mark)).toBe(false)
  })
})

describe.concurrent('wrong usage', () => {
  it.concurrent.each([
    ['no command', [], /Usage: hookring/],
    ['an unknown command', ['measure'], /unknown command 'measure'/],
    ['no plugin', ['bench'], /missing required argument 'plugin'/],
    ['an unknown option', ['bench', 'x', '--fast'], /unknown option '--fast'/],
    ['a duration that is none', ['bench', 'x', '--duration', 'long'], /It must be a duration such as 5s/],
    ['a rate below 0', ['bench', 'x', '--rate', '-1'], /It must be a number from 0.1/],
    [
      'a contender that there is none',
      ['bench', 'x', '--compare', 'fork'],
      /There is no contender fork; the contenders are inline/,
    ],
    ['a rate and a level', ['bench', 'x', '--rate', '1', '--in-flight', '1'], /OPTIONS_INVALID: --rate .* take one/],
    ['a confined plugin of no named contract', ['bench', 'x', '--runtime', 'quickjs'], /--contract: say for which/],
    [
      'a binary beside contenders',
      ['bench', 'x', '--runtime', 'wasm', '--compare', 'inline'],
      /--compare needs plugins/,
    ],
    ['more configs than plugins', ['bench', 'x', '--config', '1', '--config', '2'], /OPTIONS_INVALID: --config/],
    ['a config that is no JSON', ['bench', 'x', '--config', '{'], /It is no JSON/],
    ['a plugin that does not exist', ['bench', './nowhere.mjs'], /PLUGIN_NOT_FOUND: .*nowhere\.mjs does not exist/],
    ['a config that the plugin refuses', ['bench', LIMITER[0] as string], /PLUGIN_CONFIG_INVALID: .*maxBytes|config/],
    ['a contract that does not ship', ['bench', ...LIMITER, '--contract', 'mail'], /no contract mail ships/],
    ['another contract', ['bench', local('shopkeeper.ts'), '--contract', 'delivery'], /PLUGIN_CONTRACT_MISMATCH/],
    [
      'an unknown hookpoint',
      ['bench', ...LIMITER, '--hookpoint', 'onX'],
      /HOOKPOINT_UNKNOWN: --hookpoint: .*onMessage/,
    ],
    [
      'a hookpoint without subscribers',
      ['bench', ...LIMITER, '--hookpoint', 'onAuth'],
      /no plugin subscribes to onAuth/,
    ],
    ['a recording that does not exist', ['bench', ...LIMITER, '--replay', 'nowhere.ndjson'], /RECORDING_INVALID/],
  ])('ends with exit code 2 and one paragraph: %s', async (_, args, message) => {
    const { code, stdout, stderr } = await runCommand(args)
    expect(stderr).toMatch(message)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  it('shows the stack only when asked to', async () => {
    const { stderr } = await runCommand(['bench', './nowhere.mjs'], { HOOKRING_DEBUG: '1' })
    expect(stderr).toMatch(/\n\s+at /)
  })
})

describe.concurrent('help', () => {
  it.concurrent.each([
    ['hookring', ['--help'], /Usage: hookring/],
    ['bench', ['bench', '--help'], /\$ hookring bench .*--find-limit/],
    ['version', ['--version'], /^\d+\.\d+\.\d+\n$/],
  ])('of %s is on stdout, with exit code 0', async (_, args, text) => {
    const { code, stdout, stderr } = await runCommand(args)
    expect(stdout).toMatch(text)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})

/** Resolves when the file is there. */
async function created(file: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const watcher = watch(folder, () => {
      if (!existsSync(file)) return
      watcher.close()
      resolve()
    })
    if (existsSync(file)) {
      watcher.close()
      resolve()
    }
  })
}

/** Every tag that is opened is closed, in order. */
function expectWellFormed(svg: string): void {
  const open: string[] = []
  for (const [tag, slash, name, isEmpty] of svg.matchAll(/<(\/?)([a-z]+)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (slash === '/') expect(open.pop(), tag).toBe(name)
    else if (isEmpty !== '/') open.push(name as string)
  }
  expect(open).toEqual([])
  expect(svg.replace(/<[^<>]+>/g, '')).not.toMatch(/[<>]|&(?!amp;|lt;|gt;)/)
  expect(svg).toMatch(/^<svg xmlns=/)
  expect(svg).not.toContain('NaN')
}
