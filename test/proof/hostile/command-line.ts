/** What the proofs' programs need of a terminal and of the package around them. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The package's folder: programs run from wherever they were compiled to. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'hookring') return folder
    const parent = dirname(folder)
    if (parent === folder) throw new Error('no package named hookring around this file')
    folder = parent
  }
}

export interface StatusLine {
  say(text: string): void
  end(): void
}

/** One line on stderr, rewritten in place, and only when stderr is a terminal. */
export function statusLine(stream: NodeJS.WriteStream = process.stderr): StatusLine {
  const write = (text: string) => {
    if (stream.isTTY === true) stream.write(`\r\u001b[K${text}`)
  }
  return { say: (text) => write(text.slice(0, (stream.columns ?? 80) - 1)), end: () => write('') }
}

/** @throws Error with the option's name when the text is no whole number, or one below `min`. */
export function wholeNumber(option: string, text: string, min: number): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < min) {
    throw new Error(`--${option} must be a whole number from ${min} on, got ${JSON.stringify(text)}`)
  }
  return value
}

/** Ends the process with what `main` gives: 0 good, 1 findings, 2 wrong usage. */
export function runProgram(name: string, main: () => Promise<number>): void {
  main().then(
    (code) => {
      process.exitCode = code
    },
    (error: unknown) => {
      process.stderr.write(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
      process.exitCode = 1
    },
  )
}
