/**
 * Finds what the imports of a plugin mean, as Node.js and bundlers would, inside the folders that its sources may come from:
 * its own, the packages that are found for it, and the engine's own copies of hookring and zod. No tsconfig has a say. A
 * bundling process only.
 */
import { isBuiltin } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { mapped, NO_MANIFEST } from './manifest.js'
import type { SourceFolders } from './protocol.js'
import { type Found, isInside, SourceRefusal } from './source-reader.js'
import { inFolder, type Scope, SourceTree } from './source-tree.js'

/** A file that a bundle takes in. */
export interface SourceFile {
  readonly path: string
  /** Where its relative imports may lead. */
  readonly areas: readonly string[]
  /** Where its packages are looked for. */
  readonly folders: SourceFolders
  readonly owner: 'plugin' | 'package' | 'engine'
  /** Its package.json says so of .js and .ts files. */
  readonly isModule: boolean
  readonly hasSideEffects: boolean
}

export type Resolution =
  | { readonly is: 'file'; readonly file: SourceFile }
  /** Of Node.js. */
  | { readonly is: 'builtin'; readonly name: string }
  /** A package.json says that it is left out in browsers. */
  | { readonly is: 'nothing' }
  /** There is no such package: what imports it may be able to live without. */
  | { readonly is: 'missing'; readonly name: string }

export interface ResolverOptions {
  readonly folders: SourceFolders
  readonly engine: EnginePackages
  /** For runtimes without Node.js: packages are taken as a browser would take them. */
  readonly isGuest: boolean
  /** Nothing but the engine's own packages may be imported by the plugin. */
  readonly isPinned: boolean
}

/** Where this package stands, and where it finds zod and others. */
export interface EnginePackages {
  readonly home: string
  readonly folders: SourceFolders
}

const SOURCE_NAME = /\.(?:[cm]?[jt]s|[jt]sx|json)$/
export const NOT_COVERED = 'is not covered by its integrity'
const MAX_SPECIFIER_CHARS = 2048

type Kind = 'import' | 'require'
type Place = Pick<SourceFile, 'areas' | 'folders' | 'owner'>

export class Resolver {
  readonly tree = new SourceTree()
  readonly #options: ResolverOptions
  readonly #conditions: Readonly<Record<Kind, ReadonlySet<string>>>
  readonly #fields: Readonly<Record<Kind, readonly string[]>>

