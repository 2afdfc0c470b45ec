/**
 * Deadlines: a hashed timing wheel, and the one timer that drives it. For the engine alone, on the host's thread.
 *
 * The wheel is intrusive: an entry carries its own links, so that adding and cancelling allocate nothing and cost the
 * same at any size. The wheel holds no clock, every time is an argument; times are milliseconds of one monotonic clock.
 *
 *   cursor (tick of the last advance)
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

export interface DeadlinesOptions<Entry extends Deadline> {
  /** Entries that are due within one tick expire in the order in which they were added. */
  tickMs?: number
  /** A power of two. Deadlines further away than `buckets * tickMs` cost one more look per turn of the wheel. */
  buckets?: number
  /** Called for each entry that is due, after it has left the wheel. It may add and cancel any entry. */
  expire(entry: Entry, nowMs: number): void
}

export interface Deadlines<Entry extends Deadline> {
  /** Adds an entry; one that is already in the wheel is moved to its new `dueMs`. */
  add(entry: Entry, nowMs: number): void
  /** Takes an entry out. Does nothing for one that has expired, was cancelled or was never added. */
  cancel(entry: Entry): void
  /**
   * Expires every entry with `dueMs <= nowMs`, tick by tick, and returns how many. Entries that are added meanwhile
   * wait for the next advance, so that this one ends. When `expire` throws, the rest stays due and comes first in the
   * next advance. Inside `expire` it does nothing.
   */
  advance(nowMs: number): number
  /** Nothing is due before this time; null when the wheel is empty. May be too low after a cancel, never too high. */
  nextDueMs(): number | null
  size(): number
}

const WORD_BITS = 32
/** Cells of `times`: the tick of the last advance, and a time before which nothing in the buckets is due. */
const CURSOR_TICK = 0
const EARLIEST_MS = 1

export function createDeadlines<Entry extends Deadline>(options: DeadlinesOptions<Entry>): Deadlines<Entry> {
  const { tickMs = 1, buckets = 2048, expire } = options
  if (!(tickMs > 0)) throw new RangeError(`tickMs must be above 0, got ${tickMs}`)
  if (buckets < WORD_BITS || (buckets & (buckets - 1)) !== 0) {
    throw new RangeError(`buckets must be a power of two of at least ${WORD_BITS}, got ${buckets}`)
  }
  const mask = buckets - 1
  const heads = Array.from({ length: buckets }, createHead)
  // A bit per bucket that may hold entries. Set by add and cleared by the search, so that cancel need not know buckets.
  const occupied = new Uint32Array(buckets / WORD_BITS)
  // Entries that are due but not yet expired: filled at the start of an advance, empty after it unless expire threw.
  const due = createHead()
  // Variables of a closure that hold fractions are boxed anew at each write; a cell of an array is not.
  const times = new Float64Array(2)
  times[EARLIEST_MS] = Infinity
  let size = 0
  let isAdvancing = false

  function add(entry: Entry, nowMs: number): void {
    const { dueMs } = entry
    // NaN compares false with every time: such a call would never be settled.
    if (Number.isNaN(dueMs)) throw new RangeError('a deadline must be a number, got NaN')
    if (entry.wheelNext !== null) cancel(entry)
    // An empty wheel may have stood still for long.
    if (size === 0) times[CURSOR_TICK] = Math.floor(nowMs / tickMs)
    const tick = Math.max(Math.floor(dueMs / tickMs), times[CURSOR_TICK]!)
    const bucket = tick & mask
    occupied[bucket >>> 5]! |= 1 << (bucket & 31)
    append(heads[bucket]!, entry)
    size++
    if (dueMs < times[EARLIEST_MS]!) times[EARLIEST_MS] = dueMs
  }

  function cancel(entry: Entry): void {
    if (entry.wheelNext === null) return
    unlink(entry)
    size--
    if (size === 0) times[EARLIEST_MS] = Infinity
  }

  function advance(nowMs: number): number {
    if (isAdvancing || size === 0) return 0
    if (nowMs >= times[EARLIEST_MS]!) collectDue(nowMs)
    let count = 0
    isAdvancing = true
    try {
      for (let entry = due.wheelNext!; entry !== due; entry = due.wheelNext!) {
        cancel(entry as Entry)
        count++
        expire(entry as Entry, nowMs)
      }
    } finally {
      isAdvancing = false
    }
    return count
  }

  /** Moves what is due from the buckets to `due`, then moves the cursor. */
  function collectDue(nowMs: number): void {
    const fromTick = times[CURSOR_TICK]!
    const toTick = Math.max(Math.floor(nowMs / tickMs), fromTick)
    const lastStep = Math.min(toTick - fromTick, mask)
    for (let step = nextOccupied(fromTick, 0); step <= lastStep; step = nextOccupied(fromTick, step + 1)) {
      const head = heads[((fromTick & mask) + step) & mask]!
      for (let entry = head.wheelNext!; entry !== head; ) {
        const next = entry.wheelNext!
        if (entry.dueMs <= nowMs) {
          unlink(entry)
          append(due, entry)
        }
        entry = next
      }
    }
    // Bucket order is due order within one turn only.
    if (toTick - fromTick > mask) sortByDue(due)
    times[CURSOR_TICK] = toTick
    times[EARLIEST_MS] = findEarliest(toTick)
  }

  /** The earliest due time in the buckets: a walk from the cursor that ends where no later bucket can be earlier. */
  function findEarliest(fromTick: number): number {
    let earliestMs = Infinity
    for (let step = nextOccupied(fromTick, 0); step <= mask; step = nextOccupied(fromTick, step + 1)) {
      const bucket = ((fromTick & mask) + step) & mask
      const head = heads[bucket]!
      if (head.wheelNext === head) occupied[bucket >>> 5]! &= ~(1 << (bucket & 31))
      for (let entry = head.wheelNext!; entry !== head; entry = entry.wheelNext!) {
        if (entry.dueMs < earliestMs) earliestMs = entry.dueMs
      }
      if (Math.floor(earliestMs / tickMs) <= fromTick + step) break
    }
    return earliestMs
  }

  /** The first step from `step` on that leads to a bucket that may hold entries; past a turn if none does. */
  function nextOccupied(fromTick: number, step: number): number {
    while (step <= mask) {
      const bucket = ((fromTick & mask) + step) & mask
      const bits = occupied[bucket >>> 5]! >>> (bucket & 31)
      if (bits !== 0) return step + trailingZeros(bits)
      step += WORD_BITS - (bucket & 31)
    }
    return step
  }

  return {
    add,
    cancel,
    advance,
    nextDueMs() {
      if (size === 0) return null
      return due.wheelNext === due ? times[EARLIEST_MS]! : Math.min(due.wheelNext!.dueMs, times[EARLIEST_MS]!)
    },
    size: () => size,
  }
}

