/**
 * A call's present trip: its step, its plugins, its times, its bytes. Host's thread only.
 */
import { codecMemory } from '../../contracts/codec/memory.js'
import { monotonicMs } from '../../ring/clock.js'
import { type Call, ensureRare, type HeldBytes } from './call.js'
import type { ActivePlugin } from './plugin.js'
import type { Step } from './route.js'

/** How long a trip waited for a plugin, and how long that plugin ran. */
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

/** Starts the trip's clock, unless it is running. */
export function beginTrip(call: Call, nowMs: number): void {
  if (call.hasBegun) return
  call.tripMs = nowMs
  if (call.hookpoint.kind !== 'observe') call.dueMs = Math.min(nowMs + stepOf(call).shortestMs, call.rare.capMs)
}

/** When the first plugin of the trip is late (monotonic ms). An observation's plugins never are: Infinity. */
export function firstDueMs(call: Call): number {
  if (call.hookpoint.kind === 'observe') return Number.POSITIVE_INFINITY
  const step = stepOf(call)
  const timeoutMs = call.left === step.mask ? step.firstMs : firstIn(step, call.left).timeoutMs
  return Math.min(call.tripMs + timeoutMs, call.rare.capMs)
}

/** Adds a trip's times to the caller's `times`, if it passed such an object. */
export function addTimes(call: Call, waitedMs: number, ranMs: number): void {
  const { times } = call
  if (times === null) return
  times.waitedMs += waitedMs
  times.ranMs += ranMs
}

/** Reports the outcome of a plugin's run to its breaker. */
export function recordOutcome(call: Call, plugin: ActivePlugin, outcome: 'success' | 'failure', nowMs: number): void {
  if (call.rare.probe === plugin) {
    ensureRare(call).probe = null
    plugin.breaker.recordProbe(outcome, nowMs)
  } else {
    plugin.breaker.record(outcome, nowMs)
  }
}

/** Copies a call's encoded event and trace id, to keep while the call is in no lane. */
export function copyOf(call: Call, from: HeldBytes): HeldBytes {
  return { u8: from.u8.slice(from.at, from.at + call.eventBytes + call.traceBytes), at: 0 }
}

/** Decodes a call's event from the host's own copy. */
export function heldEvent(call: Call, from: HeldBytes | null): unknown {
  if (from === null) return undefined
  return call.hookpoint.reader.decode(codecMemory(from.u8.buffer as ArrayBuffer), from.at, call.eventBytes)
}

/** Gives up the call's probe, if it has one: the plugin was not asked. */
export function releaseProbe(call: Call): void {
  if (call.rare.probe === null) return
  call.rare.probe.breaker.forgoProbe(monotonicMs())
  ensureRare(call).probe = null
}
