/**
 * A round: makes the calls of a load for a time, and counts what they came to. Runs on the thread whose cost is measured.
 *
 * Closed loop: at most one clock reading for each call, because the next call starts where the last one ended. With many
 * calls in flight only some chains of calls read the clock, and the latencies are theirs.
 *
 * Open loop: calls are due by the clock and go out in the ticks of the event loop's timers, some 1 to 2 ms apart, as on a
 * server that wakes up to several requests at once. Lateness up to PACE_MS comes from the timers. A call that begins
 * later than that was delayed by the thread, and counts from when it was due: a stall cannot hide behind the calls that
 * it prevented.
 */
// Imported, because the global `performance` is a getter that would run at each reading of the clock.
import { performance } from 'node:perf_hooks'
import { startBusyClock } from './busy.js'
import { readCpuTicks, stolenShare } from './stolen.js'
import type { AnswerTimes, Load, Round, Subject } from './subject.js'
import { Tally } from './tally.js'

/** Set `isStopped` to end the round early. */
export interface RoundControl {
  isStopped: boolean
}

const PACE_MS = 3
/**
 * In a closed loop, one chain of calls in this many separates waiting from running: doing so for all would lower the
 * rate.
 */
const TIMED_CHAINS = 4
/** In a closed loop of this many chains or more, a clock reading for each call would cost a tenth of what a hook does. */
const MANY_CHAINS = 64
/** There, one chain in this many reads the clock. */
const CLOCKED_CHAINS = 8
/** The most calls under way at once in an open loop. Beyond that the subject has failed, and memory would run out next. */
const MAX_UNDER_WAY = 65_536
/** Calls made in one turn of the event loop when the thread has fallen behind. */
const MAX_BURST = 1024
/** How long calls that are under way may take after the round's end. */
const DRAIN_MS = 2_000

export async function runRound(
  subject: Subject,
  load: Load,
  roundMs: number,
  control: RoundControl = { isStopped: false },
): Promise<Round> {
  if (subject.events.length === 0) throw new Error('a subject needs events')
  const tally = new Tally(subject)
  const unseenBefore = (await subject.unseenFailures?.()) ?? {}
  // Some contenders wait with handles that do not keep the process alive.
  const keepAlive = setInterval(() => {}, 1000)
  const ticksBefore = readCpuTicks()
  const stopBusyClock = await startBusyClock()
  const startMs = performance.now()
  const latestStartMs =
    load.kind === 'closed'
      ? await runClosed(subject, tally, load.inFlight, startMs + roundMs, control)
      : await runOpen(subject, tally, load.ratePerSecond, roundMs, control)
  const elapsedMs = performance.now() - startMs
  const busy = await stopBusyClock()
  const stolen = stolenShare(ticksBefore, readCpuTicks())
  clearInterval(keepAlive)
  for (const [kind, count] of Object.entries((await subject.unseenFailures?.()) ?? {})) {
    const more = count - (unseenBefore[kind] ?? 0)
    if (more > 0) tally.fail(kind, undefined, more)
  }
  return {
    calls: tally.calls,
    elapsedMs,
    total: tally.total.counts(),
    waiting: tally.waiting?.counts(),
    running: tally.running?.counts(),
    verdicts: tally.verdicts,
    failures: tally.failures,
    firstFailure: tally.firstFailure,
    wrong: tally.wrong,
    hostBusyMs: busy.hostBusyMs,
    processCpuMs: busy.processCpuMs,
    latestStartMs,
    stolenShare: stolen,
  }
}

/** Keeps `inFlight` calls under way: each chain makes its next call when the last verdict is in. */
async function runClosed(
  subject: Subject,
  tally: Tally,
  inFlight: number,
  endMs: number,
  control: RoundControl,
): Promise<number> {
  const { events } = subject
  let next = 0
  let underWay = inFlight
  let isOver = false
  const askUntil = async (_: unknown, chain: number): Promise<void> => {
    const isTimed = subject.hasTimes === true && chain % TIMED_CHAINS === 0
    const times = isTimed ? { waitedMs: 0, ranMs: 0 } : undefined
    const isClocked = inFlight < MANY_CHAINS || chain % CLOCKED_CHAINS === 0
    let startMs = performance.now()
    while (!isOver && !control.isStopped) {
      const index = next
      next = index + 1 === events.length ? 0 : index + 1
      try {
        tally.take(index, await subject.ask(events[index], times))
      } catch (error) {
        tally.refuse(error)
      }
      if (!isClocked) continue
      const nowMs = performance.now()
      tally.time((nowMs - startMs) * 1000, times)
      startMs = nowMs
      if (nowMs >= endMs) isOver = true
    }
    underWay--
  }
  // The chains that read the clock may all wait for an answer that never comes.
  const end = setTimeout(() => {
    isOver = true
  }, endMs - performance.now())
  const all = Promise.all(Array.from({ length: inFlight }, askUntil))
  await withDrainLimit(all, endMs, () => nameUnanswered(tally, underWay))
  clearTimeout(end)
  return 0
}

