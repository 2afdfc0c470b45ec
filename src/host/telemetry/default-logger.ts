/** The logger of an engine that was given none. It writes lines to standard error, so that what plugins log is not lost. */
import { inspect } from 'node:util'
import type { Logger } from '../../contracts/options.js'

export function createDefaultLogger(write: (line: string) => void = (line) => process.stderr.write(line)): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    const { plugin, ...rest } = fields as { plugin?: string }
    const who = plugin === undefined ? 'hookring' : `hookring ${plugin}`
    const more = Object.keys(rest).length === 0 ? '' : ` ${inspect(rest, { breakLength: Number.POSITIVE_INFINITY })}`
    write(`[${who}] ${level}: ${message}${more}\n`)
  }
  // Debug lines are only for loggers that the server passes.
  return { debug: () => {}, info: at('info'), warn: at('warn'), error: at('error') }
}
