/** From what an operator wrote to where it is: paths, file URLs, packages, remote providers. The server's thread only. */
import { stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { resolve as resolveModule } from 'import-meta-resolve'
import { HookringError } from '../../contracts/errors.js'

/** More than the largest package.json that is published. */
const MAX_MANIFEST_BYTES = 1024 * 1024

/** Of a provider: `http://HOST:PORT`, `https://HOST:PORT` or `unix:///PATH`. @throws HookringError OPTIONS_INVALID */
export function providerUrl(from: string | URL): string {
  let url: URL | null = null
  try {
    url = new URL(String(from))
  } catch {
    // Said below.
  }
  const isSocket = url?.protocol === 'unix:' && url.host === '' && url.pathname.length > 1
  const isHost = /^https?:$/.test(url?.protocol ?? '') && url?.pathname === '/'
  if (url !== null && (isSocket || isHost) && `${url.username}${url.password}${url.search}${url.hash}` === '') {
    return isSocket ? `unix://${url.pathname}` : url.origin
  }
  throw new HookringError(
    'OPTIONS_INVALID',
    'plugin of runtime exhook: from must be http://HOST:PORT, https://HOST:PORT or unix:///PATH, and no more',
    { path: ['from'] },
  )
}

/** The file: URL of a file that exists. @throws HookringError PLUGIN_NOT_FOUND */
export async function findModule(from: string | URL, root: string = process.cwd()): Promise<string> {
  const url = await resolveFrom(from, root)
  if (!url.startsWith('file:')) {
    const advice = /^(?:https?|unix):/.test(url) ? " (a remote provider takes runtime: 'exhook')" : ''
    throw notFound(from, `only files and packages can be loaded, not ${url}${advice}`)
  }
  const path = pathIn(url, from)
  const found = await stat(path).catch(() => null)
  if (found?.isFile()) return url
  if (found !== null) throw notFound(from, `${path} is not a file`)
  const twin = await compiledTwin(path)
  if (twin === null) throw notFound(from, `${path} does not exist`)
  return pathToFileURL(twin).href
}

function pathIn(url: string, from: string | URL): string {
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw notFound(from, `${url} is not the URL of a file here`, cause)
  }
}

function notFound(from: string | URL, why: string, cause?: unknown): HookringError {
  return new HookringError('PLUGIN_NOT_FOUND', `plugin ${String(from)}: ${why}`, { cause })
}

/** Compilers leave the names in `new URL('./x.ts', import.meta.url)` as they are: what they made of x.ts lies beside it. */
const COMPILED: Readonly<Record<string, readonly string[]>> = {
  '.ts': ['.js'],
  '.tsx': ['.js', '.jsx'],
  '.mts': ['.mjs'],
  '.cts': ['.cjs'],
  '.js': ['.ts', '.tsx', '.jsx'],
  '.jsx': ['.tsx', '.js'],
  '.mjs': ['.mts'],
  '.cjs': ['.cts'],
}

async function compiledTwin(path: string): Promise<string | null> {
  const extension = /\.(?:[cm]?[jt]s|[jt]sx)$/.exec(path)?.[0] ?? ''
  const stem = path.slice(0, path.length - extension.length)
  for (const twin of COMPILED[extension] ?? []) {
    const found = await stat(stem + twin).catch(() => null)
    if (found?.isFile()) return stem + twin
  }
  return null
}

/** Paths are taken from the root; what does not look like one is a package, as seen from there. */
async function resolveFrom(from: string | URL, root: string): Promise<string> {
  if (from instanceof URL) return from.href
  if (/^[a-z][a-z0-9+.-]+:/i.test(from) && !isAbsolute(from)) return from
  if (isAbsolute(from) || from.startsWith('./') || from.startsWith('../'))
    return pathToFileURL(resolve(root, from)).href
  await checkManifest(from, root)
  try {
    return resolveModule(from, pathToFileURL(join(root, 'hookring')).href)
  } catch (cause) {
    throw notFound(from, `${(cause as Error).message} (a path must begin with ./ or /)`, cause)
  }
}

/** A package's package.json is read in this thread: it must be a file that ends, and not a pipe. */
async function checkManifest(from: string, root: string): Promise<void> {
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(from)?.[0] ?? from
  for (let folder = root; ; folder = dirname(folder)) {
    const manifest = join(folder, 'node_modules', name, 'package.json')
    const found = await stat(manifest).catch(() => null)
    if (found !== null && (!found.isFile() || found.size > MAX_MANIFEST_BYTES)) {
      throw notFound(from, `${manifest} is no package.json that can be read`)
    }
    if (found !== null || folder === dirname(folder)) return
  }
}
