/** The MQTT broker of `hookring serve`: Aedes with the hooks of mqtt@1. Main thread. */
import { Aedes, type AedesOptions } from 'aedes'
import { type AttachOptions, attachHooks } from '../../adapters/aedes/index.js'
import { mqtt } from '../../contracts/index.js'
import type { ResolvedServeConfig } from '../../contracts/serve-config.js'
import type { HookEngine } from '../../index.js'
import { LATE, within } from '../../primitives/within.js'
import { openEngine } from './engine.js'
import { engineProblems } from './health.js'
import { Listener } from './listeners.js'
import type { StartedServer, StartOptions } from './server.js'

type MqttConfig = NonNullable<ResolvedServeConfig['mqtt']>
type MqttEngine = HookEngine<typeof mqtt.hookpoints, typeof mqtt.services>

/** Nobody has retained messages there: asked for, it takes the way to where they are, and nothing comes. */
const PROBED_TOPIC = '$hookring/readyz'
const PROBE_MS = 1_000

export async function startMqtt(config: MqttConfig, options: StartOptions): Promise<StartedServer> {
  const engine = await openEngine(mqtt, config, options)
  const listeners: Listener[] = []
  try {
    const broker = await Aedes.createBroker(config.broker as AedesOptions)
    const onError = (error: unknown, place: string) => options.logger.error({ err: error }, `mqtt: ${place}`)
    const attached = attachHooks(broker, engine, { onError, ...(config.attach as AttachOptions) })
    broker.on('clientError', (_, error) => options.logger.debug({ err: error }, 'mqtt: a client'))
    for (const address of config.listen) {
      listeners.push(await Listener.open(address, options.folder, (socket) => void broker.handle(socket)))
    }
    const isHealthy = () => attached.isServing
    return {
      name: 'mqtt',
      engine,
      addresses: listeners.map(({ address }) => address),
      isHealthy,
      problems: async () => [
        ...(isHealthy() ? [] : ['the broker takes no part in its cluster']),
        ...(await engineProblems(engine, config.engine.metricsPrefix)),
        ...(await storeProblems(engine)),
      ],
      renewCertificates() {
        for (const listener of listeners) listener.renewCertificates()
      },
      refuse() {
        for (const listener of listeners) listener.refuse()
      },
      drain: () => new Promise((resolve) => broker.close(() => resolve())),
    }
  } catch (error) {
    for (const listener of listeners) listener.refuse()
    await engine.close()
    throw error
  }
}

/** Whether what plugins keep, in Redis say, can be read now. */
async function storeProblems(engine: MqttEngine): Promise<string[]> {
  if (!engine.isSubscribed('getRetained')) return []
  try {
    const verdict = await within(engine.hooks.getRetained({ filter: PROBED_TOPIC }), PROBE_MS)
    if (verdict === LATE) return ['the store of retained messages does not answer']
    return verdict.failure === undefined ? [] : [`the store of retained messages: ${verdict.failure.message}`]
  } catch (error) {
    return [`the store of retained messages: ${(error as Error).message}`]
  }
}
