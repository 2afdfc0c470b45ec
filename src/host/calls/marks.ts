/**
 * When a worker entered and left plugin code, and how far it has come with a call. Both are the worker's own account: they
 * are held within what is possible, and only plugins of the trip can be named. Host's thread only.
 */
import { MARK_AT_WORD as MARK_AT, STARTED_AT_WORD as STARTED_AT } from '../../ring/layout.js'
import { type Call, OrphanedSlot } from '../model/call.js'
import type { Lane } from '../model/lane.js'
import type { ActivePlugin } from '../model/plugin.js'
import type { Times } from '../model/trip.js'

// A module's own constants are compiled in; another's are loaded and checked at each use.
const STARTED_AT_WORD = STARTED_AT
const MARK_AT_WORD = MARK_AT

export interface Marks {
  /** When the worker entered the first plugin (monotonic ms). */
  readonly startedMs: number
  /** When it entered the plugin that it is in, or left the last one. */
  readonly markMs: number
}

export interface Progress {
  /** The plugin that the worker is in, or was about to enter. */
  readonly current: ActivePlugin
  /** Plugins of the trip that have finished. */
  readonly done: number
  /** When the worker entered it (monotonic ms); now, if it has not. */
  readonly enteredMs: number
  /** How long the trip waited, and how long the present plugin has run. */
  readonly times: Times
}

/** When the worker entered the first plugin, held within what is possible. */
export function startedMsOf(lane: Lane, slot: number, tripMs: number, nowMs: number): number {
  return clamp(lane.ring.slotDouble(slot, STARTED_AT_WORD), tripMs, nowMs)
}

/** The worker's last mark, held within what is possible. */
export function markMsOf(lane: Lane, slot: number, startedMs: number, nowMs: number): number {
  return clamp(lane.ring.slotDouble(slot, MARK_AT_WORD), startedMs, nowMs)
}

export function marksOf(lane: Lane, slot: number, tripMs: number, nowMs: number): Marks {
  const startedMs = startedMsOf(lane, slot, tripMs, nowMs)
  return { startedMs, markMs: markMsOf(lane, slot, startedMs, nowMs) }
}

/** How far a claimed call has come. */
export function progressOf(lane: Lane, call: Call, nowMs: number, doneMask = lane.ring.doneMask(call.slot)): Progress {
  const { plugins } = lane.bulkhead
  const all = call.mask
  // The last plugin never counts as done: then the call would have completed.
  const last = 1 << (31 - Math.clz32(all))
  const done = doneMask & all & ~last
  const left = all & ~done
  const current = plugins[31 - Math.clz32(left & -left)] as ActivePlugin
  const marks = marksOf(lane, call.slot, call.tripMs, nowMs)
  if (marks.startedMs <= call.tripMs) {
    // One that says of plugins that they have finished, and not when it began, has had all the time that there was.
    return { current, done, enteredMs: done === 0 ? nowMs : call.tripMs, times: waitedOnly(call, nowMs) }
  }
  // The mark of a call that comes back at this moment is its end; the first plugin was entered when it started.
  const enteredMs = done === 0 ? marks.startedMs : marks.markMs
  const times = { waitedMs: marks.startedMs - call.tripMs, ranMs: Math.max(0, nowMs - enteredMs) }
  return { current, done, enteredMs, times }
}

/** The times of a trip that has come to no plugin. */
export function waitedOnly(call: Call, nowMs: number): Times {
  // What is published while others expire has begun a moment after `nowMs`.
  return { waitedMs: Math.max(0, nowMs - call.tripMs), ranMs: 0 }
}

/** Names the plugin and hookpoint that a slot's occupant runs. */
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
  // NaN compares false with everything, and ends as `low`.
  return value > low ? (value < high ? value : Math.max(low, high)) : low
}
