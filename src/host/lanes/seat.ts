/**
 * Seats as supervision needs them: to start and end their lanes. The call path needs only a seat's number, its lane and
 * its waiting calls (model/bulkhead.ts). Host's thread only.
 */
import type { Bulkhead, Seat } from '../model/bulkhead.js'
import type { LaneMemory } from '../model/lane-bytes.js'
import type { LaneThread } from './lane-threads.js'

/** A failed start is tried again after this long; the pause doubles up to the second figure. */
const RETRY_MS = 100
const RETRY_MAX_MS = 5_000

export class SupervisedSeat {
  readonly bulkhead: Bulkhead
  readonly seat: Seat
  thread: LaneThread | null = null
  /** Memory for the next generations: made when there is time for it, then handed down. */
  readonly memories: LaneMemory[] = []
  /** How many generations' threads were told to end and have not exited. */
  leaving = 0
  /** The start of the next generation while it is under way; never rejects. */
  starting: Promise<void> | null = null
  /** The seat is being stopped and waits for no lane: nobody would end a lane that began to serve now. */
  isEnded = false
  /** How many lanes in a row died soon and gave nothing back. The next one waits longer. */
  shortLives = 0
  /** How many starts in a row failed. The next one waits longer. */
  failedStarts = 0
  #generation = 0
  #endPause: () => void = () => {}

  constructor(bulkhead: Bulkhead, seat: Seat) {
    this.bulkhead = bulkhead
    this.seat = seat
  }

  /** Whether the next lane replaces another. */
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

/** What supervision knows of each seat; made when it is first asked for. */
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
