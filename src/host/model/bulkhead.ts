/**
 * A bulkhead: plugins that share fate, the seats whose lanes run them, and the calls that wait for a lane. It chooses the
 * lane and bounds the queue. Host's thread only.
 */
import type { LaneSpec } from '../../contracts/control.js'
import type { ChildProfile } from '../../contracts/process.js'
import { seatOf } from '../fields/partition.js'
import { WaitQueue } from '../primitives/wait-queue.js'
import type { BulkheadRecorder } from '../telemetry/recorders.js'
import type { Call } from './call.js'
import type { Lane } from './lane.js'
import type { ActivePlugin } from './plugin.js'

/**
 * A place for a lane. Generations of the lane come and go; the seat's number and its share of the keys stay. See also
 * lanes/seat.ts.
 */
export interface Seat {
  readonly index: number
  lane: Lane | null
  /** Calls that must run in this seat, in their order. */
  readonly waiting: WaitQueue<Call>
}

/** The kind of thread that a lane needs. Lanes with equal profiles take their threads from one pool. */
export interface WorkerProfile {
  readonly memoryMb: number
  /** What plugins find in process.env: only what the operator names. */
  readonly env: Readonly<Record<string, string>>
  /** Flags of Node.js for the thread. */
  readonly execArgv: readonly string[]
  /** The plugins are TypeScript, which the thread loads in place. */
  readonly loadsTypeScript: boolean
  /** The thread says what imports what, for `engine.watch()`. */
  readonly reportsImports: boolean
  /** The thread is locked down, for plugins in compartments. */
  readonly isHardened: boolean
  /** The child process in which the plugins run; null: they run in the thread. */
  readonly child: ChildProfile | null
}

export interface BulkheadOptions {
  readonly name: string
  readonly profile: WorkerProfile
  readonly workers: number
  readonly slots: number
  readonly maxQueue: number
  readonly concurrency: number
}

export class Bulkhead {
  readonly name: string
  readonly options: BulkheadOptions
  readonly seats: readonly Seat[]
  /** In the order of the chain; an index here is the plugin's bit in masks. Set once, before the first call. */
  plugins: readonly ActivePlugin[] = []
  /** Hashes the field that decides a call's seat; null: calls go to any seat. */
  partition: ((event: unknown) => number) | null = null
  recorder: BulkheadRecorder | null = null
  /** What every generation of a lane is started with; set once the plugins are known. */
  spec: Omit<LaneSpec, 'lane' | 'buffer'> | null = null
  isClosing = false
  isClosed = false
  /** Its plugins were reloaded and are in other bulkheads now. */
  isSucceeded = false
  readonly #waiting = new WaitQueue<Call>()
  #waitingCalls = 0
  #waitingObservations = 0
  /** Index of the seat that was picked last. */
  #lastSeat = 0

  constructor(options: BulkheadOptions) {
    this.name = options.name
    this.options = options
    this.seats = Array.from({ length: options.workers }, (_, index) => ({
      index,
      lane: null,
      waiting: new WaitQueue<Call>(),
    }))
  }

  get queueDepth(): number {
    return this.#waitingCalls + this.#waitingObservations
  }

  get inFlight(): number {
    let count = 0
    for (const { lane } of this.seats) count += lane?.inFlight ?? 0
    return count
  }

  /** The serving lane for a call: its partition's, otherwise the one with the fewest calls in flight. null: the call must wait. */
  pick(call: Call): Lane | null {
    const { seats } = this
    if (seats.length > 1 || this.partition !== null) return this.#pickAmong(call)
    const { lane } = seats[0] as Seat
    return lane !== null && lane.state === 'serving' ? lane : null
  }

