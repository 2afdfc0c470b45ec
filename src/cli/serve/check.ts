/**
 * What `hookring serve --check` looks at: all that starting looks at, short of starting it. No lane is started, no port
 * listened on, no plugin set up, so that a check beside a running server changes nothing. Main thread.
 */
import type { ConnectionServerOptions } from '../../adapters/connection/index.js'
import { type Contract, connection, exhook1, exhook2, exhook3, mqtt } from '../../contracts/index.js'
import { checkPluginConfig, checkPluginOptions, type ResolvedServeConfig } from '../../contracts/serve-config.js'
import { createPluginSources } from '../../host/sources/locate.js'
import { createHookEngine, type EngineOptions, type PluginOptions } from '../../index.js'
import { importPlugin } from '../common/plugin-modules.js'
import type { LoadedConfig } from './config.js'
import { readCertificates } from './listeners.js'
import { pluginsOf } from './plugins.js'

/** The part of a plugin that a check reads. */
interface Definition {
  readonly name?: string
  readonly config?: Parameters<typeof checkPluginConfig>[0]
}

const EXHOOK = { 1: exhook1, 2: exhook2, 3: exhook3 } as const

/** @throws HookringError, UsageError as starting would */
export async function checkConfig({ config, folder, file }: LoadedConfig): Promise<void> {
  for (const [name, server] of serversOf(config)) {
    await checkEngine(server.contract, server.engine)
    for (const [index, plugin] of pluginsOf(server.plugins, folder).entries()) {
      await checkPlugin(plugin, `${file}.${name}.plugins[${index}]`)
    }
  }
  for (const address of config.mqtt?.listen ?? []) {
    if ('tls' in address && address.tls !== undefined) readCertificates(address.tls, folder)
  }
  if (config.exhook?.tls !== undefined) readCertificates(config.exhook.tls, folder)
  if (config.connection !== undefined) await checkConnectionServer(config.connection)
}

function serversOf({ mqtt: broker, connection: server, exhook }: ResolvedServeConfig) {
  type Server = Pick<NonNullable<ResolvedServeConfig['mqtt']>, 'plugins' | 'engine'> & { readonly contract: Contract }
  const servers: [string, Server][] = []
  if (broker !== undefined) servers.push(['mqtt', { ...broker, contract: mqtt as Contract }])
  if (server !== undefined) servers.push(['connection', { ...server, contract: connection as Contract }])
  if (exhook !== undefined) servers.push(['exhook', { ...exhook, contract: EXHOOK[exhook.contract] as Contract }])
  return servers
}

/** An engine without plugins has no threads. */
async function checkEngine(contract: Contract, options: Readonly<Record<string, unknown>>): Promise<void> {
  const engine = await createHookEngine({ ...(options as Partial<EngineOptions<never>>), contract, spares: 0 } as never)
  await engine.close()
}

async function checkPlugin(plugin: PluginOptions, where: string): Promise<void> {
  checkPluginOptions(plugin, where)
  const { from, runtime, boundary = 'thread', trust, config, integrity } = plugin
  const sources = createPluginSources()
  try {
    const isRemote = runtime === 'exhook' || /^https?:/.test(String(from))
    const needs = { runtime: isRemote ? ('exhook' as const) : (runtime ?? 'module'), boundary }
    const url = await sources.locate(from, { ...needs, ...(trust && { trust }), ...(integrity && { integrity }) })
    const isOurs =
      trust !== 'untrusted' && boundary === 'thread' && needs.runtime === 'module' && /\.[cm]?[jt]s$/.test(url)
    // What is not trusted is not run here; its config is for its lane to judge.
    if (!isOurs) return
    const { default: definition } = (await importPlugin(url)) as { default?: Definition }
    if (definition?.config !== undefined) {
      checkPluginConfig(definition.config, config, plugin.name ?? definition.name ?? String(from))
    }
  } finally {
    await sources.close()
  }
}

async function checkConnectionServer(config: NonNullable<ResolvedServeConfig['connection']>): Promise<void> {
  const { createConnectionServer } = await import('../../adapters/connection/index.js')
  const engine = await createHookEngine({ contract: connection, spares: 0 })
  try {
    const server = createConnectionServer({ ...(config.server as Partial<ConnectionServerOptions>), engine })
    await server.close()
  } finally {
    await engine.close()
  }
}
