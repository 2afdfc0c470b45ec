/** Where this package stands, and the folders in which it finds what it imports. Any thread. */
import { realpathSync } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageFile } from '../../primitives/package-files.js'
import type { EnginePackages } from './resolver.js'

/** The folder of this package, without a slash at its end. */
export function homeFolder(): string {
  return dirname(fileURLToPath(packageFile('.')))
}

/** What a guest gets in place of a file of this package. Null: the file as it is. */
export function guestPart(path: string, parts: Readonly<Record<string, string>>): string | null {
  const contracts = join(homeFolder(), 'dist', 'contracts') + sep
  if (!path.startsWith(contracts)) return null
  const name = path.slice(contracts.length).replaceAll(sep, '/')
  return Object.hasOwn(parts, name) ? (parts[name] as string) : null
}

export function engineFolders(): EnginePackages {
  const home = homeFolder()
  return { home, folders: { roots: [home], packages: packageFoldersAbove(home) } }
}

/** The `node_modules` folders in which Node.js looks from a folder, but for its own. */
export function packageFoldersAbove(folder: string): string[] {
  const found: string[] = []
  for (let at = dirname(folder), below = folder; at !== below; below = at, at = dirname(at)) {
    const packages = basename(at) === 'node_modules' ? at : join(at, 'node_modules')
    // It is looked in under its own path, and what is found there has its real one.
    for (const path of pathsOf(packages)) if (!found.includes(path)) found.push(path)
  }
  return found
}

function pathsOf(folder: string): string[] {
  try {
    return [folder, realpathSync.native(folder)]
  } catch {
    return []
  }
}
