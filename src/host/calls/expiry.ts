/** What happens to calls whose time is up, and to the calls of a lane that is given up. Host's thread only. */
import { HookringError } from '../../contracts/errors.js'
import { monotonicMs } from '../../ring/clock.js'
import type { Call, HeldBytes } from '../model/call.js'
import type { Lane } from '../model/lane.js'
import type { ActivePlugin } from '../model/plugin.js'
import { addTimes, copyOf, firstIn, heldEvent, stepOf } from '../model/trip.js'
import type { DeadLetter, Emit } from '../telemetry/events.js'
import { cutShortBy } from './blame.js'
import type { CallDeadlines } from './call-deadlines.js'
import type { Completion } from './completion.js'
import { type FailureParts, failureOf } from './failures.js'
import type { Hops } from './hops.js'
import { blameOf, marksOf, progressOf, type TripProgress, waitedOnly } from './marks.js'
import { recordRuns } from './runs.js'

export interface ExpiryOptions {
  readonly hops: Hops
  readonly completion: Completion
  readonly deadlines: Pick<CallDeadlines, 'watch'>
  readonly emit: Emit
  /** How long the process stood still since `sinceMs`, in milliseconds. */
  lostMsSince(sinceMs: number, nowMs: number): number
}

export class Expiry {
  readonly #hops: Hops
  readonly #completion: Completion
  readonly #deadlines: ExpiryOptions['deadlines']
  readonly #emit: Emit
  readonly #lostMsSince: ExpiryOptions['lostMsSince']

  constructor({ hops, completion, deadlines, emit, lostMsSince }: ExpiryOptions) {
    this.#lostMsSince = lostMsSince
    this.#hops = hops
    this.#completion = completion
    this.#deadlines = deadlines
    this.#emit = emit
  }

  /** The call's entry in the wheel, or its lane's, is due. The caller has drained the lane before. */
  expire(call: Call, nowMs: number, retries = 2): void {
    if (call.isSettled) return
    if (call.isWaiting) {
      this.#expireWaiting(call, nowMs)
      return
    }
    const { lane, slot } = call
    if (lane === null || lane.callIn(slot) !== call) return
    const doneMask = lane.ring.doneMask(slot)
    let progress = progressOf(lane, call, nowMs, doneMask)
    if (this.#waitLonger(call, this.#ownDueOf(call, progress, nowMs), nowMs)) return
    if (lane.recall(call)) {
      this.#timeOutUnbegun(call, call.mask, 'its lane was busy and had not begun', nowMs)
      return
    }
    if (!lane.ring.stopAfter(slot, doneMask)) {
      // The worker has got further meanwhile, to a plugin that may have time left.
      if (retries > 0) {
        this.expire(call, nowMs, retries - 1)
        return
      }
      // Read the progress at the stop, not the earlier one: a plugin that was entered in between must not run again
      // elsewhere.
      progress = progressOf(lane, call, nowMs, lane.ring.stop(slot))
    }
    const { current, done, times, enteredMs } = progress
    const ranMs = nowMs - enteredMs - this.#lostMsSince(enteredMs, nowMs) - blockedMs(lane, slot, enteredMs, nowMs)
    const turn = { ownDueMs: this.#ownDueOf(call, progress, nowMs), endMs: nowMs, ranMs }
    const cutShort = cutShortBy(call, current, turn)
    lane.isLate = true
    this.#giveUpSlot(lane, call, current, done, nowMs)
    this.#timeOut(call, current, { what: 'it had not returned', times, cutShortBy: cutShort }, done)
    this.moveUnclaimed(lane)
  }

  #expireWaiting(call: Call, nowMs: number): void {
    const plugin = firstIn(stepOf(call), call.left)
    if (this.#waitLonger(call, call.tripMs + plugin.timeoutMs + this.#lostMsSince(call.tripMs, nowMs), nowMs)) return
    plugin.bulkhead.dequeue(call)
    this.#timeOutUnbegun(call, call.left, 'no lane had room', nowMs)
  }

  /** Times out a call that no plugin has begun. */
  #timeOutUnbegun(call: Call, mask: number, what: string, nowMs: number): void {
    const by = call.rare.capMs <= nowMs ? 'caller' : 'waiting'
    this.#timeOut(call, firstIn(stepOf(call), mask), { what, times: waitedOnly(call, nowMs), cutShortBy: by }, 0)
  }

  #timeOut(call: Call, plugin: ActivePlugin, parts: Omit<FailureParts, 'kind'>, done: number): void {
    const { waitedMs, ranMs } = parts.times
    plugin.recorders[call.hookpoint.index]!.calls += ranMs > 0 ? 1 : 0
    addTimes(call, waitedMs, ranMs)
    this.#hops.fail(call, plugin, failureOf(call, plugin, { kind: 'timeout', ...parts }), done)
  }

