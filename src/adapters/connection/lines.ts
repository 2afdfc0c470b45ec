/**
 * Log lines of a server, on the host's thread. What clients provoke is bounded: past so many lines in a second the rest is
 * counted, and the count is a line.
 */
import type { Logger } from '../../index.js'

export interface Lines {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const LINES_PER_SECOND = 50

/** @param now milliseconds */
export function createLines(logger: Pick<Logger, 'warn' | 'error'> | undefined, now: () => number): Lines {
  let second = 0
  let lines = 0
  let leftOut = 0

  function write(level: 'warn' | 'error', fields: object, message: string): void {
    const current = Math.floor(now() / 1000)
    if (current !== second) {
      if (leftOut > 0) send('warn', { leftOut }, `${leftOut} lines were left out`)
      second = current
      lines = 0
      leftOut = 0
    }
    lines += 1
    if (lines > LINES_PER_SECOND) leftOut += 1
    else send(level, fields, message)
  }

  function send(level: 'warn' | 'error', fields: object, message: string): void {
    if (logger === undefined) {
      process.stderr.write(`[hookring connection] ${level}: ${message} ${JSON.stringify(fields)}\n`)
      return
    }
    try {
      logger[level](fields, message)
    } catch {
      // A logger that fails is no reason to fail a connection.
    }
  }

  return {
    warn: (fields, message) => write('warn', fields, message),
    error: (fields, message) => write('error', fields, message),
  }
}
