/** What `hookring bench` measures with. */

import { spawn } from 'node:child_process'
import { execPath } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { styleFor } from '../../dist/cli/common/style.js'
import { Histogram, mergeCounts } from '../../dist/cli/measure/histogram.js'
import { importPackage } from '../../dist/cli/measure/packages.js'
import { runRound } from '../../dist/cli/measure/rounds.js'
import { parseCpuTicks, stolenShare } from '../../dist/cli/measure/stolen.js'
import type { Round } from '../../dist/cli/measure/subject.js'
import { seatIn, takeTurns } from '../../dist/cli/measure/turns.js'

describe('a histogram', () => {
  it('keeps values within 0.8 %, the largest exactly', () => {
    const histogram = new Histogram()
    for (let us = 1; us <= 100_000; us += 1) histogram.record(us)
    for (const share of [0.5, 0.9, 0.99, 0.999]) {
      expect(Math.abs(histogram.percentile(share) / (share * 100_000) - 1)).toBeLessThan(0.008)
    }
    expect(histogram.max).toBe(100_000)
    expect(histogram.percentile(1)).toBeLessThanOrEqual(100_000)
  })

  it('is the sum of those whose counts it is given', () => {
    const all = new Histogram()
    const parts = [new Histogram(), new Histogram()]
    for (let at = 0; at < 10_000; at += 1) {
      const us = (at * 7919) % 5000
      all.record(us)
      parts[at % 2]?.record(us)
    }
    const merged = mergeCounts(parts.map((part) => part.counts()))
    expect(merged.counts()).toEqual(all.counts())
    expect(merged.count).toBe(10_000)
  })

  it('has no percentiles before the first value', () => {
    expect(new Histogram().percentile(0.5)).toBeNaN()
    expect(mergeCounts([new Histogram().counts()]).max).toBeNaN()
  })
})

describe('time that the neighbours of a virtual machine took', () => {
  const stat = (line: string) => parseCpuTicks(`${line}\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n`)

  it('is the share of steal between two readings of /proc/stat', () => {
    const before = stat('cpu  100 0 50 800 10 0 5 35 7 0')
    expect(before).toEqual({ all: 1000, stolen: 35 })
    // `guest` is part of `user`, and counted once.
    expect(stolenShare(before, stat('cpu  160 0 60 820 10 0 5 45 70 0'))).toBeCloseTo(0.1)
  })

  it('is unknown where the system does not tell', () => {
    expect(parseCpuTicks('')).toBeUndefined()
    // Kernels before 2.6.11 count no steal.
    expect(stat('cpu  100 0 50 800 10 0 5')).toBeUndefined()
    expect(stolenShare(undefined, stat('cpu  1 0 0 0 0 0 0 0 0 0'))).toBeUndefined()
    const still = stat('cpu  1 0 0 0 0 0 0 0 0 0')
    expect(stolenShare(still, still)).toBeUndefined()
  })
})

describe('rounds in turns', () => {
  const load = { kind: 'closed', inFlight: 1 } as const
  const round = (stolen: number | undefined, more: Partial<Round> = {}): Round => ({
    calls: 1,
    elapsedMs: 1,
    total: new Histogram().counts(),
    waiting: undefined,
    running: undefined,
    verdicts: {},
    failures: {},
    firstFailure: undefined,
    wrong: 0,
    hostBusyMs: 1,
    processCpuMs: 1,
    latestStartMs: 0,
    stolenShare: stolen,
    ...more,
  })

  /** The rounds that count, of a subject that gives these takes after its warm-up; and how many of them it was asked for. */
  async function turns(rounds: number, takes: readonly Round[]) {
    let asked = 0
    const answer = (kind: string) => (kind === 'run' ? (asked++ === 0 ? round(0) : takes[asked - 2]) : undefined)
    const seat = { name: 'one', module: new URL('file:///none'), options: null, loads: [load] }
    const one = seatIn(seat, {
      ask: async <Answer>(request: unknown) => answer((request as { kind: string }).kind) as Answer,
      hurry() {},
      end: async () => {},
    })
    const progress = { expect() {}, step() {}, done() {} }
    await takeTurns([one], { rounds, roundMs: 1, warmUpMs: 1, progress })
    return { kept: one.rounds.get('1 in flight'), retaken: one.retaken.get('1 in flight') ?? 0, taken: asked - 1 }
  }

  it('are taken again when neighbours had much of the machine, and the less disturbed take counts', async () => {
    const calm = Array.from({ length: 5 }, () => round(undefined))
    const better = [round(0), round(0.4), round(0.01), ...calm]
    expect(await turns(7, better)).toEqual({ kept: [better[0], better[2], ...calm], retaken: 1, taken: 8 })
    const worse = [round(0.2), round(0.3), round(0), ...calm]
    expect(await turns(7, worse)).toMatchObject({ kept: [worse[0], worse[2], ...calm], retaken: 1 })
  })

  it('are taken again a bounded number of times', async () => {
    const takes = Array.from({ length: 10 }, () => round(0.5))
    expect(await turns(8, takes)).toMatchObject({ retaken: 1, taken: 9 })
  })

  it('keep what went wrong, however disturbed', async () => {
    const calm = Array.from({ length: 6 }, () => round(0))
    const wrong = [round(0.5, { wrong: 1 }), ...calm]
    expect(await turns(7, wrong)).toEqual({ kept: wrong, retaken: 0, taken: 7 })
    const failed = [round(0.5), round(0.6, { failures: { timeout: 1 } }), ...calm]
    expect(await turns(7, failed)).toMatchObject({ kept: failed.slice(1), retaken: 1 })
  })
})

