/**
 * The files of a plugin as they lie in folders: which one a path means, and the package.json that it belongs to. A bundling
 * process only.
 */
import { basename, dirname, extname, join, sep } from 'node:path'
import { type Manifest, parseManifest } from './manifest.js'
import { type Found, isInside, SourceReader, SourceRefusal } from './source-reader.js'

/** A package's folder, and what its package.json says. */
export interface Scope {
  readonly folder: string
  readonly manifest: Manifest
}

/** As esbuild tries them. */
const EXTENSIONS = ['.tsx', '.ts', '.jsx', '.js', '.mjs', '.cjs', '.json'] as const
/** What the file of a JavaScript name may be in TypeScript. */
const IN_TYPESCRIPT: Readonly<Record<string, readonly string[]>> = {
  '.js': ['.ts', '.tsx'],
  '.jsx': ['.tsx'],
  '.mjs': ['.mts'],
  '.cjs': ['.cts'],
}

const OUTSIDE = 'leads out of the folders that the plugin may be read from'

export class SourceTree {
  readonly reader = new SourceReader()
  readonly #manifests = new Map<string, Manifest | null>()

  /** A file by its exact path; null: there is none. @throws SourceRefusal */
  file(path: string, areas: readonly string[]): Found | null {
    if (!isInside(path, areas)) throw new SourceRefusal(OUTSIDE)
    const found = this.reader.find(path, areas)
    return found?.kind === 'file' ? found : null
  }

  /**
   * A file as it is named, in TypeScript, or without its extension; or the file that a folder stands for.
   *
   * @param fields of the folder's package.json that name that file, the first that is there first
   * @throws SourceRefusal
   */
  probe(path: string, areas: readonly string[], fields: readonly string[]): Found | null {
    if (!isInside(path, areas)) throw new SourceRefusal(OUTSIDE)
    const exact = this.reader.find(path, areas)
    if (exact?.kind === 'file') return exact
    const extension = extname(path)
    const stem = path.slice(0, path.length - extension.length)
    const inTypeScript = (IN_TYPESCRIPT[extension] ?? []).map((other) => stem + other)
    const found = this.#first([...inTypeScript, ...EXTENSIONS.map((other) => path + other)], areas)
    return found ?? (exact === null ? null : this.#fileOfFolder(exact.path, areas, fields))
  }

  #fileOfFolder(folder: string, areas: readonly string[], fields: readonly string[]): Found | null {
    const entries = this.manifest(folder, areas)?.entries ?? {}
    for (const field of fields) {
      const entry = entries[field]
      if (entry === undefined) continue
      const path = join(folder, entry)
      if (!isInside(path, areas)) throw new SourceRefusal(OUTSIDE)
      const found = this.#first([path, ...EXTENSIONS.map((each) => path + each), ...indexesIn(path)], areas)
      if (found !== null) return found
    }
    return this.#first(indexesIn(folder), areas)
  }

  #first(paths: readonly string[], areas: readonly string[]): Found | null {
    for (const path of paths) {
      const found = this.reader.find(path, areas)
      if (found?.kind === 'file') return found
    }
    return null
  }

  /** The nearest package.json above a file, inside its areas. @throws SourceRefusal */
  scopeOf(path: string, areas: readonly string[]): Scope | null {
    for (let folder = dirname(path); isInside(folder, areas) && basename(folder) !== 'node_modules'; ) {
      const manifest = this.manifest(folder, areas)
      if (manifest !== null) return { folder, manifest }
      const above = dirname(folder)
      if (above === folder) break
      folder = above
    }
    return null
  }

  /** Null: the folder has no package.json. @throws SourceRefusal */
  manifest(folder: string, areas: readonly string[]): Manifest | null {
    let manifest = this.#manifests.get(folder)
    if (manifest === undefined) {
      manifest = this.#readManifest(folder, areas)
      this.#manifests.set(folder, manifest)
    }
    return manifest
  }

  #readManifest(folder: string, areas: readonly string[]): Manifest | null {
    try {
      const found = this.reader.find(join(folder, 'package.json'), areas)
      if (found === null) return null
      if (found.kind !== 'file') throw new SourceRefusal('is not a file')
      const bytes = this.reader.readManifest(found.path)
      if (bytes === null) throw new SourceRefusal('is too large')
      return parseManifest(bytes)
    } catch (error) {
      if (!(error instanceof SourceRefusal)) throw error
      throw new SourceRefusal(`belongs to a package whose package.json ${error.message}`)
    }
  }
}

function indexesIn(folder: string): string[] {
  return EXTENSIONS.map((extension) => join(folder, `index${extension}`))
}

/** The path of a file from a folder above it, as a package.json writes it. */
export function inFolder(folder: string, path: string): string {
  return path.slice(folder.endsWith(sep) ? folder.length : folder.length + 1).replaceAll(sep, '/')
}
