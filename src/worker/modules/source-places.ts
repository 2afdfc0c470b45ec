/**
 * Where TypeScript's imports lead that Node.js does not find: `./x.js` may mean x.ts, and `./x` a file or a folder. Looks at
 * the file system; in a lane's thread or its hooks thread.
 */
import { statSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** What compilers make of the right, they are called as on the left. */
const SOURCES: Readonly<Record<string, readonly string[]>> = {
  '.js': ['.ts', '.tsx', '.jsx'],
  '.mjs': ['.mts'],
  '.cjs': ['.cts'],
  '.jsx': ['.tsx'],
}
const ENDINGS = ['.tsx', '.ts', '.jsx', '.js', '.mts', '.mjs', '.cts', '.cjs', '.json']
const IN_PACKAGES = /\/node_modules\//
const SOURCE = /\.(?:[cm]?ts|tsx|jsx)$/
/** By which Node.js says that it found nothing. */
const NOT_FOUND: ReadonlySet<unknown> = new Set([
  'ERR_MODULE_NOT_FOUND',
  'MODULE_NOT_FOUND',
  'ERR_UNSUPPORTED_DIR_IMPORT',
  // What tsconfig.json calls paths need not be what Node.js calls a package.
  'ERR_INVALID_MODULE_SPECIFIER',
  'ERR_PACKAGE_IMPORT_NOT_DEFINED',
])

export function isNotFound(error: unknown): boolean {
  return NOT_FOUND.has((error as { code?: unknown } | null)?.code)
}

/** Whether what the module imports may be written as TypeScript has it. */
export function mayImportSources(importerUrl: string | undefined): importerUrl is string {
  if (importerUrl === undefined || !importerUrl.startsWith('file:')) return false
  const path = importerUrl.replace(/[?#].*$/, '')
  return SOURCE.test(path) || !IN_PACKAGES.test(path)
}

/** The file: URL of the file that a path means, with what follows it in the specifier; null: there is none, or it is no path. */
export function findByPath(specifier: string, importerUrl: string): string | null {
  if (!/^(?:\.{0,2}\/|\.{1,2}$|file:)/.test(specifier)) return null
  const url = new URL(specifier, importerUrl)
  const { search, hash } = url
  url.search = ''
  url.hash = ''
  const path = fileURLToPath(url).replace(/\/$/, '')
  const found = candidates(path).find(isFile)
  return found === undefined ? null : pathToFileURL(found).href + search + hash
}

function candidates(path: string): string[] {
  const extension = /\.[cm]?jsx?$/.exec(path)?.[0] ?? ''
  const stem = path.slice(0, path.length - extension.length)
  return [
    ...(SOURCES[extension] ?? []).map((ending) => stem + ending),
    ...ENDINGS.map((ending) => path + ending),
    ...ENDINGS.map((ending) => `${path}/index${ending}`),
  ]
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}
