/**
 * The demo: its parts on slices made up here, and the program as a person runs it, without a terminal. What is judged is
 * what it says and how it ends; speed is the bench's business.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { HookName } from '../../bench/rpc/misbehave.js'
import type { ModeName } from '../../bench/rpc/modes.js'
import type { CallFigures } from '../../bench/rpc/rates.js'
import { exitCodeOf, findShortfalls, type Run, tellClosing } from '../../examples/demo/closing.js'
import { documentOf } from '../../examples/demo/document.js'
import { QUICK, runOrder, slicesToCome } from '../../examples/demo/plan.js'
import { outcomeOf, rowsOf, type ToldSlice } from '../../examples/demo/rows.js'
import {
  ATTEMPTS,
  type Attempt,
  type StrangerReport,
  strangerShortfalls,
  tellStranger,
} from '../../examples/demo/stranger.js'
import { LEAST_TABLE_WIDTH, tableHeight, tableLines } from '../../examples/demo/table.js'
import { cellMs, wrapText } from '../../examples/demo/words.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MODES: readonly ModeName[] = ['none', 'inline', 'hookring']
/** Where processes can be told by what they inherited. */
const HAS_PROC = existsSync('/proc/self/environ')
const STOOD_STILL = "the server's event loop stood still: no answer within 1000 ms, and no RPC was served"

const plain = (_style: string, text: string): string => text

function calls(p99Us: number, more: Partial<CallFigures> = {}): CallFigures {
  const rest = { p50Us: p99Us / 4, p999Us: p99Us * 2, rps: 200, calls: 100, failures: {}, marked: 0, markedFailures: 0 }
  return { ...rest, p99Us, ...more }
}

function slice(mode: ModeName, hook: HookName, more: Partial<ToldSlice> = {}): ToldSlice {
  return { mode, hook, hooked: calls(4000), bystander: calls(2000), loopDelayP99Ms: 1.5, died: undefined, ...more }
}

/** A run in which everything went as it should. */
const AS_IT_SHOULD: readonly ToldSlice[] = [
  ...MODES.map((mode) => slice(mode, 'fast')),
  slice('none', 'sleeps', { bystander: calls(2000) }),
  slice('inline', 'sleeps', { bystander: calls(50_000) }),
  slice('hookring', 'sleeps', { bystander: calls(2200) }),
  slice('none', 'spins'),
  slice('inline', 'spins', {
    died: STOOD_STILL,
    loopDelayP99Ms: undefined,
    hooked: calls(1_503_000, { failures: { DEADLINE_EXCEEDED: 75 }, marked: 1, markedFailures: 1 }),
    bystander: calls(1_503_000, { failures: { DEADLINE_EXCEEDED: 188 } }),
  }),
  slice('hookring', 'spins', {
    hooked: calls(9000, { failures: { timeout: 1 }, marked: 1, markedFailures: 1 }),
    lanesReplaced: 1,
  }),
  slice('none', 'throws'),
  slice('inline', 'throws', { hooked: calls(4000, { failures: { INTERNAL: 5 }, marked: 5, markedFailures: 5 }) }),
  slice('hookring', 'throws', { hooked: calls(4000, { failures: { error: 5 }, marked: 5, markedFailures: 5 }) }),
]

function runOf(slices: readonly ToldSlice[], more: Partial<Run> = {}): Run {
  return {
    rows: rowsOf(slices, MODES),
    modes: MODES,
    unavailable: new Map(),
    slices: slices.length,
    elapsedMs: 9_900,
    machine: 'a machine',
    isInterrupted: false,
    broken: undefined,
    stranger: undefined,
    ...more,
  }
}

/** The good run with one slice put in the place of another. */
function withSlice(changed: ToldSlice): ToldSlice[] {
  return AS_IT_SHOULD.map((old) => (old.mode === changed.mode && old.hook === changed.hook ? changed : old))
}

