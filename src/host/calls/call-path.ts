/**
 * Wires a call's way through the engine: the one place where its parts are made and connected. The engine and the proof of
 * interleavings (test/proof/interleavings) both use it. Host's thread only.
 *
 *   hooks -> dispatcher -> hops -> lane -> pump ~> worker ~> pump -> lane -> completion -> hops -> the caller
 *
 * There are two loops. Time: timer -> wheel -> expiry -> hops -> deadlines -> timer. Lanes: pump -> overseer (in lanes/: it
 * watches, replaces and starts lanes) -> expiry, pump.
 */
import type { Contract } from '../../contracts/contract.js'
import { monotonicMs } from '../../ring/clock.js'
import { Standstills } from '../../ring/standstill.js'
import type { Bulkhead } from '../model/bulkhead.js'
import { Call } from '../model/call.js'
import { type Lane, LaneDeadline, type LaneListener } from '../model/lane.js'
import { DeadlineTimer } from '../primitives/deadline-timer.js'
import { type Deadline, TimingWheel } from '../primitives/timing-wheel.js'
import type { Emit } from '../telemetry/events.js'
import type { ViolationKind } from '../telemetry/recorders.js'
import { CallDeadlines } from './call-deadlines.js'
import { Completion } from './completion.js'
import { Dispatcher } from './dispatcher.js'
import { Expiry } from './expiry.js'
import { Hops } from './hops.js'
import { Pump } from './pump.js'
import { Selection } from './selection.js'

/** What calls need of the part that starts, watches and replaces lanes. Implemented above, in lanes/. */
export interface LaneOverseer {
  /** The lane has calls in flight. Cheap for a lane that is already watched. */
  busy(lane: Lane): void
  /** An entry of the overseer's own in the timing wheel is due. */
  due(entry: Deadline, nowMs: number): void
  /** The lane's worker broke the protocol, with that call if one is given. */
  violated(lane: Lane, kind: ViolationKind, call?: Call): void
}

export interface CallPathOptions {
  readonly contract: Contract
  readonly emit: Emit
  readonly wait: 'adaptive' | 'park' | 'spin'
  readonly spinUs: number
  readonly maxEventBytes: number
  /** Default: Math.random. */
  readonly random?: () => number
  /** Buckets of the timing wheel. Default: the wheel's own. */
  readonly wheelBuckets?: number
}

export interface CallPath {
  readonly dispatcher: Dispatcher
  readonly expiry: Expiry
  readonly pump: Pump
  /** Takes deadlines of any kind. The overseer's own come back to it as `due`. */
  readonly timer: DeadlineTimer<Deadline>
  /**
   * How many milliseconds between the two times the process stood still (was stopped or frozen). Lanes did not have that
   * time.
   */
  readonly lostMsSince: (sinceMs: number, nowMs: number) => number
  /** What lanes report to. */
  readonly listener: LaneListener
  /** Call it before the first lane is started. */
  overseeBy(overseer: LaneOverseer): void
  /** From now on, calls may go to the bulkhead's lanes. */
  open(bulkhead: Bulkhead): void
}

export function createCallPath(options: CallPathOptions): CallPath {
  return new WiredCallPath(options)
}

class WiredCallPath implements CallPath {
  readonly dispatcher: Dispatcher
  readonly expiry: Expiry
  readonly pump: Pump
  readonly timer: DeadlineTimer<Deadline>
  readonly listener: LaneListener
  readonly #deadlines: CallDeadlines
  readonly #bulkheads = new Set<Bulkhead>()
  readonly #standstills = new Standstills()
  #overseer: LaneOverseer = NOBODY

  constructor(options: CallPathOptions) {
    const { contract, emit, wait, spinUs, maxEventBytes, random = Math.random, wheelBuckets } = options
    this.timer = new DeadlineTimer({
      wheel: new TimingWheel(wheelBuckets === undefined ? {} : { buckets: wheelBuckets }),
      now: monotonicMs,
      expire: (entry, nowMs) => this.#expire(entry, nowMs),
      // A verdict that has arrived when the timer fires wins.
      beforeExpire: () => this.pump.drainAll(this.#lanes()),
      onDue: (setMs, dueMs, nowMs) => this.#standstills.notice(setMs, dueMs, nowMs),
    })
    this.#deadlines = new CallDeadlines({ timer: this.timer })
    this.pump = new Pump({
      wait,
      spinUs,
      listener: {
        busy: (lane) => this.#overseer.busy(lane),
        storm: (lane) => this.#violated(lane, 'doorbell'),
        room: feed,
      },
    })
    const selection = new Selection(random)
    const hops = new Hops({ maxEventBytes, deadlines: this.#deadlines, pump: this.pump, emit, selection })
    const completion = new Completion({
      hops,
      violated: (lane, kind, call) => this.#violated(lane, kind, call),
      lostMsSince: this.lostMsSince,
    })
    this.expiry = new Expiry({ hops, completion, deadlines: this.#deadlines, emit, lostMsSince: this.lostMsSince })
    this.dispatcher = new Dispatcher({ contract, hops, selection, emit })
    this.listener = {
      begun: (lane, earliestMs, nowMs) => this.#deadlines.watchLane(lane, earliestMs, nowMs),
      completed: (lane, slot, call, nowMs) => completion.take(lane, slot, call, nowMs),
      late: (_lane, { plugin, hookpoint }) => {
        if (plugin !== null) plugin.recorders[hookpoint.index]!.late += 1
      },
      violated: (lane, kind) => this.#violated(lane, kind),
    }
  }

  readonly lostMsSince = (sinceMs: number, nowMs: number): number => {
    // When the process goes on, completions may be taken before the late timer fires.
    this.timer.look(nowMs)
    return this.#standstills.lostMsSince(sinceMs)
  }

  overseeBy(overseer: LaneOverseer): void {
    this.#overseer = overseer
  }

  open(bulkhead: Bulkhead): void {
    this.#bulkheads.add(bulkhead)
    bulkhead.onSubmitted = (lane) => this.pump.submitted(lane)
  }

  #expire(entry: Deadline, nowMs: number): void {
    if (entry instanceof LaneDeadline) this.#deadlines.sweep(entry, nowMs, this.#expireCall)
    else if (entry instanceof Call) this.expiry.expire(entry, nowMs)
    else this.#overseer.due(entry, nowMs)
  }

  readonly #expireCall = (call: Call, nowMs: number): void => this.expiry.expire(call, nowMs)

  #violated(lane: Lane, kind: ViolationKind, call?: Call): void {
    this.#overseer.violated(lane, kind, call)
  }

  *#lanes(): Iterable<Lane> {
    for (const bulkhead of this.#bulkheads) {
      if (bulkhead.isClosed) this.#bulkheads.delete(bulkhead)
      for (const { lane } of bulkhead.seats) if (lane !== null) yield lane
    }
  }
}

/** The lane has free slots again: submit calls that wait for one. */
function feed({ bulkhead }: Lane): void {
  if (bulkhead.queueDepth > 0) bulkhead.feed()
}

const NOBODY: LaneOverseer = {
  busy() {},
  due() {},
  violated(lane, kind) {
    throw new Error(`lane ${lane.id} has no overseer, and its worker broke the protocol (${kind})`)
  },
}
