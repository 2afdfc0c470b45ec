/**
 * When a worker entered and left plugin code, and how far it has got with a call. The worker wrote both, so they are
 * clamped to what is possible, and can name only plugins of the trip. Host's thread only.
 */
import { MARK_AT_WORD as MARK_AT, STARTED_AT_WORD as STARTED_AT } from '../../ring/layout.js'
import { type Call, OrphanedSlot } from '../model/call.js'
import type { Lane } from '../model/lane.js'
import type { ActivePlugin } from '../model/plugin.js'
import type { Times } from '../model/trip.js'

// V8 compiles a module's own constants in; imported ones it loads and checks at each use.
const STARTED_AT_WORD = STARTED_AT
const MARK_AT_WORD = MARK_AT

export interface Marks {
  /** When the worker entered the first plugin (monotonic ms). */
  readonly startedMs: number
  /** When it entered the plugin that it is in; after the trip, when it left the last one. */
  readonly markMs: number
}

export interface TripProgress {
  /** The plugin that the worker is in, or is about to enter. */
  readonly current: ActivePlugin
  /** Plugins of the trip that have finished, one bit each. */
  readonly done: number
  /** When the worker entered `current` (monotonic ms); now, if it has not. */
  readonly enteredMs: number
  /** How long the trip waited, and how long `current` has run. */
  readonly times: Times
}

/** When the worker entered the first plugin, clamped to the trip. */
export function startedMsOf(lane: Lane, slot: number, tripMs: number, nowMs: number): number {
  return clamp(lane.ring.slotDouble(slot, STARTED_AT_WORD), tripMs, nowMs)
}

/** The worker's last mark, clamped to what is possible. */
export function markMsOf(lane: Lane, slot: number, startedMs: number, nowMs: number): number {
  return clamp(lane.ring.slotDouble(slot, MARK_AT_WORD), startedMs, nowMs)
}

export function marksOf(lane: Lane, slot: number, tripMs: number, nowMs: number): Marks {
  const startedMs = startedMsOf(lane, slot, tripMs, nowMs)
  return { startedMs, markMs: markMsOf(lane, slot, startedMs, nowMs) }
}

/** How far the worker has got with a claimed call. */
export function progressOf(
  lane: Lane,
  call: Call,
  nowMs: number,
  doneMask = lane.ring.doneMask(call.slot),
): TripProgress {
  const { plugins } = lane.bulkhead
  const all = call.mask
  // The last plugin never counts as done: if it were, the call would have completed.
  const last = 1 << (31 - Math.clz32(all))
  const done = doneMask & all & ~last
  const left = all & ~done
  const current = plugins[31 - Math.clz32(left & -left)] as ActivePlugin
  const marks = marksOf(lane, call.slot, call.tripMs, nowMs)
  if (marks.startedMs <= call.tripMs) {
    // The worker says that plugins have finished, but not when it began: assume that it began with the trip.
    return { current, done, enteredMs: done === 0 ? nowMs : call.tripMs, times: waitedOnly(call, nowMs) }
  }
  // If the call completes at this moment, the mark is its end; for the first plugin the start is the better time.
  const enteredMs = done === 0 ? marks.startedMs : marks.markMs
  const times = { waitedMs: marks.startedMs - call.tripMs, ranMs: Math.max(0, nowMs - enteredMs) }
  return { current, done, enteredMs, times }
}

/** The times of a trip that has reached no plugin. */
export function waitedOnly(call: Call, nowMs: number): Times {
  // A trip that was published while others expired began after `nowMs`.
  return { waitedMs: Math.max(0, nowMs - call.tripMs), ranMs: 0 }
}

/** The plugin and the hookpoint that a slot's occupant runs. */
export function blameOf(
  lane: Lane,
  slot: number,
  nowMs: number,
): { plugin: ActivePlugin | null; hookpoint: string } | null {
  const occupant = lane.occupantOf(slot)
  if (occupant === null) return null
  if (occupant instanceof OrphanedSlot) return { plugin: occupant.plugin, hookpoint: occupant.hookpoint.name }
  return { plugin: progressOf(lane, occupant, nowMs).current, hookpoint: occupant.hookpoint.name }
}

function clamp(value: number, low: number, high: number): number {
  // NaN compares false with everything, and becomes `low`.
  return value > low ? (value < high ? value : Math.max(low, high)) : low
}
