/**
 * How one side of a ring waits for the other: how long it polls before it parks. The lane's loop and the host's pump each
 * have a strategy of their own.
 *
 * Waking a parked thread costs tens of microseconds; polling occupies a core. Polling pays only when work is likely to
 * arrive within the time that a wake-up would take.
 *
 *   park       never polls: the least CPU
 *   spin       always polls for the whole idle budget: the lowest latency
 *   adaptive   polls while that pays: misses shrink the budget, a hit restores it
 */
import { monotonicMs } from './clock.js'

/** A smaller budget is not worth the set-up of polling, and becomes 0. */
const LEAST_US = 2
/** The budget shrinks only after more misses in a row than this: every burst ends with some, and the next burst pays again. */
const PATIENCE = 4
/** With a budget of 0, every 32nd park polls first, to notice that the traffic has changed. */
const RETRY_EVERY = 32

export interface IdleStrategy {
  /** The idle budget: how long to poll this time, in microseconds; 0: park at once. Call once before each park. */
  budgetUs(): number
  /** Work came while polling. */
  hit(): void
  /** The budget ran out. */
  miss(): void
}

/** @param maxUs the largest idle budget, in microseconds. */
export function createIdleStrategy(wait: 'park' | 'adaptive' | 'spin', maxUs: number): IdleStrategy {
  if (wait === 'park' || maxUs === 0) return new ParkIdleStrategy()
  return wait === 'spin' ? new SpinIdleStrategy(maxUs) : new AdaptiveIdleStrategy(maxUs)
}

class ParkIdleStrategy implements IdleStrategy {
  budgetUs(): number {
    return 0
  }

  hit(): void {}

  miss(): void {}
}

class SpinIdleStrategy implements IdleStrategy {
  readonly #maxUs: number

  constructor(maxUs: number) {
    this.#maxUs = maxUs
  }

  budgetUs(): number {
    return this.#maxUs
  }

  hit(): void {}

  miss(): void {}
}

class AdaptiveIdleStrategy implements IdleStrategy {
  readonly #maxUs: number
  #budgetUs: number
  #parks = 0
  #misses = 0

  constructor(maxUs: number) {
    this.#maxUs = maxUs
    this.#budgetUs = maxUs
  }

  budgetUs(): number {
    if (this.#budgetUs > 0) return this.#budgetUs
    this.#parks += 1
    return this.#parks % RETRY_EVERY === 0 ? this.#maxUs : 0
  }

  hit(): void {
    this.#budgetUs = this.#maxUs
    this.#misses = 0
  }

  miss(): void {
    this.#misses += 1
    if (this.#misses <= PATIENCE) return
    this.#budgetUs /= 2
    if (this.#budgetUs < LEAST_US) this.#budgetUs = 0
  }
}

/** What waiting needs of one side of a ring. */
export interface RingSide {
  /** Looks for work up to `attempts` times without sleeping. Returns whether there is any. */
  lookAgain(attempts: number): boolean
}

/**
 * Polls for up to `budgetUs` and blocks the thread meanwhile. Returns whether there is work.
 *
 * @param attempts looks between two readings of the clock
 */
export function lookInPlace(side: RingSide, idle: IdleStrategy, budgetUs: number, attempts: number): boolean {
  const untilMs = monotonicMs() + budgetUs / 1000
  do {
    if (side.lookAgain(attempts)) {
      idle.hit()
      return true
    }
  } while (monotonicMs() < untilMs)
  idle.miss()
  return false
}

/**
 * Polls for up to `budgetUs` with a turn of the event loop between two looks, so that the thread's other work goes on.
 * Returns whether there is work.
 */
export async function lookWithTurns(
  side: RingSide,
  idle: IdleStrategy,
  budgetUs: number,
  turn: () => Promise<void>,
): Promise<boolean> {
  const untilMs = monotonicMs() + budgetUs / 1000
  do {
    if (side.lookAgain(1)) {
      idle.hit()
      return true
    }
    await turn()
  } while (monotonicMs() < untilMs)
  idle.miss()
  return false
}
