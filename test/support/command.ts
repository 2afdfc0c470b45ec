/** Runs the `hookring` command as a user does: the file that ships, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface CommandEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface CommandRun {
  readonly child: ChildProcess
  readonly ended: Promise<CommandEnd>
}

export function startCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): CommandRun {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const text = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (part) => (text[stream] += part))
  const ended = new Promise<CommandEnd>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, ...text }))
  })
  return { child, ended }
}

export function runCommand(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<CommandEnd> {
  return startCommand(args, env).ended
}
