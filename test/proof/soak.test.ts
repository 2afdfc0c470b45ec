/**
 * The soak of `npm run soak`, in short, and its instruments: a ledger that could not find anything amiss would prove
 * nothing. What is judged of the run is its account; speed is the bench's business.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Verdict } from 'hookring'
import { HookringError } from 'hookring'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Asked, Stay } from './soak/entries.js'
import { makeEvent, type SoakEvent } from './soak/events.js'
import { type Act, createEvidence, createWitness, openEvidence } from './soak/evidence.js'
import { type Answer, isTrue, type Link } from './soak/judge.js'
import { createLedger } from './soak/ledger.js'
import { isClean } from './soak/ledger-figures.js'
import { Pauses } from './soak/pauses.js'
import { FAULT_KINDS, planFaults } from './soak/plan.js'
import { castOf, kindOf, roleOf } from './soak/roles.js'
import type { SoakDocument } from './soak/run.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

describe('the plan of faults', () => {
  const first = (seed: number, count: number) => {
    const plan = planFaults(seed)
    return Array.from({ length: count }, () => plan.next().value)
  }

  it('follows from the seed', () => {
    expect(first(5, 300)).toEqual(first(5, 300))
    expect(first(5, 300)).not.toEqual(first(6, 300))
  })

  it('has every kind once in its first round, and in the order of time', () => {
    const faults = first(1, FAULT_KINDS.length)
    expect(faults.map(({ kind }) => kind).sort()).toEqual([...FAULT_KINDS].sort())
    expect(faults.map(({ atMs }) => atMs)).toEqual(faults.map(({ atMs }) => atMs).sort((a, b) => a - b))
  })
})

describe('the judge', () => {
  const shop = castOf('shop')
  const chain = (...names: string[]): Link[] => names.map((name) => ({ role: roleOf('shop', name), versions: [1] }))
  const [stock, fraud, tax] = chain('stock', 'fraud', 'tax') as [Link, Link, Link]

  function judged(
    hookpoint: string,
    event: SoakEvent,
    answer: Answer | Verdict,
    {
      entered = {},
      act = 'none',
      actor = null,
      stoodStill = false,
    }: { entered?: Record<string, number>; act?: Act; actor?: Link | null; stoodStill?: boolean } = {},
  ): boolean {
    return isTrue(
      {
        kind: kindOf(shop, hookpoint),
        isParallel: false,
        hookpoint,
        event,
        chain: [stock, fraud, tax],
        act,
        actor: actor?.role ?? null,
        stoodStill,
        entered: ({ name }) => entered[name] ?? 1,
      },
      'kind' in answer ? { verdict: answer } : answer,
    )
  }

  const order = (cents: number) => ({ ...makeEvent('onOrder', 12), cents })
  const failure = (plugin: string, kind: 'timeout' | 'error') => ({
    kind,
    plugin,
    hookpoint: 'onOrder',
    message: `${plugin} failed`,
    waitedMs: 0,
    ranMs: 0,
  })

  it('takes the verdict that the plugins’ decisions lead to, and no other', () => {
    expect(judged('onOrder', order(1), { kind: 'continue' })).toBe(true)
    expect(judged('onOrder', order(7), { kind: 'continue' })).toBe(false)
    const rejected = { kind: 'reject', plugin: 'stock', reason: 'stock does not take 7 of call 12' } as const
    expect(judged('onOrder', order(7), rejected)).toBe(true)
    expect(judged('onOrder', order(1), rejected)).toBe(false)
    // Of another call, or in the name of another plugin.
    expect(judged('onOrder', order(7), { ...rejected, reason: 'stock does not take 7 of call 13' })).toBe(false)
    expect(judged('onOrder', order(7), { ...rejected, plugin: 'tax' })).toBe(false)
  })

  it('takes nobody’s word for a plugin that was not asked', () => {
    expect(judged('onOrder', order(1), { kind: 'continue' }, { entered: { tax: 0 } })).toBe(false)
    // The chain ended before it.
    const rejected = { kind: 'reject', plugin: 'stock', reason: 'stock does not take 7 of call 12' } as const
    expect(judged('onOrder', order(7), rejected, { entered: { tax: 0 } })).toBe(true)
  })

  it('takes a late reply for one in time where the server stood still, and only there', () => {
    const late = { act: 'lateReply', actor: tax } as const
    expect(judged('onOrder', order(1), { kind: 'continue' }, late)).toBe(false)
    expect(judged('onOrder', order(1), { kind: 'continue' }, { ...late, stoodStill: true })).toBe(true)
    const allowed = { kind: 'continue', failure: failure('tax', 'timeout') } as const
    expect(judged('onOrder', order(1), allowed, late)).toBe(true)
    const pauses = new Pauses(0)
    for (const ms of [10, 20, 45, 55]) pauses.tick(ms)
    expect([pauses.any(40, 60), pauses.any(46, 60), pauses.any(46, 80)]).toEqual([true, false, true])
  })

  it('takes a failure for what its policy makes of it', () => {
    const allowed = { kind: 'continue', failure: failure('tax', 'timeout') } as const
    expect(judged('onOrder', order(1), allowed)).toBe(true)
    expect(judged('onOrder', order(1), { kind: 'continue', failure: failure('stock', 'timeout') })).toBe(false)
    const denied = (name: string) =>
      ({ kind: 'reject', plugin: name, reason: `${name} failed`, failure: failure(name, 'timeout') }) as const
    expect(judged('onOrder', order(1), denied('stock'))).toBe(true)
    expect(judged('onOrder', order(1), denied('tax'))).toBe(false)
    expect(judged('onQuote', makeEvent('onQuote', 12), { raised: failure('stock', 'timeout') })).toBe(true)
    expect(judged('onQuote', makeEvent('onQuote', 12), { raised: failure('fraud', 'timeout') })).toBe(false)
  })

  it('takes an error only of a plugin that was told to throw', () => {
    const failed = { kind: 'continue', failure: failure('tax', 'error') } as const
    expect(judged('onOrder', order(1), failed)).toBe(false)
    expect(judged('onOrder', order(1), failed, { act: 'throw', actor: tax })).toBe(true)
    expect(judged('onOrder', order(1), { kind: 'continue' }, { act: 'throw', actor: tax })).toBe(false)
  })

  it('takes a replacement of which every step is there', () => {
    const event = makeEvent('onPrice', 12, 'welcome')
    const steps = event.steps as string[]
    const replaced = (...more: string[]) =>
      ({ kind: 'replace', plugin: 'tax', event: { ...event, steps: [...steps, ...more] } }) as const
    expect(judged('onPrice', event, replaced('stock@1', 'fraud@1', 'tax@1'))).toBe(true)
    expect(judged('onPrice', event, replaced('stock@1', 'tax@1'))).toBe(false)
    expect(judged('onPrice', event, replaced('stock@2', 'fraud@1', 'tax@1'))).toBe(false)
  })
})

describe('the ledger', () => {
  const links = [roleOf('feed', 'keeper'), roleOf('feed', 'runner')].map((role) => ({ role, versions: [1] }))
  const marksOf = (buffer: SharedArrayBuffer, plugin: string) => {
    const { column, plugin: number } = roleOf('feed', plugin)
    return createWitness({ buffer, column: column as number, plugin: number, orderRow: 0 })
  }

  function openBooks() {
    let nowMs = 0
    const evidence = openEvidence(createEvidence())
    const ledger = createLedger(evidence, () => nowMs)
    const stay: Stay = { cast: castOf('feed'), instance: 1, isClosing: false, refusals: 0, passedBy: new Map() }
    const about = (hookpoint: string, id: number, state: 'active' | 'held' = 'active'): Asked => {
      evidence.open(id, 0, 'none')
      return {
        stay,
        hookpoint,
        event: makeEvent(hookpoint, id, 'welcome', { key: 1, seq: id }),
        links,
        states: new Map(links.map(({ role }) => [role.name, state])),
        holds: 0,
        act: 'none',
        actor: null,
        signal: undefined,
        isMisfit: false,
      }
    }
    return {
      ledger,
      stay,
      about,
      letter: (plugin: string, id: number) =>
        ledger.letter(stay, { hookpoint: 'onTick', plugin, event: { id }, reason: 'crash' }),
      keeper: marksOf(evidence.buffer, 'keeper'),
      runner: marksOf(evidence.buffer, 'runner'),
      pass: (ms: number) => {
        nowMs += ms
        ledger.sweep()
        ledger.readEvidence()
      },
    }
  }

  it('counts what was delivered once, twice, reported and not at all', () => {
    const { ledger, about, keeper, runner, letter, pass } = openBooks()
    for (const id of [1, 2, 3, 4]) ledger.told(id, about('onTick', id))
    for (const [witness, id] of [
      [keeper, 1],
      [runner, 1],
      [keeper, 2],
      [runner, 2],
      [runner, 2],
      [keeper, 3],
    ] as const) {
      witness.enter(id)
      witness.leave(id)
    }
    letter('runner', 3)
    letter('keeper', 4)
    // An observation may wait for a lane that starts.
    pass(15_000)
    expect(ledger.figures).toMatchObject({ observations: 6, unexplained: 0 })
    pass(50_000)
    expect(ledger.figures).toMatchObject({
      observations: 8,
      deliveredOnce: 4,
      deliveredTwice: 1,
      reportedUndelivered: 2,
      unexplained: 1,
    })
    expect(ledger.size).toBe(0)
    expect(isClean(ledger.figures, ledger.notes)).toBe(false)
  })

  it('counts one that was reported after its hook was entered as reported, and says how many there were', () => {
    const { ledger, about, keeper, runner, letter, pass } = openBooks()
    ledger.told(1, about('onTick', 1))
    keeper.enter(1)
    runner.enter(1)
    runner.leave(1)
    letter('keeper', 1)
    pass(15_000)
    expect(ledger.figures).toMatchObject({ deliveredOnce: 1, deliveredTwice: 0, reportedUndelivered: 1 })
    expect(ledger.notes.reportedThoughEntered).toBe(1)
    expect(isClean(ledger.figures, ledger.notes)).toBe(true)
  })

  it('does not take a hook that was interrupted for one that was told', () => {
    const { ledger, about, keeper, runner, pass } = openBooks()
    ledger.told(1, about('onTick', 1))
    keeper.enter(1)
    runner.enter(1)
    runner.leave(1)
    pass(70_000)
    expect(ledger.figures).toMatchObject({ deliveredOnce: 1, unexplained: 1 })
  })

  it('finds what was reported twice, and what was reported and never told', () => {
    const { ledger, about, letter } = openBooks()
    ledger.told(1, about('onTick', 1))
    letter('keeper', 1)
    letter('keeper', 1)
    letter('keeper', 99)
    expect(ledger.notes).toMatchObject({ reportedTwice: 1, strayLetters: 1 })
  })

  it('takes quarantines that the engine has counted, and no more', () => {
    const { ledger, stay, about } = openBooks()
    for (const id of [1, 2, 3]) ledger.told(id, about('onTick', id, 'held'))
    ledger.close(
      stay,
      new Map([
        ['keeper', 3],
        ['runner', 1],
      ]),
    )
    expect(ledger.figures).toMatchObject({ observations: 6, reportedUndelivered: 4, unexplained: 2 })
  })

  it('takes refusals of a closing engine as often as it said so', () => {
    const { ledger, stay, about } = openBooks()
    ledger.told(1, about('onTick', 1))
    stay.isClosing = true
    for (const id of [2, 3]) ledger.told(id, about('onTick', id))
    stay.refusals = 1
    ledger.close(stay, new Map())
    expect(ledger.figures).toMatchObject({ observations: 6, reportedUndelivered: 2, unexplained: 4 })
  })

  it('finds observations that come out of order', () => {
    const { ledger, keeper, pass } = openBooks()
    for (const seq of [1, 2, 4, 3, 5]) keeper.inOrder(7, seq)
    keeper.inOrder(8, 1)
    pass(1)
    expect(ledger.figures.orderViolations).toBe(1)
  })

  it('finds calls that never settle, run twice, or reject for no reason', () => {
    const { ledger, about, keeper, pass } = openBooks()
    for (const id of [1, 2, 3, 4]) ledger.asked(id, about('onBlob', id))
    keeper.enter(2)
    keeper.enter(2)
    const aborted = new HookringError('CALL_ABORTED', 'by nobody')
    for (const id of [2, 3]) ledger.settled(id, { error: aborted }, 0)
    pass(40_000)
    expect(ledger.figures).toMatchObject({ calls: 4, settledOnce: 1, settledTwice: 1, neverSettled: 2 })
    expect(ledger.notes.wrongVerdicts).toBe(2)
  })
})

describe('npm run soak', () => {
  it('accounts for every call and observation of ten seconds of faults', { timeout: 120_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hookring-soak-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const files = { svg: join(folder, 'run.svg'), log: join(folder, 'run.ndjson') }
    const seed = Number(process.env.SEED ?? 1)
    const args = ['--minutes', '0.17', '--seed', String(seed), '--json', '--svg', files.svg, '--log', files.log]
    const { code, stdout, stderr } = await startSoak(args).ended
    expect(stderr).toBe('')
    const document = JSON.parse(stdout) as SoakDocument
    expect(document.findings, `seed ${seed}`).toEqual([])
    const { ledger, faults, seed: said } = document
    expect(said).toBe(seed)
    expect(ledger).toMatchObject({
      settledOnce: ledger.calls,
      settledTwice: 0,
      neverSettled: 0,
      deliveredTwice: 0,
      unexplained: 0,
      orderViolations: 0,
    })
    expect(ledger.deliveredOnce + ledger.reportedUndelivered).toBe(ledger.observations)
    expect(document.notes.wrongVerdicts).toBe(0)
    expect(code).toBe(0)

    // And it was no idle run.
    expect(ledger.calls).toBeGreaterThan(1000)
    expect(ledger.deliveredOnce).toBeGreaterThan(1000)
    expect(document.notes.decidedBy.plugins).toBeGreaterThan(ledger.calls / 4)
    const log = readFileSync(files.log, 'utf8').trim().split('\n')
    expect(log).toHaveLength(Object.values(faults).reduce((sum, count) => sum + count, 0))
    const plan = planFaults(seed)
    for (const line of log) expect(JSON.parse(line)).toMatchObject(plan.next().value)
    expect(readFileSync(files.svg, 'utf8')).toContain('</svg>')
  })

  it('ends when it is interrupted, with the figures so far', { timeout: 120_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hookring-soak-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const log = join(folder, 'run.ndjson')
    const soak = startSoak(['--minutes', '30', '--json', '--svg', join(folder, 'run.svg'), '--log', log])
    await expect.poll(() => existsSync(log) && readFileSync(log, 'utf8') !== '', { timeout: 60_000 }).toBe(true)
    soak.signal('SIGINT')
    const { code, stdout } = await soak.ended
    const { minutes, ledger } = JSON.parse(stdout) as SoakDocument
    expect(code).toBe(0)
    expect(minutes).toBeLessThan(2)
    expect(ledger.settledOnce).toBe(ledger.calls)
  })

  it('says what is wrong with its options', { timeout: 60_000 }, async () => {
    const { code, stdout, stderr } = await startSoak(['--minutes', 'two']).ended
    expect(code).toBe(2)
    expect(stderr).toContain('--minutes must be above 0')
    expect(stderr).toContain('usage: npm run soak')
    expect(stdout).toBe('')
  })
})

function startSoak(args: readonly string[]) {
  // A group of its own, as a terminal gives it: a signal reaches the script that started the program, too.
  const child = spawn(process.execPath, ['scripts/run.mjs', 'test/proof/soak/main.ts', ...args], {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const text = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (part: string) => {
      text[stream] += part
    })
  }
  return {
    ended: new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, ...text }))
    }),
    signal: (signal: NodeJS.Signals) => signalGroup(child, signal),
  }
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, signal)
}
