/**
 * Takes calls from hop to hop along their routes, and decides what a failure becomes. Host's thread only.
 *
 *   [step: match, sample, quarantine] -> in a lane <-> waiting -> outcome -> next step ... -> settled
 */
import { HookringError } from '../../contracts/errors.js'
import {
  CONTINUE,
  type Failure,
  type FailureKind,
  type Resume,
  UNDECIDED_REASON,
  type Verdict,
} from '../../contracts/verdict.js'
import { monotonicMs } from '../../ring/clock.js'
import { type Call, endTrip, ensureRare, type HeldBytes, type Replacement, settle, settleError } from '../model/call.js'
import type { ActivePlugin } from '../model/plugin.js'
import type { Step } from '../model/route.js'
import { beginTrip, copyOf, firstIn, heldEvent, NO_TIMES, recordOutcome, releaseProbe, stepOf } from '../model/trip.js'
import type { Emit } from '../telemetry/events.js'
import { CUT_SHORT_INDEX, FAILURE_INDEX } from '../telemetry/recorders.js'
import type { CallDeadlines } from './call-deadlines.js'
import { createWaitingEncoder } from './encode-waiting.js'
import { failureOf, overloadFailure, quarantineFailure } from './failures.js'
import type { Pump } from './pump.js'
import type { Selection } from './selection.js'

export interface HopsOptions {
  readonly maxEventBytes: number
  readonly deadlines: Pick<CallDeadlines, 'watch' | 'forget'>
  readonly pump: Pick<Pump, 'submitted'>
  readonly emit: Emit
  readonly selection: Selection
}

export class Hops {
  readonly #deadlines: HopsOptions['deadlines']
  readonly #pump: HopsOptions['pump']
  readonly #emit: Emit
  readonly #selection: Selection
  readonly #encodeWaiting: ReturnType<typeof createWaitingEncoder>
  readonly #cancelDeadline: (call: Call) => void

  constructor({ maxEventBytes, deadlines, pump, emit, selection }: HopsOptions) {
    this.#deadlines = deadlines
    this.#pump = pump
    this.#emit = emit
    this.#selection = selection
    this.#encodeWaiting = createWaitingEncoder(maxEventBytes)
    this.#cancelDeadline = (call) => deadlines.forget(call)
  }

  /** Starts the first hop. Fast path, small enough for V8 to inline. */
  start(call: Call, event: unknown): void {
    const step = call.route.steps[0]
    if (step === undefined || step.isGuarded || call.rare.stepMasks !== null) {
      this.#advance(call, event)
      return
    }
    call.step = 0
    call.left = step.mask
    this.#submit(call, step, event, null)
  }

  /**
   * Goes to the next plugins that are to run, or settles if there are none. `event` is passed while there are no encoded
   * bytes.
   */
  #advance(call: Call, event: unknown, from: HeldBytes | null = null): void {
    while (call.left === 0) {
      if (call.rare.blockedBy !== null) {
        this.#failQuarantined(call, call.rare.blockedBy)
        return
      }
      call.step += 1
      const step = call.route.steps[call.step]
      if (step === undefined) {
        this.#settleChain(call)
        return
      }
      call.left = call.rare.stepMasks === null ? step.mask : (call.rare.stepMasks[call.step] as number)
      if (step.isGuarded && call.left !== 0) this.#admit(call, step)
    }
    this.#cancelDeadline(call)
    endTrip(call)
    if (this.#isOverdue(call)) return
    this.#submit(call, stepOf(call), event, from)
  }

