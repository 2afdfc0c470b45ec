/**
 * What happens to calls whose time is up, and to those of a lane that is given up. Host's thread only.
 */
import { HookringError } from '../../contracts/errors.js'
import { monotonicMs } from '../../ring/clock.js'
import type { Call, HeldBytes } from '../model/call.js'
import { OrphanedSlot } from '../model/call.js'
import type { Lane } from '../model/lane.js'
import type { ActivePlugin } from '../model/plugin.js'
import { addTimes, copyOf, firstDueMs, firstIn, heldEvent, stepOf, type Times } from '../model/trip.js'
import type { DeadLetter, Emit } from '../telemetry/events.js'
import type { CallDeadlines } from './call-deadlines.js'
import { type Completion, failureMessage, marksOf, recordRuns } from './completion.js'
import type { Hops } from './hops.js'

export interface Expiry {
  /** The wheel's callback: everything that has come back was taken before. */
  expire(call: Call, nowMs: number): void
  /** The lane's generation is over: each of its calls goes on elsewhere, fails, or is reported undelivered. */
  loseLane(lane: Lane, reason: 'hang' | 'crash', message: string, nowMs: number): void
  /** The engine closes and waits no longer: an observation is named as undelivered, a call is refused. */
  giveUp(call: Call): void
  /** Takes what the lane has not begun to other lanes of its bulkhead, if there are any. */
  moveUnclaimed(lane: Lane): void
}

export interface ExpiryOptions {
  readonly hops: Hops
  readonly completion: Completion
  readonly deadlines: Pick<CallDeadlines, 'watch'>
  readonly emit: Emit
}