interface Flight {
  startMs: number
  isUnderWay: boolean
  readonly times: AnswerTimes | undefined
}

/**
 * Makes calls at the rate until the round is over, then waits for those under way. Returns how late the latest call
 * began.
 */
async function runOpen(
  subject: Subject,
  tally: Tally,
  ratePerSecond: number,
  roundMs: number,
  control: RoundControl,
): Promise<number> {
  const { events } = subject
  const planned = Math.max(1, Math.floor((roundMs * ratePerSecond) / 1000))
  const intervalMs = 1000 / ratePerSecond
  const flights: Flight[] = []
  const idle: Flight[] = []
  let next = 0
  let made = 0
  let latestStartMs = 0
  let underWay = 0
  let landed: (() => void) | undefined

  function call(startMs: number): void {
    if (underWay >= MAX_UNDER_WAY) {
      tally.fail('unsent', `not sent: ${MAX_UNDER_WAY} calls were under way`)
      return
    }
    const index = next
    next = index + 1 === events.length ? 0 : index + 1
    const flight = idle.pop() ?? newFlight()
    flight.startMs = startMs
    flight.isUnderWay = true
    underWay++
    subject.ask(events[index], flight.times).then(
      (answer) => {
        tally.take(index, answer)
        land(flight)
      },
      (error) => {
        tally.refuse(error)
        land(flight)
      },
    )
  }

  function newFlight(): Flight {
    const flight = { startMs: 0, isUnderWay: false, times: subject.hasTimes ? { waitedMs: 0, ranMs: 0 } : undefined }
    flights.push(flight)
    return flight
  }

  function land(flight: Flight): void {
    tally.time((performance.now() - flight.startMs) * 1000, flight.times)
    flight.isUnderWay = false
    idle.push(flight)
    underWay--
    if (underWay === 0) landed?.()
  }

  const startMs = performance.now()
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      const nowMs = performance.now()
      const due = Math.min(planned, made + MAX_BURST, Math.floor((nowMs - startMs) / intervalMs) + 1)
      while (made < due) {
        const dueMs = startMs + made * intervalMs
        latestStartMs = Math.max(latestStartMs, nowMs - dueMs)
        call(nowMs - dueMs <= PACE_MS ? nowMs : dueMs)
        made++
      }
      if (made >= planned || control.isStopped) {
        resolve()
        return
      }
      const aheadMs = startMs + made * intervalMs - performance.now()
      if (aheadMs > 0) setTimeout(tick, aheadMs)
      else setImmediate(tick)
    }
    tick()
  })
  const endMs = Math.max(startMs + roundMs, performance.now())
  if (!control.isStopped) await new Promise((resolve) => setTimeout(resolve, startMs + roundMs - performance.now()))
  const all = underWay === 0 ? Promise.resolve() : new Promise<void>((resolve) => (landed = resolve))
  await withDrainLimit(all, endMs, () => {
    const nowMs = performance.now()
    for (const flight of flights) {
      if (!flight.isUnderWay) continue
      tally.calls++
      tally.total.record((nowMs - flight.startMs) * 1000)
    }
    nameUnanswered(tally, underWay)
  })
  return latestStartMs
}

function nameUnanswered(tally: Tally, count: number): void {
  if (count > 0) tally.fail('unanswered', `unanswered ${DRAIN_MS / 1000} s after the round's end`, count)
}

async function withDrainLimit(all: Promise<unknown>, endMs: number, onLimit: () => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<true>((resolve) => {
    timer = setTimeout(() => resolve(true), endMs + DRAIN_MS - performance.now())
  })
  const isOver = await Promise.race([all.then(() => false), limit])
  clearTimeout(timer)
  if (isOver) onLimit()
}
