/**
 * Makes a bundle: the one place that drives esbuild. What a plugin's imports may reach is decided in own-imports.ts and
 * open-imports.ts, what the bundle is for in forms.ts. A bundling process only; nothing of the plugin is run.
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type * as esbuildModule from 'esbuild'
import type { BuildFailure, BuildOptions, BuildResult, Message, Plugin } from 'esbuild'
import { HookringError } from '../../../contracts/errors.js'
import { engineFolders } from './engine-folders.js'
import { formOptions, knowingItsPlace, loaderOf } from './forms.js'
import { refuseNode } from './node-imports.js'
import { openImports } from './open-imports.js'
import { BY_PATTERN, displayName, ENTRY, OwnImports } from './own-imports.js'
import {
  type Bundle,
  type BundleJob,
  type BundleProblem,
  MAX_SOURCE_BYTES,
  MOST_FILES,
  MOST_PATH_CHARS,
} from './protocol.js'
import { Resolver } from './resolver.js'
import { SourceRefusal } from './source-reader.js'

export type Esbuild = Pick<typeof esbuildModule, 'build'>

/** Why there is no bundle. */
export class BundleFailure extends Error {
  readonly problems: readonly BundleProblem[]

  constructor(message: string, problems: readonly BundleProblem[]) {
    super(message)
    this.problems = problems
  }
}

const MOST_PROBLEMS = 10
const MOST_LINE_CHARS = 160
const MOST_TEXT_CHARS = 1_000

type Built = BuildResult<{ write: false; metafile: true }>

interface Made {
  readonly built: Built
  readonly files: readonly string[]
}

/** Throws where bytes are not those that an integrity value names. */
export type CheckIntegrity = (bytes: Uint8Array, integrity: string, path: string) => void

/** @throws HookringError INTEGRITY_MISMATCH, PLUGIN_IMPORT_FAILED, PLUGIN_BUNDLE_TOO_LARGE; BundleFailure, LostEsbuild */
export async function bundle(esbuild: Esbuild, job: BundleJob, check: CheckIntegrity): Promise<Bundle> {
  const { built, files } = job.reach === 'open' ? await buildOpen(esbuild, job) : await buildOwn(esbuild, job, check)
  if (job.form === 'guest') refuseNode(job, built.metafile)
  return {
    contents: built.outputFiles[0]?.contents ?? new Uint8Array(),
    files: files.filter(isOwnFile).slice(0, MOST_FILES),
  }
}

/** With our resolver and reader: esbuild is given sources, and opens no file. */
async function buildOwn(esbuild: Esbuild, job: BundleJob, check: CheckIntegrity): Promise<Made> {
  const isPinned = job.reach === 'pinned'
  const resolver = new Resolver({
    folders: job.folders,
    engine: engineFolders(),
    isGuest: job.form === 'guest',
    isPinned,
  })
  const { entry, bytes } = readEntry(resolver, job, check)
  const imports = new OwnImports({ resolver, form: job.form, isPinned, parts: job.parts, entry, bytes })
  try {
    const built = await esbuild.build(
      optionsOf(job, [imports.plugin()], { entryPoints: [{ in: entry.path, out: ENTRY }], outdir: '/' }),
    )
    return { built, files: imports.ownFiles() }
  } catch (error) {
    const { refusal } = imports
    if (refusal !== null) throw new HookringError(refusal.code, `plugin ${job.path}: ${refusal.message}`)
    throw failureOf(job, error, (message) => ownProblem(message, imports))
  }
}