  /** Whether the caller's time is up. If so, the call fails and the next plugin is not asked. */
  #isOverdue(call: Call): boolean {
    // Without a limit of the caller's there is no need to read the clock.
    if (call.rare.capMs === Number.POSITIVE_INFINITY || call.rare.capMs > monotonicMs()) return false
    const plugin = firstIn(stepOf(call), call.left)
    const what = 'it was not asked any more'
    this.fail(
      call,
      plugin,
      failureOf(call, plugin, { kind: 'timeout', what, times: NO_TIMES, cutShortBy: 'caller' }),
      0,
    )
    return true
  }

  /**
   * Applies quarantine: leaves out plugins that the policy lets the chain do without, and stops before the first that it
   * does not.
   */
  #admit(call: Call, step: Step): void {
    const now = monotonicMs()
    for (const plugin of step.plugins) {
      const bit = 1 << plugin.index
      if ((call.left & bit) === 0 || plugin.breaker.state === 'closed') continue
      const admission = plugin.breaker.admit(now)
      if (admission === 'yes') continue
      if (admission === 'probe') {
        if (call.rare.probe === null) ensureRare(call).probe = plugin
        else plugin.breaker.forgoProbe(now)
        continue
      }
      this.#countFailure(call, plugin, 'quarantined')
      if (
        plugin.registration.policies[call.hookpoint.kind].quarantined === 'allow' ||
        call.hookpoint.kind === 'observe'
      ) {
        call.left &= ~bit
        ensureRare(call).failure ??= quarantineFailure(call, plugin)
        continue
      }
      ensureRare(call).blockedBy = plugin
      call.left &= maskBefore(step, plugin)
      return
    }
  }

  #failQuarantined(call: Call, plugin: ActivePlugin): void {
    this.#end(call, plugin, quarantineFailure(call, plugin))
  }

  #submit(call: Call, step: Step, event: unknown, from: HeldBytes | null): void {
    const lane = step.bulkhead.pick(call)
    try {
      if (lane !== null && (from === null ? lane.submitEvent(call, event) : lane.submitBytes(call, from))) {
        this.#pump.submitted(lane)
      } else {
        this.#queueUp(call, step, event, from)
      }
    } catch (error) {
      const { replacement } = call.rare
      // An event that does not fit is the caller's error; a replacement that does not fit is that of the plugin that made
      // it.
      if (from !== null || replacement === null) this.refuse(call, error as Error)
      else this.#refuseReplacement(call, replacement, step, error as Error)
    }
  }

  /**
   * Fails the plugin whose replacement is too large for the plugins after it. Its policy decides; under `allow` they get
   * the event as it was before. The breaker does not count it: the client's message may already have been nearly too
   * large.
   */
  #refuseReplacement(call: Call, replacement: Replacement, next: Step, error: Error): void {
    const { by: plugin, before } = replacement
    const others = firstIn(next, call.left).name
    const what = `its replacement cannot be given to ${others}: ${error.message}`
    const failure = failureOf(call, plugin, { kind: 'invalid', what, times: NO_TIMES })
    ensureRare(call).replacement = before
    this.#countFailure(call, plugin, 'invalid')
    releaseProbe(call)
    if (plugin.registration.policies[call.hookpoint.kind].invalid !== 'allow') {
      // What its neighbours in the step made of the event is lost with the trip.
      const first = firstIn(call.route.steps[call.rare.replacedIn.step] as Step, call.mask)
      this.#end(call, plugin, failure, first.name)
      return
    }
    ensureRare(call).failure ??= failure
    ensureRare(call).blockedBy = null
    const held = call.lane === null ? call.held : call.lane.heldBytes(call)
    if (call.route.isSelective) this.#selection.select(call, heldEvent(call, held))
    call.step = call.rare.replacedIn.step
    call.left = call.rare.replacedIn.left
    this.#advance(call, undefined, held)
  }

  /** Queues the call with its event's bytes, or fails it as `overload` if the queue is full. */
  #queueUp(call: Call, step: Step, event: unknown, from: HeldBytes | null): void {
    call.held = from === null ? this.#encodeWaiting(call, event) : copyOf(call, from)
    call.lane = null
    if (!step.bulkhead.enqueue(call)) {
      this.#overload(call, step)
      return
    }
    const nowMs = monotonicMs()
    beginTrip(call, nowMs)
    if (call.hookpoint.kind !== 'observe') this.#deadlines.watch(call, nowMs)
  }

  #overload(call: Call, step: Step): void {
    const plugin = firstIn(step, call.left)
    const { bulkhead } = step
    if (call.hookpoint.kind === 'observe') {
      if (bulkhead.recorder !== null) bulkhead.recorder.dropped += 1
      for (const each of step.plugins) {
        if ((call.left & (1 << each.index)) === 0) continue
        this.#countFailure(call, each, 'overload')
        this.#deadLetter(call, each, 'overload')
      }
      call.left = 0
      this.#advance(call, undefined, call.held)
      return
    }
    this.fail(call, plugin, overloadFailure(call, plugin), 0)
  }

  /** The plugins in `done` have run; the call goes on with the rest of its chain. */
  proceed(call: Call, done: number): void {
    call.left &= ~done
    // Fast path, small enough for V8 to inline.
    if (
      call.isPlain &&
      call.left === 0 &&
      call.step + 1 === call.route.steps.length &&
      call.hookpoint.kind !== 'respond'
    ) {
      settle(call, CONTINUE, this.#cancelDeadline)
    } else if (call.rare.hasNewEvent) {
      this.#proceedWithNewEvent(call)
    } else {
      this.#advance(call, undefined, call.lane === null ? call.held : call.lane.heldBytes(call))
    }
  }

  /** The replaced event is encoded again for the next plugins. `match` may now select others. */
  #proceedWithNewEvent(call: Call): void {
    if (endsChain(call)) {
      this.#settleChain(call)
      return
    }
    const rare = ensureRare(call)
    rare.hasNewEvent = false
    rare.replacedIn = { step: call.step, left: call.left }
    const event = rare.replacement?.event
    if (call.route.isSelective) this.#selection.select(call, event)
    this.#advance(call, event)
  }

  #settleChain(call: Call): void {
    const failure = call.rare.failure === null ? {} : { failure: call.rare.failure }
    if (call.rare.replacement !== null) {
      this.decide(call, {
        kind: 'replace',
        event: call.rare.replacement.event,
        plugin: call.rare.replacement.by.name,
        ...failure,
      })
    } else {
      if (call.hookpoint.kind === 'respond') call.hookpoint.recorder.unanswered += 1
      this.decide(call, call.rare.failure === null ? CONTINUE : { kind: 'continue', failure: call.rare.failure })
    }
  }

  /** Settles the call with a verdict. */
  decide(call: Call, verdict: Verdict): void {
    // The chain may have ended before the probe's plugin was asked.
    releaseProbe(call)
    settle(call, verdict, this.#cancelDeadline)
  }

  /** A plugin gave no verdict; the plugins in `done` have run. Its policy decides what follows. */
  fail(call: Call, plugin: ActivePlugin, failure: Failure, done: number): void {
    const { kind, cutShortBy, error } = failure
    if (error !== undefined) this.#emit('pluginError', { plugin: plugin.name, hookpoint: call.hookpoint.name, error })
    if (cutShortBy !== undefined) {
      call.hookpoint.recorder.cutShort[CUT_SHORT_INDEX[cutShortBy]]! += 1
      if (call.rare.probe === plugin) releaseProbe(call)
    } else {
      this.#countFailure(call, plugin, kind)
      if (kind !== 'overload') recordOutcome(call, plugin, 'failure', monotonicMs())
    }
    const action = plugin.registration.policies[call.hookpoint.kind][kind]
    if (call.hookpoint.kind !== 'observe' && action !== 'allow') {
      this.#end(call, plugin, failure)
      return
    }
    ensureRare(call).failure ??= failure
    this.proceed(call, done | (1 << plugin.index))
  }

  /**
   * Ends the chain with a failure: raises it, or rejects.
   * @param startAt where the chain begins if the caller asks again
   */
  #end(call: Call, plugin: ActivePlugin, failure: Failure, startAt = plugin.name): void {
    if (plugin.registration.policies[call.hookpoint.kind][failure.kind] === 'raise') {
      this.refuse(
        call,
        new HookringError('PLUGIN_FAILED', failure.message, {
          plugin: plugin.name,
          hookpoint: call.hookpoint.name,
          cause: failure,
        }),
      )
      return
    }
    const { replacement } = call.rare
    const resume: Resume = { startAt, ...(replacement !== null && { event: replacement.event }) }
    this.decide(call, { kind: 'reject', reason: UNDECIDED_REASON, plugin: plugin.name, failure, resume })
  }

  /** Ends a call without a verdict. */
  refuse(call: Call, error: Error): void {
    releaseProbe(call)
    settleError(call, error, this.#cancelDeadline)
  }

  #countFailure(call: Call, plugin: ActivePlugin, kind: FailureKind): void {
    plugin.recorders[call.hookpoint.index]!.failures[FAILURE_INDEX[kind]]! += 1
  }

  #deadLetter(call: Call, plugin: ActivePlugin, reason: 'overload'): void {
    this.#emit('deadLetter', {
      hookpoint: call.hookpoint.name,
      plugin: plugin.name,
      event: heldEvent(call, call.held),
      reason,
    })
  }

  /** Nobody waits for the call any more: what no plugin has begun is taken back, and a running plugin is told. */
  withdraw(call: Call): void {
    const { lane } = call
    if (call.isWaiting) stepOf(call).bulkhead.dequeue(call)
    else if (lane !== null && call.slot >= 0 && lane.callIn(call.slot) === call && !lane.recall(call)) {
      lane.ring.cancel(call.slot)
      lane.detach(call, call.mask)
    }
    releaseProbe(call)
  }
}

/** Whether the plugin that has just replaced the event ended the chain with it (`endsOn`). */
function endsChain({ hookpoint, rare }: Call): boolean {
  const { endsOn } = hookpoint.definition
  const replaced = rare.replacement?.event as Record<string, unknown> | undefined
  return endsOn !== null && replaced?.[endsOn] === true
}

function maskBefore(step: Step, plugin: ActivePlugin): number {
  return step.mask & ((1 << plugin.index) - 1)
}
