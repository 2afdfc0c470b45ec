/**
 * Makes one self-contained module of a plugin, for runtimes that have no Node.js around them: TypeScript compiled, its npm
 * packages taken in, hookring's own parts replaced by what a guest needs of them (plugin-bundle-guest.ts). What of Node.js
 * it would need is refused, with the chain of imports that leads there. Host's thread only; nothing of the plugin is run.
 */
import { isBuiltin } from 'node:module'
import { basename, dirname, relative, resolve } from 'node:path'
import type { BuildFailure, BuildResult, Metafile, OnResolveArgs, Plugin, PluginBuild } from 'esbuild'
import { HookringError, thrownText } from '../../contracts/errors.js'
import { guestPart, OWN_FOLDER } from './guest-parts.js'

export interface BundleSource {
  readonly path: string
  /** The bytes that were checked, not what may stand in the file by now. */
  readonly bytes: Uint8Array
  /** Its bytes were named by their hash: it must bring all that it runs. */
  readonly isPinned: boolean
  /** Named in errors. */
  readonly runtime: string
}

/** What a bundle may use: what QuickJS and V8 of the last years both know. */
const TARGET = 'es2023'
const TYPESCRIPT = /\.[cm]?ts$/
/** What is part of this package: the rest of what a pinned plugin runs must be in the pinned file. */
const PINNED_BY_US = /^(?:hookring(?:\/|$)|zod(?:\/|$))/

/** @throws HookringError ESBUILD_MISSING, PLUGIN_IMPORT_FAILED */
export async function bundleForGuest(source: BundleSource): Promise<Uint8Array> {
  const esbuild = await import('esbuild').catch(() => null)
  const { path, runtime } = source
  if (esbuild === null) {
    throw new HookringError(
      'ESBUILD_MISSING',
      `plugin ${path}: runtime ${runtime} takes one file with all that the plugin imports, and esbuild to make it: install esbuild`,
    )
  }
  let built: BuildResult<{ write: false; metafile: true }>
  try {
    built = await esbuild.build({
      stdin: {
        contents: source.bytes,
        sourcefile: path,
        resolveDir: dirname(path),
        loader: TYPESCRIPT.test(path) ? 'ts' : 'js',
      },
      absWorkingDir: dirname(path),
      bundle: true,
      write: false,
      metafile: true,
      format: 'esm',
      platform: 'browser',
      target: TARGET,
      charset: 'utf8',
      legalComments: 'none',
      logLevel: 'silent',
      define: {
        'process.env.NODE_ENV': '"production"',
        global: 'globalThis',
        // The guest is told the name of its file, and not where it stands.
        'import.meta.url': JSON.stringify(`file:///${basename(path)}`),
        'import.meta.filename': JSON.stringify(`/${basename(path)}`),
      },
      plugins: [guestImports(source)],
    })
  } catch (error) {
    const message = refusedImport(error as BuildFailure) ?? `plugin ${path} does not compile: ${thrownText(error)}`
    throw new HookringError('PLUGIN_IMPORT_FAILED', message, { cause: error })
  }
  refuseNode(source, built.metafile)
  return built.outputFiles[0]?.contents ?? new Uint8Array()
}

function guestImports(source: BundleSource): Plugin {
  return {
    name: 'guest-imports',
    setup(build) {
      build.onResolve({ filter: /.*/ }, (args) => resolveForGuest(build, source, args))
      build.onLoad({ filter: /.*/, namespace: 'file' }, ({ path }) => guestPart(path))
      build.onLoad({ filter: /.*/, namespace: ENGLISH }, ({ path }) => ({
        contents: "export { default as en } from './en.js'",
        resolveDir: dirname(path),
      }))
    },
  }
}

/** zod's messages in one language: all of them are half of zod. Who wants another imports it by its own path. */
const ENGLISH = 'zod-in-english'
const ZODS_OWN = /[\\/]node_modules[\\/]zod[\\/]/
/** Marks a resolution of ours, which must not come back here. */
const ASKED = Symbol('asked')

