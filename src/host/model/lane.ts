/**
 * The host's half of one generation of a lane: its slots, the calls in them, and taking completions. Whatever comes out of
 * the shared buffer is checked against the host's own tables. Host's thread only.
 */
import { monotonicMs } from '../../ring/clock.js'
import { BROKEN, HostRing, type Submission } from '../../ring/host-ring.js'
import { extentBytes, repliesAt, replyAt } from '../../ring/layout.js'
import { FreeList, NO_SLOT } from '../primitives/free-list.js'
import type { Deadline } from '../primitives/timing-wheel.js'
import type { ViolationKind } from '../telemetry/recorders.js'
import type { Bulkhead, Seat } from './bulkhead.js'
import { type Call, type HeldBytes, OrphanedSlot } from './call.js'
import { expectBytes, nextRoom } from './event-size.js'
import { LaneBytes, type LaneMemory, OWN_EXTENT_BYTES } from './lane-bytes.js'
import { beginTrip, firstDueMs } from './trip.js'

/** What a lane reports to the engine. */
export interface LaneListener {
  /** Trips have begun; the first of them is late at `earliestMs` (Infinity: none has a deadline). */
  begun(lane: Lane, earliestMs: number, nowMs: number): void
  /** A call's trip has come back; its slot's words and bytes are still in place. */
  completed(lane: Lane, slot: number, call: Call, nowMs: number): void
  /** A slot has come back whose call had already settled or gone elsewhere. */
  late(lane: Lane, slot: OrphanedSlot): void
  /** The worker broke the protocol. */
  violated(lane: Lane, kind: ViolationKind): void
}

export interface LaneOptions {
  readonly id: string
  readonly bulkhead: Bulkhead
  readonly seat: Seat
  readonly maxEventBytes: number
  readonly listener: LaneListener
  readonly memory: LaneMemory
}

/** A lane's entry in the timing wheel, due at the earliest deadline of the calls in the lane. */
export class LaneDeadline implements Deadline {
  wheelPrev: Deadline | null = null
  wheelNext: Deadline | null = null
  dueMs = Number.POSITIVE_INFINITY
  readonly lane: Lane

  constructor(lane: Lane) {
    this.lane = lane
  }
}

