/** Runs the targets until enough inputs were tried; keeps what was found, shrunk. */
import fc from 'fast-check'
import { newTally, type Target, type TargetTally } from './target.js'

export interface FuzzOptions {
  readonly seed: number
  /** For the decoders; the other doors get BORDER_INPUTS of it besides. */
  readonly inputs: number
  readonly targets: readonly Target[]
  readonly signal?: AbortSignal | undefined
  onProgress?(target: string, inputs: number): void
}

export interface Finding {
  readonly target: string
  /** Of fast-check: with the path it leads to the same counterexample. */
  readonly seed: number
  readonly path: string | null
  readonly counterexample: string
  readonly error: string
}

export interface FuzzReport {
  readonly inputs: number
  /** Of these, bytes for the decoders. */
  readonly decoderInputs: number
  readonly seconds: number
  readonly seed: number
  readonly targets: Readonly<Record<string, TargetTally & { readonly group: string; readonly seconds: number }>>
  readonly findings: readonly Finding[]
  readonly wasInterrupted: boolean
}

/** A value is dearer to try than bytes are. */
const BORDER_INPUTS = 0.25
/** Cases between two looks at the count. */
const BATCH_CASES = 100
/** What is wrong in the same way many times is told once in so many. */
const MAX_FINDINGS_PER_TARGET = 3

export async function runFuzz({ seed, inputs, targets, signal, onProgress }: FuzzOptions): Promise<FuzzReport> {
  const beganMs = performance.now()
  const findings: Finding[] = []
  const tallies: FuzzReport['targets'] = {}
  let total = 0
  for (const [index, target] of targets.entries()) {
    const tally = newTally()
    const startedMs = performance.now()
    const wanted = wantedOf(target, targets, inputs)
    let found = 0
    for (let batch = 0; tally.inputs < wanted && found < MAX_FINDINGS_PER_TARGET; batch += 1) {
      if (signal?.aborted === true) break
      const finding = await runBatch(target, tally, (seed + index * 1_000_003 + batch * 7_919) | 0)
      if (finding !== null) {
        findings.push(finding)
        found += 1
      }
      onProgress?.(target.name, total + tally.inputs)
      // Signals and timers get their turn.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await target.close?.()
    total += tally.inputs
    const seconds = Math.round((performance.now() - startedMs) / 100) / 10
    ;(tallies as Record<string, unknown>)[target.name] = { group: target.group, ...tally, seconds }
  }
  return {
    inputs: total,
    decoderInputs: Object.values(tallies).reduce((sum, each) => sum + (each.group === 'decoders' ? each.inputs : 0), 0),
    seconds: Math.round((performance.now() - beganMs) / 100) / 10,
    seed,
    targets: tallies,
    findings,
    wasInterrupted: signal?.aborted === true,
  }
}

function wantedOf({ group, share }: Target, targets: readonly Target[], inputs: number): number {
  const shares = targets.reduce((sum, other) => sum + (other.group === group ? other.share : 0), 0)
  return Math.ceil((inputs * (group === 'borders' ? BORDER_INPUTS : 1) * share) / shares)
}

async function runBatch(target: Target, tally: TargetTally, seed: number): Promise<Finding | null> {
  const property = fc.asyncProperty(target.cases, async (given) => {
    await target.check(given, tally)
  })
  const details = await fc.check(property, { seed, numRuns: BATCH_CASES })
  if (!details.failed) return null
  const error = details.errorInstance
  return {
    target: target.name,
    seed,
    path: details.counterexamplePath,
    counterexample: textOf(details.counterexample),
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  }
}

/** Things carry their own description; everything else is printed. */
function textOf(counterexample: readonly unknown[] | null): string {
  const seen = (counterexample ?? []).map((value) => describeDeep(value))
  return seen.join(', ').slice(0, 4_000)
}

function describeDeep(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(describeDeep).join(', ')}]`
  if (typeof value === 'object' && value !== null && 'text' in value && typeof value.text === 'string')
    return value.text
  return fc.stringify(value)
}
