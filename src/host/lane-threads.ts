/**
 * Threads for lanes: Piscina pools whose tasks are whole lane lives. One pool for each distinct worker profile, and in
 * each some spares that have booted and wait. The only module that knows Piscina. Host's thread only.
 *
 * A thread serves one lane and ends with it: what plugins left behind in it never meets another lane.
 */
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { createLaneLink, type LaneLink } from './control.js'

/** What two lanes must have in common to take their threads from one pool. */
export interface WorkerProfile {
  readonly memoryMb: number
}

export interface LaneThread {
  readonly link: LaneLink
  /** Resolves when the thread has ended, with what it ended by: null after stop(), else the crash. Never rejects. */
  readonly ended: Promise<Error | null>
  /** Resolves when a thread that was told to terminate has exited; a zombie's may never. */
  readonly gone: Promise<void>
  /** Kills the thread. Resolves true when it is gone, false when it is a zombie after `graceMs`. */
  terminate(graceMs: number): Promise<boolean>
}

export interface LaneThreads {
  /** A booted thread: a spare if there is one. @throws Error when the thread cannot be started. */
  take(profile: WorkerProfile): Promise<LaneThread>
  /** Ends the spares and the pools. Threads that were taken must have been terminated before. */
  close(): Promise<void>
}

interface Pool {
  readonly piscina: Piscina
  readonly spares: Promise<LaneThread>[]
}

/** Most plugins are imported and set up within this. */
const REFILL_AFTER_MS = 30
/** More than any machine runs; Piscina needs a bound. */
const MAX_THREADS = 4096
const ENTRY = fileURLToPath(new URL('../worker/entry.js', import.meta.url))

export function createLaneThreads({ spares }: { spares: number }): LaneThreads {
  const pools = new Map<string, Pool>()
  let isClosed = false

  function poolFor(profile: WorkerProfile): Pool {
    const key = JSON.stringify(profile)
    let pool = pools.get(key)
    if (pool === undefined) {
      const piscina = new Piscina({
        filename: ENTRY,
        minThreads: 0,
        maxThreads: MAX_THREADS,
        idleTimeout: 0,
        concurrentTasksPerWorker: 1,
        // 'sync' would freeze a thread's event loop between tasks; there is no between.
        atomics: 'disabled',
        recordTiming: false,
        trackUnmanagedFds: true,
        resourceLimits: { maxOldGenerationSizeMb: profile.memoryMb },
      })
      // Failures of a task reject its promise; what is emitted here besides is the same news again.
      piscina.on('error', () => {})
      pool = { piscina, spares: [] }
      pools.set(key, pool)
    }
    return pool
  }

  function refill(pool: Pool): void {
    while (!isClosed && pool.spares.length < spares) {
      const spare = startThread(pool.piscina)
      spare.catch(() => {})
      pool.spares.push(spare)
    }
  }

  return {
    async take(profile) {
      const pool = poolFor(profile)
      const spare = pool.spares.shift()
      try {
        return await (spare ?? startThread(pool.piscina))
      } finally {
        // After this one has loaded its plugins: a boot takes most of a core, and would hold it up.
        setTimeout(() => refill(pool), REFILL_AFTER_MS).unref()
      }
    },
    async close() {
      isClosed = true
      const closing: Promise<unknown>[] = []
      for (const { piscina, spares: waiting } of pools.values()) {
        for (const spare of waiting) {
          closing.push(
            spare.then(
              (thread) => thread.terminate(1000),
              () => {},
            ),
          )
        }
        await Promise.all(closing)
        void piscina.close({ force: true })
      }
      pools.clear()
    },
  }
}

async function startThread(piscina: Piscina): Promise<LaneThread> {
  const link = createLaneLink()
  const abort = new AbortController()
  const { lanePort, hostPort } = link.ports
  const task = piscina.run({ lanePort, hostPort }, { transferList: [lanePort, hostPort], signal: abort.signal })
  const ended: Promise<Error | null> = task.then(
    () => null,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  )
  const threadId = await Promise.race([link.booted, ended])
  if (typeof threadId !== 'number') {
    link.close()
    throw threadId ?? new Error('the lane thread ended while it booted')
  }
  // Found now: Piscina forgets a worker the moment its task is aborted.
  const worker = piscina.threads.find((thread) => thread.threadId === threadId)
  const gone = worker === undefined ? Promise.resolve() : exitOf(worker)
  return {
    link,
    ended,
    gone,
    async terminate(graceMs) {
      abort.abort()
      link.close()
      const isGone = await within(gone, graceMs)
      if (!isGone) worker?.unref()
      return isGone
    },
  }
}

function exitOf(worker: Worker): Promise<void> {
  return new Promise((resolve) => worker.once('exit', () => resolve()))
}

async function within(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  try {
    return await Promise.race([promise.then(() => true as const), late])
  } finally {
    clearTimeout(timer)
  }
}
