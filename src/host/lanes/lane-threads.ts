/**
 * Threads for lanes: Piscina pools whose tasks are whole lane lives. One pool for each distinct worker profile, and in
 * each some spares that have booted and wait. The only module that knows Piscina. Host's thread only.
 *
 * A thread serves one lane and ends with it: what plugins left behind in it never meets another lane.
 */
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { thrownText } from '../../contracts/errors.js'
import type { ChildProfile } from '../../contracts/process.js'
import { LATE, within } from '../../primitives/within.js'
import { BUNDLES_PREFIX } from '../sources/locate.js'
import { createLaneLink, type LaneLink } from './lane-link.js'

/** What two lanes must have in common to take their threads from one pool. */
export interface WorkerProfile {
  readonly memoryMb: number
  /** What plugins find in process.env; no more of the server's than the operator names. */
  readonly env: Readonly<Record<string, string>>
  /** Plugins in hardened compartments have threads of their own kind. */
  readonly isHardened: boolean
  /** Its plugins run in a child process, made as this says; null: in the thread. */
  readonly child: ChildProfile | null
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
  /**
   * A booted thread: a spare if there is one. Where the one that it replaces was lost, and no spare had booted, one more
   * spare is kept from then on: what hung or crashed does so again.
   *
   * @throws Error when the thread cannot be started.
   */
  take(profile: WorkerProfile, isReplacement: boolean): Promise<LaneThread>
  /** Ends the spares and the pools. Threads that were taken must have been terminated before. */
  close(): Promise<void>
}

interface Pool {
  readonly profile: WorkerProfile
  readonly piscina: Piscina
  readonly spares: Spare[]
  /** Spares to keep. */
  wanted: number
  /** Told when a thread of the pool dies before it can be given a task: Piscina tells nobody whom it was for. */
  readonly booting: Set<(error: Error) => void>
}

interface Spare {
  readonly thread: Promise<LaneThread>
  hasBooted: boolean
}

/** Most plugins are imported and set up within this. */
const REFILL_AFTER_MS = 30
/**
 * A thread that boots is not terminated before: Node.js 20 aborts the process when that meets a module that is being
 * linked. It takes some tens of milliseconds, a second or two where everything is slow.
 */
const BOOT_MS = 20_000
/** The kernel ends a process at once; a lane that does not see it by then is in trouble itself. */
const CHILD_END_MS = 2_000
/** More than any machine runs; Piscina needs a bound. */
const MAX_THREADS = 4096
/** V8's own defaults for threads, said here so that a server's flags do not widen them. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 48, stackSizeMb: 4 } as const
const ENTRY = fileURLToPath(new URL('../../worker/entry.js', import.meta.url))

export interface LaneThreadsOptions {
  readonly spares: number
  /** `name@version` of what their plugins are written for. */
  readonly contract: string
}

export function createLaneThreads({ spares, contract }: LaneThreadsOptions): LaneThreads {
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
        resourceLimits: { ...RESOURCE_LIMITS, maxOldGenerationSizeMb: profile.memoryMb },
        env: { ...profile.env },
        execArgv: execArgvOf(profile),
      })
      const booting: Pool['booting'] = new Set()
      // Failures of a task reject its promise; what is emitted here besides is the same news again, or of a boot.
      piscina.on('error', (error: Error) => {
        // Any plugin can make this one up.
        if (!error.message.startsWith('Unexpected message')) for (const fail of booting) fail(error)
      })
      pool = { profile, piscina, spares: [], wanted: spares, booting }
      pools.set(key, pool)
    }
    return pool
  }

  function refill(pool: Pool): void {
    while (!isClosed && pool.spares.length < pool.wanted) {
      const spare: Spare = { thread: startThread(pool, contract), hasBooted: false }
      const booted = (): void => {
        spare.hasBooted = true
      }
      spare.thread.then(booted, booted)
      pool.spares.push(spare)
    }
  }

  return {
    async take(profile, isReplacement) {
      const pool = poolFor(profile)
      const spare = pool.spares.shift()
      if (isReplacement && spares > 0 && spare?.hasBooted !== true) pool.wanted = spares + 1
      try {
        return await (spare?.thread ?? startThread(pool, contract))
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
            spare.thread.then(
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

/**
 * Threads of compartments hold nothing that would be missed, so they may as well be kept from files, programs, threads and
 * addons. They read what the lane itself is made of, and bundles; whatever else a plugin might reach, it reaches no file.
 */
function execArgvOf({ isHardened }: WorkerProfile): string[] {
  if (!isHardened) return []
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission'
  const home = fileURLToPath(new URL('../../..', import.meta.url))
  const packages = createRequire(import.meta.url).resolve.paths('piscina') ?? []
  const readable = [join(home, 'dist'), ...packages].map((folder) => join(folder, '*'))
  readable.push(join(home, 'package.json'), join(tmpdir(), `${BUNDLES_PREFIX}*`))
  return [
    '--no-addons',
    permission,
    '--disable-warning=ExperimentalWarning',
    ...readable.map((path) => `--allow-fs-read=${path}`),
  ]
}

async function startThread({ piscina, profile: { child }, booting }: Pool, contract: string): Promise<LaneThread> {
  const link = createLaneLink({ hasChild: child !== null })
  const abort = new AbortController()
  const { lanePort, hostPort } = link.ports
  const task = piscina.run(
    { lanePort, hostPort, child, contract },
    { transferList: [lanePort, hostPort], signal: abort.signal },
  )
  const ended: Promise<Error | null> = task.then(() => null, crashOf)
  const boot = watchBoot(booting)
  const threadId = await Promise.race([link.booted, ended, boot.failure])
  boot.stop()
  if (typeof threadId !== 'number') {
    abort.abort()
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
      // First, by a thread that lives and can take note of it.
      await Promise.race([link.endChild(Math.min(graceMs, CHILD_END_MS)), ended])
      abort.abort()
      link.close()
      const isGone = (await within(gone, graceMs)) !== LATE
      if (!isGone) worker?.unref()
      return isGone
    },
  }
}

interface BootWatch {
  /** Resolves when the boot has failed, or takes too long. */
  readonly failure: Promise<Error>
  stop(): void
}

function watchBoot(booting: Pool['booting']): BootWatch {
  let stop: () => void = () => {}
  const failure = new Promise<Error>((resolve) => {
    const timer = setTimeout(() => resolve(new Error(`it had not booted after ${BOOT_MS} ms`)), BOOT_MS)
    booting.add(resolve)
    stop = () => {
      clearTimeout(timer)
      booting.delete(resolve)
    }
  })
  return { failure, stop }
}

/** An error whose message is text: what a plugin let fall can be anything. */
function crashOf(thrown: unknown): Error {
  if (thrown instanceof Error && typeof thrown.message === 'string') return thrown
  return new Error(thrownText(thrown), { cause: thrown })
}

function exitOf(worker: Worker): Promise<void> {
  return new Promise((resolve) => worker.once('exit', () => resolve()))
}
