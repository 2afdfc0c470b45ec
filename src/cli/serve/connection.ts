/** The connection server of `hookring serve`. Main thread. */
import { resolve } from 'node:path'
import {
  type ConnectionServerOptions,
  createConnectionServer,
  type ListenOptions,
} from '../../adapters/connection/index.js'
import { connection } from '../../contracts/index.js'
import type { ResolvedServeConfig } from '../../contracts/serve-config.js'
import { openEngine } from './engine.js'
import { engineProblems } from './health.js'
import { clearStaleSocket } from './listeners.js'
import { pemsOf } from './pems.js'
import type { StartedServer, StartOptions } from './server.js'

type ConnectionConfig = NonNullable<ResolvedServeConfig['connection']>

export async function startConnection(config: ConnectionConfig, options: StartOptions): Promise<StartedServer> {
  const engine = await openEngine(connection, config, options)
  try {
    const server = createConnectionServer({ ...(config.server as Partial<ConnectionServerOptions>), engine })
    const addresses: string[] = []
    for (const where of config.listen) {
      const listening = listeningOf(where, options.folder)
      if (listening.path !== undefined) await clearStaleSocket(listening.path)
      const address = await server.listen(listening)
      const scheme = listening.tls === undefined ? 'tcp' : 'tls'
      addresses.push('path' in address ? `unix:${address.path}` : `${scheme}://${address.host}:${address.port}`)
    }
    return {
      name: 'connection',
      engine,
      addresses,
      isHealthy: () => true,
      problems: () => engineProblems(engine, config.engine.metricsPrefix),
      // It takes none from when it drains.
      refuse() {},
      drain: () => server.close(),
    }
  } catch (error) {
    await engine.close()
    throw error
  }
}

function listeningOf(where: ConnectionConfig['listen'][number], folder: string): ListenOptions {
  if ('path' in where) return { ...where, path: resolve(folder, where.path) }
  const { tls, ...rest } = where
  return tls === undefined ? rest : { ...rest, tls: pemsOf(tls, folder, 'connection.listen.tls') }
}
