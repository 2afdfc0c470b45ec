/**
 * Loads a lane's plugins: import, check, parse config, set up, one after the other. What goes wrong is a coded value that
 * names the plugin. The lane's thread only.
 */
import type { LaneSpec, LoadResult, Manifest, PluginSpec } from '../contracts/control.js'
import { type ErrorCode, HookringError } from '../contracts/errors.js'
import type { PluginLogger } from '../plugin/index.js'
import { definitionIn, describe, ownNameOf, type PluginInstance, setUpPlugin } from '../plugin/setup.js'
import { nameResident, runAs } from './attribution.js'

/** A plugin ready to be called. */
export interface LoadedPlugin extends PluginInstance {
  readonly index: number
  readonly timeoutMs: number
}

export interface Loading {
  readonly plugins: readonly LoadedPlugin[]
  readonly result: LoadResult
}

/** @param announce told which plugin's code is about to run (-1: none), so that a stuck one can be named. */
export async function loadPlugins(
  spec: LaneSpec,
  logger: (plugin: string) => PluginLogger,
  announce: (index: number) => void,
): Promise<Loading> {
  const plugins: LoadedPlugin[] = []
  const manifests: Manifest[] = []
  for (const [index, plugin] of spec.plugins.entries()) {
    announce(index)
    try {
      const { loaded, manifest } = await runAs(plugin.name, () => loadPlugin(spec, plugin, index, logger))
      plugins.push(loaded)
      manifests.push(manifest)
    } catch (error) {
      return { plugins, result: refusal(plugin, error) }
    } finally {
      announce(-1)
    }
  }
  return { plugins, result: { ok: true, manifests } }
}

async function loadPlugin(spec: LaneSpec, found: PluginSpec, index: number, logger: (plugin: string) => PluginLogger) {
  const definition = definitionIn((await importModule(found)).default, found.name)
  const name = found.isNamed ? found.name : ownNameOf(definition, found.name)
  nameResident({ name, url: found.url })
  const { contract, hookpoints } = spec
  const instance = await setUpPlugin(definition, {
    name,
    config: found.config,
    log: logger(name),
    contract,
    hookpoints,
  })
  const loaded: LoadedPlugin = { ...instance, index, timeoutMs: found.timeoutMs }
  const manifest: Manifest = {
    name,
    contract: { name: contract.name, version: contract.version },
    hooks: hookpoints.filter((_, at) => instance.hooks[at] !== undefined).map((point) => point.name),
  }
  return { loaded, manifest }
}

async function importModule(plugin: PluginSpec): Promise<{ default?: unknown }> {
  try {
    return await import(plugin.url)
  } catch (error) {
    const { code, url } = (error ?? {}) as { code?: string; url?: string }
    if ((code === 'ERR_MODULE_NOT_FOUND' || code === 'ENOENT') && (url === undefined || url === plugin.url)) {
      if (String((error as Error).message).includes(new URL(plugin.url).pathname)) {
        throw new HookringError('PLUGIN_NOT_FOUND', `plugin ${plugin.name}: there is no ${plugin.url}`, {
          cause: error,
        })
      }
    }
    if (error instanceof HookringError) throw error
    const what = error instanceof SyntaxError ? 'does not parse' : 'threw while it was imported'
    throw new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${plugin.name} ${what}: ${describe(error)}`, {
      cause: error,
    })
  }
}

function refusal(plugin: PluginSpec, error: unknown): LoadResult {
  const code: ErrorCode = error instanceof HookringError ? error.code : 'PLUGIN_SETUP_FAILED'
  const cause = error instanceof HookringError && error.cause instanceof Error ? error.cause : error
  const stack = cause instanceof Error ? cause.stack?.slice(0, 4000) : undefined
  return {
    ok: false,
    code,
    message: describe(error).slice(0, 4000),
    plugin: plugin.name,
    ...(stack === undefined ? {} : { stack }),
  }
}
