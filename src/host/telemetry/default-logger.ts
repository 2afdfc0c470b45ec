/** The logger of an engine that was given none: what plugins print must not vanish. Lines on standard error. */
import { inspect } from 'node:util'
import type { Logger } from '../../contracts/options.js'

export function createDefaultLogger(write: (line: string) => void = (line) => process.stderr.write(line)): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    const { plugin, ...rest } = fields as { plugin?: string }
    const who = plugin === undefined ? 'hookring' : `hookring ${plugin}`
    const more = Object.keys(rest).length === 0 ? '' : ` ${inspect(rest, { breakLength: Number.POSITIVE_INFINITY })}`
    write(`[${who}] ${level}: ${message}${more}\n`)
  }
  // Debug lines are for those who ask for them with a logger of their own.
  return { debug: () => {}, info: at('info'), warn: at('warn'), error: at('error') }
}
