/** Every code that a user can meet, with its entry: those of HookringError and the command's own. Pure. */
import { ERROR_HELP, type ErrorHelp } from '../../contracts/error-help.js'
import { ERROR_CODES, type ErrorCode } from '../../contracts/index.js'
import { COMMAND_CODES } from './command-codes.js'

export interface ErrorEntry extends ErrorHelp {
  readonly code: string
  readonly meaning: string
}

/** In the order in which they are declared: related codes stand together. */
export function errorEntries(): ErrorEntry[] {
  const ofErrors = (Object.keys(ERROR_CODES) as ErrorCode[]).map((code) => ({
    code,
    meaning: ERROR_CODES[code],
    ...ERROR_HELP[code],
  }))
  const ofCommand = Object.entries(COMMAND_CODES).map(([code, entry]) => ({ code, ...entry }))
  return [...ofErrors, ...ofCommand]
}

/** As the command prints it: paragraphs, broken at `columns`. */
export function entryText({ code, meaning, when, todo }: ErrorEntry, columns: number): string {
  return [`${code}: ${meaning}`, when, `What to do: ${todo}`].map((text) => `${wrapped(text, columns)}\n`).join('\n')
}

function wrapped(text: string, columns: number): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else {
      line += line === '' ? word : ` ${word}`
    }
  }
  return [...lines, line].join('\n')
}
