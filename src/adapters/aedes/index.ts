/**
 * The door `hookring/aedes`: puts an Aedes broker (an optional peer dependency, 1.2 or later) under an engine of mqtt@1.
 * Used by the broker's operator, on the host's thread.
 *
 * ```ts
 * const broker = await Aedes.createBroker()
 * const engine = await createHookEngine({ contract: mqtt, plugins: [auth({ credentials }), acl({ rules })] })
 * attachHooks(broker, engine)
 * createServer(broker.handle).listen(1883)
 * ```
 */

export { type AttachedHooks, attachHooks } from './attach.js'
export type { HookCounts } from './counts.js'
export type { AttachOptions, UndecidedOptions } from './options.js'
export type { MqttEngine } from './questions.js'
export type { BrokerStats } from './services.js'
