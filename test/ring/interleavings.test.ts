/** A short run of test/proof/interleavings: it finds nothing, it can find something, and its parts work. */
import { spawn } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PHASE_BEFORE, PHASE_BLOCKED } from '../proof/interleavings/board.js'
import { type Choice, explore } from '../proof/interleavings/explore.js'
import { MUTANTS } from '../proof/interleavings/mutants.js'
import { SIZES } from '../proof/interleavings/patched-copy.js'
import { SCENARIOS } from '../proof/interleavings/scenarios.js'
import { formatSchedule, parseSchedule, type Schedule } from '../proof/interleavings/schedule.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SOURCE = join(ROOT, 'test/proof/interleavings')
const PROGRAM = join(ROOT, `.cache/interleavings-test-${process.pid}`)
const QUIET = { NO_COLOR: '1' }

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [join(PROGRAM, 'main.js'), ...args], { env: { ...process.env, ...QUIET } })
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (part: string) => {
      said[stream] += part
    })
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, ...said }))
  })
}

describe('the program', () => {
  // `npm run interleavings` compiles it; tests find only the package built.
  beforeAll(async () => {
    const files = (await readdir(SOURCE, { recursive: true })).filter((file) => file.endsWith('.ts'))
    await mkdir(join(PROGRAM, 'plugins'), { recursive: true })
    for (const file of files) {
      const { code } = await transform(await readFile(join(SOURCE, file), 'utf8'), { loader: 'ts', target: 'es2022' })
      await writeFile(join(PROGRAM, file.replace(/\.ts$/, '.js')), code)
    }
  })
  afterAll(() => rm(PROGRAM, { recursive: true, force: true }))

  it('finds nothing forbidden in any schedule with one preemption', { timeout: 60_000 }, async () => {
    const { code, stdout, stderr } = await run('--bound', '1', '--no-mutants', '--json')
    expect(stderr).toBe('')
    const { scenarios, mutants } = JSON.parse(stdout)
    expect(scenarios.map(({ name }: { name: string }) => name)).toEqual(SCENARIOS.map(({ name }) => name))
    for (const { name, schedules, violations, bound } of scenarios) {
      expect([name, violations, bound]).toEqual([name, 0, 1])
      expect(schedules).toBeGreaterThan(20)
    }
    expect(mutants).toEqual([])
    expect(code).toBe(0)
  })

  it('catches a mutant, and replays the schedule that caught it with the same result', {
    timeout: 60_000,
  }, async () => {
    const name = 'host-parks-unlooked'
    const { code, stdout } = await run('--mutant', name, '--json')
    const [mutant] = JSON.parse(stdout).mutants
    expect(mutant).toMatchObject({ name, caught: true, kind: 'lost-wake-up' })
    expect(code).toBe(0)
    const replays = [
      await run('--mutant', name, '--replay', mutant.scheduleId),
      await run('--mutant', name, '--replay', mutant.scheduleId),
    ]
    expect(replays[0]?.code).toBe(1)
    expect(replays[0]?.stdout).toContain('lost-wake-up')
    expect(replays[0]?.stdout).toMatch(/h {2}after store ring 0 HOST_PARK = 1/)
    expect(replays[1]).toEqual(replays[0])
    // What ships does in the same schedule what it should.
    const ships = await run('--replay', mutant.scheduleId)
    expect(ships.stdout).toContain('no violation')
    expect(ships.code).toBe(0)
  })

  it.each([
    [['--scenario', 'nonsense']],
    [['--bound', 'many']],
    [['--replay', 'publish-vs-park:one']],
    [['--nonsense']],
  ])('refuses %j', async (args) => {
    const { code, stdout, stderr } = await run(...args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('usage: npm run interleavings')
  })
})

describe('mutants', () => {
  const patches = [
    ...SIZES.map((patch) => ({ name: 'scaled', ...patch })),
    ...MUTANTS.flatMap(({ name, patches }) => patches.map((patch) => ({ name, ...patch }))),
  ]

  it.each(patches)('$name still fits $file', async ({ file, find, replace }) => {
    const text = await readFile(join(ROOT, 'dist', file), 'utf8')
    expect(text.split(find).length - 1).toBe(1)
    expect(replace).not.toBe(find)
  })

  it('have unique names, and scenarios that exist', () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length)
    const scenarios = SCENARIOS.map(({ name }) => name)
    for (const { name, first } of MUTANTS)
      for (const each of first) expect([name, scenarios]).toEqual([name, expect.arrayContaining([each])])
  })
})

