/**
 * How the benches measure: latency of single calls, the host thread's busy time, and a closed loop that drives a subject.
 * Called on the thread whose cost is in question; nothing here is shared between threads.
 *
 * Latency. One clock read per call: in a closed loop the next call starts where the last one ended. The value goes into
 * a log-linear histogram (128 buckets per power of two, so within 0.8 %), which costs the same for every subject.
 *
 * Host busy time. What a server loses is the time in which its thread cannot do other work: the CPU time of that one
 * thread (user and kernel, polling and spinning included) plus the time it stands blocked inside JavaScript.
 * - `process.cpuUsage` counts all threads, so it would charge the host with its workers.
 * - `performance.eventLoopUtilization` alone counts time that other processes took from the thread, and leaves out the
 *   kernel's share of going to sleep and waking up, which is most of the cost at low rates.
 * So on Linux the thread's CPU time comes from the kernel (`process.threadCpuUsage` where Node has it, schedstat
 * elsewhere), and blocked time is what is left of the wall clock after CPU time, time waiting for a CPU and the event
 * loop's own idle time. Without either source the event loop's active time stands in, and `busySource` says so.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** One contender, engine or arrangement under measurement: a list of events and a way to ask about one of them. */
export interface Subject<E = unknown> {
  /** A power of two of them; asked in turn, so that no event is special. */
  readonly events: readonly E[]
  /** For each event, whether the right verdict is a reject. A subject that skips the work is found out by this. */
  readonly rejects: readonly boolean[]
  ask(event: E): PromiseLike<{ readonly kind: string }>
  /** Called before every round; may choose settings for this many calls in flight. Returns a note for the report. */
  prepare?(inFlight: number): Promise<string | undefined>
  close(): Promise<void>
}

/** What one round measured; times per call in microseconds. */
export interface RoundFigures {
  readonly eventsPerSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly p999Us: number
  readonly hostBusyUsPerEvent: number
  /** CPU time of all threads of the process, per event. */
  readonly cpuUsPerEvent: number
}

export interface Round {
  readonly figures: RoundFigures
  readonly events: number
  /** Calls whose verdict was not the right one. */
  readonly wrong: number
  /** Calls that rejected their promise. */
  readonly failed: number
  readonly firstFailure: string | undefined
}

export interface Histogram {
  record(us: number): void
  /** The value below which the given share of the recorded calls lies; NaN when nothing was recorded. */
  percentile(share: number): number
  count(): number
  reset(): void
}

const BUCKET_BITS = 7
const LOWEST_EXPONENT = -7 // 8 ns
const HIGHEST_EXPONENT = 27 // 134 s
const FIRST_BUCKET = (1023 + LOWEST_EXPONENT) << BUCKET_BITS
const BUCKET_COUNT = (HIGHEST_EXPONENT - LOWEST_EXPONENT + 1) << BUCKET_BITS

/** A histogram of microseconds. The upper bits of a double are its exponent and first digits: they are the bucket. */
export function createHistogram(): Histogram {
  const counts = new Float64Array(BUCKET_COUNT)
  const value = new Float64Array(1)
  const words = new Uint32Array(value.buffer)
  let total = 0
  const midpointUs = (bucket: number): number => {
    words[0] = 0
    words[1] = ((bucket + FIRST_BUCKET) << (20 - BUCKET_BITS)) | (1 << (19 - BUCKET_BITS))
    return value[0] as number
  }
  return {
    record(us) {
      value[0] = us
      const bucket = ((words[1] as number) >>> (20 - BUCKET_BITS)) - FIRST_BUCKET
      const index = bucket < 0 || us <= 0 ? 0 : bucket >= BUCKET_COUNT ? BUCKET_COUNT - 1 : bucket
      counts[index] = (counts[index] as number) + 1
      total++
    },
    percentile(share) {
      if (total === 0) return Number.NaN
      const rank = Math.max(1, Math.ceil(share * total))
      let seen = 0
      for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        seen += counts[bucket] as number
        if (seen >= rank) return midpointUs(bucket)
      }
      return Number.NaN
    },
    count: () => total,
    reset() {
      counts.fill(0)
      total = 0
    },
  }
}

export type BusySource = 'thread-cpu' | 'schedstat' | 'event-loop'

interface BusySample {
  readonly wallMs: number
  /** Of the calling thread. */
  readonly cpuMs: number
  /** Runnable, but without a CPU. */
  readonly queuedMs: number
  readonly idleMs: number
  readonly activeMs: number
  readonly processCpuMs: number
}

export interface BusyTime {
  readonly wallMs: number
  readonly hostBusyMs: number
  readonly processCpuMs: number
}

// In Node 23.9 and later; @types/node of Node 20 does not know it.
const threadCpuUsage = (process as { threadCpuUsage?: () => { user: number; system: number } }).threadCpuUsage

