/**
 * Finds a plugin's module and makes it loadable: paths, file URLs and package names become file: URLs, TypeScript is
 * turned into JavaScript once, on the host, before any lane is bothered. Host's thread only.
 */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, extname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { resolve as resolveModule } from 'import-meta-resolve'
import { HookringError } from '../../contracts/errors.js'
import type { Boundary, RuntimeName } from '../../contracts/runtimes.js'
import { bundleForGuest } from './bundle-for-guest.js'
import { bundleForProcess } from './bundle-for-process.js'
import { checkIntegrity } from './integrity.js'

export interface PluginSources {
  /**
   * The file: URL of what lanes load; of a remote provider where it is reached. With an integrity value it is a copy of bytes that match it, in a folder of our own.
   *
   * @throws HookringError OPTIONS_INVALID, PLUGIN_NOT_FOUND, PLUGIN_IMPORT_FAILED (it does not compile), TYPESCRIPT_UNSUPPORTED,
   * ESBUILD_MISSING, INTEGRITY_MISMATCH
   */
  locate(from: string | URL, needs?: SourceNeeds): Promise<string>
  /** Removes what was written. */
  close(): Promise<void>
}

export interface SourceNeeds {
  readonly runtime: RuntimeName
  readonly boundary: Boundary
  readonly integrity?: string | undefined
}

/** Of the folders that bundles and compiled plugins are written to, in the system's folder for such. */
export const BUNDLES_PREFIX = 'hookring-'

const TYPESCRIPT = /\.[cm]?ts$/

export function createPluginSources(): PluginSources {
  let folder: Promise<string> | null = null
  let count = 0

  async function write(contents: Uint8Array, extension: string): Promise<string> {
    folder ??= mkdtemp(join(tmpdir(), BUNDLES_PREFIX))
    count += 1
    const file = join(await folder, `plugin-${count}${extension}`)
    await writeFile(file, contents)
    return pathToFileURL(file).href
  }

  return {
    async locate(from, { runtime, boundary, integrity } = { runtime: 'module', boundary: 'thread' }) {
      if (runtime === 'exhook') return providerUrl(from)
      const url = await findModule(from)
      const path = fileURLToPath(url)
      const isBinary = runtime === 'wasm' || runtime === 'native'
      const isBundled = runtime === 'quickjs' || runtime === 'compartment'
      const isApart = runtime === 'module' && boundary === 'process'
      const isCompiled = !isBinary && (integrity !== undefined || TYPESCRIPT.test(path))
      if (integrity === undefined && !isCompiled && !isBundled && !isApart) return url
      const bytes = await readFile(path)
      if (integrity !== undefined) checkIntegrity(bytes, integrity, path)
      if (isBinary) return write(bytes, extname(path))
      if (isApart)
        return write(await bundleForProcess({ path, bytes, isPinned: integrity !== undefined, runtime }), '.mjs')
      if (isBundled)
        return write(await bundleForGuest({ path, bytes, isPinned: integrity !== undefined, runtime }), '.mjs')
      const compiled = await compile({ path, url, bytes, isPinned: integrity !== undefined })
      return compiled === null ? url : write(compiled, '.mjs')
    },
    async close() {
      if (folder !== null) await rm(await folder, { recursive: true, force: true })
    },
  }
}

