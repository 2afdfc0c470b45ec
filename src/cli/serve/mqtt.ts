/** The MQTT broker of `hookring serve`: Aedes with the hooks of mqtt@1. Main thread. */
import { Aedes } from 'aedes'
import { attachHooks } from '../../adapters/aedes/index.js'
import { mqtt } from '../../contracts/index.js'
import type { ResolvedServeConfig } from '../../contracts/serve-config.js'
import { openEngine } from './engine.js'
import { type Listener, listen } from './listeners.js'
import type { StartedServer, StartOptions } from './server.js'

type MqttConfig = NonNullable<ResolvedServeConfig['mqtt']>

export async function startMqtt(config: MqttConfig, options: StartOptions): Promise<StartedServer> {
  const engine = await openEngine(mqtt, config, options)
  const listeners: Listener[] = []
  try {
    const broker = await Aedes.createBroker(config.broker)
    attachHooks(broker, engine)
    for (const address of config.listen) listeners.push(await listen(address, options.folder, broker.handle))
    return {
      name: 'mqtt',
      engine,
      addresses: listeners.map(({ address }) => address),
      refuse() {
        for (const listener of listeners) listener.refuse()
      },
      drain: () => new Promise((resolve) => broker.close(resolve)),
    }
  } catch (error) {
    for (const listener of listeners) listener.refuse()
    await engine.close()
    throw error
  }
}
