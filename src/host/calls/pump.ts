/**
 * Moves calls between the engine and its rings: publishes what a turn of the event loop has submitted, takes completions,
 * and listens for more. Host's thread only.
 *
 * A turn is one callback of the event loop with the promises that it settles. process.nextTick runs after both, so all calls
 * of a turn are published together. A burst of more than PUBLISH_EVERY calls is published in parts, so the worker runs the
 * first part while the host encodes the next. The doorbell rings for the first part and at the end, and only if the worker
 * sleeps. If a lane has no other call and its worker is awake, a call is published at once and runs while the turn goes on.
 *
 * The host listens in three ways. With one or two calls in flight and an awake worker, it polls in place for some
 * microseconds. Then it polls once in each turn of the event loop, for a bounded time. Then it parks, and the worker's
 * doorbell wakes it. It skips the first two while they do not pay (ring/idle-strategy.ts).
 */
import { nextTick } from 'node:process'
import { monotonicMs } from '../../ring/clock.js'
import { createIdleStrategy, type IdleStrategy, lookInPlace } from '../../ring/idle-strategy.js'
import type { Lane } from '../model/lane.js'

/** Completions taken in a turn: at about a microsecond each, I/O waits a millisecond at most. */
const DRAIN_BUDGET = 1024
/** Completions taken in one go. What they lead to is then published before the worker runs out of work. */
const DRAIN_SLICE = 128
/** Calls in one part of a burst: some twenty microseconds of the host's time, which a polling worker bridges. */
const PUBLISH_EVERY = 32
/** The longest poll in place, which blocks the event loop: as long as a trivial hook takes, there and back. */
const IN_PLACE_US = 5
/** With more calls in flight, the thread has better things to do than to wait for one. */
const IN_PLACE_CALLS = 2
/** Polls in place before the event loop must have had a turn. */
const IN_PLACE_LOOKS = 16
/** Looks between two readings of the clock. */
const LOOKS_PER_CLOCK = 8
/** Empty wake-ups in a row until a lane is listened to only every millisecond, and until it is replaced. */
const EMPTY_WAKES_THROTTLED = 16
const EMPTY_WAKES_REPLACED = 256
const THROTTLE_MS = 1

/** What the pump reports to. */
export interface PumpListener {
  /** The lane has calls in flight. */
  busy(lane: Lane): void
  /** The lane rings again and again, and completes nothing. */
  storm(lane: Lane): void
  /** The lane has free slots again. */
  room(lane: Lane): void
}

export interface PumpOptions {
  readonly wait: 'adaptive' | 'park' | 'spin'
  readonly spinUs: number
  readonly listener: PumpListener
}

export class Pump {
  readonly #listener: PumpListener
  readonly #idle: IdleStrategy
  readonly #idleInPlace: IdleStrategy
  #dirty: Lane[] = []
  #polled: Lane[] = []
  // The lists of lanes are used again, in turns.
  #flushed: Lane[] = []
  #looked: Lane[] = []
  #isFlushScheduled = false
  #isPollScheduled = false
  #pollUntilMs = 0
  /** Completions that may still be taken before the event loop must have had a turn. */
  #budget = DRAIN_BUDGET
  #looksInPlace = IN_PLACE_LOOKS
  // Bound once: they are handed over in every turn.
  readonly #flushSoon = () => this.#flush()
  readonly #pollSoon = () => this.#pollTurn()

  constructor({ wait, spinUs, listener }: PumpOptions) {
    this.#listener = listener
    this.#idle = createIdleStrategy(wait, spinUs)
    this.#idleInPlace = createIdleStrategy(wait, Math.min(spinUs, IN_PLACE_US))
  }

  /** The lane has submissions: publish them at the end of this turn at the latest. */
  submitted(lane: Lane): void {
    lane.unpublished += 1
    if (lane.inFlight === 1 && !lane.ring.isWorkerParked()) lane.publishQuietly()
    else if (lane.unpublished >= PUBLISH_EVERY) publishPart(lane)
    if (!lane.isDirty) this.#flushLater(lane)
  }

  /** Publishes and drains all lanes now, before deadlines are judged. */
  drainAll(lanes: Iterable<Lane>): void {
    for (const lane of lanes) {
      if (lane.state === 'dead' || lane.inFlight === 0) continue
      if (lane.unpublished > 0) publish(lane)
      this.#drainWhole(lane)
    }
    this.#budget = DRAIN_BUDGET
  }

  /** Stops listening to a lane that is given up. */
  forget(lane: Lane): void {
    lane.ring.unpark()
  }

