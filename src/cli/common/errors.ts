/**
 * What went wrong, as the command says it: one paragraph with its code, and how to read what to do about it. HOOKRING_DEBUG adds the stack.
 */
import { ERROR_CODES } from '../../contracts/index.js'
import { EXIT_USAGE } from './exit.js'

/** An error that the user can do something about: in the options, or where they point to. */
export class UsageError extends Error {
  readonly code: string
  readonly exitCode: number

  constructor(code: string, message: string, exitCode: number = EXIT_USAGE) {
    super(message)
    this.code = code
    this.exitCode = exitCode
  }
}

/** `hookring: PLUGIN_NOT_FOUND: plugin ./x.js: ... does not exist`. */
export function errorText(error: unknown): string {
  const { code, message, stack } = (error ?? {}) as { code?: unknown; message?: unknown; stack?: unknown }
  const text = typeof message === 'string' ? message : String(error)
  const prefix = typeof code === 'string' ? `${code}: ` : ''
  const debug = process.env.HOOKRING_DEBUG ? `\n${String(stack)}` : ''
  const more =
    typeof code === 'string' && Object.hasOwn(ERROR_CODES, code) ? `\nMore: npx hookring explain ${code}` : ''
  return `hookring: ${prefix}${text}${debug}${more}\n`
}
