/**
 * Moves calls between the engine and its rings: publishes what a turn of the event loop has submitted, takes completions,
 * and listens for more. Host's thread only.
 *
 * A turn, here, is one callback of the event loop with the promises that it settles: process.nextTick comes after both,
 * so all calls made in it are published together. A burst of more than PUBLISH_EVERY calls is published in parts, so that
 * the worker runs the first while the host encodes the rest; the doorbell rings for the first part and at the end, and only
 * if the worker sleeps. The first call of a lane that has no other is published at once to a worker that looks: it is at
 * it while the turn goes on.
 *
 * Listening has three ways. With a call or two in flight, at a worker that is awake, the host looks in place for some
 * microseconds. For a bounded time it polls, once per turn of the event loop. After that it parks, and the worker's
 * doorbell wakes it. The first two are given up while they do not pay (ring/look-again.ts).
 */
import { nextTick } from 'node:process'
import { monotonicMs } from '../../ring/clock.js'
import { createLookAgain } from '../../ring/look-again.js'
import type { Lane } from '../model/lane.js'

/** Completions taken per lane and turn: at about a microsecond each, I/O waits a millisecond at most. */
const DRAIN_BUDGET = 1024
/** Completions taken at a stretch: what they lead to is on its way before the worker has nothing left to do. */
const DRAIN_SLICE = 128
/** Calls in one part of a burst: some twenty microseconds of the host's time, which a worker that looks again bridges. */
const PUBLISH_EVERY = 32
/** The longest look in place, with the event loop standing still: what a trivial hook takes, there and back. */
const IN_PLACE_US = 5
/** With more calls in flight the thread has other things to do than to wait for one. */
const IN_PLACE_CALLS = 2
/** Looks in place before the event loop must have had a turn. */
const IN_PLACE_LOOKS = 16
/** Looks between two readings of the clock. */
const LOOKS_PER_CLOCK = 8
/** Wake-ups in a row that brought nothing, before a lane is listened to only every millisecond, and before it is replaced. */
const EMPTY_WAKES_THROTTLED = 16
const EMPTY_WAKES_REPLACED = 256
const THROTTLE_MS = 1

export interface PumpOptions {
  readonly wait: 'adaptive' | 'park' | 'spin'
  readonly spinUs: number
  /** A lane has calls in flight. */
  onBusy(lane: Lane): void
  /** The lane rings again and again and completes nothing. */
  onStorm(lane: Lane): void
  /** A lane has slots again. */
  onRoom(lane: Lane): void
}

export interface Pump {
  /** The lane has submissions: they are published at the end of this turn. */
  submitted(lane: Lane): void
  /** Publishes and drains now: before deadlines are judged. */
  drainAll(lanes: Iterable<Lane>): void
  /** Ends listening to a lane that is given up. */
  forget(lane: Lane): void
}

