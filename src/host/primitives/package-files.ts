/**
 * Where this package's own files stand: programs of threads and processes, and shipped plugins. They are beside this module,
 * unless a bundler has put it into another file; then the server says where they are (`workerUrl`). Host's thread, and the
 * programs themselves, which are never bundled.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { HookringError } from '../../contracts/errors.js'

const LANE_ENTRY = 'worker/entry.js'

/** `dist/`, as the server has told it; a fact of the build, so one for all engines of a process. */
let told: URL | null = null

/** A file of `dist/`. @throws HookringError LANE_ENTRY_MISSING where a bundler has left nothing to find it by */
export function packageFile(path: string): URL {
  return new URL(path, told ?? ownFolder())
}

/**
 * @param workerUrl the file `dist/worker/entry.js` of this package: a URL, or a path from the working directory
 * @throws HookringError LANE_ENTRY_MISSING when the entry is not where it should be
 */
export function findPackageFiles(workerUrl: string | URL | undefined): void {
  const entry = workerUrl === undefined ? packageFile(LANE_ENTRY) : urlOf(workerUrl)
  if (entry.protocol !== 'file:' || !existsSync(entry)) {
    throw missing(entry.protocol === 'file:' ? fileURLToPath(entry) : entry.href)
  }
  if (workerUrl !== undefined) told = new URL('..', entry)
}

function urlOf(given: string | URL): URL {
  return typeof given === 'string' && !given.startsWith('file:') ? pathToFileURL(resolve(given)) : new URL(given)
}

function ownFolder(): URL {
  // Bundlers that write CommonJS have no URL to put here.
  const { url } = import.meta as { url?: string }
  if (url === undefined || !URL.canParse(url)) throw missing('the module that was bundled into this file')
  return new URL('../../', url)
}

function missing(looked: string): HookringError {
  return new HookringError(
    'LANE_ENTRY_MISSING',
    `the entry of lanes is not at ${looked}: hookring has been bundled into another file. Leave it out of the bundle (esbuild: external: ['hookring', 'hookring/*']; rollup: external: [/^hookring(\\/|$)/]; webpack: externals; Vite: ssr.external), or say where the package's dist/worker/entry.js is with the option workerUrl`,
  )
}
