/** The Node.js flags that lanes share with their server: how modules are found and shown. Pure. */
import { HookringError } from '../../contracts/errors.js'

/** Flags that change how modules are resolved or shown, in threads too; true: the flag takes a value. */
const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ...[
    ...['--enable-source-maps', '--preserve-symlinks', '--no-global-search-paths', '--insecure-http-parser'],
    ...['--experimental-strip-types', '--no-experimental-strip-types', '--experimental-transform-types'],
    ...['--strip-types', '--no-strip-types', '--experimental-import-meta-resolve', '--experimental-addon-modules'],
    ...['--experimental-require-module', '--no-experimental-require-module', '--no-require-module'],
    ...['--experimental-detect-module', '--no-experimental-detect-module'],
    ...['--experimental-vm-modules', '--experimental-wasm-modules', '--no-experimental-fetch'],
    ...['--experimental-websocket', '--no-experimental-websocket', '--experimental-eventsource'],
    ...[
      '--experimental-sqlite',
      '--no-experimental-sqlite',
      '--experimental-webstorage',
      '--no-experimental-webstorage',
    ],
    ...['--no-experimental-global-navigator', '--no-network-family-autoselection'],
    ...['--tls-min-v1.0', '--tls-min-v1.1', '--tls-min-v1.2', '--tls-min-v1.3', '--tls-max-v1.2', '--tls-max-v1.3'],
    ...['--use-system-ca', '--use-env-proxy'],
    ...['--no-warnings', '--no-deprecation', '--trace-deprecation', '--pending-deprecation', '--trace-warnings'],
  ].map((flag) => [flag, false] as const),
  ...[
    ...['--import', '--require', '-r', '--conditions', '-C', '--loader', '--experimental-loader'],
    ...['--experimental-default-type', '--dns-result-order', '--network-family-autoselection-attempt-timeout'],
    ...['--max-http-header-size', '--disable-warning'],
  ].map((flag) => [flag, true] as const),
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
