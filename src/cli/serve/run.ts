/**
 * Starts the servers of a config, and ends them in order: no more connections, plugins are told (their connections being
 * open still), connections end, what is observed is delivered, plugins are destroyed. Main thread.
 */
import { HookringError } from '../../index.js'
import type { LoadedConfig } from './config.js'
import { type MetricsServer, serveMetrics } from './metrics.js'
import { startMqtt } from './mqtt.js'
import type { StartedServer } from './server.js'

export interface Serving {
  readonly servers: readonly StartedServer[]
  readonly metrics: MetricsServer | null
  /** @throws HookringError SHUTDOWN_TIMEOUT when the time of the config is over; what is left is left. */
  end(): Promise<void>
}

export async function serve({ config, folder }: LoadedConfig): Promise<Serving> {
  const servers: StartedServer[] = []
  let isServing = true
  const endAll = async (): Promise<void> => {
    isServing = false
    for (const server of servers) server.refuse()
    await Promise.all(servers.map((server) => server.announce()))
    await Promise.all(servers.map((server) => server.drain()))
    await Promise.all(servers.map((server) => server.destroy()))
  }
  try {
    let registry: object | undefined
    if (config.mqtt !== undefined) {
      const server = await startMqtt(config.mqtt, folder, registry)
      registry ??= server.registry
      servers.push(server)
    }
    const metrics =
      config.metrics === undefined
        ? null
        : await serveMetrics(config.metrics.listen, registry as Parameters<typeof serveMetrics>[1], () => isServing)
    return {
      servers,
      metrics,
      async end() {
        try {
          await within(config.shutdownMs, endAll())
        } finally {
          metrics?.close()
        }
      },
    }
  } catch (error) {
    await within(config.shutdownMs, endAll()).catch(() => {})
    throw error
  }
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new HookringError('SHUTDOWN_TIMEOUT', `not everything had ended within shutdownMs (${ms} ms)`)),
      ms,
    )
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
