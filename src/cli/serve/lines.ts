/**
 * What `hookring serve` says while it runs: a line for each thing, with its time and level. For people on a terminal, else
 * JSON, an object a line. Also the logger of engines that were given none. Main thread.
 */
import { inspect } from 'node:util'
import type { Logger } from '../../index.js'

type Level = 'debug' | 'info' | 'warn' | 'error'

export interface LinesOptions {
  readonly isTerminal: boolean
  write(line: string): void
  now(): Date
}

export class LineLogger implements Logger {
  readonly #options: LinesOptions

  constructor(options: LinesOptions) {
    this.#options = options
  }

  /** Debug lines are for those who ask for them with a logger of their own. */
  debug(): void {}

  info(fields: object, message: string): void {
    this.#say('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#say('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#say('error', fields, message)
  }

  #say(level: Level, fields: object, message: string): void {
    const time = this.#options.now().toISOString()
    const line = this.#options.isTerminal
      ? plainLine(time, level, fields, message)
      : jsonLine(time, level, fields, message)
    this.#options.write(`${line}\n`)
  }
}

export function linesOn(stream: NodeJS.WriteStream): LineLogger {
  return new LineLogger({
    isTerminal: stream.isTTY === true,
    write: (line) => stream.write(line),
    now: () => new Date(),
  })
}

function plainLine(time: string, level: Level, fields: object, message: string): string {
  const more = Object.keys(fields).length === 0 ? '' : ` ${inspect(fields, { breakLength: Number.POSITIVE_INFINITY })}`
  // What comes from clients must not write over the terminal.
  const clean = `${message}${more}`.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1))
  return `${time} ${level.padEnd(5)} ${clean}`
}

function jsonLine(time: string, level: Level, fields: object, message: string): string {
  const own = { time, level, msg: message }
  try {
    return JSON.stringify({ ...own, ...withoutOwn(fields), ...own }, plainValue)
  } catch {
    return JSON.stringify({ ...own, fields: inspect(fields) })
  }
}

function withoutOwn(fields: object): object {
  const { time: _time, level: _level, msg: _msg, ...rest } = fields as Record<string, unknown>
  return rest
}

/** What JSON would lose. */
function plainValue(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack }
  return value
}