describe('what became of a server', () => {
  const outcome = (slices: readonly ToldSlice[], mode: ModeName, hook: HookName): string => {
    const rows = rowsOf(slices, MODES)
    const row = rows.find((one) => one.mode === mode && one.hook === hook)
    return row === undefined ? 'no row' : outcomeOf(rows, row).text
  }

  test('a dead one is said to be dead, whatever its figures', () => {
    expect(outcome(AS_IT_SHOULD, 'inline', 'spins')).toBe('died: event loop stands still')
  })

  test('bystanders are undisturbed within 1.25 times the p99 without a hook', () => {
    expect(outcome(AS_IT_SHOULD, 'hookring', 'sleeps')).toBe('bystanders undisturbed')
    expect(outcome(AS_IT_SHOULD, 'inline', 'sleeps')).toBe('bystander p99 25x of none')
  })

  test('what single slices without a hook reached is called noise, but not when it is three times as much', () => {
    const noisy = [slice('none', 'fast', { bystander: calls(9000) }), ...AS_IT_SHOULD.slice(1)]
    const slow = slice('hookring', 'sleeps', { bystander: calls(5000) })
    const slower = slice('hookring', 'sleeps', { bystander: calls(8000) })
    const swap = (to: ToldSlice) => noisy.map((old) => (old.mode === to.mode && old.hook === to.hook ? to : old))
    expect(outcome(swap(slow), 'hookring', 'sleeps')).toBe('2.5x none, within its noise')
    expect(outcome(swap(slower), 'hookring', 'sleeps')).toBe('bystander p99 4.0x of none')
    expect(outcome(withSlice(slow), 'hookring', 'sleeps')).toBe('bystander p99 2.5x of none')
  })

  test('a call that failed without being marked outweighs good latencies', () => {
    const failing = slice('hookring', 'fast', { bystander: calls(2000, { failures: { UNAVAILABLE: 2 } }) })
    expect(outcome(withSlice(failing), 'hookring', 'fast')).toBe('2 unmarked calls failed')
  })

  test('latencies of a row are medians over its slices, counts are sums', () => {
    const [row] = rowsOf(
      [1000, 9000, 2000].map((p99Us) => slice('none', 'fast', { bystander: calls(p99Us, { calls: 10 }) })),
      MODES,
    )
    expect(row).toMatchObject({ slices: 3, bystander: { p99Us: 2000, p99RangeUs: [1000, 9000], calls: 30 } })
  })
})

describe('the closing paragraph', () => {
  test('tells the figures of the run', () => {
    const said = tellClosing(runOf(AS_IT_SHOULD))
    expect(said).toContain('12 slices in 9.9 s on a machine')
    expect(said).toContain(
      "a bystander's p99 was 2.00 ms; while the hook slept, it was 50.0 ms with the hook inline (25x)",
    )
    expect(said).toContain('2.20 ms through hookring (1.10x)')
    expect(said).toContain('its event loop stood still, and 262 other calls failed with it')
    expect(said).toContain('refused 1 of 1 whose hook looped for ever (timeout) and 5 of 5 whose hook threw (error)')
    expect(said).toContain('it replaced 1 lane')
    expect(said).toContain('No other call failed, and the server never stopped.')
    expect(said).not.toContain('did not hold')
  })

  test('says nothing of lanes that nobody counted', () => {
    const { lanesReplaced: _, ...uncounted } = AS_IT_SHOULD.find((one) => one.lanesReplaced !== undefined) as ToldSlice
    expect(tellClosing(runOf(withSlice(uncounted)))).not.toContain('lane')
  })

  test.each<[sentence: string, changed: ToldSlice, code: 0 | 1, found: string]>([
    [
      'bystanders that were slower than the aim',
      slice('hookring', 'sleeps', { bystander: calls(5000) }),
      0,
      "sleeps: a bystander's p99 of 2.5x through hookring, where 1.25x is the aim; without a hook, single slices ranged from 2.00 ms to 2.00 ms",
    ],
    [
      'a marked call that was served',
      slice('hookring', 'throws', { hooked: calls(1, { failures: { error: 4 }, marked: 5, markedFailures: 4 }) }),
      0,
      'throws: 1 of 5 marked calls not refused by hookring',
    ],
    [
      'a failure that no policy decided',
      slice('hookring', 'throws', { hooked: calls(1, { failures: { INTERNAL: 5 }, marked: 5, markedFailures: 5 }) }),
      0,
      "throws: 5 calls failed otherwise than by hookring's policy",
    ],
    ['an inline server that lived', slice('inline', 'spins'), 0, 'spins: the inline server did not die'],
    [
      'a call that failed without being marked',
      slice('hookring', 'fast', { hooked: calls(1, { failures: { timeout: 1 } }) }),
      0,
      'fast: 1 unmarked call failed through hookring',
    ],
    [
      'the death of its server',
      slice('hookring', 'throws', { died: 'its process ended (SIGSEGV)', loopDelayP99Ms: undefined }),
      1,
      "throws: hookring's server died: its process ended (SIGSEGV)",
    ],
  ])('owns up to %s', (_sentence, changed, code, found) => {
    const run = runOf(withSlice(changed))
    expect(findShortfalls(run)).toEqual([expect.stringContaining(found)])
    expect(tellClosing(run)).toContain(`What did not hold in this run: ${found}`)
    expect(exitCodeOf(run)).toBe(code)
  })

  test('does not keep quiet about bystanders that were slow through hookring', () => {
    const slow = slice('hookring', 'spins', { bystander: calls(18_000) })
    expect(tellClosing(runOf(withSlice(slow)))).toContain(
      "Its bystanders' p99 was 18.0 ms (9.0x) while the hook looped for ever.",
    )
  })

  test('of an interrupted story tells what was seen until then', () => {
    const said = tellClosing(runOf(AS_IT_SHOULD.slice(0, 4), { isInterrupted: true }))
    expect(said).toContain('Interrupted after 4 slices')
    expect(said).not.toMatch(/NaN|undefined|did not hold/)
    expect(tellClosing(runOf([], { isInterrupted: true }))).toBe('Interrupted after no slices in 9.9 s on a machine.')
  })

  test('of a story that broke off says why, and so does the exit code', () => {
    expect(tellClosing(runOf(AS_IT_SHOULD, { broken: 'its process ended' }))).toContain('broke off')
    expect(exitCodeOf(runOf(AS_IT_SHOULD))).toBe(0)
    expect(exitCodeOf(runOf(AS_IT_SHOULD, { broken: 'its process ended' }))).toBe(1)
    expect(exitCodeOf(runOf([], { unavailable: new Map([['hookring', 'no']]) }))).toBe(1)
    expect(exitCodeOf(runOf([]))).toBe(1)
  })
})

