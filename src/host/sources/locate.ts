/**
 * Finds a plugin's module and makes it loadable: paths, file URLs and package names become file: URLs; what is not loaded as
 * it stands becomes one file in a folder of the engine's own. Bundling and hashing are done elsewhere, in a process and a
 * thread. The server's thread only.
 */
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { HookringError } from '../../contracts/errors.js'
import type { ResolvedPluginOptions } from '../../contracts/option-schemas.js'
import { DEFAULTS } from '../../contracts/options.js'
import type { Boundary, RuntimeName } from '../../contracts/runtimes.js'
import { type BundleForm, type BundleJob, Bundler } from './bundler/index.js'
import { findModule, providerUrl } from './find-module.js'
import { copyPinned } from './pinned-copy.js'
import { sourceFoldersOf } from './source-folders.js'

export interface PluginSources {
  /**
   * The file: URL of what lanes load; of a remote provider where it is reached. With an integrity value it is a file of our
   * own, of bytes that match it.
   *
   * @throws HookringError OPTIONS_INVALID, PLUGIN_NOT_FOUND, PLUGIN_IMPORT_FAILED (it does not compile, or imports what it
   * may not), PLUGIN_BUNDLE_TIMEOUT, PLUGIN_BUNDLE_TOO_LARGE, TYPESCRIPT_UNSUPPORTED, ESBUILD_MISSING, INTEGRITY_MISMATCH
   */
  locate(from: string | URL, needs?: SourceNeeds): Promise<string>
  /** Removes what was written. */
  close(): Promise<void>
}

export interface SourceNeeds extends Pick<Partial<ResolvedPluginOptions>, 'trust' | 'integrity' | 'sourceRoots'> {
  readonly runtime: RuntimeName
  readonly boundary: Boundary
}

export interface PluginSourcesOptions {
  /** How long a bundle of a plugin that is not trusted may take. Left out: the default of setupTimeoutMs. */
  readonly timeoutMs?: number | undefined
}

/** Of the folders that bundles and copies are written to, in the system's folder for such. */
export const BUNDLES_PREFIX = 'hookring-'

const TYPESCRIPT = /\.[cm]?ts$/

export function createPluginSources({ timeoutMs = DEFAULTS.setupTimeoutMs }: PluginSourcesOptions = {}): PluginSources {
  return new Sources(new Bundler({ timeoutMs }))
}

class Sources implements PluginSources {
  readonly #bundler: Bundler
  #folder: Promise<string> | null = null
  #count = 0

  constructor(bundler: Bundler) {
    this.#bundler = bundler
  }

  async locate(from: string | URL, needs: SourceNeeds = { runtime: 'module', boundary: 'thread' }): Promise<string> {
    if (needs.runtime === 'exhook') return providerUrl(from)
    const url = await findModule(from)
    const path = fileURLToPath(url)
    const form = formOf(needs, path)
    if (form === 'as it is') return url
    if (form === 'copy') return this.#copy(path, needs.integrity as string)
    if (form === 'module' && needs.integrity === undefined && !canCompile()) return typesStripped(url, path)
    const job = await jobOf(path, form, needs)
    return this.#write(await this.#bundler.bundle(job))
  }

  async close(): Promise<void> {
    await this.#bundler.close()
    if (this.#folder !== null) await rm(await this.#folder, { recursive: true, force: true })
  }

  async #copy(path: string, integrity: string): Promise<string> {
    const file = await this.#newFile(extname(path))
    await copyPinned(path, file, integrity)
    return pathToFileURL(file).href
  }

  async #write(contents: Uint8Array): Promise<string> {
    const file = await this.#newFile('.mjs')
    await writeFile(file, contents)
    return pathToFileURL(file).href
  }

  async #newFile(extension: string): Promise<string> {
    this.#folder ??= mkdtemp(join(tmpdir(), BUNDLES_PREFIX))
    this.#count += 1
    const folder = await this.#folder
    // A cleaner of temporary files may have been here.
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return join(folder, `plugin-${this.#count}${extension}`)
  }
}

/** What lanes load: the file itself, a copy of it that was checked, or a bundle. */
function formOf({ runtime, boundary, integrity }: SourceNeeds, path: string): BundleForm | 'copy' | 'as it is' {
  if (runtime === 'wasm' || runtime === 'native') return integrity === undefined ? 'as it is' : 'copy'
  if (runtime !== 'module') return 'guest'
  if (boundary === 'process') return 'process'
  return integrity !== undefined || TYPESCRIPT.test(path) ? 'module' : 'as it is'
}

async function jobOf(path: string, form: BundleForm, needs: SourceNeeds): Promise<BundleJob> {
  const { runtime, trust = 'trusted', integrity, sourceRoots = [] } = needs
  const about = { form, runtime, integrity: integrity ?? null }
  if (integrity === undefined && trust === 'trusted') {
    return { ...about, path, reach: 'open', folders: { roots: [], packages: [] } }
  }
  const real = await realpath(path)
  if (integrity !== undefined)
    return { ...about, path: real, reach: 'pinned', folders: { roots: [real], packages: [] } }
  return { ...about, path: real, reach: 'roots', folders: await sourceFoldersOf(real, sourceRoots) }
}

function canCompile(): boolean {
  try {
    import.meta.resolve('esbuild')
    return true
  } catch {
    return false
  }
}

/** Without esbuild, Node's own type stripping where this Node has it. @throws HookringError TYPESCRIPT_UNSUPPORTED */
function typesStripped(url: string, path: string): string {
  if ((process.features as { typescript?: unknown }).typescript) return url
  throw new HookringError(
    'TYPESCRIPT_UNSUPPORTED',
    `plugin ${path} is TypeScript, which Node.js ${process.version} does not load by itself: install esbuild, or Node.js 22.18 or later`,
  )
}
