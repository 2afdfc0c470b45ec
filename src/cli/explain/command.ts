/** `hookring explain`: the entry of an error code, offline. Reads the codes, prints. */
import { Command } from 'commander'
import { UsageError } from '../common/errors.js'
import { EXIT_GOOD, endProcess, print } from '../common/exit.js'
import { nearestOf } from '../common/nearest.js'
import { type ErrorEntry, entryText, errorEntries } from './entries.js'

const EXAMPLES = `
Examples:
  $ hookring explain PLUGIN_NOT_FOUND
  $ hookring explain                        lists the codes

The code of an error is its property \`code\`, and what the command prints before the message.

Exit codes: 0 explained; 2 there is no such code.`

const MOST_COLUMNS = 100

export function explainCommand(): Command {
  return new Command('explain')
    .description('Say what an error code means, when it comes, and what to do.')
    .argument('[code...]', 'such as EVENT_INVALID; none: lists all')
    .addHelpText('after', EXAMPLES)
    .action(async (codes: string[]) => {
      const entries = errorEntries()
      const columns = Math.min(process.stdout.columns ?? MOST_COLUMNS, MOST_COLUMNS)
      const text =
        codes.length === 0
          ? entries.map(({ code, meaning }) => `${code}: ${meaning}\n`).join('')
          : codes.map((code) => entryText(entryOf(code, entries), columns)).join('\n')
      await print(process.stdout, text)
      await endProcess(false, EXIT_GOOD)
    })
}

function entryOf(given: string, entries: readonly ErrorEntry[]): ErrorEntry {
  // As people paste it: in small letters, with the colon that stands behind it in messages.
  const code = given.replace(/:$/, '').toUpperCase()
  const found = entries.find((entry) => entry.code === code)
  if (found !== undefined) return found
  const shown = given.length > 64 ? `${given.slice(0, 64)}…` : given
  const nearest = nearestOf(
    code,
    entries.map((entry) => entry.code),
  )
  const hint = nearest === null ? 'hookring explain lists the codes' : `did you mean ${nearest}?`
  throw new UsageError('OPTIONS_INVALID', `there is no error code ${shown}; ${hint}`)
}
