/**
 * Finds a plugin's module and makes it loadable: paths, file URLs and package names become file: URLs, TypeScript is
 * turned into JavaScript once, on the host, before any lane is bothered. Host's thread only.
 */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { resolve as resolveModule } from 'import-meta-resolve'
import { HookringError } from '../contracts/errors.js'

export interface PluginSources {
  /**
   * The file: URL that lanes import.
   *
   * @throws HookringError PLUGIN_NOT_FOUND, PLUGIN_IMPORT_FAILED (TypeScript that does not parse), TYPESCRIPT_UNSUPPORTED
   */
  locate(from: string | URL): Promise<string>
  /** Removes what was written. */
  close(): Promise<void>
}

const TYPESCRIPT = /\.[cm]?ts$/

export function createPluginSources(): PluginSources {
  let folder: Promise<string> | null = null
  let count = 0

  async function outputFile(): Promise<string> {
    folder ??= mkdtemp(join(tmpdir(), 'hookring-'))
    count += 1
    return join(await folder, `plugin-${count}.mjs`)
  }

  return {
    async locate(from) {
      const url = await findModule(from)
      const path = fileURLToPath(url)
      return TYPESCRIPT.test(path) ? compile(path, url, outputFile) : url
    },
    async close() {
      if (folder !== null) await rm(await folder, { recursive: true, force: true })
    },
  }
}

async function findModule(from: string | URL): Promise<string> {
  const url = resolveFrom(from)
  if (!url.startsWith('file:')) {
    throw new HookringError(
      'PLUGIN_NOT_FOUND',
      `plugin ${String(from)}: only files and packages can be loaded, not ${url}`,
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

/**
 * Compiles with esbuild where it is installed: the same on every Node, enums included. Without it, Node's own type
 * stripping where this Node has it.
 */
async function compile(path: string, url: string, outputFile: () => Promise<string>): Promise<string> {
  const esbuild = await import('esbuild').catch(() => null)
  if (esbuild === null) {
    if ((process.features as { typescript?: unknown }).typescript) return url
    throw new HookringError(
      'TYPESCRIPT_UNSUPPORTED',
      `plugin ${path} is TypeScript, which Node.js ${process.version} does not load by itself: install esbuild, or Node.js 22.18 or later`,
    )
  }
  const output = await outputFile()
  try {
    const built = await esbuild.build({
      entryPoints: [path],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: `node${process.versions.node}`,
      sourcemap: 'inline',
      logLevel: 'silent',
      // The compiled file stands elsewhere; what the plugin reads beside itself must still be found.
      define: { 'import.meta.url': JSON.stringify(url), 'import.meta.filename': JSON.stringify(path) },
      plugins: [{ name: 'packages-in-place', setup: (build) => build.onResolve({ filter: /^[^./]/ }, resolvePackage) }],
    })
    await writeFile(output, built.outputFiles[0]?.contents ?? '')
  } catch (error) {
    throw new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${path} does not compile: ${(error as Error).message}`, {
      cause: error,
    })
  }
  return pathToFileURL(output).href
}

/** Packages stay where they are: they are imported by URL, as the plugin's own file would find them. */
function resolvePackage({ path, importer, kind }: { path: string; importer: string; kind: string }) {
  if (kind === 'entry-point' || isAbsolute(path)) return undefined
  if (path.startsWith('node:')) return { path, external: true }
  try {
    return { path: resolveModule(path, pathToFileURL(importer).href), external: true }
  } catch {
    // esbuild says what could not be found, and from where.
    return undefined
  }
}
