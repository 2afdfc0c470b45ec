/**
 * The part of esbuild's work that reads files, for plugins that are not trusted or are named by their hash: every import
 * goes through our resolver, every file through our reader, and esbuild itself opens none. A bundling process only.
 */
import { basename, dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { OnLoadArgs, OnLoadResult, OnResolveArgs, OnResolveResult, Plugin } from 'esbuild'
import { HookringError } from '../../../contracts/errors.js'
import { guestPart } from './engine-folders.js'
import { EnglishZod } from './english-zod.js'
import { loaderOf } from './forms.js'
import type { BundleForm, BundleJob } from './protocol.js'
import { NOT_COVERED, type Resolver, type SourceFile } from './resolver.js'
import { SourceRefusal } from './source-reader.js'

export interface OwnImportsOptions {
  readonly resolver: Resolver
  readonly form: BundleForm
  readonly isPinned: boolean
  readonly parts: BundleJob['parts']
  readonly entry: SourceFile
  /** The bytes that were checked. */
  readonly bytes: Uint8Array
}

/** Files are in it under names that tell nothing of where they are. */
const NAMESPACE = 'plugin'
const NOTHING = 'nothing'
const MISSING = 'missing'
export const ENTRY = 'plugin'
/**
 * Where esbuild looks for what a pattern such as `import('./' + name)` may mean: it asks no plugin about that. There is no
 * such folder, and what it finds by going up from here is refused when it is loaded.
 */
const NOWHERE = `/dev/null/${'x/'.repeat(64)}`
export const BY_PATTERN = 'it imports by a pattern, such as import("./" + name): name each file that it may need'
const MOST_NAME_CHARS = 120
const MOST_IN_CHAIN = 20

export class OwnImports {
  /** The first refusal: what esbuild makes of it has no code. */
  refusal: HookringError | null = null
  readonly #options: OwnImportsOptions
  readonly #names = new Map<string, string>()
  readonly #files = new Map<string, SourceFile>()
  /** Who imported a file first. */
  readonly #importers = new Map<string, SourceFile>()
  readonly #english = new EnglishZod()

  constructor(options: OwnImportsOptions) {
    this.#options = options
  }

  plugin(): Plugin {
    return {
      name: 'hookring',
      setup: (build) => {
        build.onResolve({ filter: /.*/ }, (args) => this.#guarded(() => this.#resolve(args)))
        build.onLoad({ filter: /.*/ }, (args) => this.#guarded(() => this.#load(args)))
      },
    }
  }

  /** The file of a name that esbuild knows it by. */
  fileOf(name: string): SourceFile | undefined {
    return this.#files.get(name)
  }

  /** The plugin's files that were read, by their paths. */
  ownFiles(): string[] {
    return [...this.#files.values()].filter(({ owner }) => owner === 'plugin').map(({ path }) => path)
  }

  /** esbuild would wrap what is thrown into a text of its own, with a stack. */
  #guarded<Result extends { errors?: object[] }>(work: () => Result): Result | { errors: { text: string }[] } {
    try {
      return work()
    } catch (error) {
      if (error instanceof HookringError) this.refusal ??= error
      else if (!(error instanceof SourceRefusal))
        this.refusal ??= new HookringError('PLUGIN_IMPORT_FAILED', 'it cannot be read')
      return { errors: [{ text: (error as Error).message }] }
    }
  }

  #resolve({ path, kind, importer, with: attributes = {} }: OnResolveArgs): OnResolveResult {
    const { entry, form } = this.#options
    if (kind === 'entry-point') return this.#taken(entry)
    const from = this.#files.get(importer)
    if (from === undefined) throw new SourceRefusal(`${shown(path)} cannot be imported here`)
    if (kind !== 'import-statement' && kind !== 'dynamic-import' && kind !== 'require-call') {
      throw new SourceRefusal(`${kind} of ${shown(path)} is not supported`)
    }
    this.#checkAttributes(path, attributes)
    const english = form === 'guest' ? this.#english.resolve(path, from) : null
    if (english !== null) return { path: this.#nameOf(english), namespace: NAMESPACE, sideEffects: false }
    try {
      const resolution = this.#options.resolver.resolve(path, from, kind === 'require-call' ? 'require' : 'import')
      switch (resolution.is) {
        case 'file':
          if (attributes.type === 'json' && !resolution.file.path.endsWith('.json'))
            throw new SourceRefusal('is not JSON')
          if (!this.#importers.has(resolution.file.path)) this.#importers.set(resolution.file.path, from)
          return this.#taken(resolution.file)
        case 'builtin':
          // Imports of which nothing is used vanish; what is left of them is refused when the whole is known.
          return { path: resolution.name, external: true, sideEffects: false }
        case 'nothing':
          return { path: basename(path), namespace: NOTHING }
        case 'missing':
          if (kind === 'import-statement') throw new SourceRefusal('is not installed where the plugin would find it')
          return { path, namespace: MISSING }
      }
    } catch (error) {
      if (!(error instanceof SourceRefusal)) throw error
      throw this.#explained(path, from, error.message)
    }
  }

  #explained(specifier: string, from: SourceFile, why: string): HookringError {
    const text =
      why === NOT_COVERED
        ? `its integrity does not cover ${shown(specifier)}: make one file of them`
        : `${this.#chainTo(from)} imports ${shown(specifier)}, which ${why}`
    return new HookringError('PLUGIN_IMPORT_FAILED', text)
  }

  /** The files that lead from the plugin to one of its own. */
  #chainTo(file: SourceFile): string {
    const names: string[] = []
    for (let at: SourceFile | undefined = file; at !== undefined && names.length < MOST_IN_CHAIN; ) {
      names.unshift(displayName(this.#nameOf(at)))
      at = at === this.#options.entry ? undefined : this.#importers.get(at.path)
    }
    return names.join(' -> ')
  }

  #checkAttributes(path: string, attributes: Readonly<Record<string, string>>): void {
    const other = Object.entries(attributes).find(([name, value]) => name !== 'type' || value !== 'json')
    if (other === undefined) return
    const text = `import attribute ${shown(other.join(': '))} of ${shown(path)} is not supported, type: 'json' alone is`
    throw new HookringError('PLUGIN_IMPORT_FAILED', text)
  }

  #taken(file: SourceFile): OnResolveResult {
    const { form, entry } = this.#options
    // In a lane the engine's own modules are there already, and must be the same ones.
    if (form === 'module' && file.owner === 'engine') return { path: pathToFileURL(file.path).href, external: true }
    return { path: this.#nameOf(file), namespace: NAMESPACE, sideEffects: file === entry || file.hasSideEffects }
  }

  #load({ path: name, namespace }: OnLoadArgs): OnLoadResult {
    if (namespace === NOTHING) return { contents: '', loader: 'js' }
    if (namespace === MISSING) return { contents: missingPackage(name), loader: 'js' }
    const file = this.#files.get(name)
    if (namespace !== NAMESPACE || file === undefined) throw this.#globRefusal()
    const { entry, bytes, resolver, form, parts } = this.#options
    if (file === entry) return loaded(file, bytes)
    const english = this.#english.contentsOf(file)
    if (english !== null) return { contents: english, loader: 'js', resolveDir: NOWHERE }
    // Plugins that ship import their contract by its path.
    const part = form === 'module' ? null : guestPart(file.path, parts)
    if (part !== null) return { contents: part, loader: 'js', resolveDir: NOWHERE }
    return loaded(file, resolver.tree.reader.read(file.path))
  }

  #globRefusal(): HookringError {
    const { isPinned } = this.#options
    return new HookringError(
      'PLUGIN_IMPORT_FAILED',
      isPinned ? 'its integrity does not cover what it imports by a pattern: make one file of them' : BY_PATTERN,
    )
  }

  /**
   * A name for a file, as short as it can be: from the plugin's own folder, or from its package. esbuild decides by a file's
   * extension how a module takes CommonJS in, so a .js file of a package of modules is called .mjs.
   */
  #nameOf(file: SourceFile): string {
    const known = this.#names.get(file.path)
    if (known !== undefined) return known
    const folders = [dirname(this.#options.entry.path), ...this.#options.resolver.roots]
    const folder = folders.find((each) => file.path.startsWith(`${each}/`)) ?? ''
    const path = file.path.slice(folder.length + 1).replace(/^.*node_modules\//s, '')
    const short = folder === '' && path.length === file.path.length - 1 ? basename(path) : path
    const typed = file.isModule ? short.replace(/\.([jt]s)$/, '.$1.m$1') : short
    let name = typed
    for (let count = 2; this.#files.has(name); count += 1) name = `${count}/${typed}`
    this.#names.set(file.path, name)
    this.#files.set(name, file)
    return name
  }
}

/** As files are named to whoever reads an error. */
export function displayName(name: string): string {
  return name.replace(/\.([jt]s)\.m[jt]s$/, '.$1')
}

function loaded(file: SourceFile, contents: Uint8Array): OnLoadResult {
  return { contents, loader: loaderOf(file.path), resolveDir: NOWHERE }
}

/** As Node.js says it, when and where it is asked for. */
function missingPackage(name: string): string {
  const text = JSON.stringify(`Cannot find package '${name}'`)
  return `throw Object.assign(new Error(${text}), { code: 'MODULE_NOT_FOUND' })`
}

/** What the plugin wrote, clipped. */
function shown(specifier: string): string {
  const clipped = specifier.length > MOST_NAME_CHARS ? `${specifier.slice(0, MOST_NAME_CHARS)}…` : specifier
  return /^[\w@./:#-]+$/.test(clipped) ? clipped : JSON.stringify(clipped)
}
