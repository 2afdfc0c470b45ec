/**
 * A call: one firing of a hookpoint. Calls settle here and nowhere else. Host's thread only.
 */
import type { Contract } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import type { Failure, Verdict } from '../../contracts/verdict.js'
import type { InFlightCount } from '../primitives/in-flight-count.js'
import type { Deadline } from '../primitives/timing-wheel.js'
import type { WaitQueue } from '../primitives/wait-queue.js'
import { VERDICT_INDEX } from '../telemetry/recorders.js'
import { type CallTrace, traceEnd, traceError } from '../telemetry/tracing.js'
import type { CallTimes } from './call-options.js'
import type { HookpointState } from './hookpoint-state.js'
import type { Lane } from './lane.js'
import type { ActivePlugin } from './plugin.js'
import type { Route } from './route.js'

/** Where the bytes of a call's encoded event are, in the host's private memory. */
export interface HeldBytes {
  readonly u8: Uint8Array
  readonly at: number
}

/** `tripMs` of a trip that has not begun; below every time. */
const UNBEGUN = -1

/**
 * A call and its present trip through a ring. A chain goes hop by hop, so one object serves for both. The hops of a parallel
 * gate, the hops of an observation, and shadows are calls of their own.
 */
export class Call implements Deadline {
  wheelPrev: Deadline | null = null
  wheelNext: Deadline | null = null
  /** The earliest time at which a plugin of the present trip can be late (monotonic ms). */
  dueMs = Number.POSITIVE_INFINITY
  /** When the present trip began (monotonic ms): when it was published, or when it began to wait for a lane. */
  tripMs = UNBEGUN

  readonly hookpoint: HookpointState
  readonly route: Route
  /** Index of the present step in the route. */
  step = -1
  /** Plugins of the present step that are still to run, one bit each. */
  left = 0
  /** Plugins that the present trip was submitted with. */
  mask = 0

  lane: Lane | null = null
  slot = -1
  /** Order of submission within the lane (wraps). */
  ticket = 0
  eventBytes = 0
  traceBytes = 0
  /** The event's bytes while the call is in no lane. */
  held: HeldBytes | null = null
  /** The queue that it waits in. Queues that it waited in before may still hold it, and skip it. */
  waitsIn: WaitQueue<Call> | null = null

  isSettled = false
  resolve: ((verdict: Verdict) => void) | null = null
  reject: ((error: Error) => void) | null = null
  /** Observations: the count that flush() waits for. */
  batch: InFlightCount | null = null
  /** The caller's object, to which the engine adds. */
  times: CallTimes | null = null
  /** What few calls have; written through ensureRare. */
  rare: Readonly<RareParts> = NO_RARE_PARTS

  constructor(hookpoint: HookpointState, route: Route) {
    this.hookpoint = hookpoint
    this.route = route
  }

  /** It has no rare parts. */
  get isPlain(): boolean {
    return this.rare === NO_RARE_PARTS
  }

  /** Its present trip is published, or waits for a lane. */
  get hasBegun(): boolean {
    return this.tripMs !== UNBEGUN
  }

  get isWaiting(): boolean {
    return this.waitsIn !== null
  }
}

/** A transform's event as a plugin replaced it. */
export interface Replacement {
  readonly event: unknown
  readonly by: ActivePlugin
  /** The replacement with which the trip began, if there was one. */
  readonly before: Replacement | null
}