  #flushLater(lane: Lane): void {
    if (lane.isDirty) return
    lane.isDirty = true
    this.#dirty.push(lane)
    if (this.#isFlushScheduled) return
    this.#isFlushScheduled = true
    nextTick(this.#flushSoon)
  }

  #flush(): void {
    this.#isFlushScheduled = false
    const lanes = this.#dirty
    this.#dirty = this.#flushed
    this.#flushed = lanes
    for (const lane of lanes) {
      lane.isDirty = false
      if (lane.state === 'dead') continue
      publish(lane)
      this.#listener.busy(lane)
    }
    for (const lane of lanes) {
      if (lane.state === 'dead') continue
      if (this.#budget > 0 && this.#drain(lane) === 0 && lane.inFlight <= IN_PLACE_CALLS && this.#lookInPlace(lane))
        this.#drain(lane)
      this.#listen(lane)
    }
    empty(lanes)
  }

  /**
   * A completion that is some microseconds away is taken sooner by polling here than in the next turn. Not if the worker
   * must wake up first.
   */
  #lookInPlace(lane: Lane): boolean {
    if (this.#looksInPlace === 0 || lane.isWaking || lane.inFlight === 0) return false
    const budgetUs = this.#idleInPlace.budgetUs()
    if (budgetUs === 0) return false
    this.#looksInPlace -= 1
    return lookInPlace(lane.ring, this.#idleInPlace, budgetUs, LOOKS_PER_CLOCK)
  }

  /** Takes everything that was in flight, slice by slice: a verdict that stayed in the queue would count as late. */
  #drainWhole(lane: Lane): void {
    for (let left = lane.inFlight; left > 0 && lane.state !== 'dead'; ) {
      this.#budget = DRAIN_BUDGET
      const taken = this.#drain(lane)
      if (taken < DRAIN_SLICE) return
      left -= taken
    }
  }

  #drain(lane: Lane): number {
    const taken = lane.drain(Math.min(this.#budget, DRAIN_SLICE))
    if (taken > 0) {
      this.#budget -= taken
      lane.emptyWakes = 0
      this.#listener.room(lane)
      // Publish what these verdicts lead to first; the rest is taken after it, in the same turn.
      if (taken === DRAIN_SLICE) this.#flushLater(lane)
    }
    return taken
  }

  /** Makes sure that completions of a lane with calls in flight are noticed. */
  #listen(lane: Lane): void {
    if (lane.inFlight === 0 || lane.listening !== 'no' || lane.state === 'dead') return
    if (this.#budget <= 0 || this.#polled.length > 0) {
      this.#poll(lane)
      return
    }
    const budgetUs = this.#idle.budgetUs()
    if (budgetUs > 0) {
      this.#pollUntilMs = monotonicMs() + budgetUs / 1000
      this.#poll(lane)
    } else {
      this.#park(lane)
    }
  }

  #poll(lane: Lane): void {
    lane.listening = 'polling'
    this.#polled.push(lane)
    if (this.#isPollScheduled) return
    this.#isPollScheduled = true
    setImmediate(this.#pollSoon)
  }

  #pollTurn(): void {
    this.#isPollScheduled = false
    this.#looksInPlace = IN_PLACE_LOOKS
    const wasExhausted = this.#budget <= 0
    this.#budget = DRAIN_BUDGET
    const lanes = this.#polled
    this.#polled = this.#looked
    this.#looked = lanes
    let taken = 0
    for (const lane of lanes) {
      lane.listening = 'no'
      if (lane.state !== 'dead') taken += this.#drain(lane)
    }
    const isLooking = this.#isWorthPolling(taken, wasExhausted)
    for (const lane of lanes) {
      if (lane.inFlight === 0 || lane.state === 'dead' || lane.listening !== 'no') continue
      if (isLooking) this.#poll(lane)
      else this.#park(lane)
    }
    empty(lanes)
  }

  #isWorthPolling(taken: number, wasExhausted: boolean): boolean {
    const nowMs = monotonicMs()
    if (taken > 0) {
      this.#idle.hit()
      this.#pollUntilMs = nowMs + this.#idle.budgetUs() / 1000
    }
    const isWorthIt = taken > 0 || wasExhausted || nowMs < this.#pollUntilMs
    if (!isWorthIt) this.#idle.miss()
    return isWorthIt
  }

  #park(lane: Lane): void {
    const sleep = lane.ring.park()
    if (sleep === null) {
      // A completion is there already. Take it in another turn, as this one may have been long. An honest lane has one
      // then.
      if (!this.#isRestless(lane)) this.#poll(lane)
      return
    }
    lane.listening = 'parked'
    void sleep.then(() => this.#wake(lane))
  }

  #wake(lane: Lane): void {
    if (lane.listening !== 'parked' || lane.state === 'dead') return
    lane.listening = 'no'
    this.#looksInPlace = IN_PLACE_LOOKS
    this.#budget = DRAIN_BUDGET
    if (this.#drain(lane) === 0 && this.#isRestless(lane)) return
    this.#listen(lane)
  }

  /** Repeated empty wake-ups: throttle the lane, then give it up. */
  #isRestless(lane: Lane): boolean {
    lane.emptyWakes += 1
    if (lane.emptyWakes <= EMPTY_WAKES_THROTTLED) return false
    if (lane.emptyWakes > EMPTY_WAKES_REPLACED) {
      this.#listener.storm(lane)
    } else {
      lane.listening = 'parked'
      setTimeout(() => this.#wake(lane), THROTTLE_MS)
    }
    return true
  }
}

function publish(lane: Lane): void {
  lane.unpublished = 0
  lane.hasRung = false
  lane.isWaking = lane.publish()
}

/** Only the first part of a burst rings: the worker wakes up while the rest is encoded. Later parts leave it to the end. */
function publishPart(lane: Lane): void {
  lane.unpublished = 0
  if (lane.hasRung) lane.publishQuietly()
  else lane.publish()
  lane.hasRung = true
}

/** Setting the length would free the array's memory, and calls V8's runtime. */
function empty(lanes: Lane[]): void {
  while (lanes.length > 0) lanes.pop()
}
