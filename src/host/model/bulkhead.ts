/**
 * Bulkheads: plugins that share fate, the seats whose lanes run them, and the calls that wait for one. Chooses the lane,
 * bounds the queue. Host's thread only.
 */
import type { LaneSpec } from '../../contracts/control.js'
import type { ChildProfile } from '../../contracts/process.js'
import { seatOf } from '../fields/partition.js'
import { WaitQueue } from '../primitives/wait-queue.js'
import type { BulkheadRecorder } from '../telemetry/recorders.js'
import type { Call } from './call.js'
import type { Lane } from './lane.js'
import type { ActivePlugin } from './plugin.js'

/** A place for a lane: its generations come and go, its number and its partition of the keys stay. See also lanes/seat.ts. */
export interface Seat {
  readonly index: number
  lane: Lane | null
  /** Calls that must run in this seat, in their order. */
  readonly waiting: WaitQueue<Call>
}

/** What two lanes must have in common to take their threads from one pool. */
export interface WorkerProfile {
  readonly memoryMb: number
  /** What plugins find in process.env; no more of the server's than the operator names. */
  readonly env: Readonly<Record<string, string>>
  /** Flags of Node.js for the thread. */
  readonly execArgv: readonly string[]
  /** Plugins in hardened compartments have threads of their own kind. */
  readonly isHardened: boolean
  /** Its plugins run in a child process, made as this says; null: in the thread. */
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
  /** In the order of the chain; an index here is a bit in masks. Set once, before anything is called. */
  plugins: readonly ActivePlugin[] = []
  /** The hash of the field by which calls choose their seat; null: any seat. */
  partition: ((event: unknown) => number) | null = null
  recorder: BulkheadRecorder | null = null
  /** What every generation is started with; set once the plugins are known. */
  spec: Omit<LaneSpec, 'lane' | 'buffer'> | null = null
  isClosing = false
  isClosed = false
  /** Other bulkheads have its plugins now: they have been reloaded. */
  isSucceeded = false
  readonly #waiting = new WaitQueue<Call>()
  #waitingCalls = 0
  #waitingObservations = 0
  /** Index of the seat whose lane was picked last. */
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

  /** The serving lane for a call: its partition's, else the one with the least in flight. null: wait. */
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
    // Whoever waits for this seat comes first.
    return lane !== null && lane.state === 'serving' && waiting.isEmpty ? lane : null
  }

  /** Ties go to the lane that was given a call last: it may still be awake, and its code and data are in caches. */
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

  /** Another lane than `lane` that could take calls now. */
  hasOther(lane: Lane): boolean {
    return this.seats.some(
      (seat) => seat.lane !== null && seat.lane !== lane && seat.lane.state === 'serving' && !seat.lane.isLate,
    )
  }

  /** Lets a call wait for a slot; false when the queue is full. Its event's bytes must be in `call.held`. */
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

  /** Puts calls that come back from a lane before all that wait, in their order; they were accepted before. */
  requeue(calls: readonly Call[]): void {
    for (const call of [...calls].reverse()) {
      this.#count(call, 1)
      call.lane = null
      call.slot = -1
      call.waitsIn = this.#queueFor(call)
      call.waitsIn.unshift(call)
    }
  }

  /** Takes a call out of the queue: it has settled, or is about to be submitted. */
  dequeue(call: Call): void {
    if (!call.isWaiting) return
    call.waitsIn = null
    this.#count(call, -1)
  }

  /** Submits what waits, as far as there is room. */
  feed(): void {
    for (const seat of this.seats) {
      if (seat.lane?.state === 'serving') this.#feedFrom(seat.waiting, () => seat.lane)
    }
    if (!this.#waiting.isEmpty) this.#feedFrom(this.#waiting, (call) => this.pick(call))
  }

  /** Everything that waits, for the engine to end. */
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

  /** Told of each lane that `feed` submitted to. */
  onSubmitted: ((lane: Lane) => void) | null = null

  #queueFor(call: Call): WaitQueue<Call> {
    return call.rare.stepHashes !== null && this.partition !== null ? this.#seatFor(call).waiting : this.#waiting
  }

  #seatFor(call: Call): Seat {
    // Hashes are unsigned, the array's words are not.
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
