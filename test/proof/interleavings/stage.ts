/**
 * One thread's part in a schedule: it runs while it has the token, stops at the points where the schedule says so, and
 * hands the token on when it cannot go on. Each thread of a stage has its own.
 *
 * There is a point before each Atomics operation that reads and after each that writes, so the plain reads and writes in
 * between can be separated from both. (Between a read and a write that follows it, the point is before the write.) The
 * schedule names the points at which another thread goes on; elsewhere a thread runs until it must wait.
 */
import {
  asleepWord,
  type Board,
  FAILURE_ENDLESS,
  FAILURE_MISFIT,
  FAILURE_STUCK,
  FAILURE_WORD,
  goWord,
  HOST,
  MODE_ENDING,
  MODE_EXPLORING,
  MODE_WORD,
  MOST_POINTS,
  MOST_THREADS,
  NEXT_SWITCH_AT_WORD,
  NEXT_SWITCH_WORD,
  PHASE_BLOCKED,
  POINT_WORD,
  STATE_BLOCKED,
  STATE_LAST,
  STATE_RUNNABLE,
  SWITCH_COUNT_WORD,
  SWITCHES_AT,
  stateWord,
  TRACE_AT,
  TRACE_WORDS,
} from './board.js'

/** The real Atomics: the stage's threads install another for the code under test. */
const atomics = globalThis.Atomics

/**
 * How often a thread that waits for the token polls before it sleeps. More would only take the processor from the thread
 * that has it.
 */
const LOOKS = 200

/**
 * Thrown out of whatever a thread is doing when its schedule is over. It is not an Error, because that would capture a
 * stack.
 */
export class Abandoned {}

/** After this many points in a row a thread gives way: otherwise one that polls would never end. */
const MOST_IN_A_ROW = 400

export interface Stage {
  readonly board: Board
  readonly me: number
  /**
   * Passes a point, at which the schedule may let another thread go on. Returns its number, or -1 where points are not
   * counted.
   */
  point(phase: number, operation: number, ring: number, word: number, value: number): number
  /** This thread cannot go on until another has done something for it. */
  block(state?: typeof STATE_BLOCKED | typeof STATE_LAST): void
  /** Hands the token on, and waits until it comes back. */
  handOver(thread: number): void
  /** A schedule begins. */
  reset(): void
  /** Hands the token on. */
  pass(thread: number): void
  /** Waits for the token. */
  awaitToken(): void
  /** This thread has nothing more to do in this schedule; the next one goes on. */
  leave(): void
  readonly isEnding: boolean
}

