/**
 * A process that makes bundles, one at a time. What a plugin's source does to it (it never ends, it takes all memory, it ends
 * esbuild) costs this process and that one bundle. The server's thread only.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { isAbsolute } from 'node:path'
import { HookringError } from '../../../contracts/errors.js'
import { LATE, within } from '../../../primitives/within.js'
import { forkedBy } from '../../../sandbox/bubblewrap.js'
import { type Launch, planLaunch, type Tool, type View } from './launch.js'
import {
  ANSWER_FD,
  type AnswerFrame,
  type Bundle,
  type BundleAnswer,
  type BundleJob,
  type BundleRefusal,
  BundlerFrameReader,
  MOST_FILES,
  MOST_PATH_CHARS,
} from './protocol.js'

/** Two programs start, on a machine that may be busy with others. */
const BOOT_MS = 30_000
/** The kernel ends a process at once. */
const END_MS = 2_000
const LAST_WORDS_MS = 500
const MAX_STDERR_CHARS = 4096

/** Tools, by their paths, that were tried and do not work on this machine. */
const broken = new Set<string>()

export class BundlingProcess {
  readonly #child: ChildProcess
  readonly #launch: Launch
  readonly #gone: Promise<null>
  readonly #closed: Promise<void>
  readonly #reader = new BundlerFrameReader()
  #hear: ((frame: AnswerFrame) => void) | null = null
  #stderr = ''
  #isUsable = true

  /** @throws HookringError PLUGIN_IMPORT_FAILED when no process starts */
  static async start(view: View, esbuildUrl: string): Promise<BundlingProcess> {
    for (;;) {
      const launch = await planLaunch(view, esbuildUrl, broken)
      const started = new BundlingProcess(launch)
      const problem = await started.#boot()
      if (problem === null) return started
      await started.end()
      const tool = /^(bwrap|prlimit|setpriv): /m.exec(problem)?.[1] as Tool | undefined
      const path = tool === undefined ? undefined : launch.tools[tool]
      if (path === undefined) {
        throw new HookringError('PLUGIN_IMPORT_FAILED', `no process to bundle plugins in: ${problem}`)
      }
      broken.add(path)
    }
  }

  private constructor(launch: Launch) {
    const { command, args, env } = launch
    this.#launch = launch
    this.#child = spawn(command, args, {
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
      env,
      cwd: '/',
      // A process group of its own: without bubblewrap esbuild is ended with it.
      detached: true,
    })
    this.#gone = new Promise((resolve) => {
      this.#child.once('exit', () => resolve(null)).once('error', () => resolve(null))
    })
    this.#closed = new Promise((resolve) => {
      this.#child.once('close', () => resolve())
    })
    void this.#gone.then(() => {
      this.#isUsable = false
    })
    this.#child.stdin?.on('error', () => {})
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (this.#stderr.length < MAX_STDERR_CHARS) this.#stderr += text.slice(0, MAX_STDERR_CHARS)
    })
    this.#answers?.on('error', () => {}).on('data', (chunk: Buffer) => this.#take(chunk))
    this.#hold(false)
  }

  /** Whether it can be given another job. */
  get isUsable(): boolean {
    return this.#isUsable
  }

  get #answers(): Socket | undefined {
    return this.#child.stdio[ANSWER_FD] as Socket | undefined
  }

  /**
   * @throws HookringError PLUGIN_BUNDLE_TIMEOUT, PLUGIN_BUNDLE_TOO_LARGE, PLUGIN_IMPORT_FAILED, INTEGRITY_MISMATCH,
   * OPTIONS_INVALID
   */
  async run(job: BundleJob, timeoutMs: number): Promise<Bundle> {
    this.#hold(true)
    const answered = this.#next()
    this.#child.stdin?.write(`${JSON.stringify(job)}\n`)
    const frame = await within(answered, timeoutMs)
    this.#hold(false)
    if (frame === LATE) {
      await this.end()
      throw new HookringError(
        'PLUGIN_BUNDLE_TIMEOUT',
        `plugin ${job.path} was not bundled within ${timeoutMs} ms: give it fewer or smaller sources, or the engine a longer setupTimeoutMs`,
      )
    }
    if (frame === null) throw this.#lost(job)
    const answer = frame.said as BundleAnswer
    if (answer.ok) return { contents: frame.body, files: filesIn(answer.files) }
    if (answer.isFatal) this.#isUsable = false
    throw errorOf(answer)
  }

  /** Ends it, and resolves when it is gone. */
  async end(): Promise<void> {
    this.#isUsable = false
    this.#child.stdin?.end()
    this.#kill()
    await within(this.#gone, END_MS)
    for (const stream of this.#child.stdio) stream?.destroy()
  }

  /** Null: it has started; else what it said. */
  async #boot(): Promise<string | null> {
    this.#hold(true)
    const frame = await within(this.#next(), BOOT_MS)
    this.#hold(false)
    if (frame !== LATE && frame !== null) return null
    // What it said last may come after its end.
    if (frame === null) await within(this.#closed, LAST_WORDS_MS)
    return this.#stderr.trim().split('\n')[0] || (frame === LATE ? `it did not start in ${BOOT_MS} ms` : 'it ended')
  }

  /** The next frame; null: it is gone. */
  #next(): Promise<AnswerFrame | null> {
    const frame = new Promise<AnswerFrame>((resolve) => {
      this.#hear = resolve
    })
    return Promise.race([frame, this.#gone])
  }

  #take(chunk: Buffer): void {
    try {
      const frame = this.#reader.push(chunk)
      if (frame !== null) this.#hear?.(frame)
    } catch {
      // It is not what we have started.
      this.#kill()
    }
  }

  #lost({ path }: BundleJob): HookringError {
    this.#isUsable = false
    return new HookringError(
      'PLUGIN_BUNDLE_TOO_LARGE',
      `plugin ${path} cannot be bundled: the process that did it ended, as it does when a source is nested very deeply or takes too much memory`,
    )
  }

  /** While it works the server's process must not end for want of anything else to do. */
  #hold(isWorking: boolean): void {
    const how = isWorking ? 'ref' : 'unref'
    this.#child[how]()
    for (const stream of this.#child.stdio) (stream as Socket | null)?.[how]?.()
  }

  #kill(): void {
    const { pid, exitCode, signalCode } = this.#child
    // Its number may be another process's by now.
    if (pid === undefined || exitCode !== null || signalCode !== null) return
    try {
      // Bubblewrap ends when what it has forked does, and all that runs in there ends with that.
      const inmost = this.#launch.forks ? forkedBy(pid) : null
      process.kill(inmost ?? -pid, 'SIGKILL')
    } catch {
      // It is gone already, or there are no process groups here.
      this.#child.kill('SIGKILL')
    }
  }
}

/** A plugin's source may have made it say anything. */
function filesIn(said: unknown): string[] {
  if (!Array.isArray(said)) return []
  const isFile = (it: unknown): it is string => typeof it === 'string' && isAbsolute(it) && it.length <= MOST_PATH_CHARS
  return said.slice(0, MOST_FILES).filter(isFile)
}

function errorOf({ code, message, option, problems }: BundleRefusal): HookringError {
  const cause = problems === undefined ? undefined : Object.assign(new Error(message), { errors: problems })
  return new HookringError(code, message, {
    ...(option === undefined ? {} : { path: [option] }),
    ...(cause === undefined ? {} : { cause }),
  })
}
