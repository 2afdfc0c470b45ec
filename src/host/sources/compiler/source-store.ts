/** What was compiled, kept by the text that it was compiled from: a file that has changed is compiled anew. */
import { readFile } from 'node:fs/promises'
import type { ModuleFormat } from '../../../contracts/compiling.js'
import { HookringError } from '../../../contracts/errors.js'
import { isInModulePackage } from './package-type.js'

export interface CompiledSource {
  readonly code: string
  readonly format: ModuleFormat
}

export interface SourceToCompile {
  readonly path: string
  readonly text: string
  readonly as: 'written' | 'commonjs'
}

export interface SourceCompiler {
  /** @throws HookringError PLUGIN_IMPORT_FAILED, TYPESCRIPT_UNSUPPORTED */
  compile(source: SourceToCompile): Promise<CompiledSource>
  /** The file that an import means, by more than Node.js' own rules; null: none. */
  find(specifier: string, importer: string): Promise<string | null>
}

/** More than a plugin has in files of its own; beyond it the oldest are compiled anew. */
const MAX_KEPT_CHARS = 64 * 1024 * 1024

interface Kept {
  readonly text: string
  readonly compiled: Promise<CompiledSource>
  chars: number
}

export class SourceStore {
  readonly #compiler: SourceCompiler
  readonly #kept = new Map<string, Kept>()
  #chars = 0

  constructor(compiler: SourceCompiler) {
    this.#compiler = compiler
  }

  /** @throws HookringError PLUGIN_IMPORT_FAILED, TYPESCRIPT_UNSUPPORTED */
  async compile(path: string, as: 'written' | 'commonjs'): Promise<CompiledSource> {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      throw new HookringError('PLUGIN_IMPORT_FAILED', `${path} cannot be read: ${(error as Error).message}`)
    })
    const key = `${as}:${path}`
    const known = this.#kept.get(key)
    if (known?.text === text) return known.compiled
    const compiled = this.#compile({ path, text, as })
    this.#keep(key, { text, compiled, chars: text.length })
    return compiled
  }

  find(specifier: string, importer: string): Promise<string | null> {
    return this.#compiler.find(specifier, importer)
  }

  forget(): void {
    this.#kept.clear()
    this.#chars = 0
  }

  async #compile(source: SourceToCompile): Promise<CompiledSource> {
    const { code, format } = await this.#compiler.compile(source)
    const isOpen = format === 'commonjs' && source.as === 'written' && !source.path.endsWith('.cts')
    return { code, format: isOpen && (await isInModulePackage(source.path)) ? 'module' : format }
  }

  #keep(key: string, kept: Kept): void {
    this.#drop(key)
    this.#kept.set(key, kept)
    this.#chars += kept.chars
    kept.compiled.then(
      ({ code }) => {
        if (this.#kept.get(key) !== kept) return
        kept.chars += code.length
        this.#chars += code.length
        for (const oldest of this.#kept.keys()) {
          if (this.#chars <= MAX_KEPT_CHARS) break
          this.#drop(oldest)
        }
      },
      // What does not compile is not kept: what it depends on besides may be mended.
      () => {
        if (this.#kept.get(key) === kept) this.#drop(key)
      },
    )
  }

  #drop(key: string): void {
    this.#chars -= this.#kept.get(key)?.chars ?? 0
    this.#kept.delete(key)
  }
}
