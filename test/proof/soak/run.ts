/**
 * One run of the soak: opens the engines, lets traffic flow and faults strike, closes everything, and gives the account.
 * Host's thread only, one run to a process.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ACTS, createEvidence, openEvidence } from './evidence.js'
import { createLedger } from './ledger.js'
import { isClean, type LedgerFigures, type LedgerNotes } from './ledger-figures.js'
import { Pauses } from './pauses.js'
import { type Fault, type FaultKind, planFaults } from './plan.js'
import { CASTS } from './roles.js'
import { createSamples, type Sample } from './samples.js'
import { openStage, type Stage } from './stage.js'
import { createStrikes } from './strikes.js'

export interface RunOptions {
  readonly minutes: number
  readonly seed: number
  /** Ends the run early; what there is by then is accounted for. */
  readonly signal: AbortSignal
  /** Told of each fault as it strikes. */
  onFault?(fault: Fault, struckMs: number): void
  /** Told every second. */
  onSecond?(state: { readonly elapsedS: number; readonly figures: LedgerFigures; readonly faults: number }): void
}

/** The document of `--json`. */
export interface SoakDocument {
  readonly minutes: number
  readonly seed: number
  readonly ledger: LedgerFigures
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>
  readonly rssMbStart: number
  readonly rssMbEnd: number
  readonly heapMbStart: number
  readonly heapMbEnd: number
  readonly notes: LedgerNotes
  /** How often hooks came to do what the plan had told them. */
  readonly actsReached: Readonly<Record<string, number>>
  readonly lanesReplaced: Readonly<Record<string, number>>
  readonly refusedChanges: Readonly<Record<string, number>>
  readonly engineErrors: Readonly<Record<string, number>>
  readonly quarantinesByFailures: number
  readonly zombies: number
  /** Observations of a key that overtook others of it across a reload; see --help. */
  readonly reorderedAcrossReloads: number
  readonly latencyUs: { readonly p50: number; readonly p99: number; readonly p999: number }
  readonly didClose: boolean
  readonly findings: readonly string[]
}

export interface Outcome {
  readonly document: SoakDocument
  readonly samples: readonly Sample[]
  readonly struck: readonly { readonly atS: number; readonly kind: FaultKind }[]
  readonly isClean: boolean
}

const TICK_MS = 10
/** Traffic that a stalled loop missed is made up for, up to this much. */
const CATCH_UP_MS = 300
const MOST_SAMPLES = 300
/** Every engine's own limits are far below. */
const CLOSE_PATIENCE_MS = 60_000

export async function runSoak({ minutes, seed, signal, onFault, onSecond }: RunOptions): Promise<Outcome> {
  const startMs = performance.now()
  const now = () => performance.now() - startMs
  const evidence = openEvidence(createEvidence())
  const pauses = new Pauses(now())
  const ledger = createLedger(evidence, now, (sinceMs) => pauses.any(sinceMs, now()))
  const samples = createSamples(now())
  const stage = await openStage({ evidence, ledger, now, onSettled: samples.record })
  const strikes = createStrikes(stage, evidence)
  const struck: { atS: number; kind: FaultKind }[] = []

  const beginMs = now()
  const lengthMs = minutes * 60_000
  const sampleEveryMs = Math.max(500, lengthMs / MOST_SAMPLES)
  const plan = planFaults(seed)
  let next = plan.next().value
  const traffic = createTraffic(stage)
  let lastMs = beginMs
  let sampleAtMs = beginMs + sampleEveryMs
  let secondAtMs = beginMs + 1000

  while (now() - beginMs < lengthMs && !signal.aborted) {
    await sleep(TICK_MS)
    const nowMs = now()
    pauses.tick(nowMs)
    traffic.flow(Math.min(nowMs - lastMs, CATCH_UP_MS))
    lastMs = nowMs
    while (beginMs + next.atMs <= nowMs) {
      struck.push({ atS: nowMs / 1000, kind: next.kind })
      onFault?.(next, Math.round(nowMs - beginMs))
      strikes.strike(next)
      next = plan.next().value
    }
    if (nowMs >= sampleAtMs) {
      samples.take(nowMs)
      sampleAtMs = nowMs + sampleEveryMs
    }
    if (nowMs >= secondAtMs) {
      secondAtMs = nowMs + 1000
      ledger.sweep()
      ledger.readEvidence()
      onSecond?.({ elapsedS: (nowMs - beginMs) / 1000, figures: ledger.figures, faults: struck.length })
    }
  }

  samples.take(now())
  const ranMs = now() - beginMs
  const memory = memoryOf(samples.all)
  for (const { roles } of CASTS) for (const { plugin } of roles) evidence.clearStarts(plugin)
  const closing = strikes.settled().then(() => stage.close())
  const didClose = await within(closing, CLOSE_PATIENCE_MS)
  ledger.closeRest()
  ledger.readEvidence()

  const document: SoakDocument = {
    minutes: Math.round((ranMs / 60_000) * 1000) / 1000,
    seed,
    ledger: ledger.figures,
    faults: strikes.counts,
    ...memory,
    notes: ledger.notes,
    actsReached: Object.fromEntries(ACTS.filter((act) => act !== 'none').map((act) => [act, evidence.reached(act)])),
    lanesReplaced: stage.lanesReplaced,
    refusedChanges: stage.refusedChanges,
    engineErrors: stage.errors,
    quarantinesByFailures: stage.quarantines,
    zombies: stage.zombies,
    reorderedAcrossReloads: Math.max(0, evidence.disordered().across - evidence.disordered().within),
    latencyUs: {
      p50: Math.round(samples.percentile(0.5)),
      p99: Math.round(samples.percentile(0.99)),
      p999: Math.round(samples.percentile(0.999)),
    },
    didClose,
    findings: ledger.findings,
  }
  return { document, samples: samples.all, struck, isClean: didClose && isClean(ledger.figures, ledger.notes) }
}

/** Calls and observations at their rates; what does not come out whole is carried on to the next time. */
function createTraffic(stage: Stage): { flow(ms: number): void } {
  const streams = CASTS.flatMap(({ name, traffic }) =>
    Object.entries(traffic).map(([hookpoint, perS]) => ({ name, hookpoint, perS, due: 0 })),
  )
  return {
    flow(ms) {
      for (const stream of streams) {
        stream.due += (stream.perS * ms) / 1000
        for (; stream.due >= 1; stream.due -= 1) stage.fire(stream.name, stream.hookpoint)
      }
    },
  }
}

/** After a fifth of the run, five minutes at most, everything has been made that a run makes once. */
function memoryOf(samples: readonly Sample[]) {
  const endS = samples.at(-1)?.atS ?? 0
  const warmS = Math.min(300, endS / 5)
  const warm = samples.filter(({ atS }) => atS >= warmS)
  const few = Math.max(1, Math.floor(warm.length / 10))
  const of = (part: readonly Sample[], key: 'rssMb' | 'heapMb'): number =>
    part.map((sample) => sample[key]).sort((a, b) => a - b)[part.length >> 1] ?? 0
  return {
    rssMbStart: of(warm.slice(0, few), 'rssMb'),
    rssMbEnd: of(warm.slice(-few), 'rssMb'),
    heapMbStart: of(warm.slice(0, few), 'heapMb'),
    heapMbEnd: of(warm.slice(-few), 'heapMb'),
  }
}

async function within(work: Promise<void>, ms: number): Promise<boolean> {
  const late = new AbortController()
  try {
    return await Promise.race([work.then(() => true), sleep(ms, false, { signal: late.signal }).catch(() => false)])
  } finally {
    late.abort()
  }
}
