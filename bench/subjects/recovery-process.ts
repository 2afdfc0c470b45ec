/**
 * Case `recovery`: one process that hangs a plugin again and again under traffic, and accounts for every call.
 *
 * Each call has a number. The plugin appends the number, the time and its lane to a file before it does anything else,
 * so that what ran is known even of lanes that were killed; the host notes when each call settled and as what. The two
 * accounts are compared at the end, when nothing runs any more.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { deliveryEvents } from '../contenders/delivery-events.js'
import { answerRequests } from '../instruments.js'
import { HANGS_AT_LENGTH, RECORD_WORDS } from '../plugins/numbered.js'

export interface RecoveryOptions {
  readonly hangs: number
  /** The plugin's timeout: a marked call fails after it. */
  readonly deadlineMs: number
  readonly hangMs: number
  /** Traffic between serving again and the next hang: a new spare boots meanwhile. */
  readonly pauseMs: number
  readonly callsPerMs: number
}

export interface RecoveryFigures {
  /** Marked calls that reached the plugin, which never came back from them. */
  readonly hangs: number
  readonly calls: number
  /** Calls that never settled, or that were answered as if a plugin had run them when none had. */
  readonly lost: number
  /** Calls that more than one lane ran, or one lane twice. */
  readonly runTwice: number
  /** How the marked calls ended, by kind of failure. */
  readonly marked: Readonly<Record<string, number>>
  /** Calls that were not marked and failed all the same, by kind. */
  readonly failures: Readonly<Record<string, number>>
  /** For each hang, from the plugin's entering the hook to the host's first verdict from a later lane. */
  readonly recoveriesMs: readonly number[]
}

interface Outcome {
  readonly isMarked: boolean
  readonly settledNs: number
  /** `continue`, or the kind of failure. */
  readonly result: string
}

/** Long after its deadline a call that has not settled never will. */
const PATIENCE_MS = 5_000

answerRequests(async (options: RecoveryOptions): Promise<RecoveryFigures> => {
  const folder = mkdtempSync(join(tmpdir(), 'hookring-recovery-'))
  const runsFile = join(folder, 'runs')
  try {
    const outcomes = await drive(runsFile, options)
    return account(outcomes, readRuns(runsFile))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** Runs the traffic and the hangs; the outcome of call n stands at index n, undefined if it never settled. */
async function drive(runsFile: string, options: RecoveryOptions): Promise<(Outcome | undefined)[]> {
  const engine = await createHookEngine({
    contract: delivery,
    plugins: [{ from: new URL('../plugins/numbered.js', import.meta.url), config: { runsFile } }],
    timeoutMs: options.deadlineMs,
    hangMs: options.hangMs,
    // The plugin hangs on purpose, and goes on being asked.
    quarantine: false,
  })
  const outcomes: (Outcome | undefined)[] = []
  const { events } = deliveryEvents()
  const [model] = events
  if (model === undefined) throw new Error('no event')
  const pending = new Set<Promise<void>>()

  const ask = (isMarked: boolean): Promise<void> => {
    const seq = outcomes.length
    outcomes.push(undefined)
    const event = { ...model, seq: BigInt(seq), payloadLen: isMarked ? HANGS_AT_LENGTH : 200 }
    const settle = (result: string): void => {
      outcomes[seq] = { isMarked, settledNs: Number(process.hrtime.bigint()), result }
    }
    const asked = engine.hooks.onMessageEnqueue(event).then(
      (verdict) => settle(verdict.failure?.kind ?? verdict.kind),
      (error: unknown) => settle(error instanceof Error ? error.name : 'error'),
    )
    pending.add(asked)
    return asked.finally(() => pending.delete(asked))
  }

  const traffic = setInterval(() => {
    for (let call = 0; call < options.callsPerMs; call++) void ask(false)
  }, 1)
  const serveAgain = async (): Promise<void> => {
    const from = outcomes.length
    while (!outcomes.slice(from).some((outcome) => outcome?.result === 'continue')) await sleep(1)
  }
  await sleep(500)
  // A marked call may fail before it reaches the plugin; then it was no hang, and another takes its place.
  for (let missing = options.hangs; missing > 0; missing = options.hangs - countHangs(outcomes, readRuns(runsFile))) {
    for (let hang = 0; hang < missing; hang++) {
      await ask(true)
      await serveAgain()
      await sleep(options.pauseMs)
    }
  }
  clearInterval(traffic)
  const giveUp = new AbortController()
  await Promise.race([Promise.all(pending), sleep(PATIENCE_MS, undefined, { signal: giveUp.signal })])
  giveUp.abort()
  await engine.close()
  return outcomes
}

interface Run {
  readonly enteredNs: number
  readonly lane: bigint
}

function readRuns(runsFile: string): Map<number, Run[]> {
  const bytes = readFileSync(runsFile)
  const words = new BigUint64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
  const runs = new Map<number, Run[]>()
  for (let at = 0; at < words.length; at += RECORD_WORDS) {
    const seq = Number(words[at])
    const run = { enteredNs: Number(words[at + 1]), lane: words[at + 2] as bigint }
    const known = runs.get(seq)
    if (known === undefined) runs.set(seq, [run])
    else known.push(run)
  }
  return runs
}

function countHangs(outcomes: readonly (Outcome | undefined)[], runs: ReadonlyMap<number, readonly Run[]>): number {
  return outcomes.filter((outcome, seq) => outcome?.isMarked === true && runs.has(seq)).length
}

function account(
  outcomes: readonly (Outcome | undefined)[],
  runs: ReadonlyMap<number, readonly Run[]>,
): RecoveryFigures {
  let lost = 0
  let runTwice = 0
  const marked: Record<string, number> = {}
  const failures: Record<string, number> = {}
  for (const [seq, outcome] of outcomes.entries()) {
    const ran = runs.get(seq)?.length ?? 0
    if (ran > 1) runTwice++
    if (outcome === undefined) lost++
    else if (outcome.isMarked) marked[outcome.result] = (marked[outcome.result] ?? 0) + 1
    else if (outcome.result === 'continue') lost += ran === 0 ? 1 : 0
    else failures[outcome.result] = (failures[outcome.result] ?? 0) + 1
  }
  const recoveriesMs = recoveries(outcomes, runs)
  return { hangs: countHangs(outcomes, runs), calls: outcomes.length, lost, runTwice, marked, failures, recoveriesMs }
}

function recoveries(outcomes: readonly (Outcome | undefined)[], runs: ReadonlyMap<number, readonly Run[]>): number[] {
  const served = outcomes
    .flatMap((outcome, seq) => {
      const run = runs.get(seq)?.[0]
      return outcome?.result === 'continue' && run !== undefined ? [{ settledNs: outcome.settledNs, ...run }] : []
    })
    .sort((a, b) => a.settledNs - b.settledNs)
  return outcomes.flatMap((outcome, seq) => {
    const hang = runs.get(seq)?.[0]
    if (outcome?.isMarked !== true || hang === undefined) return []
    // Served by another lane after the hang began: the lanes before it had ended by then.
    const first = served.find((one) => one.enteredNs > hang.enteredNs && one.lane !== hang.lane)
    return first === undefined ? [] : [(first.settledNs - hang.enteredNs) / 1e6]
  })
}
