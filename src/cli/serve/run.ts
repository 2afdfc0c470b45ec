/**
 * Starts the servers of a config, and ends them in order: no more connections, plugins are told (their connections being
 * open still), connections end, what is observed is delivered, plugins are destroyed. Main thread.
 */
import { HookringError } from '../../index.js'
import { LATE, within } from '../../primitives/within.js'
import { UsageError } from '../common/errors.js'
import type { LoadedConfig } from './config.js'
import { type MetricsServer, serveMetrics } from './metrics.js'
import type { StartedServer, StartOptions } from './server.js'

export interface Serving {
  readonly servers: readonly StartedServer[]
  readonly metrics: MetricsServer | null
  /** Whether a plugin's thread would not end. */
  readonly hadZombies: boolean
  /** @throws HookringError SHUTDOWN_TIMEOUT when the time of the config is over; what is left is left. */
  end(): Promise<void>
}

export async function serve({ config, folder }: LoadedConfig): Promise<Serving> {
  const servers: StartedServer[] = []
  let isServing = true
  let hadZombies = false
  const endAll = async (): Promise<void> => {
    isServing = false
    for (const server of servers) server.refuse()
    await Promise.all(servers.map(({ engine }) => engine.shutdown()))
    await Promise.all(servers.map((server) => server.drain()))
    await Promise.all(servers.map(({ engine }) => engine.close()))
  }
  const endAllWithin = async (ms: number): Promise<void> => {
    if ((await within(endAll(), ms)) !== LATE) return
    throw new HookringError('SHUTDOWN_TIMEOUT', `not everything had ended within shutdownMs (${ms} ms)`)
  }
  try {
    for (const start of startsOf(config)) {
      const server = await start({ folder, registry: servers[0]?.engine.registry })
      server.engine.on('zombie', () => {
        hadZombies = true
      })
      servers.push(server)
    }
    const [first] = servers as [StartedServer]
    const metrics =
      config.metrics === undefined
        ? null
        : await serveMetrics(config.metrics.listen, first.engine.registry, () => isServing)
    return {
      servers,
      metrics,
      get hadZombies() {
        return hadZombies
      },
      async end() {
        try {
          await endAllWithin(config.shutdownMs)
        } finally {
          metrics?.close()
        }
      },
    }
  } catch (error) {
    await endAllWithin(config.shutdownMs).catch(() => {})
    throw error
  }
}

type Start = (options: StartOptions) => Promise<StartedServer>

/** Each server's module needs packages that those who do without it need not have. */
function startsOf({ mqtt, connection, exhook }: LoadedConfig['config']): Start[] {
  const starts: Start[] = []
  if (mqtt !== undefined) {
    starts.push(async (options) => (await needing('mqtt', 'aedes', import('./mqtt.js'))).startMqtt(mqtt, options))
  }
  if (connection !== undefined) {
    starts.push(async (options) => {
      const { startConnection } = await needing('connection', '@msgpack/msgpack', import('./connection.js'))
      return startConnection(connection, options)
    })
  }
  if (exhook !== undefined) {
    starts.push(async (options) => {
      const packages = '@grpc/grpc-js @grpc/proto-loader'
      const { startExhook } = await needing('exhook', packages, import('./exhook.js'))
      return startExhook(exhook, options)
    })
  }
  return starts
}

async function needing<Module>(server: string, packages: string, module: Promise<Module>): Promise<Module> {
  try {
    return await module
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new UsageError('PACKAGE_NOT_INSTALLED', `${server} needs packages: npm install ${packages}`)
  }
}
