/**
 * Starts the process that tells the story, hands on what it tells, and ends it with all that it started. Called by
 * main.ts, once.
 */
import { type ChildProcess, fork } from 'node:child_process'
import type { ModeName } from '../../bench/rpc/modes.js'
import type { DemoRequest } from './plan.js'
import type { ToldSlice } from './rows.js'
import type { StoryMessage } from './story-process.js'
import type { StrangerReport } from './stranger.js'

export interface Listener {
  onSlice(slice: ToldSlice): void
  onUnavailable(mode: ModeName, why: string): void
  onStranger(report: StrangerReport): void
  /** What the servers print: text for standard error. */
  onPrinted(text: string): void
}

export interface Telling {
  /** Resolves when nothing that was started runs any more, to why the story broke off, if it did. */
  readonly ended: Promise<string | undefined>
  /** Ends all processes at once. */
  stop(): void
}

/** Beyond the story's last word: servers stop on their own, which takes a second or two. */
const END_GRACE_MS = 5_000

export function startTelling(request: DemoRequest, listener: Listener): Telling {
  const child = fork(new URL('./story-process.js', import.meta.url), [JSON.stringify(request)], {
    // A group of its own: Ctrl-C reaches the demo alone, which prints what it has and ends the group.
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const stop = (): void => endGroup(child)
  process.once('exit', stop)
  child.stderr?.setEncoding('utf8').on('data', (text: string) => listener.onPrinted(text))

  const ended = new Promise<string | undefined>((resolve) => {
    let isTold = false
    let why: string | undefined
    let grace: NodeJS.Timeout | undefined
    child.on('message', (message: StoryMessage) => {
      switch (message.kind) {
        case 'slice':
          return listener.onSlice(message.slice)
        case 'unavailable':
          return listener.onUnavailable(message.mode, message.why)
        case 'stranger':
          return listener.onStranger(message.report)
        case 'told':
          isTold = true
          break
        case 'broken':
          why = message.why
      }
      grace = setTimeout(stop, END_GRACE_MS)
    })
    child.once('error', (error) => {
      why ??= error.message
      if (child.pid === undefined) resolve(why)
    })
    child.once('exit', (code, signal) => {
      if (!isTold) why ??= `the process that tells it ended (${signal ?? `exit code ${code}`})`
      // Whatever it left behind holds its standard error open.
      endGroup(child, { isLeaderGone: true })
    })
    // After 'exit', and after the last message.
    child.once('close', () => {
      clearTimeout(grace)
      process.off('exit', stop)
      resolve(why)
    })
  })
  return { ended, stop }
}

function endGroup(child: ChildProcess, { isLeaderGone = false } = {}): void {
  const { pid } = child
  if (pid === undefined) return
  if (process.platform === 'win32') {
    if (!isLeaderGone) child.kill('SIGKILL')
    return
  }
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody is left in it.
  }
}
