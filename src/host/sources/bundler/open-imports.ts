/**
 * The imports of a plugin that the operator trusts: esbuild resolves and reads them, tsconfig.json, globs and all. What is
 * hookring's is the engine's own. A bundling process only.
 */
import { readFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { dirname, isAbsolute, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { OnResolveArgs, OnResolveResult, Plugin, PluginBuild } from 'esbuild'
import { resolve as resolveModule } from 'import-meta-resolve'
import { engineFolders, guestPart, homeFolder } from './engine-folders.js'
import { ALL_LANGUAGES, ENGLISH, ZODS_OWN } from './english-zod.js'
import { knowingItsPlace, loaderOf } from './forms.js'
import type { BundleForm, BundleJob } from './protocol.js'
import { Resolver } from './resolver.js'

/** Marks a resolution of ours, which must not come back here. */
const ASKED = Symbol('asked')
const ENGLISH_ZOD = 'zod-in-english'
const SCRIPT = /\.[cm]?[jt]sx?$/
const HOOKRING = /^hookring(?:\/|$)/
const ZOD = /^zod(?:\/|$)/

type Resolve = (
  build: PluginBuild,
  args: OnResolveArgs,
) => OnResolveResult | undefined | Promise<OnResolveResult | undefined>

const RESOLVE: Readonly<Record<BundleForm, Resolve>> = {
  guest: resolveForGuest,
  // esbuild leaves the modules of Node.js out by itself.
  process: (_, { path }) => (HOOKRING.test(path) ? { path: ownDoor(path, 'process') } : undefined),
  module: (_, args) => resolveInPlace(args),
}

export function openImports({ form, parts }: BundleJob): Plugin {
  return {
    name: 'hookring',
    setup(build) {
      build.onResolve({ filter: /.*/ }, (args) =>
        args.kind === 'entry-point' || args.pluginData === ASKED ? undefined : RESOLVE[form](build, args),
      )
      build.onLoad({ filter: SCRIPT, namespace: 'file' }, async ({ path }) => {
        const part = form === 'module' ? null : guestPart(path, parts)
        if (part !== null) return { contents: part, loader: 'js', resolveDir: dirname(path) }
        if (form === 'guest') return null
        const contents = knowingItsPlace(path, await readFile(path, 'utf8'))
        return { contents, loader: loaderOf(path), resolveDir: dirname(path) }
      })
      if (form !== 'guest') return
      build.onLoad({ filter: /.*/, namespace: ENGLISH_ZOD }, ({ path }) => ({
        contents: ENGLISH,
        resolveDir: dirname(path),
      }))
    },
  }
}

async function resolveForGuest(build: PluginBuild, args: OnResolveArgs): Promise<OnResolveResult | undefined> {
  const { path, kind, importer, resolveDir } = args
  const find = (from: string) => build.resolve(path, { kind, importer, resolveDir: from, pluginData: ASKED })
  if (HOOKRING.test(path)) return { path: ownDoor(path, 'guest') }
  if (path === ALL_LANGUAGES && ZODS_OWN.test(importer)) {
    return { path: resolve(resolveDir, path), namespace: ENGLISH_ZOD, sideEffects: false }
  }
  if (ZOD.test(path)) {
    // A plugin that has no zod installed has this package's.
    const found = await find(resolveDir)
    return found.errors.length === 0 ? found : find(homeFolder())
  }
  if (!isBuiltin(path)) return undefined
  // A package of the same name that runs anywhere, such as `events`, is what a bundler would take.
  if (!path.startsWith('node:')) {
    const found = await find(resolveDir)
    if (found.errors.length === 0 && !found.external) return found
  }
  // Imports of which nothing is used vanish; what is left of them is refused when the whole is known.
  return { path, external: true, sideEffects: false }
}

/** Packages stay where they are: they are imported by URL, as the plugin's own file would find them. */
function resolveInPlace({ path, importer }: OnResolveArgs): OnResolveResult | undefined {
  if (/^[./]/.test(path) || isAbsolute(path)) return undefined
  if (path.startsWith('node:')) return { path, external: true }
  try {
    return { path: resolveModule(path, pathToFileURL(importer).href), external: true }
  } catch {
    // esbuild says what could not be found, and from where.
    return undefined
  }
}

/** A plugin means this hookring, wherever it stands and whichever it has installed beside it. */
function ownDoor(specifier: string, form: BundleForm): string {
  const engine = engineFolders()
  const resolver = new Resolver({ folders: engine.folders, engine, isGuest: form === 'guest', isPinned: false })
  return resolver.door(specifier).path
}