describe('the table', () => {
  test.each([LEAST_TABLE_WIDTH, 119])('fits into %i columns and keeps its height while it fills', (width) => {
    for (const count of [0, 5, AS_IT_SHOULD.length]) {
      const lines = tableLines(rowsOf(AS_IT_SHOULD.slice(0, count), MODES), { modes: MODES, width, paint: plain })
      expect(lines).toHaveLength(tableHeight(MODES))
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
    }
  })

  test('puts each figure under its head', () => {
    const lines = tableLines(rowsOf(AS_IT_SHOULD, MODES), { modes: MODES, width: 119, paint: plain })
    const row = lines.find((line) => line.includes('died')) as string
    const head = lines[1] as string
    expect(row.indexOf('died')).toBe(head.indexOf('what became'))
    expect(row.slice(0, head.indexOf('failed') + 'failed'.length)).toMatch(/^inline .* 1503 +75$/)
  })

  test('figures take five characters at most', () => {
    expect([0.4, 5, 999, 9_996, 99_940, 99_960, 1_503_000, 20_000_000].map(cellMs)).toEqual([
      '0.00',
      '0.01',
      '1.00',
      '10.0',
      '99.9',
      '100',
      '1503',
      '20000',
    ])
    expect(cellMs(Number.NaN)).toBe('-')
  })

  test('text is broken at spaces, and what is too long for a line keeps its own', () => {
    expect(wrapText('one two three', 7, 2)).toBe('one two\n  three')
    expect(wrapText('incomprehensibilities are', 7)).toBe('incomprehensibilities\nare')
  })
})

test('the story is over once what is left belongs to servers that died or did not start', () => {
  const modes = runOrder({ hasPiscina: false })
  const told = AS_IT_SHOULD.map((one) => ({ ...one }))
  expect(slicesToCome({ modes, plan: QUICK }, [], [])).toBe(12)
  expect(slicesToCome({ modes, plan: QUICK }, told, [])).toBe(0)
  expect(slicesToCome({ modes, plan: QUICK }, [], ['inline'])).toBe(8)
  const often = { ...QUICK, spins: { slices: 3, sliceMs: 1 } }
  expect(slicesToCome({ modes, plan: often }, told, [])).toBe(4)
})

test('the document has a row for each row of the table, and the same last words', () => {
  const run = runOf(AS_IT_SHOULD)
  const document = JSON.parse(JSON.stringify(documentOf(run, { quick: true })))
  expect(document).toMatchObject({
    demo: 'rpc',
    quick: true,
    ending: 'told',
    closing: tellClosing(run),
    didNotHold: [],
  })
  expect(document.rows).toHaveLength(12)
  expect(document.rows.filter((row: { died?: boolean }) => row.died)).toMatchObject([{ mode: 'inline', hook: 'spins' }])
})

describe('the stranger', () => {
  const contained: StrangerReport = {
    attempts: ATTEMPTS.map(({ name }) => ({ name, told: 'refused (found: nothing)', tookMs: 51.6, servesAgain: true })),
    pings: 26,
    failedPings: 0,
    slowestPingMs: 4.2,
    neighbour: { verdicts: 5, wrong: 0 },
    isPolluted: false,
  }

  test('that was contained has nothing to its name', () => {
    expect(strangerShortfalls(contained)).toEqual([])
    const told = tellStranger(contained).join('\n')
    for (const { words } of ATTEMPTS) expect(told).toContain(words)
    expect(told).toContain('26 pings were answered, the slowest after 4.20 ms; none failed')
    expect(told).toContain("the server's objects are as they were")
  })

  test('that got through in any way is told of', () => {
    const [steal, ...others] = contained.attempts as [Attempt, ...Attempt[]]
    const stolen = { ...steal, told: 'refused (found: process)', servesAgain: false }
    const report = {
      ...contained,
      attempts: [stolen, ...others],
      failedPings: 2,
      neighbour: { verdicts: 5, wrong: 1 },
      isPolluted: true,
    }
    expect(strangerShortfalls(report)).toHaveLength(5)
    expect(findShortfalls(runOf(AS_IT_SHOULD, { stranger: report }))).toHaveLength(5)
    expect(tellStranger(report).join('\n')).toMatch(
      /does not serve again[\s\S]*2 failed[\s\S]*1 of them wrong[\s\S]*WERE CHANGED/,
    )
  })
})

