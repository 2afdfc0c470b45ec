/** Engines of `hookring serve`. Main thread. */
import type { Contract, Hookpoints, Services } from '../../contracts/index.js'
import type { ServePlugin } from '../../contracts/serve-config.js'
import { createHookEngine, type EngineOptions, type HookEngine } from '../../index.js'
import { pluginsOf } from './plugins.js'
import type { StartOptions } from './server.js'

/** Opens the engine of one server of the config; engines share a registry, and label what they measure. */
export function openEngine<Points extends Hookpoints, Offered extends Services>(
  contract: Contract<Points, Offered>,
  config: { plugins: readonly ServePlugin[]; engine: Readonly<Record<string, unknown>> },
  { folder, registry, logger }: StartOptions,
): Promise<HookEngine<Points, Offered>> {
  return createHookEngine<Points, Offered>({
    logger,
    ...(config.engine as Partial<EngineOptions<Points, Offered>>),
    contract,
    plugins: pluginsOf(config.plugins, folder),
    ...(registry !== undefined && { registry }),
  })
}
