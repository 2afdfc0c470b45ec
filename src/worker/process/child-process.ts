/**
 * Starts the child process of a lane, with as much of its sandbox as there is here, and knows how it ended. The lane's
 * thread only.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Duplex, Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { HookringError } from '../../contracts/errors.js'
import type { ChildProfile, LaneLoss } from '../../contracts/process.js'
import { within } from '../../primitives/within.js'
import { forkedBy } from '../../sandbox/bubblewrap.js'
import { BadFrame, createFrameReader, FROM_CHILD, type Frame, HEAD_BYTES, PIPE_FD } from './frames.js'
import { type Broken, FILTER_FD, type Launch, planLaunch } from './sandbox.js'

/** A child that has booted and waits for plugins. */
export interface Child {
  readonly pipe: Duplex
  /** What its sandbox lacks; empty: nothing. */
  readonly missing: readonly string[]
  /** Frames and what goes wrong with them go to `listener` from here on. */
  listen(listener: ChildListener, maxFrameBytes: number): void
  kill(): void
  /** Kills it, and resolves when it is gone. */
  end(): Promise<void>
}

export interface ChildListener {
  frame(frame: Frame): void
  /** It has sent what is no frame; it is being killed. */
  broke(message: string): void
  /** It is gone, and everything that it wrote has been read. */
  gone(ending: Ending): void
  /** What it wrote to its standard error stream, beside the pipe. */
  said(line: string): void
}

export interface Ending {
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
const MAX_STDERR_CHARS = 16 * 1024
const MAX_LINE_CHARS = 1024
const STDERR_WINDOW_MS = 10_000

/** @throws HookringError SANDBOX_MISSING, PLUGIN_CRASHED when it does not boot */
export async function startChild(options: StartOptions): Promise<Child> {
  const broken: Broken[] = []
  for (;;) {
    const launch = planLaunch({ profile: options.profile, program: PROGRAM, broken })
    if (launch.missing.length > 0 && options.profile.sandbox === 'required') throw sandboxMissing(launch.missing)
    const started = await boot(launch, options)
    if (!('broken' in started)) return started
    broken.push(started.broken)
  }
}

function sandboxMissing(missing: readonly string[]): HookringError {
  const what = missing.join('; ')
  return new HookringError(
    'SANDBOX_MISSING',
    `the process boundary lacks ${what}. Install what is missing, or say sandbox: 'best-effort' to go on without it`,
  )
}

function boot(launch: Launch, { news }: StartOptions): Promise<Child | { broken: Broken }> {
  return new Promise((resolve, reject) => {
    const child = spawn(launch.command, launch.args, {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', ...(launch.filter === null ? [] : ['pipe' as const])],
      env: {},
      cwd: '/',
    })
    const { pid } = child
    if (pid === undefined) {
      child.once('error', (cause) =>
        reject(new HookringError('PLUGIN_CRASHED', `no child process: ${cause}`, { cause })),
      )
      return
    }
    child.once('exit', news.gone)
    child.on('error', () => {})
    if (launch.filter !== null) (child.stdio[FILTER_FD] as Duplex).on('error', () => {}).end(launch.filter)
    const pipe = child.stdio[PIPE_FD] as Duplex
    const stderr = readStderr(child.stderr as Readable, (line) => listener?.said(line))
    let listener: ChildListener | null = null
    let ending: Ending | null = null

    const reader = createFrameReader(HEAD_BYTES, (frame) => {
      if (listener !== null) listener.frame(frame)
      else if (frame.what === FROM_CHILD.ready) {
        news.booted(inmost())
        resolve(handle)
      }
    })
    /** Bubblewrap must outlive what it has forked: nobody else takes note of that one's death, least of all a server's init. */
    const inmost = (): number => (launch.forks ? forkedBy(pid) : null) ?? pid
    const kill = (): void => {
      // Its number may be another process's by now.
      if (child.exitCode !== null || child.signalCode !== null) return
      try {
        process.kill(inmost(), 'SIGKILL')
      } catch {
        // It is gone already.
      }
    }
    pipe.on('error', () => {})
    pipe.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk)
      } catch (error) {
        if (!(error instanceof BadFrame)) throw error
        // Nothing after a bad frame can be told apart.
        pipe.removeAllListeners('data').destroy()
        listener?.broke(error.message)
        kill()
      }
    })
    const gone = whenGone(child).then(({ code, signal }) => {
      ending = endingOf({ code, signal, stderr: stderr.last() })
      listener?.gone(ending)
      const failed = /^(bwrap|prlimit): (.*)/m.exec(stderr.last())
      if (failed === null) reject(new HookringError('PLUGIN_CRASHED', `its process did not boot: ${ending.message}`))
      else resolve({ broken: { tool: failed[1] as Broken['tool'], said: failed[2] as string } })
    })
    const handle: Child = {
      pipe,
      missing: launch.missing,
      listen(next, maxFrameBytes) {
        listener = next
        reader.maxBytes = maxFrameBytes
        if (ending !== null) next.gone(ending)
      },
      kill,
      async end() {
        kill()
        await gone
      },
    }
  })
}

/** Resolves when it has exited and what it wrote has been read. */
async function whenGone(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const exit = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  )
  await within(closed, LAST_WORDS_MS)
  for (const stream of child.stdio) stream?.destroy()
  return exit
}

/** Shells and bubblewrap add this to a signal's number to tell of it in an exit code. */
const BY_SIGNAL = 128

function endingOf({ code, signal, stderr }: { code: number | null; signal: string | null; stderr: string }): Ending {
  const by = signal ?? (code !== null && code > BY_SIGNAL ? signalOf(code - BY_SIGNAL) : undefined)
  const fatal = /^(?:FATAL ERROR|# Fatal).*$/m.exec(stderr)?.[0] ?? ''
  const isMemory = /out of memory|Allocation failed/i.test(stderr)
  const how = by === undefined ? `exited with code ${code}` : `was ended by ${by}`
  const message = `its process ${how}${fatal === '' ? '' : `: ${fatal}`}`
  return { reason: isMemory ? 'memory' : by === undefined ? 'exit' : 'crash', message }
}

function signalOf(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`
}

/** Lines as they come, so many in a while; and the last of it, for what is said of its end. */
function readStderr(stream: Readable, say: (line: string) => void): { last(): string } {
  let last = ''
  let said = 0
  let sinceMs = 0
  stream.on('error', () => {})
  stream.setEncoding('utf8').on('data', (text: string) => {
    last = (last + text).slice(-MAX_STDERR_CHARS)
    const now = Date.now()
    if (now - sinceMs > STDERR_WINDOW_MS) {
      sinceMs = now
      said = 0
    }
    if (said > MAX_STDERR_CHARS) return
    said += text.length
    for (const line of text.slice(0, MAX_STDERR_CHARS).split('\n')) if (line !== '') say(line.slice(0, MAX_LINE_CHARS))
    if (said > MAX_STDERR_CHARS) say('… more than is logged')
  })
  return { last: () => last }
}
