/** The MQTT broker of `hookring serve`: Aedes with the hooks of mqtt@1. Main thread. */
import { attachHooks } from '../../adapters/aedes/index.js'
import { mqtt } from '../../contracts/index.js'
import type { ResolvedServeConfig } from '../../contracts/serve-config.js'
import { createHookEngine, HookringError } from '../../index.js'
import { type Listener, listen } from './listeners.js'
import { pluginsOf } from './plugins.js'
import type { SharedRegistry, StartedServer } from './server.js'

type MqttConfig = NonNullable<ResolvedServeConfig['mqtt']>

export async function startMqtt(
  { listen: addresses, broker: brokerOptions, plugins, engine: engineOptions }: MqttConfig,
  folder: string,
  registry: SharedRegistry | undefined,
): Promise<StartedServer & { readonly registry: SharedRegistry }> {
  const { Aedes } = await import('aedes').catch((cause: unknown) => {
    throw new HookringError('PACKAGE_NOT_INSTALLED', 'mqtt needs the package aedes: npm install aedes', { cause })
  })
  const engine = await createHookEngine({
    ...engineOptions,
    contract: mqtt,
    plugins: pluginsOf(plugins, folder),
    ...(registry !== undefined && { registry }),
  } as Parameters<typeof createHookEngine>[0])
  const listeners: Listener[] = []
  try {
    const broker = await Aedes.createBroker(brokerOptions)
    attachHooks(broker, engine as never)
    for (const address of addresses) listeners.push(await listen(address, folder, broker.handle))
    return {
      name: 'mqtt',
      registry: engine.registry,
      addresses: listeners.map(({ address }) => address),
      get plugins() {
        return engine.plugins
      },
      refuse() {
        for (const listener of listeners) listener.refuse()
      },
      announce: () => engine.shutdown(),
      drain: () => new Promise((resolve) => broker.close(resolve)),
      destroy: () => engine.close(),
    }
  } catch (error) {
    for (const listener of listeners) listener.refuse()
    await engine.close()
    throw error
  }
}
