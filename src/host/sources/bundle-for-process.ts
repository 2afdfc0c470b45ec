/**
 * Makes one self-contained module of a plugin that runs as a module in a process of its own: everything but Node.js itself is
 * taken in, because that process reads no file of the plugin's. Host's thread only; nothing of the plugin is run.
 */
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { resolve as resolveModule } from 'import-meta-resolve'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { BundleSource } from './bundle-for-guest.js'
import { guestPart, OWN_FOLDER } from './guest-parts.js'

const TYPESCRIPT = /\.[cm]?ts$/
/** What is part of this package: the rest of what a pinned plugin runs must be in the pinned file. */
const PINNED_BY_US = /^(?:node:|hookring(?:\/|$)|zod(?:\/|$))/
/** Packages written for require find Node.js by it. */
const REQUIRE = "import { createRequire as $createRequire } from 'node:module'; const require = $createRequire('/');"

/** @throws HookringError ESBUILD_MISSING, PLUGIN_IMPORT_FAILED */
export async function bundleForProcess({ path, bytes, isPinned }: BundleSource): Promise<Uint8Array> {
  const esbuild = await import('esbuild').catch(() => null)
  if (esbuild === null) {
    throw new HookringError(
      'ESBUILD_MISSING',
      `plugin ${path}: a process of its own takes one file with all that the plugin imports, and esbuild to make it: install esbuild`,
    )
  }
  try {
    const built = await esbuild.build({
      stdin: {
        contents: bytes,
        sourcefile: path,
        resolveDir: dirname(path),
        loader: TYPESCRIPT.test(path) ? 'ts' : 'js',
      },
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: `node${process.versions.node}`,
      banner: { js: REQUIRE },
      define: { 'import.meta.url': JSON.stringify(pathToFileURL(path).href) },
      legalComments: 'none',
      logLevel: 'silent',
      plugins: [
        {
          name: 'process-imports',
          setup(build) {
            build.onResolve({ filter: /.*/ }, ({ path: wanted, kind, importer }) => {
              if (kind === 'entry-point') return undefined
              if (isPinned && importer === path && !PINNED_BY_US.test(wanted)) {
                return {
                  errors: [{ text: `the integrity of ${path} does not cover ${wanted}: make one file of them` }],
                }
              }
              // A plugin means this hookring, wherever it stands and whichever it has installed beside it.
              return /^hookring(?:\/|$)/.test(wanted) ? { path: ownDoor(wanted) } : undefined
            })
            build.onLoad({ filter: /.*/ }, ({ path: file }) => guestPart(file))
          },
        },
      ],
    })
    return built.outputFiles[0]?.contents ?? new Uint8Array()
  } catch (error) {
    throw new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${path} does not compile: ${thrownText(error)}`, {
      cause: error,
    })
  }
}

function ownDoor(specifier: string): string {
  const url = resolveModule(specifier, pathToFileURL(`${OWN_FOLDER}index.js`).href)
  return decodeURIComponent(new URL(url).pathname)
}
