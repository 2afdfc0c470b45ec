/**
 * The folders that a plugin which is not trusted may be made of: the one of its nearest package.json, else its own; those
 * that the operator names; and the packages that Node.js finds from there. The server's thread only.
 */
import { lstat, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, parse, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HookringError } from '../../contracts/errors.js'
import { packageFoldersAbove } from './bundler/engine-folders.js'
import type { SourceFolders } from './bundler/index.js'

/**
 * @param path of the plugin's file, a real one
 * @param named by the operator: folders, from `root`
 * @throws HookringError OPTIONS_INVALID when a folder that is named is none
 */
export async function sourceFoldersOf(
  path: string,
  named: readonly (string | URL)[],
  root: string,
): Promise<SourceFolders> {
  const roots = [await packageFolderOf(path)]
  for (const [index, folder] of named.entries()) roots.push(await realFolder(folder, index, root))
  const packages = roots.flatMap(packageFoldersAbove)
  return { roots: [...new Set(roots)], packages: [...new Set(packages)] }
}

async function packageFolderOf(path: string): Promise<string> {
  const own = dirname(path)
  const { root } = parse(own)
  // All of a machine is nobody's package, and a folder of packages is no package.
  for (let folder = own; folder !== root && basename(folder) !== 'node_modules'; folder = dirname(folder)) {
    // Whatever it is, and wherever it leads: a package begins here.
    if (await lstat(join(folder, 'package.json')).catch(() => null)) return folder
  }
  return own
}

async function realFolder(folder: string | URL, index: number, root: string): Promise<string> {
  const path = folder instanceof URL ? fileURLToPath(folder) : resolve(root, folder)
  const real = await realpath(path).catch(() => null)
  if (real !== null && (await stat(real)).isDirectory()) return real
  throw new HookringError('OPTIONS_INVALID', `sourceRoots: there is no folder ${path}`, {
    path: ['sourceRoots', index],
  })
}
