/**
 * The Atomics that the code under test sees. Each operation does what the real one does, and is a step of the schedule.
 * Sleeping is modelled: a thread in wait, or with nothing to do except a waitAsync, is blocked until another notifies it.
 * Each thread of a stage installs it before it imports the code under test.
 */
import {
  FAULT_CLAIMED_AND_RECALLED,
  FAULT_CLAIMED_TWICE,
  fault,
  LATCHES_AT,
  MODE_ENDING,
  MODE_EXPLORING,
  MODE_WORD,
  MOST_SLOTS,
  MOST_WAITERS,
  OP_ADD,
  OP_COMPARE_EXCHANGE,
  OP_EXCHANGE,
  OP_LOAD,
  OP_NOTIFY,
  OP_OR,
  OP_STORE,
  OP_WAIT,
  OP_WAIT_ASYNC,
  PHASE_AFTER,
  PHASE_BEFORE,
  STATE_BLOCKED,
  STATE_RUNNABLE,
  stateWord,
  TRACE_AT,
  TRACE_WORDS,
  USES_AT,
  WAITER_WORDS,
  WAITERS_AT,
} from './board.js'
import { Abandoned, type Stage } from './stage.js'

const atomics = globalThis.Atomics

/** Where the slots' state words are in the rings of the present scenario, and how a state is read. */
export interface SlotMap {
  slotsWord: number
  slotCount: number
  readonly slotWords: number
  readonly stateWord: number
  readonly stateBits: number
  readonly stateMask: number
  readonly claimed: number
  readonly recalled: number
}

/** A sleeper in waitAsync of this thread. */
interface Sleeper {
  readonly waiter: number
  wake(result: 'ok'): void
}

export interface SteppedAtomics {
  readonly atomics: typeof Atomics
  /** Resolves this thread's sleepers that were notified. Returns whether there were any. */
  deliverWakes(): boolean
  /** Begins a schedule: nobody sleeps. */
  reset(): void
  /** Whether a thread is blocked in Atomics.wait. */
  isInWait(thread: number): boolean
  /** Blocks on something of the stage's own. */
  sleepOn(latch: number): void
  /** Waits for something of the stage's own, with the event loop alive. */
  opened(latch: number): Promise<void>
  /** Wakes those who sleep on the latch, and lets later sleepers pass. */
  open(latch: number): void
}

/** Words of a waiter: thread, ring, word, state, kind. */
const FREE = 0
const WAITING = 1
const NOTIFIED = 2
const KIND_SYNC = 0
const KIND_ASYNC = 1
/** Latches are sleepers on a ring that does not exist. */
const LATCH_RING = 15

