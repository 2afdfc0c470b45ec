/**
 * The files that a child process must read before it is given a plugin: this package, and what its runtimes import. Nothing
 * of a plugin: its code comes over the pipe. The lane's thread only.
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChildProfile } from '../../contracts/process.js'
import type { RuntimeName } from '../../contracts/runtimes.js'

/** Where each stands is found from this file, as the runtimes' imports are. */
const PACKAGES: Readonly<Record<RuntimeName, readonly string[]>> = {
  exhook: [],
  module: [],
  compartment: ['ses'],
  quickjs: ['@jitl/quickjs-ng-wasmfile-release-sync'],
  wasm: [],
  native: ['koffi'],
}

/** Paths for --allow-fs-read: files, and folders with everything in them (`/*`). */
export function filesOf({ runtimes, libraries }: Pick<ChildProfile, 'runtimes' | 'libraries'>): string[] {
  const home = fileURLToPath(new URL('../../..', import.meta.url))
  const files = [join(home, 'dist', '*'), join(home, 'package.json'), ...libraries]
  for (const name of new Set(runtimes.flatMap((runtime) => PACKAGES[runtime]))) {
    for (const folder of foldersOf(name)) files.push(join(folder, '*'))
  }
  // Node.js 20 aborts on a path that is granted twice.
  return [...new Set(files)]
}

interface Needs {
  readonly dependencies?: object
  readonly optionalDependencies?: object
}

/** A package's folder as it is found, and where it really stands, and the same of what it depends on. */
function foldersOf(name: string, from = import.meta.url, seen = new Set<string>()): Set<string> {
  for (const folder of createRequire(from).resolve.paths(name) ?? []) {
    const found = join(folder, name)
    if (!existsSync(join(found, 'package.json'))) continue
    if (seen.has(found)) break
    const real = realpathSync(found)
    seen.add(found).add(real)
    const manifest = join(real, 'package.json')
    const { dependencies, optionalDependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as Needs
    for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies }))
      foldersOf(dependency, manifest, seen)
    break
  }
  return seen
}
