/** Runs the programs of test/fixtures/programs, each in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
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

export interface Started {
  readonly child: ChildProcess
  /** Resolves when the program has said that; rejects when it ends before. */
  says(what: string): Promise<void>
  readonly ended: Promise<Ended>
}

/** Resolves when the program has ended; one that has not after `withinMs` is killed, and has the signal to show for it. */
export function runProgram(name: string, args: readonly string[] = [], withinMs = 20_000): Promise<Ended> {
  return startProgram(name, args, withinMs).ended
}

/** The same of a program that is to be spoken to meanwhile. */
export function startProgram(name: string, args: readonly string[] = [], withinMs = 30_000): Started {
  const file = fileURLToPath(fixture(`programs/${name}`))
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  const linesSaid = () =>
    text.stdout
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Ended['said'][number])
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (part) => {
      text[stream] += part
      child.emit('said')
    })
  // A stopped process hears no other signal.
  const timer = setTimeout(() => child.kill('SIGKILL'), withinMs)
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, ...text, said: linesSaid() })
    })
  })
  const says = (what: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (linesSaid().some((line) => line.what === what)) resolve()
      }
      child.on('said', look)
      look()
      ended.then(({ stdout, stderr }) => reject(new Error(`it ended without ${what}: ${stdout}${stderr}`)), reject)
    })
  return { child, says, ended }
}
