/** The Node.js flags that lanes share with their server: how modules are found and shown. Pure. */
import { HookringError } from '../../contracts/errors.js'

/** Flags that change how modules are resolved or shown, in threads too; true: the flag takes a value. */
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

/** Those of the server's own flags, from its command line and NODE_OPTIONS. */
export function inheritedFlags(execArgv: readonly string[], nodeOptions = ''): string[] {
  return [...known(wordsOf(nodeOptions)), ...known(execArgv)].flatMap(({ words }) => words)
}

/** @throws HookringError OPTIONS_INVALID for a flag that a thread does not take */
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

/**
 * Splits NODE_OPTIONS as Node.js does: at spaces, with double quotes around a value that has spaces, and backslashes as
 * escapes inside the quotes.
 */
function wordsOf(options: string): string[] {
  return [...options.matchAll(/(?:"(?:\\.|[^"\\])*"|\S)+/g)].map(([word]) =>
    word.replace(/"((?:\\.|[^"\\])*)"/g, (_, quoted: string) => quoted.replace(/\\(.)/g, '$1')),
  )
}
