/** Counts the runs of plugins that have not failed. Host's thread only. */
import type { Call } from '../model/call.js'
import type { Lane } from '../model/lane.js'
import type { ActivePlugin } from '../model/plugin.js'
import { recordOutcome } from '../model/trip.js'
import { VERDICT_INDEX } from '../telemetry/recorders.js'

/** Counts the runs of the plugins in `mask`. */
export function recordRuns(
  lane: Lane,
  call: Call,
  mask: number,
  ranMs: number,
  nowMs: number,
  decider: ActivePlugin | null = null,
  verdict: number = VERDICT_INDEX.continue,
): void {
  const { plugins } = lane.bulkhead
  if (mask !== 0 && (mask & (mask - 1)) === 0 && call.isPlain) {
    const plugin = plugins[31 - Math.clz32(mask)] as ActivePlugin
    recordRun(call, plugin, ranMs * 1000, nowMs, plugin === decider ? verdict : VERDICT_INDEX.continue)
  } else {
    recordEach(plugins, call, mask, ranMs, nowMs, decider, verdict)
  }
}

/** The hop has one stretch of time: shared out evenly where several plugins ran in it. */
function recordEach(
  plugins: readonly ActivePlugin[],
  call: Call,
  mask: number,
  ranMs: number,
  nowMs: number,
  decider: ActivePlugin | null,
  verdict: number,
): void {
  const ranUs = (ranMs * 1000) / bitCount(mask)
  const { replacement, hasNewEvent } = call.rare
  for (let left = mask; left !== 0; left &= left - 1) {
    const plugin = plugins[31 - Math.clz32(left & -left)] as ActivePlugin
    const hasReplaced = hasNewEvent && replacement?.by === plugin
    const undecided = hasReplaced ? VERDICT_INDEX.replace : VERDICT_INDEX.continue
    recordRun(call, plugin, ranUs, nowMs, plugin === decider ? verdict : undecided)
  }
}

function recordRun(call: Call, plugin: ActivePlugin, ranUs: number, nowMs: number, verdict: number): void {
  const recorder = plugin.recorders[call.hookpoint.index]!
  recorder.calls += 1
  recorder.recordRunning(ranUs)
  recorder.verdicts[verdict]! += 1
  recordOutcome(call, plugin, 'success', nowMs)
}

function bitCount(mask: number): number {
  let count = 0
  for (let left = mask; left !== 0; left &= left - 1) count += 1
  return count
}
