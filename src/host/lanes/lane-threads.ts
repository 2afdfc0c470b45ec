/**
 * The threads of lanes: Piscina pools in which one task is the whole life of one lane. Each distinct worker profile has a
 * pool, and each pool keeps some spares that have booted and wait. No other module uses Piscina. Host's thread only.
 *
 * A thread serves one lane and ends with it: what plugins leave behind in a thread never meets another lane.
 */
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import type { Piscina } from 'piscina'
import { thrownText } from '../../contracts/errors.js'
import { LATE, within } from '../../primitives/within.js'
import type { WorkerProfile } from '../model/bulkhead.js'
import { packageFile } from '../primitives/package-files.js'
import type { Compiler } from '../sources/compiler/index.js'
import { BUNDLES_PREFIX } from '../sources/own-folder.js'
import { LaneLink } from './lane-link.js'

export interface LaneThread {
  readonly link: Pick<LaneLink, 'load' | 'shutdown' | 'handOver' | 'stop' | 'onLog' | 'onLost' | 'onServe' | 'onSent'>
  /** Resolves when the thread has ended: with null after stop(), otherwise with the crash. Never rejects. */
  readonly ended: Promise<Error | null>
  /** Resolves when a thread that was told to terminate has exited. A zombie's may never resolve. */
  readonly gone: Promise<void>
  /** Kills the thread. Resolves with true when it has exited, with false when it is a zombie after `graceMs`. */
  terminate(graceMs: number): Promise<boolean>
}

/** Spares boot this much later. A boot takes most of a core, and would delay the lane that is loading its plugins. */
const REFILL_AFTER_MS = 30
/**
 * How long a thread may take to boot. It takes some tens of milliseconds, or a second or two on a slow machine. A booting
 * thread is not terminated earlier: Node.js 20 aborts the process if that hits a module that is being linked.
 */
const BOOT_MS = 20_000
/**
 * How long a child process may take to end. The kernel ends it at once; a lane that has not noticed by then is itself in
 * trouble.
 */
const CHILD_END_MS = 2_000
/** The same for a spare, in which no plugin code runs. */
const SPARE_END_MS = 1_000
/** More than any machine runs; Piscina needs a bound. */
const MAX_THREADS = 4096
/** V8's own defaults for threads. They are repeated here so that a server's flags do not raise them. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 48, stackSizeMb: 4 } as const

export interface LaneThreadsOptions {
  /** Booted threads that each pool keeps ready. */
  readonly spares: number
  /** The contract of the plugins, `name@version`. */
  readonly contract: string
  /** For threads that load TypeScript. */
  readonly compiler: Pick<Compiler, 'connect'>
}

export class LaneThreads {
  readonly #options: LaneThreadsOptions
  readonly #pools = new Map<string, Pool>()

  constructor(options: LaneThreadsOptions) {
    this.#options = options
  }

