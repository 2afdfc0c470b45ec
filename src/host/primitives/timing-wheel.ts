/**
 * A hashed timing wheel. It knows no clock and nothing of what its entries are: every time is an argument, and whoever polls
 * it says what becomes of what is due. One thread's.
 *
 * The wheel is intrusive: an entry carries its own links, so that adding and cancelling allocate nothing and cost the
 * same at any size. Times are milliseconds of one monotonic clock.
 *
 *   cursor (tick of the last poll)
 *     v
 *   [ ][e-e][ ][e][ ] ... [e]     bucket = tick modulo buckets
 *
 * A bucket also holds entries of later turns. They are told apart by their due time, which is compared with the time
 * given before anything expires: nothing expires early, whatever bucket it stands in.
 */

/** What the wheel needs of an entry. Start the links as null; the wheel alone writes them from then on. */
export interface Deadline {
  wheelPrev: Deadline | null
  wheelNext: Deadline | null
  /** When the entry expires. Constant while the entry is in a wheel. */
  dueMs: number
}

export interface TimingWheelOptions {
  /** Entries that are due within one tick expire in the order in which they were added. */
  readonly tickMs?: number
  /** A power of two. Deadlines further away than `buckets * tickMs` cost one more look per turn of the wheel. */
  readonly buckets?: number
}

/** Called for each entry that is due, after it has left the wheel. It may add and cancel any entry. */
export type DeadlineHandler<Entry extends Deadline> = (entry: Entry, nowMs: number) => void

const WORD_BITS = 32
/** Cells of `#times`: the tick of the last poll, and a time before which nothing in the buckets is due. */
const CURSOR_TICK = 0
const EARLIEST_MS = 1

export class TimingWheel<Entry extends Deadline> {
  readonly #tickMs: number
  readonly #mask: number
  readonly #heads: readonly Deadline[]
  // A bit per bucket that may hold entries. Set by add and cleared by the search, so that cancel need not know buckets.
  readonly #occupied: Uint32Array
  // Entries that are due but not yet expired: filled at the start of a poll, and left over by one that came to its bound.
  readonly #due = createHead()
  // A number with fractions is boxed anew at each write; a cell of an array is not.
  readonly #times = new Float64Array(2)
  #size = 0
  #isPolling = false

  constructor({ tickMs = 1, buckets = 2048 }: TimingWheelOptions = {}) {
    if (!(tickMs > 0)) throw new RangeError(`tickMs must be above 0, got ${tickMs}`)
    if (buckets < WORD_BITS || (buckets & (buckets - 1)) !== 0) {
      throw new RangeError(`buckets must be a power of two of at least ${WORD_BITS}, got ${buckets}`)
    }
    this.#tickMs = tickMs
    this.#mask = buckets - 1
    this.#heads = Array.from({ length: buckets }, createHead)
    this.#occupied = new Uint32Array(buckets / WORD_BITS)
    this.#times[EARLIEST_MS] = Number.POSITIVE_INFINITY
  }

  get size(): number {
    return this.#size
  }

