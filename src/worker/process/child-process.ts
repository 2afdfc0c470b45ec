/**
 * The child process of a lane: started with as much of its sandbox as there is here, watched, and ended. The lane's thread
 * only.
 */
import { type ChildProcess as NodeChild, spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Duplex, Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { HookringError } from '../../contracts/errors.js'
import type { ChildProfile, LaneLoss } from '../../contracts/process.js'
import { within } from '../../primitives/within.js'
import { forkedBy } from '../../sandbox/bubblewrap.js'
import { Cgroup } from './cgroup.js'
import { ChildStderr, type LastWords, type StderrListener } from './child-stderr.js'
import { BadFrame, FROM_CHILD, type Frame, HEAD_BYTES, type MostBytes, PIPE_FD, PipeFrameReader } from './frames.js'
import { type Broken, FILTER_FD, type Launch, planLaunch } from './sandbox.js'
import { TaskWatch } from './task-watch.js'

export interface ChildListener extends StderrListener {
  frame(frame: Frame): void
  /** It has sent what is no frame; it is being killed. */
  broke(message: string): void
  /** It is gone, and everything that it wrote has been read. */
  gone(exit: ChildExit): void
}

/** How a child ended. */
export interface ChildExit {
  readonly reason: Extract<LaneLoss['reason'], 'crash' | 'exit' | 'memory'>
  readonly message: string
}

/** The host ends a child whose lane it lets go of. */
export interface ChildNews {
  /**
   * It has booted, and whom to kill; null: none has. Before, nobody may: bubblewrap that is killed half-way leaves behind,
   * asleep for ever, what it has forked.
   */
  booted(pid: number | null): void
  gone(): void
}

export interface StartOptions {
  readonly profile: ChildProfile
  readonly news: ChildNews
}

const PROGRAM = fileURLToPath(new URL('./child.js', import.meta.url))
/** What a process that died left in its pipes is read for as long; a pipe may be held open by nobody knows what. */
const LAST_WORDS_MS = 200
/** Shells and bubblewrap add this to a signal's number to tell of it in an exit code. */
const BY_SIGNAL = 128

/**
 * A child that has booted and waits for plugins.
 * @throws HookringError SANDBOX_MISSING, PLUGIN_CRASHED when it does not boot
 */
export async function startChild({ profile, news }: StartOptions): Promise<ChildProcess> {
  const broken: Broken[] = []
  for (;;) {
    const launch = planLaunch({ profile, program: PROGRAM, broken })
    if (launch.missing.length > 0 && profile.sandbox === 'required') throw sandboxMissing(launch.missing)
    const child = new ChildProcess(launch, news)
    const failed = await child.booting
    if (failed === null) return child
    broken.push(failed)
  }
}

function sandboxMissing(missing: readonly string[]): HookringError {
  const what = missing.join('; ')
  return new HookringError(
    'SANDBOX_MISSING',
    `the process boundary lacks ${what}. Install what is missing, or say sandbox: 'best-effort' to go on without it`,
  )
}

export class ChildProcess {
  /** What its sandbox lacks; empty: nothing. */
  readonly missing: readonly string[]
  /** Null: it has booted. Otherwise a tool of the sandbox that does not work here. */
  readonly booting: Promise<Broken | null>
  readonly #process: NodeChild
  readonly #forks: boolean
  readonly #news: ChildNews
  readonly #reader: PipeFrameReader
  readonly #cgroup: Cgroup | null
  readonly #gone: Promise<void>
  #stderr: ChildStderr | null = null
  #tasks: TaskWatch | null = null
  #settleBoot: (failed: Broken | null) => void = () => {}
  #failBoot: (error: HookringError) => void = () => {}
  #listener: ChildListener | null = null
  #exit: ChildExit | null = null

  constructor(launch: Launch, news: ChildNews) {
    this.missing = launch.missing
    this.#forks = launch.forks
    this.#news = news
    this.#cgroup = launch.bounds === null ? null : Cgroup.create(launch.bounds)
    // Nothing but the word that it is ready is taken before the lane listens.
    this.#reader = new PipeFrameReader(
      () => HEAD_BYTES,
      (frame) => this.#frame(frame),
    )
    this.booting = new Promise((resolve, reject) => {
      this.#settleBoot = resolve
      this.#failBoot = reject
    })
    const [command, ...args] = this.#cgroup?.entered(launch.command) ?? launch.command
    this.#process = spawn(command as string, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', ...(launch.filter === null ? [] : ['pipe' as const])],
      env: {},
      cwd: '/',
    })
    this.#gone = this.#process.pid === undefined ? this.#neverStarted() : this.#run(launch)
  }

  get pipe(): Duplex {
    return this.#process.stdio[PIPE_FD] as Duplex
  }

  /** Frames, and what goes wrong with them, go to `listener` from here on. */
  listen(listener: ChildListener, mostBytes: MostBytes): void {
    this.#listener = listener
    this.#reader.mostBytes = mostBytes
    this.#stderr?.listen(listener)
    if (this.#exit !== null) listener.gone(this.#exit)
  }

  kill(): void {
    const { exitCode, signalCode } = this.#process
    // Its number may be another process's by now.
    if (exitCode !== null || signalCode !== null) return
    try {
      process.kill(this.#inmost(), 'SIGKILL')
    } catch {
      // It is gone already.
    }
  }

  /** Kills it, and resolves when it is gone. */
  async end(): Promise<void> {
    this.kill()
    await this.#gone
  }

  async #neverStarted(): Promise<void> {
    const cause = await new Promise((resolve) => this.#process.once('error', resolve))
    this.#cgroup?.remove()
    this.#failBoot(new HookringError('PLUGIN_CRASHED', `no child process: ${cause}`, { cause }))
  }

  async #run({ filter, bounds }: Launch): Promise<void> {
    const child = this.#process
    child.once('exit', this.#news.gone)
    child.on('error', () => {})
    if (filter !== null) (child.stdio[FILTER_FD] as Duplex).on('error', () => {}).end(filter)
    const stderr = new ChildStderr(child.stderr as Readable)
    this.#stderr = stderr
    this.pipe.on('error', () => {})
    this.pipe.on('data', (chunk: Buffer) => this.#read(chunk))
    if (bounds !== null && this.#cgroup === null && !bounds.hasTaskLimit) {
      this.#tasks = new TaskWatch({ maxTasks: bounds.maxTasks, pid: () => this.#inmost(), kill: () => this.kill() })
    }
    const { code, signal } = await whenGone(child, stderr)
    const lastWords = stderr.end()
    const isMemory = lastWords.isMemory || this.#cgroup?.wasOutOfMemory() === true
    this.#ended(
      exitOf({ code, signal, lastWords: { ...lastWords, isMemory }, killedFor: this.#tasks?.end() }),
      lastWords,
    )
  }

  #ended(exit: ChildExit, { tool, error }: LastWords): void {
    this.#cgroup?.remove()
    this.#exit = exit
    this.#listener?.gone(exit)
    if (tool === null) {
      const why = error === '' ? '' : `: ${error}`
      this.#failBoot(new HookringError('PLUGIN_CRASHED', `its process did not boot: ${exit.message}${why}`))
    } else {
      this.#settleBoot({ tool: tool.name as Broken['tool'], said: tool.said })
    }
  }

  #frame(frame: Frame): void {
    if (this.#listener !== null) this.#listener.frame(frame)
    else if (frame.what === FROM_CHILD.ready) {
      this.#news.booted(this.#inmost())
      this.#settleBoot(null)
    }
  }

  #read(chunk: Buffer): void {
    try {
      this.#reader.push(chunk)
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error
      // Nothing after a bad frame can be told apart.
      this.pipe.removeAllListeners('data').destroy()
      this.#listener?.broke(error.message)
      this.kill()
    }
  }

  /** Bubblewrap must outlive what it has forked: nobody else takes note of that one's death, least of all a server's init. */
  #inmost(): number {
    const pid = this.#process.pid as number
    return (this.#forks ? forkedBy(pid) : null) ?? pid
  }
}

interface RawExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Resolves when it has exited and what it wrote has been read. */
async function whenGone(child: NodeChild, stderr: ChildStderr): Promise<RawExit> {
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const exit = await new Promise<RawExit>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
  stderr.drain()
  await within(closed, LAST_WORDS_MS)
  for (const stream of child.stdio) stream?.destroy()
  return exit
}

interface HowItEnded extends RawExit {
  readonly lastWords: Pick<LastWords, 'fatal' | 'isMemory'>
  /** Why the lane killed it, if it did. */
  readonly killedFor: string | undefined
}

function exitOf({ code, signal, lastWords: { fatal, isMemory }, killedFor }: HowItEnded): ChildExit {
  if (killedFor !== undefined) return { reason: 'crash', message: `its process was ended: ${killedFor}` }
  const by = signal ?? (code !== null && code > BY_SIGNAL ? signalOf(code - BY_SIGNAL) : undefined)
  const how = by === undefined ? `exited with code ${code}` : `was ended by ${by}`
  const message = `its process ${how}${fatal === '' ? '' : `: ${fatal}`}`
  return { reason: isMemory ? 'memory' : by === undefined ? 'exit' : 'crash', message }
}

function signalOf(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`
}