  constructor(options: ResolverOptions) {
    const { isGuest } = options
    const platform = isGuest ? 'browser' : 'node'
    this.#options = options
    this.#conditions = {
      import: new Set([platform, 'module', 'import']),
      require: new Set([platform, 'module', 'require']),
    }
    this.#fields = isGuest
      ? { import: ['browser', 'module', 'main'], require: ['browser', 'main', 'module'] }
      : { import: ['main', 'module'], require: ['main', 'module'] }
  }

  /** The plugin's own folders. */
  get roots(): readonly string[] {
    return this.#options.folders.roots
  }

  /** The plugin's own file. @throws SourceRefusal */
  entry(path: string): SourceFile {
    const { folders } = this.#options
    const found = this.tree.file(path, folders.roots)
    if (found === null) throw new SourceRefusal('does not exist')
    return this.#file(found, { areas: folders.roots, folders, owner: 'plugin' })
  }

  /** @throws SourceRefusal, which says what is wrong with the import and names nothing besides */
  resolve(specifier: string, importer: SourceFile, kind: Kind): Resolution {
    if (specifier.length > MAX_SPECIFIER_CHARS || specifier.includes('\0')) throw new SourceRefusal('is not a name')
    if (specifier.startsWith('node:')) {
      if (isBuiltin(specifier)) return { is: 'builtin', name: specifier }
      throw new SourceRefusal('is no module of Node.js')
    }
    if (/^(?:\.{0,2}\/|\.{1,2}$)/.test(specifier)) return this.#relative(specifier, importer, kind)
    if (specifier.startsWith('file:')) return this.#relative(pathOf(specifier), importer, kind)
    if (/^[a-z][a-z0-9+.-]*:/i.test(specifier)) throw new SourceRefusal('is neither a file nor a package')
    if (specifier.startsWith('#')) return this.#internal(specifier, importer, kind)
    const replaced = this.#replacement(specifier, importer)
    if (replaced === undefined) return this.#bare(specifier, importer, kind)
    if (replaced === false) return { is: 'nothing' }
    if (!replaced.startsWith('.')) return this.#bare(replaced, importer, kind)
    return this.#target((this.#scopeOf(importer) as Scope).folder, replaced, importer)
  }

  #relative(specifier: string, importer: SourceFile, kind: Kind): Resolution {
    this.#checkCovered(importer)
    const found = this.tree.probe(resolve(dirname(importer.path), specifier), importer.areas, this.#fields[kind])
    if (found === null) throw new SourceRefusal('does not exist')
    return this.#inPlaceOf(found, importer)
  }

  /** A name of the package's own: `#name`. */
  #internal(specifier: string, importer: SourceFile, kind: Kind): Resolution {
    this.#checkCovered(importer)
    const scope = this.#scopeOf(importer)
    const to = scope === null ? null : mapped(scope.manifest.imports ?? {}, specifier, this.#conditions[kind])
    if (scope === null || to === null) throw new SourceRefusal('is not among the imports of its package.json')
    return to.startsWith('.') ? this.#target(scope.folder, to, importer) : this.#bare(to, importer, kind)
  }

  #bare(specifier: string, importer: SourceFile, kind: Kind): Resolution {
    const { isGuest, isPinned } = this.#options
    const { name, subpath } = partsOf(specifier)
    if (name === 'hookring') return { is: 'file', file: this.#door(subpath) }
    const isCovered = !isPinned || importer.owner !== 'plugin'
    if (!isCovered && name === 'zod') return this.#bare(specifier, this.#engineFile(), kind)
    // A guest takes a package of the same name, such as `events`, which runs without Node.js.
    if (isBuiltin(specifier) && (!isGuest || !isCovered)) return { is: 'builtin', name: specifier }
    this.#checkCovered(importer)
    const found = this.#itself(name, subpath, importer, kind) ?? this.#installed(name, subpath, importer, kind)
    if (found !== null) return found
    if (isBuiltin(specifier)) return { is: 'builtin', name: specifier }
    // A plugin that has no zod installed has the engine's.
    if (name === 'zod' && importer.owner !== 'engine') return this.#bare(specifier, this.#engineFile(), kind)
    return { is: 'missing', name }
  }

  #checkCovered(importer: SourceFile): void {
    if (this.#options.isPinned && importer.owner === 'plugin') throw new SourceRefusal(NOT_COVERED)
  }

  /** A package may import itself by its name. */
  #itself(name: string, subpath: string, importer: SourceFile, kind: Kind): Resolution | null {
    const scope = this.#scopeOf(importer)
    if (scope === null || scope.manifest.name !== name || scope.manifest.exports === null) return null
    return this.#exported(scope, subpath, importer, kind)
  }

  /** In the nearest `node_modules` folder that has it. */
  #installed(name: string, subpath: string, importer: SourceFile, kind: Kind): Resolution | null {
    const { folders } = importer
    const areas = [...folders.roots, ...folders.packages]
    for (let folder = dirname(importer.path); ; folder = dirname(folder)) {
      const packages = join(folder, 'node_modules')
      if (basename(folder) !== 'node_modules' && isInside(packages, areas)) {
        const found = this.#findPackage(join(packages, name), areas)
        if (found !== null) return this.#inPackage(found, subpath, importer, kind)
      }
      if (folder === dirname(folder)) return null
    }
  }

  #findPackage(path: string, areas: readonly string[]): Found | null {
    try {
      const found = this.tree.reader.find(path, areas)
      return found?.kind === 'folder' ? found : null
    } catch (error) {
      if (!(error instanceof SourceRefusal)) throw error
      throw new SourceRefusal(`${error.message}: name the folder that it leads to in sourceRoots, if it may be read`)
    }
  }

  #inPackage(found: Found, subpath: string, importer: SourceFile, kind: Kind): Resolution {
    const { folders } = importer
    const isOwn = isInside(found.path, folders.roots)
    const owner = importer.owner === 'engine' ? 'engine' : isOwn ? 'plugin' : 'package'
    const place: Place = { areas: isOwn ? folders.roots : [found.path], folders, owner }
    const manifest = this.tree.manifest(found.path, place.areas) ?? NO_MANIFEST
    if (manifest.exports !== null) return this.#exported({ folder: found.path, manifest }, subpath, place, kind)
    const at = this.tree.probe(join(found.path, subpath), place.areas, this.#fields[kind])
    if (at === null) throw new SourceRefusal('has no such file')
    return this.#inPlaceOf(at, place)
  }

  #exported(scope: Scope, subpath: string, place: Place, kind: Kind): Resolution {
    const to = mapped(scope.manifest.exports, subpath, this.#conditions[kind])
    if (to === null) throw new SourceRefusal('is not among the exports of its package.json')
    return this.#target(scope.folder, to, place)
  }

  /** What a package.json names: a file, exactly. */
  #target(folder: string, to: string, place: Place): Resolution {
    const found = this.tree.file(join(folder, to), place.areas)
    if (found === null) throw new SourceRefusal('is mapped by its package.json to a file that does not exist')
    return this.#inPlaceOf(found, place)
  }

  /** A file, or what its package has in its place for browsers. */
  #inPlaceOf(found: Found, place: Place): Resolution {
    const scope = this.#options.isGuest && place.owner !== 'engine' ? this.tree.scopeOf(found.path, place.areas) : null
    const browser = scope?.manifest.browser ?? {}
    const name = scope === null ? '' : `./${inFolder(scope.folder, found.path)}`
    const key = [name, name.replace(SOURCE_NAME, '')].find((each) => Object.hasOwn(browser, each))
    if (scope === null || key === undefined) return { is: 'file', file: this.#file(found, place) }
    const to = browser[key]
    if (typeof to !== 'string') return { is: 'nothing' }
    const replaced = this.tree.probe(join(scope.folder, to), place.areas, [])
    if (replaced === null) throw new SourceRefusal('is mapped by its package.json to a file that does not exist')
    return { is: 'file', file: this.#file(replaced, place) }
  }

  /** What the package of a file has in the place of another package for browsers; false: nothing. */
  #replacement(specifier: string, importer: SourceFile): string | false | undefined {
    if (!this.#options.isGuest || importer.owner === 'engine') return undefined
    const browser = this.#scopeOf(importer)?.manifest.browser ?? {}
    return Object.hasOwn(browser, specifier) ? browser[specifier] : undefined
  }

  #file(found: Found, { areas, folders, owner }: Place): SourceFile {
    if (!SOURCE_NAME.test(found.path)) throw new SourceRefusal('is not JavaScript, TypeScript or JSON')
    const scope = this.tree.scopeOf(found.path, areas)
    const hasSideEffects = scope?.manifest.hasSideEffects(inFolder(scope.folder, found.path)) ?? true
    return { path: found.path, areas, folders, owner, hasSideEffects, isModule: scope?.manifest.isModule ?? false }
  }

  #scopeOf({ path, areas }: SourceFile): Scope | null {
    return this.tree.scopeOf(path, areas)
  }

  /** The file of a door of this package, such as `hookring/plugin`. @throws SourceRefusal */
  door(specifier: string): SourceFile {
    return this.#door(partsOf(specifier).subpath)
  }

  /** A plugin means this hookring, whichever it has installed beside it. */
  #door(subpath: string): SourceFile {
    const own = this.#engineFile()
    const { home } = this.#options.engine
    // A guest takes of the first door what runs without Node.js.
    const wanted = subpath === '.' && this.#options.isGuest ? './contracts' : subpath
    const to = mapped(this.tree.manifest(home, own.areas)?.exports, wanted, this.#conditions.import)
    if (to === null) throw new SourceRefusal('is not a door of hookring')
    return { ...own, path: join(home, to) }
  }

  /** From where the engine's own imports are resolved. */
  #engineFile(): SourceFile {
    const { home, folders } = this.#options.engine
    const path = join(home, 'package.json')
    return { path, areas: [home], folders, owner: 'engine', hasSideEffects: false, isModule: true }
  }
}

/** @throws SourceRefusal */
function pathOf(url: string): string {
  try {
    return fileURLToPath(url)
  } catch {
    throw new SourceRefusal('is not the URL of a file here')
  }
}

/** `@scope/name/sub` is `@scope/name` and `./sub`. @throws SourceRefusal */
function partsOf(specifier: string): { name: string; subpath: string } {
  const match = /^((?:@[^/\\%]+\/)?[^./\\%@][^/\\%]*)(\/.*)?$/.exec(specifier)
  // `punycode/` is a package in spite of a module of Node.js.
  const subpath = `.${match?.[2] ?? ''}`.replace(/^\.\/$/, '.')
  if (
    match === null ||
    subpath
      .split('/')
      .slice(1)
      .some((part) => part === '..' || part === '.')
  ) {
    throw new SourceRefusal('is not the name of a package')
  }
  return { name: match[1] as string, subpath }
}
