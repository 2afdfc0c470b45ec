/** The ExHook provider of `hookring serve`. Main thread. */
import { type ExhookProviderOptions, startExhookProvider } from '../../adapters/exhook/index.js'
import { exhook1, exhook2, exhook3 } from '../../contracts/index.js'
import type { ResolvedServeConfig } from '../../contracts/serve-config.js'
import { openEngine } from './engine.js'
import { engineProblems } from './health.js'
import { pemsOf } from './pems.js'
import type { StartedServer, StartOptions } from './server.js'

type ExhookConfig = NonNullable<ResolvedServeConfig['exhook']>

const CONTRACTS = { 1: exhook1, 2: exhook2, 3: exhook3 } as const

export async function startExhook(config: ExhookConfig, options: StartOptions): Promise<StartedServer> {
  // Engines of all three serve; their types differ in their hooks alone.
  const contract = CONTRACTS[config.contract] as typeof exhook3
  const engine = await openEngine(contract, config, options)
  try {
    const provider = await startExhookProvider(engine, {
      ...(config.provider as ExhookProviderOptions),
      ...(config.tls !== undefined && { tls: pemsOf(config.tls, options.folder, 'exhook.tls') }),
    })
    return {
      name: 'exhook',
      engine,
      addresses: [provider.address],
      isHealthy: () => true,
      problems: () => engineProblems(engine, config.engine.metricsPrefix),
      // It takes none from when it drains.
      refuse() {},
      drain: () => provider.close(),
    }
  } catch (error) {
    await engine.close()
    throw error
  }
}
