/** The folder that names of plugins are relative to. The server's thread only, when an engine is made. */
import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HookringError } from '../../contracts/errors.js'

/**
 * @param root a folder, or a file in it such as `import.meta.url`; left out: the working directory
 * @throws HookringError OPTIONS_INVALID when there is no such folder
 */
export function rootFolder(root: string | URL | undefined): string {
  if (root === undefined) return process.cwd()
  try {
    const path = root instanceof URL || root.startsWith('file:') ? fileURLToPath(root) : resolve(root)
    return statSync(path).isDirectory() ? path : dirname(path)
  } catch (cause) {
    const message = `options: root: there is no folder ${String(root)}: ${(cause as Error).message}`
    throw new HookringError('OPTIONS_INVALID', message, { path: ['root'], cause })
  }
}
