/**
 * Observes the code under test from outside: which lanes are listened to, and which slots and extents of a ring are in
 * use. The stage's host thread only.
 */
import type { LaneListener } from '../../../dist/host/model/lane.js'
import type * as HostRingModule from '../../../dist/ring/host-ring.js'
import type * as Layout from '../../../dist/ring/layout.js'
import type { Violation } from './forbidden.js'

/** Checks that only living lanes are listened to. */
export function watchListener(listener: LaneListener, violations: Violation[]): LaneListener {
  const check = (lane: { id: string; state: string }) => {
    if (lane.state === 'dead') violations.push({ kind: 'old-generation', detail: `a completion of ${lane.id}` })
  }
  return {
    completed(lane, slot, call, nowMs) {
      check(lane)
      listener.completed(lane, slot, call, nowMs)
    },
    late(lane, slot) {
      check(lane)
      listener.late(lane, slot)
    },
    begun: listener.begun,
    violated: listener.violated,
  }
}

/**
 * Tracks which slots and extents of rings are in use, from when a slot is submitted until the host takes it back. The
 * returned function begins a schedule, and takes the list to which its violations go.
 */
export function watchRings(ring: HostRingModule.HostRing, layout: typeof Layout): (found: Violation[]) => void {
  const { submit, release } = ring
  let inUse = new Map<unknown, Map<number, { at: number; end: number }>>()
  let violations: Violation[] = []
  ring.submit = function watchedSubmit(slot, submission) {
    let slots = inUse.get(this)
    if (slots === undefined) {
      slots = new Map()
      inUse.set(this, slots)
    }
    const at = submission.extentAt
    const end = layout.repliesAt(at, submission.eventBytes, submission.traceBytes)
    if (slots.has(slot)) violations.push({ kind: 'extent-in-use', detail: `slot ${slot} is submitted again` })
    for (const [other, range] of slots) {
      if (at < range.end && range.at < end) {
        violations.push({ kind: 'extent-in-use', detail: `the extent of slot ${other} is given to slot ${slot}` })
      }
    }
    slots.set(slot, { at, end })
    submit.call(this, slot, submission)
  }
  ring.release = function watchedRelease(slot) {
    const isReleased = release.call(this, slot)
    if (isReleased) inUse.get(this)?.delete(slot)
    return isReleased
  }
  return (found: Violation[]) => {
    inUse = new Map()
    violations = found
  }
}