describe('a round', () => {
  const answer = { kind: 'continue' }
  const block = (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end; );
  }

  it('by the clock counts from when calls were due, though the thread itself stood still', async () => {
    let calls = 0
    const subject = {
      events: [0],
      close: async () => {},
      async ask() {
        calls += 1
        if (calls === 20) block(300)
        return answer
      },
    }
    const round = await runRound(subject, { kind: 'open', ratePerSecond: 1000 }, 400)
    expect(round.calls).toBe(400)
    // Three in four were due while it stood still.
    expect(mergeCounts([round.total]).percentile(0.5)).toBeGreaterThan(50_000)
    expect(round.latestStartMs).toBeGreaterThan(250)
  })

  it('in a closed loop asks again only when it has been answered', async () => {
    let underWay = 0
    let most = 0
    const subject = {
      events: [0, 1, 2],
      rejects: [false, true, false],
      close: async () => {},
      async ask(event: unknown) {
        underWay += 1
        most = Math.max(most, underWay)
        await sleep(1)
        underWay -= 1
        return event === 1 ? { kind: 'reject' } : answer
      },
    }
    const round = await runRound(subject, { kind: 'closed', inFlight: 3 }, 100)
    expect(most).toBe(3)
    expect(round.wrong).toBe(0)
    expect((round.verdicts.continue ?? 0) + (round.verdicts.reject ?? 0)).toBe(round.calls)
  })

  it('counts all calls and times some where many are in flight', async () => {
    let asked = 0
    const ask = async () => {
      asked += 1
      await sleep(1)
      if (asked % 3 === 0) throw new Error('no')
      return answer
    }
    const round = await runRound({ events: [0], close: async () => {}, ask }, { kind: 'closed', inFlight: 128 }, 50)
    const timed = mergeCounts([round.total]).count
    expect(round.calls).toBe(asked)
    expect((round.verdicts.continue ?? 0) + (round.failures.error ?? 0)).toBe(asked)
    expect(timed).toBeGreaterThan(0)
    expect(timed).toBeLessThan(asked / 4)
  })

  it('ends, and counts who was never answered', async () => {
    const subject = { events: [0], close: async () => {}, ask: () => new Promise<typeof answer>(() => {}) }
    const round = await runRound(subject, { kind: 'open', ratePerSecond: 100 }, 50)
    expect(round.failures).toEqual({ unanswered: 5 })
    expect(round.calls).toBe(5)
  })

  it('ends where those that read the clock are never answered', async () => {
    let asked = 0
    const ask = async () => {
      const at = asked++
      if (at < 128 && at % 8 === 0) return new Promise<typeof answer>(() => {})
      await sleep(1)
      return answer
    }
    const round = await runRound({ events: [0], close: async () => {}, ask }, { kind: 'closed', inFlight: 128 }, 50)
    expect(round.failures).toEqual({ unanswered: 16 })
    // Whoever asked again would do so when an answer arrives, and the last of them takes a millisecond.
    const before = asked
    await Promise.all(Array.from({ length: 128 }, () => sleep(1)))
    expect(asked).toBe(before)
  })

  it('counts rejections by their code, or by what failed', async () => {
    const errors = [
      Object.assign(new Error('a'), { code: 'EVENT_INVALID' }),
      Object.assign(new Error('b'), { code: 'PLUGIN_FAILED', cause: { kind: 'timeout' } }),
      new Error('c'),
    ]
    let calls = 0
    const ask = async () => Promise.reject(errors[calls++ % 3])
    const round = await runRound({ events: [0], close: async () => {}, ask }, { kind: 'open', ratePerSecond: 300 }, 100)
    expect(round.failures).toEqual({ EVENT_INVALID: 10, timeout: 10, error: 10 })
    expect(round.firstFailure).toBe('a')
  })
})

describe('a package to compare with', () => {
  it('is refused by name, with what to install, when it is not there', async () => {
    const refusal = importPackage('hookring-has-no-such-rival')
    await expect(refusal).rejects.toMatchObject({
      code: 'PACKAGE_NOT_INSTALLED',
      message: expect.stringContaining('npm install hookring-has-no-such-rival'),
    })
  })
})

describe('emphasis', () => {
  it('is for terminals that want it', () => {
    expect(styleFor({ isTTY: true }, {}).bold('x')).toBe('\u001b[1mx\u001b[22m')
    expect(styleFor({ isTTY: true }, { NO_COLOR: '1' }).bold('x')).toBe('x')
    expect(styleFor({ isTTY: false }, {}).bad('x')).toBe('x')
  })
})

describe('endProcess', () => {
  const exitModule = new URL('../../dist/cli/common/exit.js', import.meta.url).href
  const end = async (hadZombies: boolean) => {
    const code = `
      const { endProcess, print } = await import(${JSON.stringify(exitModule)})
      setInterval(() => {}, 1000)
      void print(process.stdout, 'x'.repeat(300_000))
      await endProcess(${hadZombies}, 1)`
    const child = spawn(execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'pipe'] })
    const text = { stdout: '', stderr: '' }
    for (const stream of ['stdout', 'stderr'] as const) child[stream].on('data', (part) => (text[stream] += part))
    return new Promise<{ code: number | null; signal: string | null; bytes: number; stderr: string }>((resolve) =>
      child.once('close', (exitCode, signal) =>
        resolve({ code: exitCode, signal, bytes: text.stdout.length, stderr: text.stderr }),
      ),
    )
  }

  it('waits for what was printed', async () => {
    expect(await end(false)).toEqual({ code: 1, signal: null, bytes: 300_000, stderr: '' })
  })

  it('kills the process where a thread would hold it up, and says so', async () => {
    const { code, signal, bytes, stderr } = await end(true)
    expect({ code, signal, bytes }).toEqual({ code: null, signal: 'SIGKILL', bytes: 300_000 })
    expect(stderr).toMatch(/kills itself; its exit code would have been 1/)
  })
})
