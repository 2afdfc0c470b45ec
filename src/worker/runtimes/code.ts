/** A plugin's code as bytes: a bundle, a binary. For runtimes, in the lane's thread or in a child process. */
import { readFile } from 'node:fs/promises'
import { HookringError } from '../../contracts/errors.js'
import { describe } from '../../plugin/setup.js'
import type { PluginPlace } from './runtime.js'

/** @throws HookringError PLUGIN_NOT_FOUND */
export async function codeOf({ plugin, code }: Pick<PluginPlace, 'plugin' | 'code'>): Promise<Uint8Array> {
  if (code !== undefined) return code
  try {
    return await readFile(new URL(plugin.url))
  } catch (error) {
    const message = `plugin ${plugin.name}: ${plugin.url} cannot be read: ${describe(error)}`
    throw new HookringError('PLUGIN_NOT_FOUND', message, { cause: error })
  }
}
