/**
 * A hashed timing wheel. It has no clock and does not know what its entries are: every time is an argument, and the caller
 * of `poll` hands in a handler for what is due. One thread.
 *
 * The wheel is intrusive: an entry carries its own links, so adding and cancelling allocate nothing and cost the same at
 * any size. Times are milliseconds of one monotonic clock.
 *
 *   cursor (tick of the last poll)
 *     v
 *   [ ][e-e][ ][e][ ] ... [e]     bucket = tick modulo buckets
 *
 * A bucket also holds entries of later turns. Before an entry expires, its due time is compared with the time given, so
 * nothing expires early, whatever bucket it is in.
 */

/** What the wheel needs of an entry. The links start as null; from then on only the wheel writes them. */
export interface Deadline {
  wheelPrev: Deadline | null
  wheelNext: Deadline | null
  /** When the entry expires. Constant while the entry is in a wheel. */
  dueMs: number
}

export interface TimingWheelOptions {
  /** Width of a bucket. Entries that are due within one tick expire in the order in which they were added. */
  readonly tickMs?: number
  /** A power of two. A deadline further away than `buckets * tickMs` is looked at once more in each turn of the wheel. */
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
  // One bit for each bucket that may hold entries. `add` sets it and the search clears it, so cancel need not know the bucket.
  readonly #occupied: Uint32Array
  // Entries that are due and have not expired: filled at the start of a poll; what exceeds the poll's bound stays.
  readonly #due = createHead()
  // V8 boxes a fractional number in a field anew at each write; in a Float64Array it does not.
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
    // NaN compares false with every time: such an entry would never expire.
    if (Number.isNaN(dueMs)) throw new RangeError('a deadline must be a number, got NaN')
    if (entry.wheelNext !== null) this.cancel(entry)
    const times = this.#times
    // Nobody polls an empty wheel, so its cursor may be far behind.
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
   * Expires up to `most` entries with `dueMs <= nowMs`, tick by tick, and returns how many. Entries that are added meanwhile
   * wait for the next poll, so this one ends. If `handler` throws, the rest stay due and come first in the next poll, as do
   * those beyond the bound. Called from `handler`, poll does nothing.
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

  /** No entry is due before this time; null: the wheel is empty. After a cancel it may be too early, never too late. */
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
    // Buckets are in the order of their due times within one turn only.
    if (toTick - fromTick > this.#mask) sortByDue(this.#due)
    this.#times[CURSOR_TICK] = toTick
    this.#times[EARLIEST_MS] = this.#findEarliest(toTick)
  }

  /** The earliest due time in the buckets. It walks from the cursor until no later bucket can hold an earlier entry. */
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

  /** The first step, at `from` or later, whose bucket may hold entries; more than the mask if there is none. */
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