export function createPump({ wait, spinUs, onBusy, onStorm, onRoom }: PumpOptions): Pump {
  const maxUs = wait === 'park' ? 0 : spinUs
  const look = createLookAgain({ maxUs, fades: wait === 'adaptive' })
  const lookHere = createLookAgain({ maxUs: Math.min(maxUs, IN_PLACE_US), fades: wait === 'adaptive' })
  let dirty: Lane[] = []
  let polled: Lane[] = []
  // What is emptied is filled anew the next time.
  let flushed: Lane[] = []
  let looked: Lane[] = []
  let isFlushScheduled = false
  let isPollScheduled = false
  let pollUntilMs = 0
  // Completions that may still be taken before the event loop must have had a turn.
  let budget = DRAIN_BUDGET
  let looksHere = IN_PLACE_LOOKS

  function submitted(lane: Lane): void {
    lane.unpublished += 1
    if (lane.inFlight === 1 && !lane.ring.isWorkerParked()) lane.publishQuietly()
    else if (lane.unpublished >= PUBLISH_EVERY) publishPart(lane)
    if (!lane.isDirty) flushLater(lane)
  }

  function flushLater(lane: Lane): void {
    if (lane.isDirty) return
    lane.isDirty = true
    dirty.push(lane)
    if (isFlushScheduled) return
    isFlushScheduled = true
    nextTick(flush)
  }

  function flush(): void {
    isFlushScheduled = false
    const lanes = dirty
    dirty = flushed
    flushed = lanes
    for (const lane of lanes) {
      lane.isDirty = false
      if (lane.state === 'dead') continue
      publish(lane)
      onBusy(lane)
    }
    for (const lane of lanes) {
      if (lane.state === 'dead') continue
      if (budget > 0 && drain(lane) === 0 && lane.inFlight <= IN_PLACE_CALLS && lookInPlace(lane)) drain(lane)
      listen(lane)
    }
    empty(lanes)
  }

  /** What is a few microseconds away is there sooner than the event loop's next turn. Not of a worker that has to wake up. */
  function lookInPlace(lane: Lane): boolean {
    if (looksHere === 0 || lane.isWaking || lane.inFlight === 0) return false
    const budgetUs = lookHere.budgetUs()
    if (budgetUs === 0) return false
    looksHere -= 1
    const until = monotonicMs() + budgetUs / 1000
    do {
      for (let looks = 0; looks < LOOKS_PER_CLOCK; looks += 1) {
        if (!lane.ring.hasCompletions()) continue
        lookHere.hit()
        return true
      }
    } while (monotonicMs() < until)
    lookHere.miss()
    return false
  }

  function publish(lane: Lane): void {
    lane.unpublished = 0
    lane.hasRung = false
    lane.isWaking = lane.publish()
  }

  /** The first part of a burst may ring: the worker wakes up while the rest is encoded. The others leave it to the end. */
  function publishPart(lane: Lane): void {
    lane.unpublished = 0
    if (lane.hasRung) lane.publishQuietly()
    else lane.publish()
    lane.hasRung = true
  }

  function drain(lane: Lane): number {
    const taken = lane.drain(Math.min(budget, DRAIN_SLICE))
    if (taken > 0) {
      budget -= taken
      lane.emptyWakes = 0
      onRoom(lane)
      // What these verdicts lead to comes first; the rest is taken after it, in the same turn.
      if (taken === DRAIN_SLICE) flushLater(lane)
    }
    return taken
  }

  /** Sees to it that completions of a lane with calls in flight are noticed. */
  function listen(lane: Lane): void {
    if (lane.inFlight === 0 || lane.listening !== 'no' || lane.state === 'dead') return
    if (budget <= 0) {
      poll(lane)
      return
    }
    if (polled.length > 0) {
      poll(lane)
      return
    }
    const budgetUs = look.budgetUs()
    if (budgetUs > 0) {
      pollUntilMs = monotonicMs() + budgetUs / 1000
      poll(lane)
    } else {
      park(lane)
    }
  }

  function poll(lane: Lane): void {
    lane.listening = 'polling'
    polled.push(lane)
    if (isPollScheduled) return
    isPollScheduled = true
    setImmediate(pollTurn)
  }

  function pollTurn(): void {
    isPollScheduled = false
    looksHere = IN_PLACE_LOOKS
    const wasExhausted = budget <= 0
    budget = DRAIN_BUDGET
    const lanes = polled
    polled = looked
    looked = lanes
    let taken = 0
    for (const lane of lanes) {
      lane.listening = 'no'
      if (lane.state !== 'dead') taken += drain(lane)
    }
    const now = monotonicMs()
    if (taken > 0) {
      look.hit()
      pollUntilMs = now + look.budgetUs() / 1000
    }
    const isLooking = taken > 0 || wasExhausted || now < pollUntilMs
    if (!isLooking) look.miss()
    for (const lane of lanes) {
      if (lane.inFlight === 0 || lane.state === 'dead' || lane.listening !== 'no') continue
      if (isLooking) poll(lane)
      else park(lane)
    }
    empty(lanes)
  }

  function park(lane: Lane): void {
    const sleep = lane.ring.park()
    if (sleep === null) {
      // Something is there already. In a turn of its own: this one may have been long. Of an honest lane it is taken then.
      if (!isRestless(lane)) poll(lane)
      return
    }
    lane.listening = 'parked'
    void sleep.then(() => wake(lane))
  }

  function wake(lane: Lane): void {
    if (lane.listening !== 'parked' || lane.state === 'dead') return
    lane.listening = 'no'
    looksHere = IN_PLACE_LOOKS
    budget = DRAIN_BUDGET
    if (drain(lane) === 0 && isRestless(lane)) return
    listen(lane)
  }

  /** The lane keeps the host from sleeping and has nothing to show for it, again: it is heard later, or never again. */
  function isRestless(lane: Lane): boolean {
    lane.emptyWakes += 1
    if (lane.emptyWakes <= EMPTY_WAKES_THROTTLED) return false
    if (lane.emptyWakes > EMPTY_WAKES_REPLACED) {
      onStorm(lane)
    } else {
      lane.listening = 'parked'
      setTimeout(() => wake(lane), THROTTLE_MS)
    }
    return true
  }

  return {
    submitted,
    drainAll(lanes) {
      budget = DRAIN_BUDGET
      for (const lane of lanes) {
        if (lane.state === 'dead' || lane.inFlight === 0) continue
        if (lane.unpublished > 0) publish(lane)
        drain(lane)
      }
    },
    forget(lane) {
      lane.ring.unpark()
    },
  }
}

/** Setting the length would give up the array's memory, and ask V8's runtime to do it. */
function empty(lanes: Lane[]): void {
  while (lanes.length > 0) lanes.pop()
}
