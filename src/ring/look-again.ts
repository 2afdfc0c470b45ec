/**
 * How long a side looks again before it parks: a budget that shrinks while looking does not pay and comes back when it
 * does. Pure; used by the worker's loop and by the host's pump, each with its own.
 *
 * Waking a parked thread costs tens of microseconds, looking costs a core: so looking pays only when work is likely to
 * arrive within the time that a wake-up would take.
 */

/** Below this a look is not worth its set-up: the budget falls to none. */
const LEAST_US = 2
/** So many misses in a row say nothing yet: bursts end, and the next one pays again. */
const PATIENCE = 4
/** With no budget left, every so many parks one look is tried, to notice that the traffic has changed. */
const RETRY_EVERY = 32

export interface LookAgain {
  /** How long to look this time, in microseconds; 0: park at once. Call once before each park. */
  budgetUs(): number
  /** Work came while looking. */
  hit(): void
  /** The budget ran out. */
  miss(): void
}

/** @param fades whether misses shrink the budget ('adaptive') or not ('spin'). */
export function createLookAgain({ maxUs, fades }: { maxUs: number; fades: boolean }): LookAgain {
  let budget = maxUs
  let parks = 0
  let misses = 0
  return {
    budgetUs() {
      if (budget > 0 || maxUs === 0) return budget
      parks += 1
      return parks % RETRY_EVERY === 0 ? maxUs : 0
    },
    hit() {
      budget = maxUs
      misses = 0
    },
    miss() {
      misses += 1
      if (!fades || misses <= PATIENCE) return
      budget /= 2
      if (budget < LEAST_US) budget = 0
    },
  }
}
