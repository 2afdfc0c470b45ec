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
    const code = (error as { code?: unknown } | null)?.code
    // Module hooks may stand in a thread of their own, from which errors come without their class.
    if (code === 'PLUGIN_IMPORT_FAILED') throw failure(plugin, `does not compile: ${messageOf(error)}`, error)
    if (isUncompiled(code, error)) {
      throw new HookringError('TYPESCRIPT_UNSUPPORTED', `plugin ${plugin.name}: ${messageOf(error)}`, { cause: error })
    }
    if (error instanceof HookringError) throw error
    const what = error instanceof SyntaxError ? 'does not parse' : 'threw while it was imported'
    throw failure(plugin, `${what}: ${describe(error)}`, error)
  }
}

function failure(plugin: PluginSpec, what: string, cause: unknown): HookringError {
  return new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${plugin.name} ${what}`, { cause })
}

function messageOf(error: unknown): string {
  return String((error as Error).message)
}

/** By Node.js itself, where the lane has no compiler, and by the compiler. */
const UNCOMPILED: ReadonlySet<unknown> = new Set([
  'TYPESCRIPT_UNSUPPORTED',
  'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX',
  'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
])

function isUncompiled(code: unknown, error: unknown): boolean {
  return (
    UNCOMPILED.has(code) || (code === 'ERR_UNKNOWN_FILE_EXTENSION' && /"\.(?:[cm]?ts|[jt]sx)"/.test(messageOf(error)))
  )
}

/** Whether it is the plugin's own file that is missing, and nothing that it imports. */
function isMissing(url: string, error: unknown): boolean {
  if (!url.startsWith('file:')) return false
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  const path = fileURLToPath(url)
  if (code === 'ENOENT') return String(message).includes(`'${path}'`)
  return code === 'ERR_MODULE_NOT_FOUND' && String(message).startsWith(`Cannot find module '${path}'`)
}
