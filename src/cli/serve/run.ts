/**
 * Starts the servers of a config, changes them when it is read again, and ends them in order: no more connections, plugins
 * are told (their connections being open still), connections end, what is observed is delivered, plugins are destroyed. Main
 * thread.
 */
import type { ResolvedServeConfig } from '../../contracts/serve-config.js'
import { HookringError, type Logger } from '../../index.js'
import { LATE, within } from '../../primitives/within.js'
import { UsageError } from '../common/errors.js'
import type { LoadedConfig } from './config.js'
import { MetricsServer } from './metrics.js'
import { pluginsOf, ServedPlugins } from './plugins.js'
import type { StartedServer, StartOptions } from './server.js'

type ServerName = StartedServer['name']
const SERVERS = ['mqtt', 'connection', 'exhook'] as const satisfies readonly ServerName[]

export class Serving {
  readonly #logger: Logger
  readonly #servers: StartedServer[] = []
  readonly #plugins = new Map<ServerName, ServedPlugins>()
  #loaded: LoadedConfig
  #metrics: MetricsServer | null = null
  #isServing = true
  #hadZombies = false
  #change: Promise<unknown> = Promise.resolve()

  private constructor(loaded: LoadedConfig, logger: Logger) {
    this.#loaded = loaded
    this.#logger = logger
  }

  /** @throws HookringError, UsageError; then nothing is left running */
  static async start(loaded: LoadedConfig, logger: Logger): Promise<Serving> {
    const serving = new Serving(loaded, logger)
    try {
      await serving.#start()
      return serving
    } catch (error) {
      await serving.#endWithin(loaded.config.shutdownMs).catch(() => {})
      throw error
    }
  }

  get servers(): readonly StartedServer[] {
    return this.#servers
  }

  get metricsAddress(): string | null {
    return this.#metrics?.address ?? null
  }

  /** Whether a plugin's thread would not end. */
  get hadZombies(): boolean {
    return this.#hadZombies
  }

  /**
   * Plugins and certificates as a config says that was read again: plugins are loaded anew, added and removed. What fails
   * stays as it was, and is logged. One change after the other.
   */
  reload(load: () => Promise<LoadedConfig>): Promise<void> {
    const changed = this.#change.then(async () => {
      if (this.#isServing) await this.#reload(await load())
    })
    this.#change = changed.catch((error: unknown) => this.#logger.error({ err: error }, 'the config stays as it was'))
    return this.#change as Promise<void>
  }

  /** For development: plugins whose files change are reloaded, and it is logged. Ends with the servers. */
  async watch(): Promise<void> {
    for (const { name, engine } of this.#servers) {
      engine.on('pluginReloaded', ({ plugin, files, tookMs }) =>
        this.#logger.info({ server: name, plugin, files, tookMs: Math.round(tookMs) }, `${plugin} is loaded anew`),
      )
      await engine.watch()
    }
  }

  /** @throws HookringError SHUTDOWN_TIMEOUT when the time of the config is over; what is left is left. */
  async end(): Promise<void> {
    try {
      await this.#endWithin(this.#loaded.config.shutdownMs)
    } finally {
      this.#metrics?.close()
    }
  }

  async #start(): Promise<void> {
    const { config, folder } = this.#loaded
    for (const name of SERVERS) {
      const start = startOf(name, config)
      if (start === null) continue
      const registry = this.#servers[0]?.engine.registry
      const server = await start({ folder, registry, logger: this.#logger })
      this.#servers.push(server)
      this.#plugins.set(name, new ServedPlugins(server.engine, pluginsOf(config[name]?.plugins ?? [], folder)))
      server.engine.on('zombie', () => {
        this.#hadZombies = true
      })
    }
    if (config.metrics === undefined) return
    this.#metrics = await MetricsServer.open({
      listen: config.metrics.listen,
      registry: (this.#servers[0] as StartedServer).engine.registry,
      unhealthy: () => this.#unhealthy(),
      unready: () => this.#unready(),
    })
  }

  async #reload(next: LoadedConfig): Promise<void> {
    const { config, folder } = next
    for (const server of this.#servers) {
      const { name } = server
      const wanted = config[name]
      if (wanted === undefined) {
        this.#logger.warn({ server: name }, 'a server that the config has no more is ended by a restart')
        continue
      }
      const plugins = this.#plugins.get(name) as ServedPlugins
      const { errors, ...changes } = await plugins.change(pluginsOf(wanted.plugins, folder))
      for (const error of errors) this.#logger.error({ err: error, server: name }, 'a plugin stays as it was')
      this.#renewCertificates(server)
      this.#logger.info({ server: name, ...changes, failed: errors.length }, 'plugins and certificates are loaded anew')
    }
    this.#sayWhatStays(config)
    this.#loaded = next
  }

  #renewCertificates(server: StartedServer): void {
    try {
      server.renewCertificates?.()
    } catch (error) {
      this.#logger.error({ err: error, server: server.name }, 'the certificates stay as they were')
    }
  }

  #sayWhatStays(next: ResolvedServeConfig): void {
    const present = this.#loaded.config
    const rest = (config: ResolvedServeConfig, name: ServerName) => JSON.stringify({ ...config[name], plugins: [] })
    const changed = SERVERS.filter((name) => rest(present, name) !== rest(next, name))
    if (changed.length > 0) {
      this.#logger.warn({ servers: changed }, 'what has changed beside plugins takes a restart')
    }
  }

  #unhealthy(): string[] {
    if (!this.#isServing) return ['shutting down']
    return this.#servers.filter((server) => !server.isHealthy()).map(({ name }) => `${name}: it serves no clients`)
  }

  async #unready(): Promise<string[]> {
    if (!this.#isServing) return ['shutting down']
    const all = await Promise.all(
      this.#servers.map(async (server) => (await server.problems()).map((problem) => `${server.name}: ${problem}`)),
    )
    return all.flat()
  }

  async #endWithin(ms: number): Promise<void> {
    if ((await within(this.#endAll(), ms)) !== LATE) return
    throw new HookringError('SHUTDOWN_TIMEOUT', `not everything had ended within shutdownMs (${ms} ms)`)
  }

  async #endAll(): Promise<void> {
    this.#isServing = false
    await this.#change
    for (const server of this.#servers) server.refuse()
    await Promise.all(this.#servers.map(({ engine }) => engine.shutdown()))
    await Promise.all(this.#servers.map((server) => server.drain()))
    await Promise.all(this.#servers.map(({ engine }) => engine.close()))
  }
}

type Start = (options: StartOptions) => Promise<StartedServer>

/** Each server's module needs packages that those who do without it need not have. Null: the config has none of it. */
function startOf(name: ServerName, { mqtt, connection, exhook }: ResolvedServeConfig): Start | null {
  switch (name) {
    case 'mqtt':
      if (mqtt === undefined) return null
      return async (options) => (await needing(name, 'aedes', import('./mqtt.js'))).startMqtt(mqtt, options)
    case 'connection':
      if (connection === undefined) return null
      return async (options) => {
        const { startConnection } = await needing(name, '@msgpack/msgpack', import('./connection.js'))
        return startConnection(connection, options)
      }
    case 'exhook':
      if (exhook === undefined) return null
      return async (options) => {
        const packages = '@grpc/grpc-js @grpc/proto-loader'
        return (await needing(name, packages, import('./exhook.js'))).startExhook(exhook, options)
      }
  }
}

async function needing<Module>(server: string, packages: string, module: Promise<Module>): Promise<Module> {
  try {
    return await module
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new UsageError('PACKAGE_NOT_INSTALLED', `${server} needs packages: npm install ${packages}`)
  }
}