function readEntry(resolver: Resolver, { path, integrity }: BundleJob, check: CheckIntegrity) {
  try {
    const entry = resolver.entry(path)
    const bytes = resolver.tree.reader.read(entry.path)
    if (integrity !== null) check(bytes, integrity, path)
    return { entry, bytes }
  } catch (error) {
    if (!(error instanceof SourceRefusal)) throw named(error, path)
    throw new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${path}: it ${error.message}`)
  }
}

/** Files of packages are nobody's to change, and names such as `plugin:x` are no files. */
function isOwnFile(path: string): boolean {
  return path.length <= MOST_PATH_CHARS && !/\/node_modules\/|\/[a-z-]+:/.test(path)
}

function named(error: unknown, path: string): unknown {
  if (!(error instanceof HookringError) || error.code !== 'PLUGIN_BUNDLE_TOO_LARGE') return error
  return new HookringError(error.code, `plugin ${path}: ${error.message}`)
}

/** As esbuild resolves and reads, tsconfig.json included. */
async function buildOpen(esbuild: Esbuild, job: BundleJob): Promise<Made> {
  const { path } = job
  const text = await readFile(path, 'utf8')
  const contents = job.form === 'guest' ? text : knowingItsPlace(path, text)
  const stdin = { contents, sourcefile: path, resolveDir: dirname(path), loader: loaderOf(path) }
  const imports = openImports(job)
  try {
    const built = await esbuild.build(optionsOf(job, [imports], { stdin, absWorkingDir: dirname(path) }))
    return { built, files: Object.keys(built.metafile.inputs).map((name) => resolve(dirname(path), name)) }
  } catch (error) {
    throw failureOf(job, error, ({ text, location }) => ({ text, location }))
  }
}

function optionsOf(job: BundleJob, plugins: Plugin[], input: BuildOptions) {
  const isOpen = job.reach === 'open'
  return {
    ...input,
    ...formOptions(job),
    ...(isOpen ? {} : { tsconfigRaw: '{}' }),
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    logLevel: 'silent',
    plugins,
  } as const satisfies BuildOptions
}

/** What esbuild found wrong, in one message. Without errors it has found nothing: it is gone. */
function failureOf({ path }: BundleJob, error: unknown, read: (message: Message) => BundleProblem): Error {
  const { errors } = (error ?? {}) as Partial<BuildFailure>
  if (errors === undefined || errors.length === 0) {
    const mebibytes = MAX_SOURCE_BYTES / 1024 / 1024
    return new LostEsbuild(
      `plugin ${path} cannot be bundled: esbuild ended while it read it, as it does when a source is nested very deeply or takes too much memory (${mebibytes} MiB of sources are read at most)`,
    )
  }
  const problems = errors.slice(0, MOST_PROBLEMS).map(read)
  const [first] = problems
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
  return new BundleFailure(
    `plugin ${path} does not compile: ${first === undefined ? '' : textOf(first)}${more}`,
    problems,
  )
}

/** No further bundle can be made in this process. */
export class LostEsbuild extends Error {}

function textOf({ text, location }: BundleProblem): string {
  if (location === null) return text
  return `${location.file}:${location.line}:${location.column}: ${text}`
}

/** Lines of the plugin's own files are quoted, and of no other. */
function ownProblem({ text, location }: Message, imports: OwnImports): BundleProblem {
  if (location === null) return { text: text.slice(0, MOST_TEXT_CHARS), location: null }
  const name = location.file.replace(/^[a-z]+:/, '')
  const isOwn = imports.fileOf(name)?.owner === 'plugin'
  const { line, column, lineText } = location
  return {
    text: isOwn ? ownText(text).slice(0, MOST_TEXT_CHARS) : 'it does not parse',
    location: { file: displayName(name), line, column, lineText: isOwn ? lineText.slice(0, MOST_LINE_CHARS) : '' },
  }
}

/** Without the names by which esbuild knows the plugin's files. */
function ownText(text: string): string {
  // A pattern that stands for no file; one that does is refused when the file is loaded.
  if (/^Could not resolve (?:import|require)\("\.{1,2}\//.test(text)) return BY_PATTERN
  return text.replace(/"plugin:([^"]*)"/g, (_, name: string) => JSON.stringify(displayName(name)))
}
