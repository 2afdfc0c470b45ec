/** Runtime `module`: native ESM import into the lane's thread. For plugins that the operator trusts. */
import { fileURLToPath } from 'node:url'
import type { PluginSpec } from '../../contracts/control.js'
import { HookringError } from '../../contracts/errors.js'
import { definitionIn, describe, ownNameOf, setUpPlugin } from '../../plugin/setup.js'
import type { Runtime } from './runtime.js'

export const moduleRuntime: Runtime = {
  async load({ plugin, contract, hookpoints, named, logger, services }) {
    const definition = definitionIn((await importModule(plugin)).default, plugin.name)
    const name = plugin.isNamed ? plugin.name : ownNameOf(definition, plugin.name)
    named(name)
    const instance = await setUpPlugin(definition, {
      name,
      config: plugin.config,
      log: logger(name),
      services,
      contract,
      hookpoints,
    })
    return { ...instance, takes: 'event' }
  },
}

async function importModule(plugin: PluginSpec): Promise<{ default?: unknown }> {
  try {
    return await import(plugin.url)
  } catch (error) {
    if (isMissing(plugin.url, error)) {
      throw new HookringError('PLUGIN_NOT_FOUND', `plugin ${plugin.name}: there is no ${plugin.url}`, { cause: error })
    }
    if (error instanceof HookringError) throw error
    const what = error instanceof SyntaxError ? 'does not parse' : 'threw while it was imported'
    throw new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${plugin.name} ${what}: ${describe(error)}`, {
      cause: error,
    })
  }
}

/** Whether it is the plugin's own file that is missing, and nothing that it imports. */
function isMissing(url: string, error: unknown): boolean {
  if (!url.startsWith('file:')) return false
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  const path = fileURLToPath(url)
  if (code === 'ENOENT') return String(message).includes(`'${path}'`)
  return code === 'ERR_MODULE_NOT_FOUND' && String(message).startsWith(`Cannot find module '${path}'`)
}
