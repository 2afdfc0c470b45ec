/**
 * How a side waits for the other one: how long it looks again before it parks. Used by the lane's loop and by the host's
 * pump, each with its own.
 *
 * Waking a parked thread costs tens of microseconds; looking costs a core. Looking pays only when work is likely to arrive
 * within the time that a wake-up would take.
 *
 *   park       never looks: the least CPU
 *   spin       always looks for the whole idle budget: the lowest latency
 *   adaptive   looks while that pays: the budget shrinks with misses and comes back with a hit
 */
import { monotonicMs } from './clock.js'

/** Below this a look is not worth its set-up: the budget falls to none. */
const LEAST_US = 2
/** So many misses in a row say nothing yet: bursts end, and the next one pays again. */
const PATIENCE = 4
/** With no budget left, every so many parks one look is tried, to notice that the traffic has changed. */
const RETRY_EVERY = 32

export interface IdleStrategy {
  /** The idle budget: how long to look this time, in microseconds; 0: park at once. Call once before each park. */
  budgetUs(): number
  /** Work came while looking. */
  hit(): void
  /** The budget ran out. */
  miss(): void
}

/** @param maxUs the idle budget at most, in microseconds. */
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

/** One side of a ring, as far as waiting needs it. */
export interface RingSide {
  /** Looks for work up to `attempts` times without sleeping. Whether there is any. */
  lookAgain(attempts: number): boolean
}

/**
 * Looks in place for `budgetUs`, with the thread standing still. Whether there is work.
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
 * Looks for `budgetUs` with a turn of the event loop between two looks, so that the thread's other work goes on. Whether
 * there is work.
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
