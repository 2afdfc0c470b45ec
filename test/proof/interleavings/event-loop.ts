/**
 * One thread's event loop and clock under the schedule. Immediates, ticks and promises are the real ones. Timers fire
 * when the scenario lets time pass; messages and wake-ups arrive between turns. A thread with nothing left to do in its
 * loop is blocked, like one in Atomics.wait. Each thread of a stage has its own.
 */
import { createRequire } from 'node:module'
import type { SteppedAtomics } from './atomics.js'
import { dueDouble, mailAt, STATE_BLOCKED, STATE_RUNNABLE, stateWord, TICK_DOUBLE, TIME_DOUBLE } from './board.js'
import { Abandoned, type Stage } from './stage.js'

const require = createRequire(import.meta.url)
const realSetImmediate = globalThis.setImmediate

/** Times count from here, so that none is 0. */
const FIRST_MS = 1000

export interface VirtualLoop {
  /**
   * Turns the loop until `isOver`. In each turn `look` is called once, and returns whether it set something going.
   * @throws Abandoned when the schedule ends first
   */
  drive(isOver: () => boolean, look?: () => boolean): Promise<void>
  /** Runs some turns in which nothing is waited for, so that what is left over ends. */
  runOut(turns: number): Promise<void>
  /** Sends a message to another thread's loop. */
  post(thread: number, message: number): void
  onMessage(receive: (message: number) => void): void
  /** Time passes, for all threads. */
  advance(ms: number): void
  /** Returns to the beginning: no timers, no messages, and the thread's own timer functions. */
  reset(): void
}

interface Timer {
  dueMs: number
  fire(): void
  ref(): Timer
  unref(): Timer
  hasRef(): boolean
}

/** Replaces the thread's own loop. Call it before the code under test is imported. */
export function installLoop(stage: Stage, stepped: SteppedAtomics): VirtualLoop {
  const { board, me } = stage
  const { words, doubles } = board
  const timers = new Set<Timer>()
  let immediates = 0
  // What an earlier schedule left behind must not run in this one.
  let schedule = 0
  let receive: (message: number) => void = () => {}

  const now = () => {
    doubles[TIME_DOUBLE] = (doubles[TIME_DOUBLE] as number) + (doubles[TICK_DOUBLE] as number)
    return FIRST_MS + (doubles[TIME_DOUBLE] as number)
  }
  Object.defineProperty(globalThis.performance, 'now', { value: now })
  Object.defineProperty(process.hrtime, 'bigint', { value: () => BigInt(Math.round(now() * 1e6)) })

  function setVirtualTimeout(run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): Timer {
    const timer: Timer = {
      dueMs: FIRST_MS + (doubles[TIME_DOUBLE] as number) + Math.max(1, ms),
      fire: () => run(...args),
      ref: () => timer,
      unref: () => timer,
      hasRef: () => true,
    }
    timers.add(timer)
    noteDue()
    return timer
  }

  function clearVirtualTimeout(timer: Timer | undefined): void {
    if (timer !== undefined) timers.delete(timer)
    noteDue()
  }

  function noteDue(): void {
    let dueMs = Number.POSITIVE_INFINITY
    for (const timer of timers) dueMs = Math.min(dueMs, timer.dueMs)
    doubles[dueDouble(me)] = dueMs
  }

  function setCountedImmediate(run: (...args: unknown[]) => void, ...args: unknown[]): NodeJS.Immediate {
    immediates += 1
    const mine = schedule
    return realSetImmediate(() => {
      if (mine !== schedule) return
      immediates -= 1
      run(...args)
    })
  }

  function installTimers(): void {
    const nodeTimers = require('node:timers') as Record<string, unknown>
    nodeTimers.setTimeout = setVirtualTimeout
    const place = { configurable: true, writable: true }
    Object.defineProperty(globalThis, 'setTimeout', { value: setVirtualTimeout, ...place })
    Object.defineProperty(globalThis, 'clearTimeout', { value: clearVirtualTimeout, ...place })
    Object.defineProperty(globalThis, 'setImmediate', { value: setCountedImmediate, ...place })
  }

  // A lane's thread patches the timers each time that it loads; telling all modules would take longer than a schedule.
  const nodeModule = require('node:module') as { syncBuiltinESMExports(): void }
  const sync = nodeModule.syncBuiltinESMExports
  nodeModule.syncBuiltinESMExports = () => {}
  sync()
  installTimers()

  /** Delivers what has arrived since the last turn. Returns whether anything has. */
  function deliver(): boolean {
    let hasDelivered = stepped.deliverWakes()
    const mail = mailAt(me)
    const count = words[mail] as number
    words[mail] = 0
    for (let index = 0; index < count; index += 1) {
      hasDelivered = true
      receive(words[mail + 1 + index] as number)
    }
    const time = FIRST_MS + (doubles[TIME_DOUBLE] as number)
    for (const timer of [...timers].sort((a, b) => a.dueMs - b.dueMs)) {
      if (timer.dueMs > time) break
      timers.delete(timer)
      hasDelivered = true
      timer.fire()
    }
    noteDue()
    return hasDelivered
  }

  function wakeLoop(thread: number): void {
    // A thread that is blocked in Atomics.wait has no loop that could hear it.
    if (words[stateWord(thread)] === STATE_BLOCKED && !stepped.isInWait(thread))
      words[stateWord(thread)] = STATE_RUNNABLE
  }

  return {
    async drive(isOver, look = () => false) {
      for (;;) {
        await turn()
        if (isOver()) return
        if (stage.isEnding) throw new Abandoned()
        if (look() || deliver() || immediates > 0) continue
        stage.block()
      }
    },
    async runOut(turns) {
      for (let index = 0; index < turns; index += 1) await turn()
    },
    post(thread, message) {
      const mail = mailAt(thread)
      const count = words[mail] as number
      words[mail] = count + 1
      words[mail + 1 + count] = message
      wakeLoop(thread)
    },
    onMessage(receiver) {
      receive = receiver
    },
    advance(ms) {
      doubles[TIME_DOUBLE] = (doubles[TIME_DOUBLE] as number) + ms
      const time = FIRST_MS + (doubles[TIME_DOUBLE] as number)
      for (let thread = 0; thread < 3; thread += 1) {
        if (thread !== me && (doubles[dueDouble(thread)] as number) <= time) wakeLoop(thread)
      }
    },
    reset() {
      schedule += 1
      immediates = 0
      timers.clear()
      words[mailAt(me)] = 0
      noteDue()
      stepped.reset()
      stage.reset()
      installTimers()
    },
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => realSetImmediate(resolve))
}