export interface DeadlineTimer<Entry extends Deadline> {
  /** Adds to the wheel and, when nothing earlier is waited for, arms the timer. */
  add(entry: Entry, nowMs: number): void
  /** Cancels in the wheel. A timer that waits for nothing does not keep the process alive, and is not renewed. */
  cancel(entry: Entry): void
  /** When the timer fires next; null when it is not armed. */
  armedForMs(): number | null
  /** Disarms the timer for good. Entries stay in the wheel. */
  close(): void
}

export interface DeadlineTimerOptions {
  /** The clock of the wheel's times. */
  now(): number
  /** Called when entries are due, before they expire: what has already come in is taken first. */
  beforeExpire?(): void
  setTimer?: (fire: () => void, delayMs: number) => TimerHandle
  clearTimer?: (handle: TimerHandle) => void
}

/** What setTimeout returns, as far as it is needed here. */
export interface TimerHandle {
  ref(): unknown
  unref(): unknown
}

/** Longer delays overflow setTimeout, which then fires at once. */
const MAX_DELAY_MS = 2_147_483_647

/**
 * Drives a wheel with one timer, armed for the earliest entry. setTimeout rounds, and counts from the start of the
 * loop's turn, so it may fire before the time asked for: the wheel then expires nothing, and the timer is armed for the
 * rest.
 */
export function createDeadlineTimer<Entry extends Deadline>(
  wheel: Deadlines<Entry>,
  options: DeadlineTimerOptions,
): DeadlineTimer<Entry> {
  const { now, beforeExpire, setTimer = setTimeout } = options
  const clearTimer = options.clearTimer ?? ((handle: TimerHandle) => clearTimeout(handle as NodeJS.Timeout))
  let handle: TimerHandle | null = null
  // Infinity: not armed. -Infinity: firing or closed, so that add does not arm.
  let armedForMs = Infinity
  let isClosed = false

  function arm(dueMs: number, nowMs: number): void {
    if (handle !== null) clearTimer(handle)
    armedForMs = dueMs
    handle = setTimer(fire, Math.min(Math.max(Math.ceil(dueMs - nowMs), 1), MAX_DELAY_MS))
  }

  function fire(): void {
    handle = null
    armedForMs = -Infinity
    try {
      if ((wheel.nextDueMs() ?? Infinity) <= now()) {
        beforeExpire?.()
        wheel.advance(now())
      }
    } finally {
      if (!isClosed) {
        armedForMs = Infinity
        const nextMs = wheel.nextDueMs()
        if (nextMs !== null && nextMs < Infinity) arm(nextMs, now())
      }
    }
  }

  return {
    add(entry, nowMs) {
      wheel.add(entry, nowMs)
      if (entry.dueMs < armedForMs) arm(entry.dueMs, nowMs)
      else if (wheel.size() === 1) handle?.ref()
    },
    cancel(entry) {
      wheel.cancel(entry)
      // Left to run out, not cleared: with one call at a time, every call would arm it anew.
      if (wheel.size() === 0) handle?.unref()
    },
    armedForMs() {
      return handle === null ? null : armedForMs
    },
    close() {
      isClosed = true
      armedForMs = -Infinity
      if (handle !== null) clearTimer(handle)
      handle = null
    },
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