describe('the program', () => {
  test('tells the story in plain lines when there is no terminal', { timeout: 120_000 }, async () => {
    const demo = startDemo(['--quick'])
    const { code, stdout, stderr } = await demo.ended
    const reached = (hook: HookName, mode: ModeName) =>
      stdout.split('\n').find((line) => new RegExp(`^${hook} +${mode} +hooked p50 `).test(line))
    for (const hook of ['fast', 'sleeps', 'spins', 'throws'] as const) {
      for (const mode of MODES) expect(reached(hook, mode), `${hook}, ${mode}\n${stdout}\n${stderr}`).toBeDefined()
    }
    expect(reached('spins', 'inline')).toContain('died: event loop stands still')
    // How many there were is up to the machine, too.
    expect(reached('throws', 'hookring')).toMatch(/\b([1-9]) of \1 marked calls failed/)
    expect(stdout).toContain('mode        p50   p99 failed')
    // Whether every unmarked call was in time depends on the machine; that it is told does not.
    expect(unwrapped(stdout)).toMatch(
      /What was seen, 12 slices in .* other calls? failed, and the server never stopped\./,
    )
    expect(stdout).toMatch(/^Last, a stranger's plugin[\s\S]*found: nothing[\s\S]*none failed/m)
    expect(stdout).toContain('0 of them wrong')
    expect(stdout).not.toContain('\u001b')
    expect(stdout).not.toMatch(/NaN|undefined/)
    expect(code).toBe(0)
    if (HAS_PROC) expect(processesOf(demo.mark)).toEqual([])
  })

  test.skipIf(!HAS_PROC)(
    'interrupted, it prints the figures so far and leaves no process behind',
    { timeout: 60_000 },
    async () => {
      const demo = startDemo(['--quick'])
      await demo.printed(/fast +none/)
      expect(processesOf(demo.mark)).not.toEqual([])
      demo.signal('SIGINT')
      const { code, stdout } = await demo.ended
      expect(code).toBe(130)
      expect(stdout).toMatch(/^none +\d/m)
      expect(unwrapped(stdout)).toMatch(/Interrupted after \d+ slice/)
      await expect.poll(() => processesOf(demo.mark)).toEqual([])
    },
  )

  test.skipIf(!HAS_PROC)(
    'with --json prints one document, also when it is interrupted',
    { timeout: 60_000 },
    async () => {
      const demo = startDemo(['--json'])
      await expect.poll(() => processesOf(demo.mark).length, { timeout: 20_000 }).toBeGreaterThanOrEqual(4)
      demo.signal('SIGINT')
      const { code, stdout } = await demo.ended
      expect(code).toBe(130)
      expect(JSON.parse(stdout)).toMatchObject({ demo: 'rpc', ending: 'interrupted' })
      await expect.poll(() => processesOf(demo.mark)).toEqual([])
    },
  )

  test('refuses an option that it does not know', { timeout: 60_000 }, async () => {
    const { code, stderr, stdout } = await startDemo(['--fast']).ended
    expect(code).toBe(2)
    expect(stderr).toContain('usage: npm run demo')
    expect(stdout).toBe('')
  })
})

function startDemo(args: readonly string[]) {
  const mark = randomUUID()
  // A group of its own, as a terminal gives it: a signal reaches the script that started the demo, too.
  const child = spawn(process.execPath, ['scripts/run.mjs', 'examples/demo/main.ts', ...args], {
    cwd: ROOT,
    env: { ...process.env, HOOKRING_DEMO_MARK: mark },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return {
    mark,
    ended: new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, stdout, stderr }))
    }),
    printed: (pattern: RegExp) => expect.poll(() => stdout, { timeout: 30_000 }).toMatch(pattern),
    signal: (signal: NodeJS.Signals) => signalGroup(child, signal),
  }
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, signal)
}

/** Processes that inherited the mark: those of one demo and of nobody else. */
function processesOf(mark: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark)
      } catch {
        return false
      }
    })
}

function unwrapped(text: string): string {
  return text.replaceAll('\n', ' ')
}