  /**
   * Takes a booted thread: a spare, if there is one. If a lane was lost and no spare had booted, the pool keeps one spare
   * more from then on, because what hung or crashed will do so again.
   *
   * @throws Error when the thread cannot be started.
   */
  take(profile: WorkerProfile, isReplacement: boolean): Promise<LaneThread> {
    const key = JSON.stringify(profile)
    let pool = this.#pools.get(key)
    if (pool === undefined) {
      pool = new Pool(profile, this.#options)
      this.#pools.set(key, pool)
    }
    return pool.take(isReplacement)
  }

  /** Ends the spares and the pools. Terminate the threads that were taken before. */
  async close(): Promise<void> {
    const pools = [...this.#pools.values()]
    this.#pools.clear()
    await Promise.all(pools.map((pool) => pool.close()))
  }
}

interface Spare {
  readonly thread: Promise<LaneThread>
  hasBooted: boolean
}

/** The threads of one worker profile. */
class Pool {
  readonly #profile: WorkerProfile
  readonly #options: LaneThreadsOptions
  readonly #piscina: Piscina
  readonly #spares: Spare[] = []
  /** How many spares to keep. */
  #wanted: number
  /** Called when a thread dies before it gets its task: Piscina does not say whose task it was to get. */
  readonly #booting = new Set<(error: Error) => void>()
  #isClosed = false

  constructor(profile: WorkerProfile, options: LaneThreadsOptions) {
    this.#profile = profile
    this.#options = options
    this.#wanted = options.spares
    const entry = fileURLToPath(packageFile('worker/entry.js'))
    // From beside the entry: Piscina's threads have a file of its own, which no bundle has.
    const { Piscina: ThreadPool } = createRequire(entry)('piscina') as { Piscina: typeof Piscina }
    this.#piscina = new ThreadPool({
      filename: entry,
      minThreads: 0,
      maxThreads: MAX_THREADS,
      idleTimeout: 0,
      concurrentTasksPerWorker: 1,
      // 'sync' would block a thread's event loop between tasks; here there is only one task.
      atomics: 'disabled',
      recordTiming: false,
      trackUnmanagedFds: true,
      resourceLimits: { ...RESOURCE_LIMITS, maxOldGenerationSizeMb: profile.memoryMb },
      env: { ...profile.env },
      execArgv: execArgvOf(profile),
    })
    // A task's failure rejects its promise. What Piscina emits is that failure again, or the failure of a boot.
    this.#piscina.on('error', (error: Error) => {
      // Any plugin can cause this one.
      if (!error.message.startsWith('Unexpected message')) for (const fail of this.#booting) fail(error)
    })
  }

  async take(isReplacement: boolean): Promise<LaneThread> {
    const spare = this.#spares.shift()
    const { spares } = this.#options
    if (isReplacement && spares > 0 && spare?.hasBooted !== true) this.#wanted = spares + 1
    try {
      return await (spare?.thread ?? this.#start())
    } finally {
      setTimeout(() => this.#refill(), REFILL_AFTER_MS).unref()
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const ended = this.#spares.map(async ({ thread }) => {
      try {
        await (await thread).terminate(SPARE_END_MS)
      } catch {
        // It did not boot, so there is nothing to end.
      }
    })
    await Promise.all(ended)
    void this.#piscina.close({ force: true })
  }

  #refill(): void {
    while (!this.#isClosed && this.#spares.length < this.#wanted) {
      const spare: Spare = { thread: this.#start(), hasBooted: false }
      const booted = (): void => {
        spare.hasBooted = true
      }
      spare.thread.then(booted, booted)
      this.#spares.push(spare)
    }
  }

  async #start(): Promise<LaneThread> {
    const { child, loadsTypeScript, reportsImports } = this.#profile
    const link = new LaneLink({ hasChild: child !== null })
    const abort = new AbortController()
    const { lanePort, hostPort } = link.ports
    const { contract } = this.#options
    const compiler = loadsTypeScript || reportsImports ? this.#options.compiler.connect({ reportsImports }) : null
    const task = this.#piscina.run(
      { lanePort, hostPort, child, contract, compiler },
      { transferList: [lanePort, hostPort, ...(compiler === null ? [] : [compiler.port])], signal: abort.signal },
    )
    const ended: Promise<Error | null> = task.then(() => null, crashOf)
    const boot = watchBoot(this.#booting)
    const threadId = await Promise.race([link.booted, ended, boot.failure])
    boot.stop()
    if (typeof threadId !== 'number') {
      abort.abort()
      link.close()
      throw threadId ?? new Error('the lane thread ended while it booted')
    }
    // Look it up now: Piscina forgets a worker as soon as its task is aborted.
    const worker = this.#piscina.threads.find((thread) => thread.threadId === threadId)
    return new PoolThread({ link, ended, worker, abort })
  }
}

class PoolThread implements LaneThread {
  readonly link: LaneLink
  readonly ended: Promise<Error | null>
  readonly gone: Promise<void>
  readonly #worker: Worker | undefined
  readonly #abort: AbortController

  constructor(parts: Pick<PoolThread, 'link' | 'ended'> & { worker: Worker | undefined; abort: AbortController }) {
    this.link = parts.link
    this.ended = parts.ended
    this.gone = parts.worker === undefined ? Promise.resolve() : exitOf(parts.worker)
    this.#worker = parts.worker
    this.#abort = parts.abort
  }

  async terminate(graceMs: number): Promise<boolean> {
    // End the child first, while its lane's thread lives and can reap it.
    await Promise.race([this.link.endChild(Math.min(graceMs, CHILD_END_MS)), this.ended])
    this.#abort.abort()
    this.link.close()
    const isGone = (await within(this.gone, graceMs)) !== LATE
    if (!isGone) this.#worker?.unref()
    return isGone
  }
}

/**
 * A compartment's thread needs no files, programs, threads or addons, so Node's permission model denies them. It may read
 * the package's own modules and bundles: a plugin that breaks out of its compartment still cannot read other files.
 */
function execArgvOf({ isHardened, execArgv }: WorkerProfile): string[] {
  if (!isHardened) return [...execArgv]
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission'
  const entry = packageFile('worker/entry.js')
  const home = fileURLToPath(new URL('../..', entry))
  const packages = createRequire(entry).resolve.paths('piscina') ?? []
  const readable = [join(home, 'dist'), ...packages].map((folder) => join(folder, '*'))
  readable.push(join(home, 'package.json'), join(tmpdir(), `${BUNDLES_PREFIX}*`))
  return [
    '--no-addons',
    permission,
    '--disable-warning=ExperimentalWarning',
    ...readable.map((path) => `--allow-fs-read=${path}`),
  ]
}

interface BootWatch {
  /** Resolves when the boot has failed or takes too long. */
  readonly failure: Promise<Error>
  stop(): void
}

function watchBoot(booting: Set<(error: Error) => void>): BootWatch {
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

/** Makes an Error with a text as its message: a plugin can throw anything. */
function crashOf(thrown: unknown): Error {
  if (thrown instanceof Error && typeof thrown.message === 'string') return thrown
  return new Error(thrownText(thrown), { cause: thrown })
}

function exitOf(worker: Worker): Promise<void> {
  return new Promise((resolve) => worker.once('exit', () => resolve()))
}
