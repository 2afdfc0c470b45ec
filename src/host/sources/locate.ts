/**
 * Finds a plugin's module and makes it loadable: paths, file URLs and package names become file: URLs; what is not loaded as
 * it stands becomes one file in a folder of the engine's own. Bundling and hashing are done elsewhere, in a process and a
 * thread. The server's thread only.
 */
import { realpath } from 'node:fs/promises'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { COMPILED_SOURCE, type CompilerKind } from '../../contracts/compiling.js'
import { HookringError } from '../../contracts/errors.js'
import type { ResolvedPluginOptions } from '../../contracts/option-schemas.js'
import { DEFAULTS } from '../../contracts/options.js'
import type { Boundary, RuntimeName } from '../../contracts/runtimes.js'
import { type BundleForm, Bundler, type PluginToBundle } from './bundler/index.js'
import { type Compiler, compilerKind } from './compiler/index.js'
import { findModule, providerUrl } from './find-module.js'
import { OwnFolder } from './own-folder.js'
import { copyPinned } from './pinned-copy.js'
import { rootFolder } from './root-folder.js'
import { sourceFoldersOf } from './source-folders.js'

export interface PluginSources {
  /**
   * The file: URL of what lanes load; of a remote provider where it is reached. With an integrity value it is a file of our
   * own, of bytes that match it.
   *
   * @throws HookringError OPTIONS_INVALID, PLUGIN_NOT_FOUND, PLUGIN_IMPORT_FAILED (it does not compile, or imports what it
   * may not), PLUGIN_BUNDLE_TIMEOUT, PLUGIN_BUNDLE_TOO_LARGE, TYPESCRIPT_UNSUPPORTED, ESBUILD_MISSING, INTEGRITY_MISMATCH,
   * SOURCES_UNWRITABLE
   */
  locate(from: string | URL, needs?: SourceNeeds): Promise<string>
  /**
   * Before a lane loads these URLs: what was made for them and is gone from the temporary folder is made anew, of the same
   * bytes.
   *
   * @throws HookringError SOURCES_UNWRITABLE, INTEGRITY_MISMATCH
   */
  ensure(urls: readonly string[]): Promise<void>
  /** The files that what lanes load from the URL was made of, packages left out. */
  filesOf(url: string): readonly string[]
  /** No lane loads these URLs any more: what was made for them is removed. Never rejects. */
  release(urls: readonly string[]): Promise<void>
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
  /** Who loads what is located has TypeScript compiled by it, in place. Left out: TypeScript becomes a bundle too. */
  readonly compiler?: Pick<Compiler, 'forget' | 'close'> | undefined
  /** See EngineSettings. */
  readonly root?: string | URL | undefined
}

/** @throws HookringError OPTIONS_INVALID */
export function createPluginSources(options: PluginSourcesOptions = {}): PluginSources {
  const { timeoutMs = DEFAULTS.setupTimeoutMs, compiler, root } = options
  return new Sources({ bundler: new Bundler({ timeoutMs }), compiler, root: rootFolder(root) })
}

interface SourcesParts extends Pick<PluginSourcesOptions, 'compiler'> {
  readonly bundler: Bundler
  readonly root: string
}

class Sources implements PluginSources {
  readonly #bundler: Bundler
  readonly #compiler: PluginSourcesOptions['compiler']
  readonly #root: string
  readonly #folder = new OwnFolder()
  /** By what was made of them. */
  readonly #files = new Map<string, readonly string[]>()

  constructor({ bundler, compiler, root }: SourcesParts) {
    this.#bundler = bundler
    this.#compiler = compiler
    this.#root = root
  }

  async locate(from: string | URL, needs: SourceNeeds = { runtime: 'module', boundary: 'thread' }): Promise<string> {
    if (needs.runtime === 'exhook') return providerUrl(from)
    const url = await findModule(from, this.#root)
    const path = fileURLToPath(url)
    const form = formOf(needs, path)
    if (form === 'as it is') return url
    if (form === 'copy') {
      const make = (file: string) => copyPinned(path, file, needs.integrity as string)
      return this.#made(await this.#folder.make(extname(path), make), [path])
    }
    if (form === 'module' && needs.integrity === undefined) {
      const kind = checkedCompiler(path, this.#compiler !== undefined)
      this.#compiler?.forget()
      if (this.#compiler !== undefined || kind === 'strip') return url
    }
    const job = await jobOf(path, form, needs, this.#root)
    const { contents, files } = await this.#bundler.bundle(job)
    return this.#made(await this.#folder.write(contents), [job.path, ...files])
  }

  ensure(urls: readonly string[]): Promise<void> {
    return this.#folder.ensure(urls)
  }

  filesOf(url: string): readonly string[] {
    return this.#files.get(url) ?? [fileURLToPath(url)]
  }

  release(urls: readonly string[]): Promise<void> {
    for (const url of urls) this.#files.delete(url)
    return this.#folder.release(urls)
  }

  #made(url: string, files: readonly string[]): string {
    this.#files.set(url, files)
    return url
  }

  async close(): Promise<void> {
    await this.#bundler.close()
    await this.#folder.close()
    await this.#compiler?.close()
  }
}

/** What lanes load: the file itself, a copy of it that was checked, or a bundle. */
function formOf({ runtime, boundary, integrity }: SourceNeeds, path: string): BundleForm | 'copy' | 'as it is' {
  if (runtime === 'wasm' || runtime === 'native') return integrity === undefined ? 'as it is' : 'copy'
  if (runtime !== 'module') return 'guest'
  if (boundary === 'process') return 'process'
  return integrity !== undefined || COMPILED_SOURCE.test(path) ? 'module' : 'as it is'
}

async function jobOf(path: string, form: BundleForm, needs: SourceNeeds, root: string): Promise<PluginToBundle> {
  const { runtime, trust = 'trusted', integrity, sourceRoots = [] } = needs
  const about = { form, runtime, integrity: integrity ?? null }
  if (integrity === undefined && trust === 'trusted') {
    return { ...about, path, reach: 'open', folders: { roots: [], packages: [] } }
  }
  const real = await realpath(path)
  if (integrity !== undefined)
    return { ...about, path: real, reach: 'pinned', folders: { roots: [real], packages: [] } }
  return { ...about, path: real, reach: 'roots', folders: await sourceFoldersOf(real, sourceRoots, root) }
}

/** @throws HookringError TYPESCRIPT_UNSUPPORTED */
function checkedCompiler(path: string, isInPlace: boolean): CompilerKind {
  const kind = compilerKind()
  const isNative = Boolean((process.features as { typescript?: unknown }).typescript)
  if (kind === 'esbuild' || (kind === 'strip' && (isInPlace || isNative))) return kind
  throw new HookringError(
    'TYPESCRIPT_UNSUPPORTED',
    `plugin ${path} is TypeScript, which Node.js ${process.version} does not load by itself: install esbuild, or Node.js 22.18 or later`,
  )
}