async function resolveForGuest(build: PluginBuild, source: BundleSource, args: OnResolveArgs) {
  const { path, kind, importer, resolveDir, pluginData } = args
  if (kind === 'entry-point' || pluginData === ASKED) return undefined
  if (source.isPinned && !PINNED_BY_US.test(path) && !importer.startsWith(OWN_FOLDER) && !ZODS_OWN.test(importer)) {
    return { errors: [{ text: PINNED, detail: `the integrity of ${source.path} does not cover ${path}` }] }
  }
  if (path === 'hookring' || path.startsWith('hookring/')) return { path: ownDoor(path) }
  if (path === '../locales/index.js' && ZODS_OWN.test(importer)) {
    return { path: resolve(resolveDir, path), namespace: ENGLISH, sideEffects: false }
  }
  if (PINNED_BY_US.test(path)) {
    // A plugin that has no zod installed has this package's.
    const found = await build.resolve(path, { kind, importer, resolveDir, pluginData: ASKED })
    return found.errors.length === 0 ? found : build.resolve(path, { kind, resolveDir: OWN_FOLDER, pluginData: ASKED })
  }
  if (!isBuiltin(path)) return undefined
  // A package of the same name that runs anywhere, such as `events`, is what a bundler would take.
  if (!path.startsWith('node:')) {
    const found = await build.resolve(path, { kind, importer, resolveDir, pluginData: ASKED })
    if (found.errors.length === 0 && !found.external) return found
  }
  // Imports of which nothing is used vanish; what is left of them is refused when the whole is known.
  return { path, external: true, sideEffects: false }
}

const PINNED = 'not covered by the integrity'

function refusedImport({ errors = [] }: Partial<BuildFailure>): string | undefined {
  const refused = errors.find(({ text }) => text === PINNED)
  return refused === undefined ? undefined : `${String(refused.detail)}: make one file of them`
}

/** A plugin means this hookring, wherever it stands and whichever it has installed beside it. */
function ownDoor(specifier: string): string {
  const door = specifier.slice('hookring/'.length)
  if (door === '' || door === 'contracts') return `${OWN_FOLDER}contracts/index.js`
  if (door === 'plugin' || door === 'hooks') return `${OWN_FOLDER}${door}/index.js`
  if (door === 'connection-plugin') return `${OWN_FOLDER}adapters/connection/plugin.js`
  return `${OWN_FOLDER}${door}.js`
}

/** @throws HookringError PLUGIN_IMPORT_FAILED when something of Node.js is left in the bundle */
function refuseNode({ path, runtime }: BundleSource, { inputs, outputs }: Metafile): void {
  const output = Object.values(outputs)[0]
  const left = output?.imports.find((imported) => imported.external)
  if (output === undefined || left === undefined) return
  const chain = [...chainTo(inputs, left.path, dirname(path)), left.path].join(' -> ')
  throw new HookringError(
    'PLUGIN_IMPORT_FAILED',
    `plugin ${path} imports ${left.path}: ${chain}; ${runtime} has no Node.js modules: leave it out, or run the plugin as a module behind the process boundary`,
  )
}

/** The files that lead from the plugin to the import, shortest way first. */
function chainTo(inputs: Metafile['inputs'], wanted: string, folder: string): string[] {
  const first = Object.keys(inputs).find((input) => !isImported(inputs, input)) ?? ''
  const from = new Map<string, string>([[first, '']])
  // The map grows while it is walked: breadth first.
  for (const file of from.keys()) {
    for (const { path, external } of inputs[file]?.imports ?? []) {
      if (external && path === wanted) return wayTo(file, from).map((name) => shortName(name, folder))
      if (!from.has(path)) from.set(path, file)
    }
  }
  return [shortName(first, folder)]
}

function isImported(inputs: Metafile['inputs'], file: string): boolean {
  return Object.values(inputs).some(({ imports }) => imports.some(({ path }) => path === file))
}

function wayTo(file: string, from: ReadonlyMap<string, string>): string[] {
  const way: string[] = []
  for (let at = file; at !== ''; at = from.get(at) ?? '') way.unshift(at)
  return way
}

function shortName(input: string, folder: string): string {
  const name = relative(folder, resolve(folder, input)).replaceAll('\\', '/')
  return name.replace(/^.*node_modules\//, '')
}