/** @param ringOf returns the number of the ring that the words belong to, or -1 */
export function createSteppedAtomics(
  stage: Stage,
  slots: SlotMap,
  ringOf: (words: Int32Array) => number,
): SteppedAtomics {
  const { board, me } = stage
  const own = board.words
  const sleepers: Sleeper[] = []
  // Whether this thread's last operation had a point after it.
  let hasPointBehind = false

  function before(operation: number, words: Int32Array, index: number): number {
    return stage.point(PHASE_BEFORE, operation, ringOf(words), index, 0)
  }

  function after(operation: number, words: Int32Array, index: number, value: number): void {
    stage.point(PHASE_AFTER, operation, ringOf(words), index, value)
    hasPointBehind = true
  }

  function result(point: number, value: number): void {
    if (point >= 0) own[TRACE_AT + point * TRACE_WORDS + 2] = value
  }

  /** A slot's state has become `value`. Each use is either claimed once or recalled once. */
  function watchState(words: Int32Array, index: number, value: number): void {
    const offset = index - slots.slotsWord
    if (offset < 0 || offset >= slots.slotCount * slots.slotWords || offset % slots.slotWords !== slots.stateWord)
      return
    if (own[MODE_WORD] !== MODE_EXPLORING) return
    const slot = (offset - slots.stateWord) / slots.slotWords
    const at = USES_AT + (ringOf(words) * MOST_SLOTS + slot) * 2
    const use = (value >>> slots.stateBits) + 1
    const state = value & slots.stateMask
    if (state === slots.claimed) {
      if (own[at] === use) fault(board, FAULT_CLAIMED_TWICE, slot)
      if (own[at + 1] === use) fault(board, FAULT_CLAIMED_AND_RECALLED, slot)
      own[at] = use
    } else if (state === slots.recalled) {
      if (own[at] === use) fault(board, FAULT_CLAIMED_AND_RECALLED, slot)
      own[at + 1] = use
    }
  }

  /** Reads and writes in one step. Returns the old value. */
  function modify(operation: number, words: Int32Array, index: number, apply: () => number): number {
    const point = before(operation, words, index)
    const old = apply()
    const now = words[index] as number
    result(point, old)
    if (now !== old) watchState(words, index, now)
    after(operation, words, index, now)
    return old
  }

  function addWaiter(ring: number, index: number, kind: number): number {
    for (let waiter = 0; waiter < MOST_WAITERS; waiter += 1) {
      const at = WAITERS_AT + waiter * WAITER_WORDS
      if (own[at + 3] !== FREE) continue
      own[at] = me
      own[at + 1] = ring
      own[at + 2] = index
      own[at + 3] = WAITING
      own[at + 4] = kind
      return waiter
    }
    throw new RangeError('more sleepers than the board has room for')
  }

  function wakeWaiters(ring: number, index: number, count: number): number {
    let woken = 0
    for (let waiter = 0; waiter < MOST_WAITERS && woken < count; waiter += 1) {
      const at = WAITERS_AT + waiter * WAITER_WORDS
      if (own[at + 3] !== WAITING || own[at + 1] !== ring || own[at + 2] !== index) continue
      own[at + 3] = NOTIFIED
      woken += 1
      const thread = own[at] as number
      // A thread that is blocked in a wait only hears of its own wait.
      if (own[stateWord(thread)] === STATE_BLOCKED && (own[at + 4] === KIND_SYNC || !isInWait(thread))) {
        own[stateWord(thread)] = STATE_RUNNABLE
      }
    }
    return woken
  }

  function isInWait(thread: number): boolean {
    for (let at = WAITERS_AT; at < WAITERS_AT + MOST_WAITERS * WAITER_WORDS; at += WAITER_WORDS) {
      if (own[at] === thread && own[at + 3] === WAITING && own[at + 4] === KIND_SYNC) return true
    }
    return false
  }

  function sleep(ring: number, index: number): void {
    const waiter = addWaiter(ring, index, KIND_SYNC)
    const at = WAITERS_AT + waiter * WAITER_WORDS
    stage.block()
    own[at + 3] = FREE
  }

  const stepped = {
    load(words: Int32Array, index: number): number {
      const point = before(OP_LOAD, words, index)
      hasPointBehind = false
      const value = atomics.load(words, index)
      result(point, value)
      return value
    },
    store(words: Int32Array, index: number, value: number): number {
      if (!hasPointBehind) before(OP_STORE, words, index)
      atomics.store(words, index, value)
      watchState(words, index, value)
      after(OP_STORE, words, index, value)
      return value
    },
    exchange: (words: Int32Array, index: number, value: number) =>
      modify(OP_EXCHANGE, words, index, () => atomics.exchange(words, index, value)),
    compareExchange: (words: Int32Array, index: number, expected: number, value: number) =>
      modify(OP_COMPARE_EXCHANGE, words, index, () => atomics.compareExchange(words, index, expected, value)),
    add: (words: Int32Array, index: number, value: number) =>
      modify(OP_ADD, words, index, () => atomics.add(words, index, value)),
    or: (words: Int32Array, index: number, value: number) =>
      modify(OP_OR, words, index, () => atomics.or(words, index, value)),
    notify(words: Int32Array, index: number, count = Number.POSITIVE_INFINITY): number {
      if (!hasPointBehind) before(OP_NOTIFY, words, index)
      const woken = wakeWaiters(ringOf(words), index, count)
      after(OP_NOTIFY, words, index, woken)
      return woken
    },
    wait(words: Int32Array, index: number, expected: number): 'ok' | 'not-equal' | 'timed-out' {
      const point = before(OP_WAIT, words, index)
      hasPointBehind = false
      const value = atomics.load(words, index)
      result(point, value)
      if (value !== expected) return 'not-equal'
      if (own[MODE_WORD] === MODE_ENDING) throw new Abandoned()
      sleep(ringOf(words), index)
      return 'ok'
    },
    waitAsync(words: Int32Array, index: number, expected: number) {
      const point = before(OP_WAIT_ASYNC, words, index)
      const value = atomics.load(words, index)
      result(point, value)
      if (value !== expected) {
        hasPointBehind = false
        return { async: false as const, value: 'not-equal' as const }
      }
      const waiter = addWaiter(ringOf(words), index, KIND_ASYNC)
      const woken = new Promise<'ok'>((wake) => sleepers.push({ waiter, wake }))
      after(OP_WAIT_ASYNC, words, index, value)
      return { async: true as const, value: woken }
    },
  }

  return {
    atomics: stepped as unknown as typeof Atomics,
    deliverWakes() {
      let hasWoken = false
      for (const sleeper of [...sleepers]) {
        const at = WAITERS_AT + sleeper.waiter * WAITER_WORDS
        if (own[at + 3] !== NOTIFIED) continue
        own[at + 3] = FREE
        sleepers.splice(sleepers.indexOf(sleeper), 1)
        sleeper.wake('ok')
        hasWoken = true
      }
      return hasWoken
    },
    reset() {
      sleepers.length = 0
      hasPointBehind = false
    },
    isInWait,
    sleepOn(latch) {
      if (own[LATCHES_AT + latch] === 0) sleep(LATCH_RING, latch)
    },
    opened(latch) {
      if (own[LATCHES_AT + latch] !== 0) return Promise.resolve()
      const waiter = addWaiter(LATCH_RING, latch, KIND_ASYNC)
      return new Promise((resolve) => sleepers.push({ waiter, wake: () => resolve() }))
    },
    open(latch) {
      own[LATCHES_AT + latch] = 1
      wakeWaiters(LATCH_RING, latch, Number.POSITIVE_INFINITY)
    },
  }
}