  #pickAmong(call: Call): Lane | null {
    const isKeyed = call.rare.stepHashes !== null && this.partition !== null
    return isKeyed ? this.#laneOf(this.#seatFor(call)) : this.#leastBusy()
  }

  #laneOf({ lane, waiting }: Seat): Lane | null {
    // Calls that wait for this seat come first.
    return lane !== null && lane.state === 'serving' && waiting.isEmpty ? lane : null
  }

  /** A tie goes to the lane that got the last call: it may still be awake, with its code and data in caches. */
  #leastBusy(): Lane | null {
    const { seats } = this
    const from = this.#lastSeat
    let best: Lane | null = null
    for (let i = 0; i < seats.length; i += 1) {
      const at = (from + i) % seats.length
      const { lane } = seats[at] as Seat
      if (lane === null || lane.state !== 'serving' || !lane.hasRoom) continue
      if (best !== null && costOf(lane) >= costOf(best)) continue
      best = lane
      this.#lastSeat = at
    }
    return best
  }

  /** Whether another lane than `lane` could take calls now. */
  hasOther(lane: Lane): boolean {
    return this.seats.some(
      (seat) => seat.lane !== null && seat.lane !== lane && seat.lane.state === 'serving' && !seat.lane.isLate,
    )
  }

  /** Lets a call wait for a slot. Its event's bytes must be in `call.held`. False: the queue is full. */
  enqueue(call: Call): boolean {
    const isObservation = call.hookpoint.kind === 'observe'
    const waiting = isObservation ? this.#waitingObservations : this.#waitingCalls
    if (waiting >= this.options.maxQueue) return false
    this.#count(call, 1)
    call.lane = null
    call.slot = -1
    call.waitsIn = this.#queueFor(call)
    call.waitsIn.push(call)
    return true
  }

  /** Puts calls that a lane gave back before all that wait, in their order: they were accepted earlier. */
  requeue(calls: readonly Call[]): void {
    for (const call of [...calls].reverse()) {
      this.#count(call, 1)
      call.lane = null
      call.slot = -1
      call.waitsIn = this.#queueFor(call)
      call.waitsIn.unshift(call)
    }
  }

  /** Takes a call out of the queue because it has settled or was submitted. */
  dequeue(call: Call): void {
    if (!call.isWaiting) return
    call.waitsIn = null
    this.#count(call, -1)
  }

  /** Submits waiting calls while lanes have room. */
  feed(): void {
    for (const seat of this.seats) {
      if (seat.lane?.state === 'serving') this.#feedFrom(seat.waiting, () => seat.lane)
    }
    if (!this.#waiting.isEmpty) this.#feedFrom(this.#waiting, (call) => this.pick(call))
  }

  /** Takes all waiting calls out of the queues, for an engine that ends. */
  takeWaiting(): Call[] {
    const calls = [...this.seats.flatMap((seat) => seat.waiting.takeAll()), ...this.#waiting.takeAll()]
    for (const call of calls) this.dequeue(call)
    return calls
  }

  #feedFrom(queue: WaitQueue<Call>, laneFor: (call: Call) => Lane | null): void {
    for (;;) {
      const call = queue.shift()
      if (call === null) return
      const lane = laneFor(call)
      if (lane === null || call.held === null || !lane.submitBytes(call, call.held)) {
        queue.unshift(call)
        return
      }
      this.dequeue(call)
      this.onSubmitted?.(lane)
    }
  }

  /** Called with the lane for each call that `feed` submits. */
  onSubmitted: ((lane: Lane) => void) | null = null

  #queueFor(call: Call): WaitQueue<Call> {
    return call.rare.stepHashes !== null && this.partition !== null ? this.#seatFor(call).waiting : this.#waiting
  }

  #seatFor(call: Call): Seat {
    // Hashes are unsigned; the array's words are signed.
    const hash = ((call.rare.stepHashes as Int32Array)[call.step] as number) >>> 0
    return this.seats[seatOf(hash, this.seats.length)] as Seat
  }

  #count(call: Call, by: 1 | -1): void {
    if (call.hookpoint.kind === 'observe') this.#waitingObservations += by
    else this.#waitingCalls += by
  }
}

/** A late lane is a last resort. */
function costOf(lane: Lane): number {
  return lane.isLate ? lane.inFlight + 1_000_000 : lane.inFlight
}
