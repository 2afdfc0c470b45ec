/**
 * Routes what plugin code prints, and errors that it lets fall, to the host's logger under the plugin's name. Installed
 * once per thread, before any plugin is imported. The console stays Node's own: tables, groups and the inspector's view of
 * it are as anywhere, and only what it writes to the standard streams is taken.
 */
import { formatWithOptions } from 'node:util'
import type { LogLevel } from '../../contracts/control.js'
import { thrownText } from '../../contracts/errors.js'
import { blamedPlugin, currentPlugin } from './attribution.js'
import { clip, type LogSender, MAX_MESSAGE_CHARS } from './log-sender.js'

/** Of methods whose level is not that of their stream: stdout is `info`, stderr `error`. */
const CONSOLE_LEVELS: Readonly<Record<string, LogLevel>> = {
  debug: 'debug',
  trace: 'debug',
  warn: 'warn',
  assert: 'warn',
  countReset: 'warn',
}
/** A line without an end is printed as it is when nothing more has come of it for so long. */
const UNENDED_LINE_MS = 50

type Print = (level: LogLevel, message: string) => void

export function captureOutput(sender: LogSender): void {
  const print: Print = (level, message) => sender.send({ level, plugin: currentPlugin(), message: clip(message) })
  const told = captureConsole()
  for (const [stream, level] of [
    [process.stdout, 'info'],
    [process.stderr, 'error'],
  ] as const) {
    const lines = new LineAssembler((line) => print(level, line))
    const write = (text: string) => {
      // A call of the console is one message, of however many lines.
      const ofConsole = told.level()
      if (ofConsole === undefined) lines.add(text)
      else print(ofConsole ?? level, text.replace(/\n$/, ''))
    }
    captureStream(stream, write)
  }

  // A lane outlives such errors as a browser's page does; the host counts them against the plugin.
  const fall = (what: string) => (error: unknown) =>
    sender.send({
      level: 'error',
      plugin: blamedPlugin(error),
      message: clip(`${what}: ${shown(error)}`),
      uncaught: true,
    })
  process.on('uncaughtException', fall('uncaught exception'))
  process.on('unhandledRejection', fall('unhandled rejection'))
}

/** @returns the level of the console's method that runs; null: its stream's; undefined: none runs */
function captureConsole(): { level(): LogLevel | null | undefined } {
  let running: LogLevel | null | undefined
  for (const [method, own] of Object.entries(console) as [string, unknown][]) {
    if (typeof own !== 'function' || /^[A-Z]/.test(method)) continue
    const told = (...args: unknown[]): unknown => {
      const outer = running
      // One may call another: the outer one's level counts.
      if (outer === undefined) running = CONSOLE_LEVELS[method] ?? null
      try {
        return Reflect.apply(own, console, args)
      } finally {
        running = outer
      }
    }
    Object.defineProperty(console, method, { configurable: true, writable: true, enumerable: true, value: told })
  }
  return { level: () => running }
}

/** Whatever was thrown. It is not asked how it wants to be shown: what it would be handed for that belongs to the thread. */
function shown(thrown: unknown): string {
  try {
    if (!(thrown instanceof Error)) return formatWithOptions({ customInspect: false }, thrown)
    // Hardened realms show no stacks.
    return thrown.stack || String(thrown)
  } catch {
    return thrownText(thrown)
  }
}

function captureStream(stream: NodeJS.WriteStream, print: (text: string) => void): void {
  const write = (chunk: unknown, encoding?: unknown, done?: unknown): boolean => {
    print(typeof chunk === 'string' ? chunk : Buffer.from(chunk as Uint8Array).toString('utf8'))
    const callback = typeof encoding === 'function' ? encoding : done
    if (typeof callback === 'function') queueMicrotask(callback as () => void)
    return true
  }
  Object.defineProperty(stream, 'write', { configurable: true, writable: true, value: write })
}

/** Assembles lines that are written in pieces. */
class LineAssembler {
  readonly #print: (line: string) => void
  #unended = ''
  #timer: NodeJS.Timeout | undefined

  constructor(print: (line: string) => void) {
    this.#print = print
  }

  add(text: string): void {
    clearTimeout(this.#timer)
    const lines = (this.#unended + text).split('\n')
    this.#unended = lines.pop() ?? ''
    for (const line of lines) if (line !== '') this.#print(line)
    if (this.#unended.length > MAX_MESSAGE_CHARS) this.#end()
    else if (this.#unended !== '') this.#timer = setTimeout(() => this.#end(), UNENDED_LINE_MS)
  }

  #end(): void {
    const line = this.#unended
    this.#unended = ''
    this.#print(line)
  }
}
