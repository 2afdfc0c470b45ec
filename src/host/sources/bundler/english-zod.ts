/** zod's messages in one language: all of them are half of zod. Who wants another imports it by its own path. */
import { dirname, join } from 'node:path'
import type { SourceFile } from './resolver.js'

export const ZODS_OWN = /[\\/]node_modules[\\/]zod[\\/]/
export const ALL_LANGUAGES = '../locales/index.js'
export const ENGLISH = "export { default as en } from './en.js'"

export class EnglishZod {
  readonly #files = new Map<string, SourceFile>()

  /** The file that stands for all languages; null: that is not what is asked for. */
  resolve(specifier: string, importer: SourceFile): SourceFile | null {
    if (specifier !== ALL_LANGUAGES || !ZODS_OWN.test(importer.path)) return null
    // A name of its own: the file with all of them may be imported too.
    const path = join(dirname(importer.path), '../locales/in-english.js')
    const file = this.#files.get(path) ?? { ...importer, path, hasSideEffects: false }
    this.#files.set(path, file)
    return file
  }

  /** Null: the file is as it was written. */
  contentsOf(file: SourceFile): string | null {
    return this.#files.get(file.path) === file ? ENGLISH : null
  }
}
