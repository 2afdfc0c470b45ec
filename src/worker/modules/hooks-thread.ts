/** The module hooks of `import`, in the thread that Node.js before 22.15 runs them in. */
import type { MessagePort } from 'node:worker_threads'
import type { CompilerLine } from '../../contracts/compiling.js'
import { CompilerClient } from './compiler-client.js'
import { ImportReports } from './import-reports.js'
import { type LoadContext, SourceLoader } from './source-loader.js'

interface ResolveContext {
  readonly parentURL?: string | undefined
}

type Next<Context> = (subject: string, context: Context) => Promise<unknown>

let loader: SourceLoader | null = null
let reports: ImportReports | null = null

export function initialize(line: CompilerLine<MessagePort>): void {
  const client = new CompilerClient(line)
  loader = new SourceLoader(client)
  reports = new ImportReports(client)
}

export async function resolve(
  specifier: string,
  context: ResolveContext,
  next: Next<ResolveContext>,
): Promise<unknown> {
  const resolved = await find(specifier, context, next)
  reports?.tell(context.parentURL, (resolved as { url?: unknown }).url)
  return resolved
}

async function find(specifier: string, context: ResolveContext, next: Next<ResolveContext>): Promise<unknown> {
  try {
    return await next(specifier, context)
  } catch (error) {
    const place = loader?.find(specifier, context.parentURL, error) ?? null
    if (place === null) throw error
    return next(place, context)
  }
}

export async function load(url: string, context: LoadContext, next: Next<LoadContext>): Promise<unknown> {
  const loaded = loader?.load(url, context) ?? null
  if (loaded === null) return next(url, context)
  // Without a source it is loaded as `require` does, in the lane's thread: see require-hooks.ts.
  return loaded.format === 'commonjs' ? { ...loaded, source: null } : loaded
}
