/**
 * What a call's present trip is about: its step, its plugins, its bytes. Host's thread only.
 */
import { codecMemory } from '../../contracts/codec/memory.js'
import { monotonicMs } from '../../ring/clock.js'
import { type Call, ensureRare, type HeldBytes } from './call.js'
import type { ActivePlugin } from './plugin.js'
import type { Step } from './route.js'

/** How long a plugin's turn waited and ran. */
export interface Times {
  readonly waitedMs: number
  readonly ranMs: number
}

export const NO_TIMES: Times = { waitedMs: 0, ranMs: 0 }

export function stepOf(call: Call): Step {
  return call.route.steps[call.step] as Step
}

/** The first plugin of the step that is in `mask`. */
export function firstIn(step: Step, mask: number): ActivePlugin {
  return step.bulkhead.plugins[31 - Math.clz32(mask & -mask)] as ActivePlugin
}

/** From here on the trip's time counts, unless it does already. */
export function beginTrip(call: Call, nowMs: number): void {
  if (call.hasBegun) return
  call.tripMs = nowMs
  if (call.hookpoint.kind !== 'observe') call.dueMs = Math.min(nowMs + stepOf(call).shortestMs, call.rare.capMs)
}

/** When the first plugin of the trip is late (monotonic ms); of an observation, never. */
export function firstDueMs(call: Call): number {
  if (call.hookpoint.kind === 'observe') return Number.POSITIVE_INFINITY
  const step = stepOf(call)
  const timeoutMs = call.left === step.mask ? step.firstMs : firstIn(step, call.left).timeoutMs
  return Math.min(call.tripMs + timeoutMs, call.rare.capMs)
}

/** Tells the caller of a trip's end, if it asked to be told. */
export function addTimes(call: Call, waitedMs: number, ranMs: number): void {
  const { times } = call
  if (times === null) return
  times.waitedMs += waitedMs
  times.ranMs += ranMs
}

/** Counts what a call came to against the plugin's breaker. */
export function recordOutcome(call: Call, plugin: ActivePlugin, outcome: 'success' | 'failure', nowMs: number): void {
  if (call.rare.probe === plugin) {
    ensureRare(call).probe = null
    plugin.breaker.recordProbe(outcome, nowMs)
  } else {
    plugin.breaker.record(outcome, nowMs)
  }
}

/** A copy of a call's bytes, to keep while it is in no lane. */
export function copyOf(call: Call, from: HeldBytes): HeldBytes {
  return { u8: from.u8.slice(from.at, from.at + call.eventBytes + call.traceBytes), at: 0 }
}

/** The event of a call, decoded from the host's own copy. */
export function heldEvent(call: Call, from: HeldBytes | null): unknown {
  if (from === null) return undefined
  return call.hookpoint.reader.decode(codecMemory(from.u8.buffer as ArrayBuffer), from.at, call.eventBytes)
}

/** The probe ends without having asked its plugin. */
export function releaseProbe(call: Call): void {
  if (call.rare.probe === null) return
  call.rare.probe.breaker.forgoProbe(monotonicMs())
  ensureRare(call).probe = null
}
