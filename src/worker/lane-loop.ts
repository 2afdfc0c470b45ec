/**
 * A lane's serving loop: takes calls until it is told to stop, and sleeps while there are none, in one of two ways:
 *
 *   Atomics.wait        while no plugin has anything of its own going on: lowest latency, no event loop
 *   Atomics.waitAsync   once a hook returned a promise, or a plugin made anything that may call back later
 *
 * Before it parks the loop looks again for a bounded time (ring/idle-strategy.ts). The lane's thread only.
 */
import type { LaneSpec } from '../contracts/control.js'
import { monotonicMs } from '../ring/clock.js'
import { createIdleStrategy, type IdleStrategy, lookInPlace, lookWithTurns } from '../ring/idle-strategy.js'
import { NOTHING, type WorkerRing } from '../ring/worker-ring.js'
import { Chain } from './calls/chain.js'
import { DeadlineSweep } from './calls/deadline-sweep.js'
import type { LoadedPlugin } from './calls/loader.js'
import { setRunning } from './thread/attribution.js'
import type { BackgroundWatch } from './thread/background-watch.js'
import type { ThrownErrors } from './thread/thrown-errors.js'

/** Calls between two looks at microtasks, control messages and the clock. */
const BATCH_CALLS = 64
/** A busy lane gives its event loop a turn this often, so that timers, sockets and messages get theirs. */
const TURN_EVERY_MS = 5
/** Attempts to see new work between two readings of the clock; about a microsecond. */
const LOOKS_PER_CLOCK = 64
/** Turns of the event loop that a control message may take to arrive. */
const CONTROL_TURNS = 100

export interface LaneLoopOptions {
  readonly spec: LaneSpec
  readonly ring: WorkerRing
  readonly plugins: readonly LoadedPlugin[]
  readonly background: Pick<BackgroundWatch, 'loaded' | 'turn' | 'hasBackground' | 'needsLoop'>
  /** Told what hooks throw. */
  readonly thrown: ThrownErrors | null
  /** Whether the lane itself waits for something that comes by the event loop. */
  needsLoop(): boolean
}

export class LaneLoop {
  readonly #ring: WorkerRing
  readonly #chain: Chain
  readonly #plugins: readonly LoadedPlugin[]
  readonly #deadlines: DeadlineSweep
  readonly #concurrency: number
  readonly #background: LaneLoopOptions['background']
  readonly #laneNeedsLoop: () => boolean
  readonly #idle: IdleStrategy
  readonly #turn = () => this.#background.turn()
  #isStopping = false
  #lastTurnMs = monotonicMs()
  #ranSinceTurn = false
  #wake: (() => void) | null = null

  constructor({ spec, ring, plugins, background, thrown, needsLoop }: LaneLoopOptions) {
    this.#ring = ring
    this.#plugins = plugins
    this.#chain = new Chain({ spec, plugins, ring, thrown, onSettled: (isWaiting) => this.#settled(isWaiting) })
    this.#deadlines = new DeadlineSweep(this.#chain)
    this.#concurrency = spec.concurrency
    this.#background = background
    this.#laneNeedsLoop = needsLoop
    this.#idle = createIdleStrategy(spec.wait, spec.spinUs)
  }

  /** Ends the loop once it is awake. */
  stop(): void {
    this.#isStopping = true
  }

  async serve(): Promise<void> {
    const [ring, chain] = [this.#ring, this.#chain]
    // The answer to load must have left before the thread may sleep.
    await this.#takeTurn()
    await this.#background.loaded({ areMany: this.#plugins.length > 1 })
    // In one function: each async function on the way of a call costs it some promises.
    while (!this.#isStopping) {
      if (ring.controlPending() > 0) {
        await this.#awaitControl()
        continue
      }
      if (ring.takeCancellations()) chain.cancelPending()
      if (this.#runBatch() > 0) {
        this.#ranSinceTurn = true
        if (chain.pendingCount() > 0) this.#deadlines.arm()
        // Microtasks that hooks left behind get their turn after each batch, the rest of the event loop now and then.
        if (monotonicMs() - this.#lastTurnMs > TURN_EVERY_MS) await this.#takeTurn()
        else await undefined
      }
      if (chain.pendingCount() >= this.#concurrency) {
        await this.#awaitRoom()
        continue
      }
      if (ring.hasSubmissions()) continue
      const needsLoop = chain.hasAsync() || this.#background.hasBackground || this.#laneNeedsLoop()
      const budgetUs = this.#idle.budgetUs()
      if (budgetUs > 0) {
        const hasWork = needsLoop
          ? await lookWithTurns(ring, this.#idle, budgetUs, this.#turn)
          : lookInPlace(ring, this.#idle, budgetUs, LOOKS_PER_CLOCK)
        if (hasWork) continue
      }
      // Timers that are due and immediates that a synchronous hook left behind run before the thread sleeps.
      if (this.#ranSinceTurn) await this.#takeTurn()
      // Told to stop while it looked: nobody would wake it again.
      else if (this.#isStopping) break
      else if (needsLoop || this.#background.needsLoop()) await ring.parkAsync()
      else ring.park()
    }
    this.#deadlines.disarm()
  }

  #runBatch(): number {
    const [ring, chain, concurrency] = [this.#ring, this.#chain, this.#concurrency]
    if (chain.pendingCount() >= concurrency || !ring.hasSubmissions()) return 0
    let ran = 0
    // Where one hop ends the next begins: one reading of the clock for both.
    let nowMs = monotonicMs()
    while (ran < BATCH_CALLS && chain.pendingCount() < concurrency) {
      const slot = ring.claim()
      if (slot === NOTHING) break
      nowMs = chain.run(slot, nowMs)
      ran += 1
    }
    ring.leave()
    setRunning(undefined)
    return ran
  }

  async #takeTurn(): Promise<void> {
    await this.#background.turn()
    this.#lastTurnMs = monotonicMs()
    this.#ranSinceTurn = false
  }

  #settled(isWaiting: boolean): void {
    // The next plugin may have less time than any that the sweep knows of.
    if (isWaiting) this.#deadlines.arm()
    this.#wake?.()
  }

  /** As many hooks are pending as may be: sleeps until one settles or the host has something other than calls to say. */
  async #awaitRoom(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      const sleep = this.#ring.parkAsync({ forCalls: false })
      if (sleep === null) resolve()
      else void sleep.then(() => resolve())
    })
    this.#wake = null
    this.#ring.unpark()
  }

  async #awaitControl(): Promise<void> {
    const ring = this.#ring
    for (let turn = 0; turn < CONTROL_TURNS; turn += 1) {
      if (ring.controlPending() <= 0) return
      await this.#background.turn()
    }
    // It does not come. Only then: one that was announced just now is still on its way, and must not pass for seen.
    while (ring.controlPending() > 0) ring.controlSeen()
  }
}