export class Lane {
  readonly id: string
  readonly bulkhead: Bulkhead
  readonly seat: Seat
  readonly memory: LaneMemory
  readonly ring: HostRing
  readonly bytes: LaneBytes
  /** 'starting' until its plugins are set up; 'dead' as soon as its generation is given up. */
  state: 'starting' | 'serving' | 'draining' | 'dead' = 'starting'
  /** One of its calls is past its deadline: other lanes are preferred until a completion comes back. */
  isLate = false
  /** Slots that the worker has not given back. */
  inFlight = 0
  /** When the lane began to serve (monotonic ms). */
  sinceMs = 0
  /** Completions so far; the watchdog takes them as progress. */
  completions = 0
  readonly deadline: LaneDeadline = new LaneDeadline(this)
  readonly #listener: LaneListener
  readonly #free: FreeList
  readonly #calls: (Call | OrphanedSlot | null)[]
  readonly #maxEventBytes: number
  readonly #smallEventBytes: number
  #tickets = 0
  readonly #submission: Submission = {
    hookpoint: 0,
    mask: 0,
    extentAt: 0,
    eventBytes: 0,
    traceBytes: 0,
    replyRoom: 0,
  }
  /** Slots that were submitted and not yet published: their trips have not begun. */
  readonly #unbegun: number[] = []
  #unbegunCount = 0
  /* The pump keeps these: whether the lane has submissions to publish, and how the host listens to it. */
  isDirty = false
  unpublished = 0
  hasRung = false
  isWaking = false
  listening: 'no' | 'polling' | 'parked' = 'no'
  emptyWakes = 0

  constructor(options: LaneOptions) {
    this.id = options.id
    this.bulkhead = options.bulkhead
    this.seat = options.seat
    this.#listener = options.listener
    this.#maxEventBytes = options.maxEventBytes
    this.#smallEventBytes = Math.min(OWN_EXTENT_BYTES, options.maxEventBytes)
    this.memory = options.memory
    const { geometry, buffer } = options.memory
    this.ring = new HostRing(geometry, buffer)
    this.bytes = new LaneBytes(options.memory, this.ring.arenaByte)
    const { slotCount } = geometry
    this.#free = new FreeList(slotCount)
    this.#calls = new Array<Call | OrphanedSlot | null>(slotCount).fill(null)
  }

  get hasRoom(): boolean {
    return this.#free.count > 0
  }

  get occupancy(): number {
    return this.inFlight / this.ring.slotCount
  }

  /**
   * Encodes the event into a slot and submits the call. False: the lane has no room at present.
   *
   * @throws HookringError EVENT_INVALID, EVENT_TOO_LARGE
   */
  submitEvent(call: Call, event: unknown): boolean {
    // Take the slot before reading the event: the event's getters may make calls of their own.
    const slot = this.#free.take()
    if (slot === NO_SLOT) return false
    try {
      const used = this.#encodeSmall(slot, call, event)
      if (used >= 0 || this.#encode(slot, call, event, -used)) {
        this.#submit(call, slot)
        return true
      }
    } catch (error) {
      this.#vacate(slot)
      throw error
    }
    this.#vacate(slot)
    return false
  }

  /** Encodes into the slot's own extent. Returns the bytes used; -n: it does not fit, and needs at least n. */
  #encodeSmall(slot: number, call: Call, event: unknown): number {
    const { hookpoint } = call
    if (hookpoint.expectedBytes > OWN_EXTENT_BYTES || hookpoint.replyAreas !== 0 || call.traceBytes !== 0) return -1
    const at = this.bytes.at(slot)
    const used = hookpoint.encoder.encode(this.bytes.mirror, at, at + this.#smallEventBytes, event)
    if (used < 0) return used
    if (used !== hookpoint.expectedBytes) expectBytes(hookpoint, used)
    call.eventBytes = used
    return used
  }

  /** Encodes into an extent that is large enough, at least `leastBytes`. False: the arena has none at present. */
  #encode(slot: number, call: Call, event: unknown, leastBytes: number): boolean {
    const { hookpoint } = call
    const { mirror } = this.bytes
    let room = (hookpoint.expectedBytes + 63) & ~63
    if (leastBytes > room) room = nextRoom(hookpoint.name, room, leastBytes, this.#maxEventBytes)
    for (;;) {
      const replyRoom = hookpoint.replyAreas === 0 ? 0 : hookpoint.replyRoom(room)
      const at = this.bytes.take(slot, extentBytes(room, call.traceBytes, replyRoom, hookpoint.replyAreas))
      if (at === -1) return false
      const used = hookpoint.encoder.encode(mirror, at, at + Math.min(room, this.#maxEventBytes), event)
      if (used >= 0) {
        expectBytes(hookpoint, used)
        call.eventBytes = used
        if (call.traceBytes > 0) mirror.buffer.write(call.rare.traceId as string, at + used)
        return true
      }
      this.bytes.give(slot)
      room = nextRoom(hookpoint.name, room, -used, this.#maxEventBytes)
    }
  }

  /** Submits a call whose event is already encoded in the host's memory. False: the lane has no room at present. */
  submitBytes(call: Call, from: HeldBytes): boolean {
    const slot = this.#free.take()
    if (slot === NO_SLOT) return false
    const { hookpoint } = call
    const whole = call.eventBytes + call.traceBytes
    const bytes = extentBytes(
      call.eventBytes,
      call.traceBytes,
      hookpoint.replyRoom(call.eventBytes),
      hookpoint.replyAreas,
    )
    const at = this.bytes.take(slot, bytes)
    if (at === -1) {
      this.#vacate(slot)
      return false
    }
    const { u8 } = this.bytes.mirror
    if (from.u8 === u8) u8.copyWithin(at, from.at, from.at + whole)
    else u8.set(from.u8.subarray(from.at, from.at + whole), at)
    this.#submit(call, slot)
    return true
  }

  /** Makes everything submitted visible, and wakes the worker if it sleeps. Returns whether it rang. */
  publish(): boolean {
    if (this.#unbegunCount > 0) this.begin(monotonicMs())
    this.bytes.copyGathered()
    return this.ring.publish()
  }

  /** Makes everything submitted visible to a worker that is awake. */
  publishQuietly(): void {
    if (this.#unbegunCount > 0) this.begin(monotonicMs())
    this.bytes.copyGathered()
    this.ring.publishQuietly()
  }

  /** Begins the trips of all calls that were submitted since the last publish, with one reading of the clock. */
  begin(nowMs: number): void {
    let earliestMs = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.#unbegunCount; i += 1) {
      const slot = this.#unbegun[i] as number
      const call = this.callIn(slot)
      if (call === null) continue
      beginTrip(call, nowMs)
      if (call.dueMs < earliestMs) earliestMs = call.dueMs
      this.ring.setDeadline(slot, firstDueMs(call))
    }
    this.#unbegunCount = 0
    this.#listener.begun(this, earliestMs, nowMs)
  }

  /** The host's own copy of the event of a call that is in this lane. */
  heldBytes(call: Call): HeldBytes {
    return { u8: this.bytes.mirror.u8, at: this.bytes.at(call.slot) }
  }

  /** Takes up to `budget` completions. Returns how many it took. */
  drain(budget: number): number {
    let taken = 0
    let nowMs = 0
    while (taken < budget && this.state !== 'dead') {
      const slot = this.ring.takeCompletion()
      if (slot < 0) {
        if (slot === BROKEN) this.#listener.violated(this, 'sequence')
        break
      }
      const occupant = this.#calls[slot] as Call | OrphanedSlot | null
      if (occupant === null || !this.ring.release(slot)) {
        this.#listener.violated(this, occupant === null ? 'slot' : 'state')
        break
      }
      // One reading of the clock for all that is taken together.
      if (taken === 0) nowMs = monotonicMs()
      taken += 1
      this.completions += 1
      if (occupant instanceof OrphanedSlot) this.#listener.late(this, occupant)
      else this.#listener.completed(this, slot, occupant, nowMs)
      // Free the slot only now: the listener reads it, and a call that goes on copies its event from the extent.
      this.#calls[slot] = null
      this.#vacate(slot)
      this.inFlight -= 1
      this.isLate = false
    }
    return taken
  }

  /** Takes a call back unless the worker has claimed it. True: it will not run here; the slot itself comes back later. */
  recall(call: Call): boolean {
    if (!this.ring.recall(call.slot)) return false
    this.detach(call, 0)
    return true
  }

  /**
   * Separates a call from its slot: the call has settled or goes on elsewhere, and the slot stays taken until the worker
   * gives it back.
   *
   * @param mask the first plugin in it is named if the slot comes back late; 0: none
   */
  detach(call: Call, mask: number): void {
    const plugin = mask === 0 ? null : (this.bulkhead.plugins[31 - Math.clz32(mask & -mask)] ?? null)
    this.#calls[call.slot] = new OrphanedSlot(call.hookpoint, mask, plugin)
  }

  /** The call that occupies a slot, or null. */
  callIn(slot: number): Call | null {
    const occupant = this.#calls[slot]
    return occupant === null || occupant === undefined || occupant instanceof OrphanedSlot ? null : occupant
  }

  occupantOf(slot: number): Call | OrphanedSlot | null {
    return this.#calls[slot] ?? null
  }

  /** The calls in this lane, in the order of their slots. */
  *calls(): Iterable<Call> {
    let left = this.inFlight
    for (let slot = 0; left > 0 && slot < this.#calls.length; slot += 1) {
      const occupant = this.#calls[slot] as Call | OrphanedSlot | null
      if (occupant === null) continue
      left -= 1
      if (!(occupant instanceof OrphanedSlot)) yield occupant
    }
  }

  /** The byte at which a slot's reply area begins, from the host's own tables; the first area is 0. */
  replyAt(slot: number, call: Call, area: number): number {
    const first = repliesAt(this.bytes.at(slot), call.eventBytes, call.traceBytes)
    return replyAt(first, call.hookpoint.replyRoom(call.eventBytes), area)
  }

  #vacate(slot: number): void {
    this.bytes.give(slot)
    this.#free.give(slot)
  }

  #submit(call: Call, slot: number): void {
    const { hookpoint } = call
    this.#calls[slot] = call
    this.inFlight += 1
    call.lane = this
    call.slot = slot
    call.ticket = this.#tickets
    this.#tickets = (this.#tickets + 1) | 0
    call.held = null
    call.mask = call.left
    this.bytes.submitted(slot, call.eventBytes + call.traceBytes)
    const submission = this.#submission
    submission.hookpoint = hookpoint.index
    submission.mask = call.mask
    submission.extentAt = this.bytes.at(slot)
    submission.eventBytes = call.eventBytes
    submission.traceBytes = call.traceBytes
    submission.replyRoom = hookpoint.replyAreas === 0 ? 0 : hookpoint.replyRoom(call.eventBytes)
    this.ring.submit(slot, submission)
    this.#unbegun[this.#unbegunCount] = slot
    this.#unbegunCount += 1
  }
}
