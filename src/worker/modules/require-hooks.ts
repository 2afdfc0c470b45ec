/** TypeScript by `require`, where Node.js has no hooks for it: before 22.15. In a lane's thread. */
import { createRequire } from 'node:module'
import { isAbsolute } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { CompilerClient } from './compiler-client.js'
import { ImportReports } from './import-reports.js'
import { SourceLoader } from './source-loader.js'

interface CommonJsModule {
  readonly filename: string | null
  _compile(code: string, filename: string): void
}

type Resolve = (request: string, parent: CommonJsModule | null, ...others: unknown[]) => string

/** What it has been for all the years that loaders of other languages have used it. */
interface ModuleConstructor {
  readonly _extensions: Record<string, (module: CommonJsModule, filename: string) => void>
  _resolveFilename: Resolve
}

export function requireTypeScript(client: CompilerClient): void {
  const Module = createRequire(import.meta.url)('node:module') as ModuleConstructor
  const loader = new SourceLoader(client)
  for (const extension of ['.ts', '.mts', '.cts', '.tsx', '.jsx']) {
    Module._extensions[extension] = (module, filename) =>
      module._compile(client.compile(filename, 'commonjs').code, filename)
  }
  const reports = new ImportReports(client)
  const resolve = Module._resolveFilename
  const find: Resolve = (request, parent, ...others) => {
    try {
      return resolve.call(Module, request, parent, ...others)
    } catch (error) {
      const place = loader.find(request, urlOf(parent), error)
      if (place === null) throw error
      return resolve.call(Module, fileURLToPath(place.replace(/[?#].*$/, '')), parent, ...others)
    }
  }
  Module._resolveFilename = (request, parent, ...others) => {
    const path = find(request, parent, ...others)
    if (isAbsolute(path)) reports.tell(urlOf(parent), pathToFileURL(path).href)
    return path
  }
}

function urlOf(module: CommonJsModule | null): string | undefined {
  return module?.filename ? pathToFileURL(module.filename).href : undefined
}
