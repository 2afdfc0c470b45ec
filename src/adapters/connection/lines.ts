/**
 * Log lines of a server, on the host's thread. What clients provoke is bounded: past so many lines in a second the rest is
 * counted, and the count is a line.
 */
import type { Logger } from '../../index.js'

type Level = 'warn' | 'error'

const LINES_PER_SECOND = 50

export class Lines {
  readonly #logger: Pick<Logger, Level> | undefined
  readonly #now: () => number
  #second = 0
  #lines = 0
  #leftOut = 0

  /** `now` in milliseconds. */
  constructor({ logger, now }: { logger: Pick<Logger, Level> | undefined; now(): number }) {
    this.#logger = logger
    this.#now = now
  }

  warn(fields: object, message: string): void {
    this.#write('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#write('error', fields, message)
  }

  #write(level: Level, fields: object, message: string): void {
    const current = Math.floor(this.#now() / 1000)
    if (current !== this.#second) {
      const leftOut = this.#leftOut
      this.#second = current
      this.#lines = 0
      this.#leftOut = 0
      if (leftOut > 0) this.#send('warn', { leftOut }, `${leftOut} lines were left out`)
    }
    this.#lines += 1
    if (this.#lines > LINES_PER_SECOND) this.#leftOut += 1
    else this.#send(level, fields, message)
  }

  #send(level: Level, fields: object, message: string): void {
    if (this.#logger === undefined) {
      process.stderr.write(`[hookring connection] ${level}: ${message} ${JSON.stringify(fields)}\n`)
      return
    }
    try {
      this.#logger[level](fields, message)
    } catch {
      // A logger that fails is no reason to fail a connection.
    }
  }
}
