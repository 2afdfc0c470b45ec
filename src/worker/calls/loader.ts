/**
 * Loads a lane's plugins, each in its runtime, one after the other. What goes wrong is a coded value that names the
 * plugin. The lane's thread only.
 */
import type { LaneSpec, LoadResult, Manifest, PluginSpec } from '../../contracts/control.js'
import { type ErrorCode, HookringError } from '../../contracts/errors.js'
import type { PluginLogger } from '../../plugin/index.js'
import { describe } from '../../plugin/setup.js'
import type { Runtime, RuntimePlugin } from '../runtimes/runtime.js'
import { nameResident, runAs } from '../thread/attribution.js'
import type { HostServices } from '../thread/host-services.js'
import { RUNTIMES } from './runtimes.js'

/** A plugin ready to be called. */
export interface LoadedPlugin extends RuntimePlugin {
  readonly index: number
  readonly timeoutMs: number
}

export interface Loading {
  readonly plugins: readonly LoadedPlugin[]
  readonly result: LoadResult
}

export interface LoadOptions {
  readonly logger: (plugin: string) => PluginLogger
  /** Told which plugin's code is about to run (-1: none), so that a stuck one can be named. */
  readonly announce: (index: number) => void
  readonly services?: HostServices | undefined
  /** For plugins behind the process boundary: one runtime for all of them. */
  readonly childRuntime?: Runtime | null
}

export async function loadPlugins(
  spec: LaneSpec,
  { logger, announce, services, childRuntime = null }: LoadOptions,
): Promise<Loading> {
  const plugins: LoadedPlugin[] = []
  const manifests: Manifest[] = []
  for (const [index, plugin] of spec.plugins.entries()) {
    announce(index)
    try {
      const { loaded, manifest } = await runAs(plugin.name, () =>
        loadPlugin(spec, plugin, { index, logger, services, childRuntime }),
      )
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

interface Place extends Pick<LoadOptions, 'logger' | 'services'> {
  readonly index: number
  readonly childRuntime: Runtime | null
}

async function loadPlugin(spec: LaneSpec, plugin: PluginSpec, { index, logger, services, childRuntime }: Place) {
  const { contract, hookpoints } = spec
  const runtime =
    plugin.boundary === 'process' && childRuntime !== null ? childRuntime : await RUNTIMES[plugin.runtime]()
  const loaded = await runtime.load({
    plugin,
    contract,
    hookpoints,
    named: (name) => nameResident({ name, url: plugin.url }),
    logger,
    services: services?.of({ plugin: index, services: plugin.services, maxServiceBytes: spec.maxServiceBytes }),
    setupTimeoutMs: spec.setupTimeoutMs,
  })
  const manifest: Manifest = {
    name: loaded.name,
    contract: { name: contract.name, version: contract.version },
    hooks: hookpoints.filter((_, at) => loaded.hooks[at] !== undefined).map((point) => point.name),
  }
  return { loaded: { ...loaded, index, timeoutMs: plugin.timeoutMs } satisfies LoadedPlugin, manifest }
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
