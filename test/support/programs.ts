/** Runs the programs of test/fixtures/programs, each in a process of its own. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { fixture } from './lab.js'

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** The lines of stdout, as the JSON that they are. */
  readonly said: readonly ({ what: string } & Record<string, unknown>)[]
}

/** Resolves when the program has ended; one that has not after `withinMs` is killed, and has the signal to show for it. */
export function runProgram(name: string, args: readonly string[] = [], withinMs = 20_000): Promise<Ended> {
  const file = fileURLToPath(fixture(`programs/${name}`))
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (part) => (text[stream] += part))
  const timer = setTimeout(() => child.kill('SIGTERM'), withinMs)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      const lines = text.stdout.split('\n').filter((line) => line.startsWith('{'))
      resolve({ code, signal, ...text, said: lines.map((line) => JSON.parse(line)) })
    })
  })
}
