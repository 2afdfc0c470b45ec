/** `npm run attacks` in short: its corpus, and a few attacks of each class where containment is promised. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { noSandbox } from '../support/processes.js'
import type { Row } from './attacks/campaign.js'
import { ATTACKS, CLASSES, runtimesOf } from './attacks/corpus.js'
import { findingsOf, textOf } from './attacks/report.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

function attack(...args: string[]) {
  const ran = spawnSync(process.execPath, ['scripts/run.mjs', 'test/proof/attacks/main.ts', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 100_000,
  })
  return { code: ran.status, stdout: ran.stdout, stderr: ran.stderr }
}

const FEW = ['Function', 'properties of all objects', 'globals of another plugin', 'a huge reason', 'a loop', 'a trap']
const row = (more: Partial<Row> = {}): Row => ({
  runtime: 'quickjs',
  boundary: 'thread',
  class: 'escape',
  attack: 'Function',
  outcome: 'contained',
  loopBlockedMs: 1,
  servesAgain: true,
  why: '',
  ...more,
})

describe('the corpus of attacks', () => {
  it('has more than sixty, each by a name of its own, in every class', () => {
    expect(ATTACKS.length).toBeGreaterThan(60)
    expect(new Set(ATTACKS.map(({ name }) => name)).size).toBe(ATTACKS.length)
    for (const kind of CLASSES) expect(ATTACKS.filter((attack) => attack.class === kind).length).toBeGreaterThan(4)
    for (const attack of ATTACKS) expect(runtimesOf(attack)).not.toEqual([])
  })
})

describe('attacks', () => {
  const contained = (runtime: Row['runtime'], boundary: Row['boundary'], count: number) => {
    const named = FEW.flatMap((name) => ['--attack', name])
    const { code, stdout, stderr } = attack('--json', '--runtime', runtime, '--boundary', boundary, ...named)
    const { rows } = JSON.parse(stdout) as { rows: Row[] }
    expect(rows.length, stderr).toBe(count)
    for (const { attack, outcome, servesAgain } of rows) {
      expect({ attack, outcome, servesAgain }).toEqual({ attack, outcome: 'contained', servesAgain: true })
    }
    // A loop that stands still for long, on a machine that is busy, is told by the exit code as well.
    expect([0, 1]).toContain(code)
  }

  it('on quickjs are contained', { timeout: 100_000 }, () => contained('quickjs', 'thread', 5))

  it('on wasm are contained', { timeout: 100_000 }, () => contained('wasm', 'thread', 1))

  it.skipIf(noSandbox !== null)(
    `on module in a process are contained${noSandbox === null ? '' : ` (skipped: ${noSandbox})`}`,
    { timeout: 100_000 },
    () => contained('module', 'process', 5),
  )

  it('by a name that there is none of are refused', () => {
    const { code, stderr } = attack('--attack', 'nothing')
    expect(code).toBe(2)
    expect(stderr).toMatch(/^attacks: --attack: there is no "nothing"; there are: /)
  })
})

describe('what counts as a finding', () => {
  it.each([
    [{ outcome: 'escaped' }, /escaped/],
    [{ outcome: 'host-died' }, /host-died/],
    [{ outcome: 'wrong-verdict' }, /wrong-verdict/],
    [{ outcome: 'too-much-memory' }, /too-much-memory/],
    [{ servesAgain: false }, /does not serve again/],
    [{ loopBlockedMs: 21 }, /stood still for 21\.0 ms/],
  ] as const)('%o where containment is promised', (more, says) => {
    const campaign = { rows: [row(), row(more)], skipped: new Map() }
    expect(findingsOf(campaign)).toEqual([expect.stringMatching(says)])
    expect(textOf(campaign)).toMatch(/What got through/)
  })

  it('but not where none is', () => {
    const rows = [row({ runtime: 'module', outcome: 'escaped' })]
    expect(findingsOf({ rows, skipped: new Map() })).toEqual([])
  })
})