  /** Adds an entry; one that is already in the wheel is moved to its new `dueMs`. */
  add(entry: Entry, nowMs: number): void {
    const { dueMs } = entry
    // NaN compares false with every time: such a call would never be settled.
    if (Number.isNaN(dueMs)) throw new RangeError('a deadline must be a number, got NaN')
    if (entry.wheelNext !== null) this.cancel(entry)
    const times = this.#times
    // An empty wheel may have stood still for long.
    if (this.#size === 0) times[CURSOR_TICK] = Math.floor(nowMs / this.#tickMs)
    const tick = Math.max(Math.floor(dueMs / this.#tickMs), times[CURSOR_TICK]!)
    const bucket = tick & this.#mask
    this.#occupied[bucket >>> 5]! |= 1 << (bucket & 31)
    append(this.#heads[bucket]!, entry)
    this.#size += 1
    if (dueMs < times[EARLIEST_MS]!) times[EARLIEST_MS] = dueMs
  }

  /** Takes an entry out. Does nothing for one that has expired, was cancelled or was never added. */
  cancel(entry: Entry): void {
    if (entry.wheelNext === null) return
    unlink(entry)
    this.#size -= 1
    if (this.#size === 0) this.#times[EARLIEST_MS] = Number.POSITIVE_INFINITY
  }

  /**
   * Expires entries with `dueMs <= nowMs`, tick by tick, `most` of them at most, and returns how many. Entries that are
   * added meanwhile wait for the next poll, so that this one ends. When `handler` throws, the rest stays due and comes
   * first in the next poll, as what exceeds the bound does. Inside `handler` it does nothing.
   */
  poll(nowMs: number, handler: DeadlineHandler<Entry>, most: number): number {
    if (this.#isPolling || this.#size === 0) return 0
    if (nowMs >= this.#times[EARLIEST_MS]!) this.#collectDue(nowMs)
    const due = this.#due
    let count = 0
    this.#isPolling = true
    try {
      for (let entry = due.wheelNext!; entry !== due && count < most; entry = due.wheelNext!) {
        this.cancel(entry as Entry)
        count += 1
        handler(entry as Entry, nowMs)
      }
    } finally {
      this.#isPolling = false
    }
    return count
  }

  /** Nothing is due before this time; null when the wheel is empty. May be too low after a cancel, never too high. */
  nextDueMs(): number | null {
    if (this.#size === 0) return null
    const earliestMs = this.#times[EARLIEST_MS]!
    const first = this.#due.wheelNext!
    return first === this.#due ? earliestMs : Math.min(first.dueMs, earliestMs)
  }

  /** Moves what is due from the buckets to `#due`, then moves the cursor. */
  #collectDue(nowMs: number): void {
    const fromTick = this.#times[CURSOR_TICK]!
    const toTick = Math.max(Math.floor(nowMs / this.#tickMs), fromTick)
    const lastStep = Math.min(toTick - fromTick, this.#mask)
    for (let step = this.#nextOccupied(fromTick, 0); step <= lastStep; step = this.#nextOccupied(fromTick, step + 1)) {
      const head = this.#heads[((fromTick & this.#mask) + step) & this.#mask]!
      for (let entry = head.wheelNext!; entry !== head; ) {
        const next = entry.wheelNext!
        if (entry.dueMs <= nowMs) {
          unlink(entry)
          append(this.#due, entry)
        }
        entry = next
      }
    }
    // Bucket order is due order within one turn only.
    if (toTick - fromTick > this.#mask) sortByDue(this.#due)
    this.#times[CURSOR_TICK] = toTick
    this.#times[EARLIEST_MS] = this.#findEarliest(toTick)
  }

  /** The earliest due time in the buckets: a walk from the cursor that ends where no later bucket can be earlier. */
  #findEarliest(fromTick: number): number {
    const mask = this.#mask
    let earliestMs = Number.POSITIVE_INFINITY
    for (let step = this.#nextOccupied(fromTick, 0); step <= mask; step = this.#nextOccupied(fromTick, step + 1)) {
      const bucket = ((fromTick & mask) + step) & mask
      const head = this.#heads[bucket]!
      if (head.wheelNext === head) this.#occupied[bucket >>> 5]! &= ~(1 << (bucket & 31))
      for (let entry = head.wheelNext!; entry !== head; entry = entry.wheelNext!) {
        if (entry.dueMs < earliestMs) earliestMs = entry.dueMs
      }
      if (Math.floor(earliestMs / this.#tickMs) <= fromTick + step) break
    }
    return earliestMs
  }

  /** The first step from `step` on that leads to a bucket that may hold entries; past a turn if none does. */
  #nextOccupied(fromTick: number, from: number): number {
    const mask = this.#mask
    let step = from
    while (step <= mask) {
      const bucket = ((fromTick & mask) + step) & mask
      const bits = this.#occupied[bucket >>> 5]! >>> (bucket & 31)
      if (bits !== 0) return step + trailingZeros(bits)
      step += WORD_BITS - (bucket & 31)
    }
    return step
  }
}

function createHead(): Deadline {
  const head: Deadline = { wheelPrev: null, wheelNext: null, dueMs: 0 }
  head.wheelPrev = head
  head.wheelNext = head
  return head
}

function append(head: Deadline, entry: Deadline): void {
  const last = head.wheelPrev!
  entry.wheelPrev = last
  entry.wheelNext = head
  last.wheelNext = entry
  head.wheelPrev = entry
}

function unlink(entry: Deadline): void {
  entry.wheelPrev!.wheelNext = entry.wheelNext
  entry.wheelNext!.wheelPrev = entry.wheelPrev
  entry.wheelPrev = null
  entry.wheelNext = null
}

function sortByDue(head: Deadline): void {
  const entries: Deadline[] = []
  for (let entry = head.wheelNext!; entry !== head; entry = entry.wheelNext!) entries.push(entry)
  entries.sort((a, b) => a.dueMs - b.dueMs)
  head.wheelPrev = head
  head.wheelNext = head
  for (const entry of entries) append(head, entry)
}

function trailingZeros(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}