/** Of a provider: `http://HOST:PORT`, `https://HOST:PORT` or `unix:///PATH`. @throws HookringError OPTIONS_INVALID */
function providerUrl(from: string | URL): string {
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

async function findModule(from: string | URL): Promise<string> {
  const url = resolveFrom(from)
  if (!url.startsWith('file:')) {
    throw new HookringError(
      'PLUGIN_NOT_FOUND',
      `plugin ${String(from)}: only files and packages can be loaded, not ${url}${/^(?:https?|unix):/.test(url) ? " (a remote provider takes runtime: 'exhook')" : ''}`,
    )
  }
  const found = await stat(new URL(url)).catch(() => null)
  if (found?.isFile()) return url
  const what = found === null ? 'does not exist' : 'is not a file'
  throw new HookringError('PLUGIN_NOT_FOUND', `plugin ${String(from)}: ${fileURLToPath(url)} ${what}`)
}

/** Paths are taken from the working directory; what does not look like one is a package, as seen from there. */
function resolveFrom(from: string | URL): string {
  if (from instanceof URL) return from.href
  if (/^[a-z][a-z0-9+.-]+:/i.test(from) && !isAbsolute(from)) return from
  if (isAbsolute(from) || from.startsWith('./') || from.startsWith('../')) return pathToFileURL(resolve(from)).href
  try {
    return resolveModule(from, pathToFileURL(join(process.cwd(), 'hookring')).href)
  } catch (error) {
    throw new HookringError(
      'PLUGIN_NOT_FOUND',
      `plugin ${from}: ${(error as Error).message} (a path must begin with ./ or /)`,
      { cause: error },
    )
  }
}

interface Source {
  readonly path: string
  readonly url: string
  readonly bytes: Uint8Array
  /** Its bytes were named by their hash: it must bring all that it runs. */
  readonly isPinned: boolean
}

/**
 * Compiles with esbuild where it is installed: the same on every Node, enums included. Without it, Node's own type
 * stripping where this Node has it.
 */
async function compile({ path, url, bytes, isPinned }: Source): Promise<Uint8Array | null> {
  const esbuild = await import('esbuild').catch(() => null)
  if (esbuild === null) {
    if (isPinned) {
      throw new HookringError(
        'ESBUILD_MISSING',
        `plugin ${path} has an integrity value, which takes esbuild to keep: install it`,
      )
    }
    if ((process.features as { typescript?: unknown }).typescript) return null
    throw new HookringError(
      'TYPESCRIPT_UNSUPPORTED',
      `plugin ${path} is TypeScript, which Node.js ${process.version} does not load by itself: install esbuild, or Node.js 22.18 or later`,
    )
  }
  try {
    const built = await esbuild.build({
      // The bytes that were checked, not what may stand in the file by now.
      stdin: {
        contents: bytes,
        sourcefile: path,
        resolveDir: dirname(path),
        loader: TYPESCRIPT.test(path) ? 'ts' : 'js',
      },
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: `node${process.versions.node}`,
      sourcemap: 'inline',
      logLevel: 'silent',
      // The compiled file stands elsewhere; what the plugin reads beside itself must still be found.
      define: { 'import.meta.url': JSON.stringify(url), 'import.meta.filename': JSON.stringify(path) },
      plugins: [
        {
          name: 'packages-in-place',
          setup: (build) =>
            build.onResolve(
              { filter: /.*/ },
              (args) => (isPinned ? refuseUnpinned(args, path) : undefined) ?? resolvePackage(args),
            ),
        },
      ],
    })
    return built.outputFiles[0]?.contents ?? new Uint8Array()
  } catch (error) {
    throw new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${path} does not compile: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** What is part of this package, or of Node.js: the rest of what a pinned plugin runs must be in the pinned file. */
const PINNED_BY_US = /^(?:node:|hookring(?:\/|$)|zod(?:\/|$))/

function refuseUnpinned({ path, kind }: { path: string; kind: string }, plugin: string) {
  if (kind === 'entry-point' || PINNED_BY_US.test(path)) return undefined
  return { errors: [{ text: `the integrity of ${plugin} does not cover ${path}: make one file of them` }] }
}

/** Packages stay where they are: they are imported by URL, as the plugin's own file would find them. */
function resolvePackage({ path, importer, kind }: { path: string; importer: string; kind: string }) {
  if (kind === 'entry-point' || /^[./]/.test(path) || isAbsolute(path)) return undefined
  if (path.startsWith('node:')) return { path, external: true }
  try {
    return { path: resolveModule(path, pathToFileURL(importer).href), external: true }
  } catch {
    // esbuild says what could not be found, and from where.
    return undefined
  }
}