  /** Whether nothing is late yet. If so, it looks again later: by then the call may be at a plugin with less time. */
  #waitLonger(call: Call, ownDueMs: number, nowMs: number): boolean {
    const dueMs = Math.min(ownDueMs, call.rare.capMs)
    if (dueMs <= nowMs) return false
    call.dueMs = Math.min(dueMs, nowMs + stepOf(call).shortestMs)
    this.#deadlines.watch(call, nowMs)
    return true
  }

  /**
   * When the present plugin's own time ends. The first plugin's time counts from the beginning of the trip; a later one's
   * from when it was entered, but never beyond the sum of all their times. Time in which the process stood still does not
   * count.
   */
  #ownDueOf(call: Call, { current, done, enteredMs }: TripProgress, nowMs: number): number {
    if (call.hookpoint.kind === 'observe') return Number.POSITIVE_INFINITY
    const allDueMs = call.tripMs + this.#lostMsSince(call.tripMs, nowMs)
    if (done === 0) return allDueMs + current.timeoutMs
    let allMs = 0
    for (let left = call.mask; left !== 0; left &= left - 1) allMs += firstIn(stepOf(call), left).timeoutMs
    return Math.min(enteredMs + this.#lostMsSince(enteredMs, nowMs) + current.timeoutMs, allDueMs + allMs)
  }

  /** Leaves the slot to the worker. What its plugins have replaced so far stays with the call. */
  #giveUpSlot(lane: Lane, call: Call, current: ActivePlugin, done: number, nowMs: number): void {
    // Detach first: salvaging a replacement that breaks the protocol loses the lane, and must not touch this call again.
    lane.detach(call, 1 << current.index)
    if (done !== 0) this.#completion.salvage(lane, call.slot, call)
    const { startedMs, markMs } = marksOf(lane, call.slot, call.tripMs, nowMs)
    recordRuns(lane, call, done, markMs - startedMs, nowMs)
  }

  /**
   * The lane's generation is over: each of its calls is moved, fails, or is reported as undelivered. A broken protocol is
   * blamed on all plugins of the lane, because any of them may have done it.
   */
  loseLane(lane: Lane, reason: 'hang' | 'crash' | 'violation', message: string, nowMs: number): void {
    this.#requeue(lane, nowMs)
    const { plugins } = lane.bulkhead
    const running = lane.ring.runningSlot()
    const culprit =
      plugins.length === 1 ? plugins[0] : (blameOf(lane, running, nowMs)?.plugin ?? onlyOneIn(lane, nowMs))
    const lostBy = reason === 'hang' ? 'hang' : 'crash'
    for (const call of [...lane.calls()]) {
      if (call.isSettled) continue
      const bytes = lane.heldBytes(call)
      const { current, done, times } = progressOf(lane, call, nowMs, lane.ring.stop(call.slot))
      // The plugin that hung is late, even if the watchdog saw it before the call's own deadline. One that was entered at
      // that very moment is not.
      const isLate = reason === 'hang' && call.slot === running && times.ranMs >= current.timeoutMs
      const kind = isLate ? 'timeout' : 'crash'
      this.#giveUpSlot(lane, call, current, done, nowMs)
      if (call.hookpoint.kind === 'observe') this.#undelivered(call, current, bytes, lostBy)
      addTimes(call, times.waitedMs, times.ranMs)
      if (times.ranMs > 0) current.recorders[call.hookpoint.index]!.calls += 1
      const by = current === culprit || reason === 'violation' ? undefined : 'neighbour'
      this.#hops.fail(call, current, failureOf(call, current, { kind, what: message, times, cutShortBy: by }), done)
    }
  }

  #requeue(lane: Lane, nowMs: number): void {
    lane.begin(nowMs)
    const calls = this.#takeBack(lane)
    lane.bulkhead.requeue(calls)
    for (const call of calls) if (call.hookpoint.kind !== 'observe') this.#deadlines.watch(call, nowMs)
  }

  /**
   * Takes back the calls that the worker has not claimed, with their bytes; returns them oldest first. It recalls the
   * newest first: a worker that goes on meanwhile claims the oldest, so nothing that it runs is newer than what moves
   * elsewhere.
   */
  #takeBack(lane: Lane): Call[] {
    const newestFirst = [...lane.calls()].sort((a, b) => (b.ticket - a.ticket) | 0)
    const back = newestFirst.filter((call) => {
      const held = lane.heldBytes(call)
      if (call.isSettled || !lane.recall(call)) return false
      call.held = copyOf(call, held)
      return true
    })
    return back.reverse()
  }

  #undelivered(call: Call, plugin: ActivePlugin, bytes: HeldBytes | null, reason: DeadLetter['reason']): void {
    const { recorder } = plugin.bulkhead
    if (recorder !== null) recorder.undelivered += 1
    this.#emit('deadLetter', {
      hookpoint: call.hookpoint.name,
      plugin: plugin.name,
      event: heldEvent(call, bytes),
      reason,
    })
  }

  /** Moves what the worker has not claimed to other lanes of the bulkhead, if there are any. */
  moveUnclaimed(lane: Lane): void {
    if (lane.bulkhead.partition !== null || !lane.bulkhead.hasOther(lane)) return
    this.#requeue(lane, monotonicMs())
    lane.bulkhead.feed()
  }

  /** The engine closes and waits no longer: an observation becomes a dead letter, any other call is refused. */
  giveUp(call: Call): void {
    if (call.isSettled) return
    const from = call.lane === null ? call.held : call.lane.heldBytes(call)
    if (call.lane !== null && !call.lane.recall(call)) call.lane.detach(call, call.mask)
    if (call.hookpoint.kind === 'observe') {
      for (let left = call.left; left !== 0; left &= left - 1)
        this.#undelivered(call, firstIn(stepOf(call), left), from, 'close')
    }
    const closed = new HookringError('ENGINE_CLOSED', `the engine was closed before ${call.hookpoint.name} came back`)
    call.reject = call.hookpoint.kind === 'observe' ? null : call.reject
    this.#hops.refuse(call, closed)
  }
}

/** How long another hook has occupied the lane's thread since this one was entered; 0: none does now. */
function blockedMs(lane: Lane, slot: number, enteredMs: number, nowMs: number): number {
  const running = lane.ring.runningSlot()
  if (running === slot || lane.occupantOf(running) === null) return 0
  return nowMs - marksOf(lane, running, enteredMs, nowMs).markMs
}

/**
 * The plugin that all claimed calls are at, if there is only one. For when no hook is seen to run: an async one is
 * pending, or it runs in a child process.
 */
function onlyOneIn(lane: Lane, nowMs: number): ActivePlugin | undefined {
  const suspects = new Set<ActivePlugin>()
  for (const call of lane.calls()) if (!call.isSettled) suspects.add(progressOf(lane, call, nowMs).current)
  return suspects.size === 1 ? [...suspects][0] : undefined
}