describe('the exploration', () => {
  /** Two threads with this many steps each, scheduled as a stage does it. Each schedule's order of steps is a word. */
  function twoThreads(steps: number) {
    const words: string[] = []
    const runOne = async (schedule: Schedule): Promise<Choice[]> => {
      const left = [steps, steps]
      const choices: Choice[] = []
      const pending = [...schedule]
      let word = ''
      let thread = 0
      const isWanted = () => pending[0]?.point === choices.length
      while (left[0] !== 0 || left[1] !== 0) {
        const other = 1 - thread
        const mask = (left[other] as number) > 0 ? 1 << other : 0
        if (left[thread] === 0) {
          choices.push({ point: choices.length, phase: PHASE_BLOCKED, mask, chosen: other })
          thread = other
          continue
        }
        const target = isWanted() ? (pending.shift()?.thread ?? -1) : -1
        choices.push({ point: choices.length, phase: PHASE_BEFORE, mask, chosen: target })
        if (target !== -1) {
          thread = target
          continue
        }
        left[thread] = (left[thread] as number) - 1
        word += thread
      }
      words.push(word)
      return choices
    }
    return { words, runOne }
  }

  /** How often a thread that had steps left was interrupted; thread 0 begins. */
  function preemptionsIn(word: string, steps: number): number {
    let preemptions = 0
    for (let at = 0; at < word.length; at += 1) {
      const before = at === 0 ? '0' : (word[at - 1] as string)
      const done = word.slice(0, at).split(before).length - 1
      if (word[at] !== before && done < steps) preemptions += 1
    }
    return preemptions
  }

  it('reaches every order, up to its bound', async () => {
    const { words, runOne } = twoThreads(3)
    const { schedules, bound } = await explore(5, runOne)
    // Six steps, three of each.
    expect(new Set(words).size).toBe(20)
    expect(words.length).toBe(schedules)
    expect(bound).toBe(5)
    const few = twoThreads(3)
    await explore(1, few.runOne)
    expect(new Set(few.words)).toEqual(new Set(words.filter((word) => preemptionsIn(word, 3) <= 1)))
    expect(new Set(few.words).size).toBeLessThan(20)
  })

  it('runs no schedule twice, and those with fewer preemptions first', async () => {
    const seen: string[] = []
    const lengths: number[] = []
    const { runOne } = twoThreads(4)
    await explore(3, async (schedule) => {
      seen.push(formatSchedule('two', schedule))
      lengths.push(schedule.length)
      return await runOne(schedule)
    })
    expect(new Set(seen).size).toBe(seen.length)
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b))
    expect(seen.length).toBeGreaterThan(50)
  })

  it('ends when it has seen enough', async () => {
    let count = 0
    const { runOne } = twoThreads(3)
    const result = await explore(2, async (schedule) => {
      count += 1
      return count === 4 ? null : await runOne(schedule)
    })
    expect(result.schedules).toBe(4)
    expect(result.bound).toBeLessThan(2)
  })
})

describe('a schedule’s id', () => {
  it.each(['a-b:straight', 'a-b:0h', 'sequences-2^31:17w.24h.25v'])(
    '%s is the same after parsing and writing',
    (id) => {
      const parsed = parseSchedule(id)
      expect(formatSchedule(parsed?.scenario ?? '', parsed?.schedule ?? [])).toBe(id)
    },
  )

  it.each(['', 'a', 'a:', ':1h', 'a:1', 'a:1x', 'a:2h.1w', 'a:1h.1w', 'a:1h.'])('%j is not an id', (id) => {
    expect(parseSchedule(id)).toBeNull()
  })
})
