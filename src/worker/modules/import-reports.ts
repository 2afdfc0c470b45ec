/** Tells what imports what, where the operator watches plugins in development. In a lane's thread or its hooks thread. */
import { fileURLToPath } from 'node:url'
import type { CompilerClient } from './compiler-client.js'

/** More than a plugin has in files of its own. */
const MOST_REPORTS = 20_000
const IN_PACKAGES = /\/node_modules\//

export class ImportReports {
  readonly #client: Pick<CompilerClient, 'reportsImports' | 'report'>
  readonly #told = new Set<string>()

  constructor(client: Pick<CompilerClient, 'reportsImports' | 'report'>) {
    this.#client = client
  }

  /** Files of packages are nobody's to change. */
  tell(importerUrl: string | undefined, url: unknown): void {
    if (!this.#client.reportsImports || typeof url !== 'string') return
    const [importer, imported] = [fileOf(importerUrl), fileOf(url)]
    if (importer === null || imported === null || IN_PACKAGES.test(imported)) return
    const key = `${importer}\n${imported}`
    if (this.#told.has(key) || this.#told.size >= MOST_REPORTS) return
    this.#told.add(key)
    this.#client.report(importer, imported)
  }
}

function fileOf(url: string | undefined): string | null {
  return url?.startsWith('file:') ? fileURLToPath(url.replace(/[?#].*$/, '')) : null
}
