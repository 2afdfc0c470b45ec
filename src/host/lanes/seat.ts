/**
 * Seats as supervision sees them. The call path needs a seat's number, its lane and what waits for it (model/bulkhead.ts);
 * here stands what it takes to start its lanes and to end them. Host's thread only.
 */
import type { Bulkhead, Seat } from '../model/bulkhead.js'
import type { LaneMemory } from '../model/lane-bytes.js'
import type { LaneThread } from './lane-threads.js'

/** A start that failed is tried again after this long, doubling up to the second figure. */
const RETRY_MS = 100
const RETRY_MAX_MS = 5_000

export class SupervisedSeat {
  readonly bulkhead: Bulkhead
  readonly seat: Seat
  thread: LaneThread | null = null
  /** Memory for the next generation: made when there is time for it, handed down from then on. */
  readonly memories: LaneMemory[] = []
  /** Generations whose threads were told to end and have not exited. */
  leaving = 0
  /** The start of the next generation, while it is under way; never rejects. */
  starting: Promise<void> | null = null
  /** It is being stopped, and waits for no lane any more: nobody would end one that began to serve now. */
  isEnded = false
  /** Lanes in a row that served for a moment, gave nothing back and died: the next one waits longer. */
  shortLives = 0
  /** Starts in a row that failed: the next one waits longer. */
  failedStarts = 0
  #generation = 0
  #endPause: () => void = () => {}

  constructor(bulkhead: Bulkhead, seat: Seat) {
    this.bulkhead = bulkhead
    this.seat = seat
  }

  /** Whether the next lane is not the first. */
  get isReplacement(): boolean {
    return this.#generation > 0
  }

  /** The id of the seat's next lane: bulkhead, seat, generation. */
  nextLaneId(): string {
    this.#generation += 1
    return `${this.bulkhead.name}/${this.seat.index}#${this.#generation}`
  }

  /**
   * Waits before the nth try, or until `endPause`. The timer keeps the process alive: an engine that is about to start a
   * lane is open.
   */
  pauseBefore(tries: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(RETRY_MS * 2 ** (tries - 1), RETRY_MAX_MS))
      this.#endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  endPause(): void {
    this.#endPause()
  }
}

/** What supervision knows of each seat, made when it first asks. */
export class SupervisedSeats {
  readonly #seats = new WeakMap<Seat, SupervisedSeat>()

  at(bulkhead: Bulkhead, seat: Seat): SupervisedSeat {
    let supervised = this.#seats.get(seat)
    if (supervised === undefined) {
      supervised = new SupervisedSeat(bulkhead, seat)
      this.#seats.set(seat, supervised)
    }
    return supervised
  }

  of(bulkhead: Bulkhead): SupervisedSeat[] {
    return bulkhead.seats.map((seat) => this.at(bulkhead, seat))
  }
}
