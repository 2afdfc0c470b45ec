/**
 * Searches for the highest rate at which the plugin holds a p99: doubles the rate until it fails, then halves the gap.
 * Each step is an open loop of its own.
 */

import { formatRate } from '../measure/format.js'
import { mergeCounts } from '../measure/histogram.js'
import type { ProgressLine } from '../measure/progress-line.js'
import type { Round } from '../measure/subject.js'
import { type Seated, type TurnControl, takeTurn } from '../measure/turns.js'
import type { BenchPlan, LimitPlan, LimitStep } from './plan.js'

/** The search ends when the gap is smaller than this share of the rate. */
const CLOSE_ENOUGH = 0.05
const LOWEST_RATE = 1
const HIGHEST_RATE = 8_000_000
/** A rate must fail twice, so that one disturbance of the machine does not end the search. */
const TRIES = 2
const WARM_UP_LEVEL = 16

export async function findLimit(
  seated: Seated,
  plan: Pick<BenchPlan, 'durationMs' | 'warmUpMs'>,
  limit: LimitPlan,
  progress: ProgressLine,
  control: TurnControl,
): Promise<LimitStep[]> {
  control.onStop = () => seated.process.hurry()
  const steps: LimitStep[] = []
  const tryRate = async (ratePerSecond: number): Promise<boolean> => {
    for (let attempt = 1; attempt <= TRIES && !control.isStopped; attempt++) {
      progress.step(`${formatRate(ratePerSecond)}, ${steps.filter((step) => step.isHeld).length} rates held`)
      const round = await takeTurn(seated, { kind: 'open', ratePerSecond }, plan.durationMs)
      if (round === undefined) return false
      if (control.isStopped) return false
      const step = stepOf(ratePerSecond, round, limit.sloP99Ms)
      steps.push(step)
      if (step.isHeld) return true
    }
    return false
  }

  // Warm up with a closed loop: otherwise the first rates would mostly show compilation.
  await takeTurn(seated, { kind: 'closed', inFlight: WARM_UP_LEVEL }, plan.warmUpMs)
  let held = 0
  let failed = 0
  let rate = limit.startRate
  while (!control.isStopped && seated.broken === undefined && (held === 0 || failed === 0)) {
    if (await tryRate(rate)) held = rate
    else failed = rate
    rate = failed === 0 ? rate * 2 : Math.floor(rate / 2)
    if (rate < LOWEST_RATE || rate > HIGHEST_RATE) break
  }
  while (!control.isStopped && seated.broken === undefined && held > 0 && failed - held > held * CLOSE_ENOUGH) {
    rate = Math.round((held + failed) / 2)
    if (rate === held || rate === failed) break
    if (await tryRate(rate)) held = rate
    else failed = rate
  }
  return steps
}

/** The highest rate that held; undefined: none did. */
export function limitOf(steps: readonly LimitStep[]): LimitStep | undefined {
  return steps.filter(({ isHeld }) => isHeld).sort((a, b) => b.ratePerSecond - a.ratePerSecond)[0]
}

function stepOf(ratePerSecond: number, round: Round, sloP99Ms: number): LimitStep {
  const total = mergeCounts([round.total])
  const p99Us = total.percentile(0.99)
  const failures = Object.values(round.failures).reduce((sum, count) => sum + count, 0)
  return {
    ratePerSecond,
    p50Us: total.percentile(0.5),
    p99Us,
    achievedPerSecond: (round.calls / round.elapsedMs) * 1000,
    failures,
    // If the caller cannot keep up with the rate, the latency shows it, because it counts from when a call was due.
    isHeld: p99Us <= sloP99Ms * 1000 && failures === 0,
  }
}
