/** Flags of Node.js that lanes have in common with their server: where a plugin's code is found, and how it is shown. Pure. */
import { HookringError } from '../../contracts/errors.js'

/** Those that change what a module of the server's would mean, in a thread as in the process; whether a value follows. */
const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ['--enable-source-maps', false],
  ['--import', true],
  ['--require', true],
  ['-r', true],
  ['--conditions', true],
  ['-C', true],
  ['--loader', true],
  ['--experimental-loader', true],
  ['--preserve-symlinks', false],
  ['--experimental-strip-types', false],
  ['--no-experimental-strip-types', false],
  ['--experimental-transform-types', false],
  ['--experimental-vm-modules', false],
  ['--experimental-wasm-modules', false],
  ['--disable-warning', true],
  ['--no-warnings', false],
  ['--no-deprecation', false],
  ['--trace-deprecation', false],
  ['--trace-warnings', false],
])

/** Of the server's own, by its command line and NODE_OPTIONS. */
export function inheritedFlags(execArgv: readonly string[], nodeOptions = ''): string[] {
  return [...known(wordsOf(nodeOptions)), ...known(execArgv)].flatMap(({ words }) => words)
}

/** @throws HookringError OPTIONS_INVALID for one that a thread does not take */
export function checkFlags(execArgv: readonly string[]): void {
  const taken = known(execArgv).flatMap(({ words }) => words)
  const other = execArgv.find((word) => !taken.includes(word))
  if (other === undefined) return
  throw new HookringError(
    'OPTIONS_INVALID',
    `execArgv: lanes do not take ${JSON.stringify(other)}; they take ${[...FLAGS.keys()].join(', ')}`,
    { path: ['execArgv'] },
  )
}

function known(words: readonly string[]): { readonly words: readonly string[] }[] {
  const found: { words: string[] }[] = []
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] as string
    const hasValue = FLAGS.get(word.split('=', 1)[0] as string)
    if (hasValue === undefined) continue
    if (hasValue && !word.includes('=')) {
      const value = words[at + 1]
      at += 1
      if (value !== undefined) found.push({ words: [word, value] })
    } else found.push({ words: [word] })
  }
  return found
}

/** As Node.js reads NODE_OPTIONS: by spaces, with double quotes around what has some, and backslashes inside of them. */
function wordsOf(options: string): string[] {
  return [...options.matchAll(/(?:"(?:\\.|[^"\\])*"|\S)+/g)].map(([word]) =>
    word.replace(/"((?:\\.|[^"\\])*)"/g, (_, quoted: string) => quoted.replace(/\\(.)/g, '$1')),
  )
}