export function createStage(board: Board, me: number): Stage {
  const { words } = board
  let pointsInARow = 0

  function pass(thread: number): void {
    atomics.store(words, goWord(thread), 1)
    if (atomics.load(words, asleepWord(thread)) === 1) atomics.notify(words, goWord(thread))
  }

  function awaitToken(): void {
    const mine = goWord(me)
    for (let look = 0; look < LOOKS; look += 1) {
      if (atomics.load(words, mine) !== 1) continue
      atomics.store(words, mine, 0)
      return
    }
    atomics.store(words, asleepWord(me), 1)
    while (atomics.load(words, mine) !== 1) atomics.wait(words, mine, 0)
    atomics.store(words, asleepWord(me), 0)
    atomics.store(words, mine, 0)
  }

  function handOver(thread: number): void {
    pass(thread)
    awaitToken()
    pointsInARow = 0
    if (words[MODE_WORD] === MODE_ENDING) throw new Abandoned()
  }

  /** Others that could go on now, one bit each. */
  function others(): number {
    let mask = 0
    for (let thread = 0; thread < MOST_THREADS; thread += 1) {
      if (thread !== me && words[stateWord(thread)] === STATE_RUNNABLE) mask |= 1 << thread
    }
    return mask
  }

  function record(phase: number, operation: number, ring: number, word: number, value: number, mask: number): number {
    const point = words[POINT_WORD] as number
    if (point >= MOST_POINTS) fail(FAILURE_ENDLESS)
    words[POINT_WORD] = point + 1
    const at = TRACE_AT + point * TRACE_WORDS
    words[at] = me | (phase << 4) | (mask << 8) | (operation << 16)
    words[at + 1] = (ring << 24) | word
    words[at + 2] = value
    words[at + 3] = -1
    return point
  }

  /** The thread that the schedule wants at this point, or -1. */
  function wanted(point: number): number {
    if (words[NEXT_SWITCH_AT_WORD] !== point) return -1
    const index = words[NEXT_SWITCH_WORD] as number
    const target = words[SWITCHES_AT + index * 2 + 1] as number
    const next = index + 1
    words[NEXT_SWITCH_WORD] = next
    words[NEXT_SWITCH_AT_WORD] =
      next < (words[SWITCH_COUNT_WORD] as number) ? (words[SWITCHES_AT + next * 2] as number) : -1
    return target
  }

  function fail(failure: number): never {
    words[FAILURE_WORD] = failure
    words[MODE_WORD] = MODE_ENDING
    // The host sees what has failed, and ends the schedule for all threads.
    if (me !== HOST) {
      pass(HOST)
      awaitToken()
    }
    throw new Abandoned()
  }

  function goOn(point: number, thread: number): void {
    words[TRACE_AT + point * TRACE_WORDS + 3] = thread
    handOver(thread)
  }

  function point(phase: number, operation: number, ring: number, word: number, value: number): number {
    const mode = words[MODE_WORD]
    if (mode === MODE_ENDING) throw new Abandoned()
    if (mode !== MODE_EXPLORING) return -1
    const mask = others()
    const at = record(phase, operation, ring, word, value, mask)
    let target = wanted(at)
    pointsInARow += 1
    if (target === -1 && pointsInARow > MOST_IN_A_ROW && mask !== 0) target = nextIn(mask)
    if (target === -1) return at
    if ((mask & (1 << target)) === 0) fail(FAILURE_MISFIT)
    goOn(at, target)
    return at
  }

  function block(state: typeof STATE_BLOCKED | typeof STATE_LAST = STATE_BLOCKED): void {
    if (words[MODE_WORD] === MODE_ENDING) throw new Abandoned()
    words[stateWord(me)] = state
    const mask = others()
    if (mask === 0) {
      const last = lastResort()
      if (last === -1) fail(FAILURE_STUCK)
      words[stateWord(last)] = STATE_RUNNABLE
      if (last !== me) handOver(last)
      return
    }
    const at = record(PHASE_BLOCKED, 0, 0, 0, 0, mask)
    const target = wanted(at)
    if (target !== -1 && (mask & (1 << target)) === 0) fail(FAILURE_MISFIT)
    goOn(at, target === -1 ? nextIn(mask) : target)
  }

  /** The thread that asked to run when no other can. */
  function lastResort(): number {
    for (let thread = 0; thread < MOST_THREADS; thread += 1) {
      if (words[stateWord(thread)] === STATE_LAST) return thread
    }
    return -1
  }

  function nextIn(mask: number): number {
    for (let step = 1; step < MOST_THREADS; step += 1) {
      const thread = (me + step) % MOST_THREADS
      if ((mask & (1 << thread)) !== 0) return thread
    }
    return HOST
  }

  return {
    board,
    me,
    point,
    block,
    handOver,
    reset() {
      pointsInARow = 0
    },
    pass,
    awaitToken,
    leave() {
      const mask = others()
      const last = mask === 0 ? lastResort() : -1
      if (last !== -1) words[stateWord(last)] = STATE_RUNNABLE
      if (mask === 0 && last === -1) {
        words[FAILURE_WORD] = FAILURE_STUCK
        words[MODE_WORD] = MODE_ENDING
        pass(HOST)
      } else {
        pass(mask === 0 ? last : nextIn(mask))
      }
    },
    get isEnding() {
      return words[MODE_WORD] === MODE_ENDING
    },
  }
}
