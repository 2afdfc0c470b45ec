/** Codes of the command's own: what it says of files and folders that no engine ever sees. Beside ERROR_CODES. */
import type { ErrorHelp } from '../../contracts/error-help.js'

export const COMMAND_CODES: Readonly<Record<string, ErrorHelp & { readonly meaning: string }>> = {
  CONFIG_NOT_FOUND: {
    meaning: 'hookring serve found no config file',
    when: 'From `hookring serve`: the file that was named does not exist, or the current folder has none of hookring.config.ts, .mts, .js, .mjs and .json.',
    todo: 'Run it in the folder of the config, or name the file: `npx hookring serve ./broker.config.mjs`.',
  },
  FOLDER_NOT_EMPTY: {
    meaning: 'hookring init writes into an empty folder only',
    when: 'From `hookring init`: the folder has files already.',
    todo: 'Name another folder. `npx hookring init plugin NAME` adds a plugin to a project that is there.',
  },
}