export function createExpiry({ hops, completion, deadlines, emit }: ExpiryOptions): Expiry {
  function expire(call: Call, nowMs: number, retries = 2): void {
    if (call.isSettled) return
    const step = stepOf(call)
    if (call.isWaiting) {
      if (waitLonger(call, firstDueMs(call), nowMs)) return
      step.bulkhead.dequeue(call)
      const plugin = firstIn(step, call.left)
      timeOut(call, plugin, 'no lane had room', { waitedMs: nowMs - call.tripMs, ranMs: 0 }, 0)
      return
    }
    const { lane, slot } = call
    if (lane === null || lane.callIn(slot) !== call) return
    const doneMask = lane.ring.doneMask(slot)
    let progress = progressOf(lane, call, nowMs, doneMask)
    if (waitLonger(call, dueOf(lane, call, progress.current, progress.done, nowMs), nowMs)) return
    if (lane.recall(call)) {
      const unbegun = { waitedMs: nowMs - call.tripMs, ranMs: 0 }
      timeOut(call, firstIn(step, call.mask), 'its lane was busy and had not begun', unbegun, 0)
      return
    }
    if (!lane.ring.stopAfter(slot, doneMask)) {
      // It has gone on meanwhile, to a plugin that may have time left.
      if (retries > 0) {
        expire(call, nowMs, retries - 1)
        return
      }
      // Where it was stopped, not where it was seen before: what it has entered since is not run elsewhere.
      progress = progressOf(lane, call, nowMs, lane.ring.stop(slot))
    }
    const { current, done, times } = progress
    lane.isLate = true
    giveUpSlot(lane, call, current, done, nowMs)
    timeOut(call, current, 'it had not returned', times, done)
    moveUnclaimed(lane)
  }

  function timeOut(call: Call, plugin: ActivePlugin, what: string, times: Times, done: number): void {
    plugin.recorders[call.hookpoint.index]!.calls += times.ranMs > 0 ? 1 : 0
    addTimes(call, times.waitedMs, times.ranMs)
    hops.fail(call, plugin, 'timeout', failureMessage(plugin, call, 'timeout', what, times), times, done)
  }

  /** Looks again later when nothing is late yet: by then the call may be at a plugin with less time. */
  function waitLonger(call: Call, dueMs: number, nowMs: number): boolean {
    if (dueMs <= nowMs) return false
    call.dueMs = Math.min(dueMs, nowMs + stepOf(call).shortestMs)
    deadlines.watch(call, nowMs)
    return true
  }

  /** Each plugin after the first has its own time from when it was entered, up to all their times together. */
  function dueOf(lane: Lane, call: Call, current: ActivePlugin, done: number, nowMs: number): number {
    if (done === 0) return firstDueMs(call)
    let allMs = 0
    for (let left = call.mask; left !== 0; left &= left - 1) allMs += firstIn(stepOf(call), left).timeoutMs
    const { markMs } = marksOf(lane, call.slot, call.tripMs, nowMs)
    return Math.min(markMs + current.timeoutMs, call.tripMs + allMs, call.rare.capMs)
  }

  /** From here on the slot is the worker's business; what its plugins have replaced so far stays with the call. */
  function giveUpSlot(lane: Lane, call: Call, current: ActivePlugin, done: number, nowMs: number): void {
    // First: a replacement that breaks the protocol costs the lane its life, and this call is no longer its business.
    lane.detach(call, 1 << current.index)
    if (done !== 0) completion.salvage(lane, call.slot, call)
    const { startedMs, markMs } = marksOf(lane, call.slot, call.tripMs, nowMs)
    recordRuns(lane, call, done, markMs - startedMs, nowMs)
  }

  function loseLane(lane: Lane, reason: 'hang' | 'crash', message: string, nowMs: number): void {
    requeue(lane, nowMs)
    const running = lane.ring.runningSlot()
    for (const call of [...lane.calls()]) {
      if (call.isSettled) continue
      const bytes = lane.heldBytes(call)
      const { current, done, times } = progressOf(lane, call, nowMs, lane.ring.stop(call.slot))
      // The one that hung is late, even when the watchdog looked before the call's own deadline came up. One that was
      // entered at that very moment is not.
      const isLate = reason === 'hang' && call.slot === running && times.ranMs >= current.timeoutMs
      const kind = isLate ? 'timeout' : 'crash'
      giveUpSlot(lane, call, current, done, nowMs)
      if (call.hookpoint.kind === 'observe') undelivered(call, current, bytes, reason)
      addTimes(call, times.waitedMs, times.ranMs)
      if (times.ranMs > 0) current.recorders[call.hookpoint.index]!.calls += 1
      hops.fail(call, current, kind, failureMessage(current, call, kind, message, times), times, done)
    }
  }

  function requeue(lane: Lane, nowMs: number): void {
    lane.begin(nowMs)
    const calls = takeBack(lane)
    lane.bulkhead.requeue(calls)
    for (const call of calls) if (call.hookpoint.kind !== 'observe') deadlines.watch(call, nowMs)
  }

  /**
   * Calls that the lane has not begun, oldest first, with their bytes. The newest is taken back first: a worker that runs
   * on claims the oldest meanwhile, and so nothing that is older than what goes elsewhere.
   */
  function takeBack(lane: Lane): Call[] {
    const newestFirst = [...lane.calls()].sort((a, b) => (b.ticket - a.ticket) | 0)
    const back = newestFirst.filter((call) => {
      const held = lane.heldBytes(call)
      if (call.isSettled || !lane.recall(call)) return false
      call.held = copyOf(call, held)
      return true
    })
    return back.reverse()
  }

  function undelivered(call: Call, plugin: ActivePlugin, bytes: HeldBytes | null, reason: DeadLetter['reason']): void {
    const { recorder } = plugin.bulkhead
    if (recorder !== null) recorder.undelivered += 1
    emit('deadLetter', { hookpoint: call.hookpoint.name, plugin: plugin.name, event: heldEvent(call, bytes), reason })
  }

  function moveUnclaimed(lane: Lane): void {
    if (lane.bulkhead.partition !== null || !lane.bulkhead.hasOther(lane)) return
    requeue(lane, monotonicMs())
    lane.bulkhead.feed()
  }

  function giveUp(call: Call): void {
    if (call.isSettled) return
    const from = call.lane === null ? call.held : call.lane.heldBytes(call)
    if (call.lane !== null && !call.lane.recall(call)) call.lane.detach(call, call.mask)
    if (call.hookpoint.kind === 'observe') {
      for (let left = call.left; left !== 0; left &= left - 1)
        undelivered(call, firstIn(stepOf(call), left), from, 'close')
    }
    const closed = new HookringError('ENGINE_CLOSED', `the engine was closed before ${call.hookpoint.name} came back`)
    call.reject = call.hookpoint.kind === 'observe' ? null : call.reject
    hops.refuse(call, closed)
  }

  return { expire, loseLane, giveUp, moveUnclaimed }
}

export interface Progress {
  /** The plugin that the worker is in, or was about to enter. */
  readonly current: ActivePlugin
  /** Plugins of the trip that have finished. */
  readonly done: number
  readonly times: Times
}

/** How far a claimed call has come, by the worker's own account; only plugins of the trip can be named. */
export function progressOf(lane: Lane, call: Call, nowMs: number, doneMask = lane.ring.doneMask(call.slot)): Progress {
  const { plugins } = lane.bulkhead
  const all = call.mask
  // The last plugin is never taken for done: then the call would have completed.
  const last = 1 << (31 - Math.clz32(all))
  const done = doneMask & all & ~last
  const ahead = all & ~done
  const current = plugins[31 - Math.clz32(ahead & -ahead)] as ActivePlugin
  const marks = marksOf(lane, call.slot, call.tripMs, nowMs)
  const hasStarted = marks.startedMs > call.tripMs
  const times = hasStarted
    ? // The mark of a call that comes back at this moment is its end; the first plugin was entered when it started.
      { waitedMs: marks.startedMs - call.tripMs, ranMs: nowMs - (done === 0 ? marks.startedMs : marks.markMs) }
    : { waitedMs: nowMs - call.tripMs, ranMs: 0 }
  return { current, done, times }
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
