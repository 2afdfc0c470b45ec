/**
 * TypeScript in place: files are compiled when Node.js loads them, and stay where they are. By hooks in the thread itself
 * where Node.js has them (22.15, 23.5), otherwise by a hooks thread for `import` and by what `require` looks at. In a thread
 * that has loaded nothing of a plugin yet, and only if its plugins are TypeScript: other threads have Node.js as it is.
 */
import * as nodeModule from 'node:module'
import { fileURLToPath } from 'node:url'
import type { MessagePort } from 'node:worker_threads'
import type { CompilerLine } from '../../contracts/compiling.js'
import { CompilerClient } from './compiler-client.js'
import { ImportReports } from './import-reports.js'
import { requireTypeScript } from './require-hooks.js'
import { type LoadContext, type LoadedSource, SourceLoader } from './source-loader.js'

interface ResolveContext {
  readonly parentURL?: string | undefined
}

type Resolved = { readonly url: string }
type NextResolve = (specifier: string, context: ResolveContext) => Resolved
type NextLoad = (url: string, context: LoadContext) => unknown

/** What types of Node.js 20 do not know. */
interface NewerModule {
  readonly registerHooks?: (hooks: {
    resolve(specifier: string, context: ResolveContext, next: NextResolve): Resolved
    load(url: string, context: LoadContext, next: NextLoad): unknown
  }) => void
  readonly setSourceMapsSupport?: (
    isEnabled: boolean,
    options: { nodeModules: boolean; generatedCode: boolean },
  ) => void
}

const { registerHooks, setSourceMapsSupport } = nodeModule as NewerModule

export function loadTypeScript(line: CompilerLine<MessagePort>): void {
  const client = new CompilerClient(line)
  // Types that became blanks leave lines and columns as they were.
  if (line.kind === 'esbuild') mapStacks()
  if (registerHooks !== undefined) {
    hookThread({ loader: new SourceLoader(client), reports: new ImportReports(client) }, registerHooks)
    return
  }
  const forHooks = client.fork()
  nodeModule.register('./hooks-thread.js', import.meta.url, { data: forHooks, transferList: [forHooks.port] })
  requireTypeScript(client)
}

interface HookParts {
  readonly loader: SourceLoader
  readonly reports: ImportReports
}

function hookThread({ loader, reports }: HookParts, register: NonNullable<NewerModule['registerHooks']>): void {
  const find = (specifier: string, context: ResolveContext, next: NextResolve): Resolved => {
    try {
      return next(specifier, context)
    } catch (error) {
      const place = loader.find(specifier, context.parentURL, error)
      if (place === null) throw error
      return next(isRequired(error) ? fileURLToPath(place) : place, context)
    }
  }
  register({
    resolve(specifier, context, next) {
      const resolved = find(specifier, context, next)
      reports.tell(context.parentURL, resolved.url)
      return resolved
    },
    load: (url, context, next): LoadedSource | unknown => loader.load(url, context) ?? next(url, context),
  })
}

/** By `require`, whose specifiers are no URLs. */
function isRequired(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'MODULE_NOT_FOUND'
}

/** Stacks name the lines of the sources. */
function mapStacks(): void {
  if (setSourceMapsSupport !== undefined) setSourceMapsSupport(true, { nodeModules: false, generatedCode: false })
  else process.setSourceMapsEnabled(true)
}
