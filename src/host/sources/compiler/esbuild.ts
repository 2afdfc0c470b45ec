/**
 * Compiles with esbuild, each file for itself: its imports stay as they are. tsconfig.json counts as esbuild finds it, from
 * the file upwards. The compiler's thread only.
 */
import { basename, dirname, join } from 'node:path'
import type * as esbuildModule from 'esbuild'
import type { BuildFailure } from 'esbuild'
import { HookringError } from '../../../contracts/errors.js'
import type { CompiledSource, SourceCompiler, SourceToCompile } from './source-store.js'

/** esbuild's own process takes memory, and is there again in no time. */
const IDLE_MS = 2_000
const COMMONJS_BY_NAME = /\.cts$/
const MODULE_BY_NAME = /\.mts$/
const MOST_PROBLEMS = 10

export class EsbuildCompiler implements SourceCompiler {
  #esbuild: Promise<typeof esbuildModule> | null = null
  #underWay = 0
  #idle: NodeJS.Timeout | undefined

  compile({ path, as }: SourceToCompile): Promise<CompiledSource> {
    const isCommonJs = as === 'commonjs' || COMMONJS_BY_NAME.test(path)
    return this.#use(async (esbuild) => {
      const folder = dirname(path)
      const built = await esbuild
        .build({
          entryPoints: [path],
          absWorkingDir: folder,
          // Never written: it says from where the source map names the file.
          outfile: join(folder, `${basename(path)}.js`),
          bundle: false,
          write: false,
          metafile: true,
          platform: 'node',
          target: `node${process.versions.node}`,
          ...(isCommonJs ? { format: 'cjs' } : {}),
          sourcemap: 'inline',
          sourcesContent: false,
          charset: 'utf8',
          logLevel: 'silent',
        })
        .catch((error: unknown) => {
          throw new HookringError('PLUGIN_IMPORT_FAILED', problemsOf(path, error))
        })
      const isModule = Object.values(built.metafile.inputs).some(({ format }) => format === 'esm')
      const format = !isCommonJs && (isModule || MODULE_BY_NAME.test(path)) ? 'module' : 'commonjs'
      return { code: built.outputFiles[0]?.text ?? '', format }
    })
  }

  find(specifier: string, importer: string): Promise<string | null> {
    const from = { kind: 'import-statement', importer, resolveDir: dirname(importer) } as const
    return this.#use(async (esbuild) => {
      let found: string | null = null
      await esbuild.build({
        stdin: { contents: '', resolveDir: from.resolveDir },
        bundle: true,
        write: false,
        platform: 'node',
        logLevel: 'silent',
        plugins: [
          {
            name: 'find',
            setup(build) {
              build.onStart(async () => {
                const { path, namespace, external, errors } = await build.resolve(specifier, from)
                if (errors.length === 0 && namespace === 'file' && !external) found = path
              })
            },
          },
        ],
      })
      return found
    })
  }

  async #use<T>(work: (esbuild: typeof esbuildModule) => Promise<T>): Promise<T> {
    clearTimeout(this.#idle)
    this.#underWay += 1
    this.#esbuild ??= import('esbuild')
    try {
      return await work(await this.#esbuild)
    } finally {
      this.#underWay -= 1
      if (this.#underWay === 0) this.#idle = setTimeout(() => void this.#rest(), IDLE_MS)
    }
  }

  async #rest(): Promise<void> {
    if (this.#underWay === 0) await (await this.#esbuild)?.stop()
  }
}

function problemsOf(path: string, error: unknown): string {
  const { errors = [] } = (error ?? {}) as Partial<BuildFailure>
  if (errors.length === 0) return `${path} does not compile: ${(error as Error).message}`
  const lines = errors
    .slice(0, MOST_PROBLEMS)
    .map(({ text, location }) =>
      location === null ? text : `${path}:${location.line}:${location.column + 1}: ${text}`,
    )
  return lines.join('\n')
}