export const busySource: BusySource =
  readSchedstat() === undefined ? (threadCpuUsage === undefined ? 'event-loop' : 'thread-cpu') : 'schedstat'

/** Starts measuring the calling thread's busy time; the function returned ends it. */
export async function startBusyClock(): Promise<() => Promise<BusyTime>> {
  const before = await sampleBusy()
  return async () => {
    const after = await sampleBusy()
    const wallMs = after.wallMs - before.wallMs
    const processCpuMs = after.processCpuMs - before.processCpuMs
    if (busySource === 'event-loop') {
      return { wallMs, processCpuMs, hostBusyMs: after.activeMs - before.activeMs }
    }
    const cpuMs = after.cpuMs - before.cpuMs
    const queuedMs = after.queuedMs - before.queuedMs
    const blockedMs = wallMs - cpuMs - queuedMs - (after.idleMs - before.idleMs)
    return { wallMs, processCpuMs, hostBusyMs: cpuMs + (busySource === 'schedstat' ? Math.max(0, blockedMs) : 0) }
  }
}

async function sampleBusy(): Promise<BusySample> {
  // The kernel brings a thread's account up to date when it leaves the CPU; a short sleep makes the reading exact.
  await sleep(2)
  const schedstat = readSchedstat()
  const cpu = threadCpuUsage?.call(process)
  const utilization = performance.eventLoopUtilization()
  const processCpu = process.cpuUsage()
  return {
    wallMs: performance.now(),
    cpuMs: cpu === undefined ? (schedstat?.cpuMs ?? 0) : (cpu.user + cpu.system) / 1000,
    queuedMs: schedstat?.queuedMs ?? 0,
    idleMs: utilization.idle,
    activeMs: utilization.active,
    processCpuMs: (processCpu.user + processCpu.system) / 1000,
  }
}

function readSchedstat(): { cpuMs: number; queuedMs: number } | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const [cpuNs, queuedNs] = readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ').map(Number)
    if (cpuNs === undefined || queuedNs === undefined || cpuNs === 0) return undefined
    return { cpuMs: cpuNs / 1e6, queuedMs: queuedNs / 1e6 }
  } catch {
    return undefined
  }
}

/** Keeps `inFlight` calls under way for `roundMs`, each asking again as soon as its last verdict is in. */
export async function runClosedLoop(subject: Subject, inFlight: number, roundMs: number): Promise<Round> {
  const { events, rejects } = subject
  const mask = events.length - 1
  if (events.length === 0 || (events.length & mask) !== 0) throw new Error('a subject needs a power of two of events')
  const histogram = createHistogram()
  let next = 0
  let wrong = 0
  let failed = 0
  let firstFailure: string | undefined

  const askUntil = async (endMs: number): Promise<void> => {
    let startMs = performance.now()
    while (startMs < endMs) {
      const index = next++ & mask
      try {
        const verdict = await subject.ask(events[index])
        if ((verdict.kind === 'reject') !== rejects[index]) wrong++
      } catch (error) {
        failed++
        firstFailure ??= error instanceof Error ? error.message : String(error)
      }
      const nowMs = performance.now()
      histogram.record((nowMs - startMs) * 1000)
      startMs = nowMs
    }
  }

  // Several contenders wait with handles that do not keep a process alive.
  const keepAlive = setInterval(() => {}, 1000)
  const stopBusyClock = await startBusyClock()
  const startMs = performance.now()
  await Promise.all(Array.from({ length: inFlight }, () => askUntil(startMs + roundMs)))
  const elapsedMs = performance.now() - startMs
  const busy = await stopBusyClock()
  clearInterval(keepAlive)

  const count = histogram.count()
  return {
    events: count,
    wrong,
    failed,
    firstFailure,
    figures: {
      eventsPerSecond: (count / elapsedMs) * 1000,
      p50Us: histogram.percentile(0.5),
      p99Us: histogram.percentile(0.99),
      p999Us: histogram.percentile(0.999),
      hostBusyUsPerEvent: (busy.hostBusyMs * 1000) / count,
      cpuUsPerEvent: (busy.processCpuMs * 1000) / count,
    },
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b)
  if (sorted.length === 0) return Number.NaN
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** The median of every figure over the rounds. */
export function medianFigures(rounds: readonly RoundFigures[]): RoundFigures {
  const of = (key: keyof RoundFigures): number => median(rounds.map((round) => round[key]))
  return {
    eventsPerSecond: of('eventsPerSecond'),
    p50Us: of('p50Us'),
    p99Us: of('p99Us'),
    p999Us: of('p999Us'),
    hostBusyUsPerEvent: of('hostBusyUsPerEvent'),
    cpuUsPerEvent: of('cpuUsPerEvent'),
  }
}
