/**
 * Loads TypeScript in place, for module hooks of either kind: what a specifier means, and the code of a file. In a lane's
 * thread or its hooks thread.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { COMPILED_SOURCE, type ModuleFormat } from '../../contracts/compiling.js'
import { HookringError } from '../../contracts/errors.js'
import type { CompilerClient } from './compiler-client.js'
import { findByPath, isNotFound, mayImportSources } from './source-places.js'

export interface LoadedSource {
  readonly format: ModuleFormat
  readonly source: string
  readonly shortCircuit: true
}

/** What Node.js says of a module that is to be loaded. */
export interface LoadContext {
  readonly format?: string | null | undefined
  readonly conditions?: readonly string[] | undefined
  readonly importAttributes?: Readonly<Record<string, string>> | undefined
}

export class SourceLoader {
  readonly #client: Pick<CompilerClient, 'compile' | 'find'>

  constructor(client: Pick<CompilerClient, 'compile' | 'find'>) {
    this.#client = client
  }

  /** What Node.js did not find, by the rules of TypeScript; null: they do not help. */
  find(specifier: string, importerUrl: string | undefined, error: unknown): string | null {
    if (!isNotFound(error) || !mayImportSources(importerUrl)) return null
    const place = findByPath(specifier, importerUrl)
    if (place !== null) return place
    const path = this.#client.find(specifier, fileURLToPath(importerUrl.replace(/[?#].*$/, '')))
    return path === null ? null : pathToFileURL(path).href
  }

  /** null: it is not for us. @throws HookringError PLUGIN_IMPORT_FAILED, TYPESCRIPT_UNSUPPORTED */
  load(url: string, context: LoadContext): LoadedSource | null {
    const path = pathOf(url)
    if (path === null) return null
    if (COMPILED_SOURCE.test(path)) {
      const { code, format } = this.#client.compile(path, 'written')
      return { format, source: code, shortCircuit: true }
    }
    return path.endsWith('.json') && isBareImport(context) ? jsonModule(path) : null
  }
}

function pathOf(url: string): string | null {
  return url.startsWith('file:') ? fileURLToPath(url.replace(/[?#].*$/, '')) : null
}

/** With attributes JSON is Node.js' own business, and for require it always is. */
function isBareImport({ conditions = [], importAttributes = {} }: LoadContext): boolean {
  return importAttributes.type === undefined && !conditions.includes('require')
}

/** As bundlers have it: the value is the default export, and the properties that can be are exports too. */
function jsonModule(path: string): LoadedSource {
  const text = readFileSync(path, 'utf8')
  const names = propertiesIn(path, text).filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'default')
  const exported = names.map((name, at) => `const $${at} = $value.${name}; export { $${at} as ${name} };`)
  const source = `const $value = JSON.parse(${JSON.stringify(text)}); export default $value; ${exported.join(' ')}`
  return { format: 'module', source, shortCircuit: true }
}

function propertiesIn(path: string, text: string): string[] {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : []
  } catch (error) {
    throw new HookringError('PLUGIN_IMPORT_FAILED', `${path} is no JSON: ${(error as Error).message}`)
  }
}
