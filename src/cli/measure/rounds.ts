/**
 * A round: the calls of a load, as long as it lasts, and what they came to. Runs on the thread whose cost is measured.
 *
 * Closed loop. One clock read per call at the most: the next call starts where the last one ended. Where many calls are
 * in flight only some chains of calls read the clock, and the latencies are theirs.
 *
 * Open loop. Calls are due by the clock and go out in the ticks of the event loop's timers, some 1 to 2 ms apart, as a
 * server's do that wakes up to several at once. Lateness up to PACE_MS is the timers' own; a call that begins later than
 * that was held up by the thread, and counts from when it was due: a stall is not hidden by the calls that it kept from
 * being made.
 */
// Imported: the global of that name is a getter, which each reading of the clock would run.
import { performance } from 'node:perf_hooks'
import { startBusyClock } from './busy.js'
import { readCpuTicks, stolenShare } from './stolen.js'
import type { AnswerTimes, Load, Round, Subject } from './subject.js'
import { Tally } from './tally.js'

/** Set by whoever wants the round to end early. */
export interface RoundControl {
  isStopped: boolean
}

const PACE_MS = 3
/** In a closed loop one chain of calls in so many tells waiting from running: what that costs would show in the rate. */
const TIMED_CHAINS = 4
/** In a closed loop of so many chains or more, reading the clock for each call would take a tenth of what a hook does. */
const MANY_CHAINS = 64
/** One in so many reads it there. */
const CLOCKED_CHAINS = 8
/** Calls that may be under way at once in an open loop: past that the subject has failed, and memory is the next to go. */
const MAX_UNDER_WAY = 65_536
/** Calls made in one turn of the event loop when the thread has fallen behind. */
const MAX_BURST = 1024
/** After the round's end, for what is still under way. */
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
  // Several contenders wait with handles that do not keep a process alive.
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

/** Keeps `inFlight` calls under way, each asking again as soon as its last verdict is in. */
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
  // Those that read the clock may all wait for an answer that never comes.
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

/** Makes calls at the rate until the round is over, then waits for those under way. Returns how late the latest began. */
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