/** Kept apart, so that a plain call stays small: it is allocated a million times a second. */
export interface RareParts {
  /** The caller's own limit (monotonic ms); Infinity without one. */
  capMs: number
  /** A quarantined plugin that follows those in `left`, and whose policy ends the chain. */
  blockedBy: ActivePlugin | null
  /** The plugin of the present trip whose breaker takes this call as its probe. */
  probe: ActivePlugin | null
  /** The first failure that a policy allowed. */
  failure: Failure | null
  /** The name of the plugin with which the caller begins the chain. */
  startAt: string | null
  /** The event as replaced so far, validated; transform only. */
  replacement: Replacement | null
  /** The replacement is newer than the encoded bytes. */
  hasNewEvent: boolean
  /** The step at which the replacement was made, and the plugins of that step that were still to run. */
  replacedIn: { readonly step: number; readonly left: number }
  /** By step: masks after match and sample, and partition hashes. null on routes that need none. */
  stepMasks: Int32Array | null
  stepHashes: Int32Array | null
  traceId: string | undefined
  signal: AbortSignal | null
  /** Stops following `signal`. */
  unfollow: ((call: Call) => void) | null
  /** A parallel gate's hops. */
  children: readonly Call[] | null
  trace: CallTrace | null
  /** It is another call's hop or shadow: that one is counted and traced. */
  isPart: boolean
  /** Called in place of settling a promise: parallel gates, shadows. */
  onSettled: ((verdict: Verdict | Error) => void) | null
}

const NO_RARE_PARTS: Readonly<RareParts> = Object.freeze({
  capMs: Number.POSITIVE_INFINITY,
  blockedBy: null,
  probe: null,
  failure: null,
  startAt: null,
  replacement: null,
  hasNewEvent: false,
  replacedIn: { step: -1, left: 0 },
  stepMasks: null,
  stepHashes: null,
  traceId: undefined,
  signal: null,
  unfollow: null,
  children: null,
  trace: null,
  isPart: false,
  onSettled: null,
})

/** The call's own rare parts, made on first use, to write to. */
export function ensureRare(call: Call): RareParts {
  if (call.rare === NO_RARE_PARTS) call.rare = { ...NO_RARE_PARTS }
  return call.rare
}

/** Ends the present trip; the plugin that the call goes to next has its own time. */
export function endTrip(call: Call): void {
  call.tripMs = UNBEGUN
  call.dueMs = Number.POSITIVE_INFINITY
}

/** Occupies a slot whose call has settled or gone elsewhere, until the worker gives the slot back. */
export class OrphanedSlot {
  readonly hookpoint: HookpointState
  readonly mask: number
  readonly plugin: ActivePlugin | null

  constructor(hookpoint: HookpointState, mask: number, plugin: ActivePlugin | null) {
    this.hookpoint = hookpoint
    this.mask = mask
    this.plugin = plugin
  }
}

/** Settles a call with a verdict, once; a second verdict is dropped. */
export function settle(call: Call, verdict: Verdict, cancelDeadline: (call: Call) => void): void {
  if (call.isSettled) return
  leave(call, cancelDeadline)
  if (!call.rare.isPart) {
    // Nearly all are `continue`: spare them the look-up by name.
    const index = verdict.kind === 'continue' ? VERDICT_INDEX.continue : VERDICT_INDEX[verdict.kind]
    call.hookpoint.recorder.verdicts[index]! += 1
  }
  if (call.rare.trace !== null) traceEnd(call.rare.trace, verdict)
  if (call.resolve !== null) call.resolve(verdict)
  else call.rare.onSettled?.(verdict)
}

/** Ends a call without a verdict: aborted, refused at the border, or raised by policy. */
export function settleError(call: Call, error: Error, cancelDeadline: (call: Call) => void): void {
  if (call.isSettled) return
  leave(call, cancelDeadline)
  if (call.rare.trace !== null) traceError(call.rare.trace, error)
  if (call.reject !== null) call.reject(error)
  else call.rare.onSettled?.(error)
}

function leave(call: Call, cancelDeadline: (call: Call) => void): void {
  call.isSettled = true
  cancelDeadline(call)
  call.rare.unfollow?.(call)
  call.held = null
  call.route.snapshot.calls.leave()
  call.batch?.leave()
}

export function abortedError(contract: Contract, hookpoint: string, reason: unknown): HookringError {
  return new HookringError('CALL_ABORTED', `the call of ${contract.id} ${hookpoint} was aborted by its caller`, {
    cause: reason,
    hookpoint,
  })
}
