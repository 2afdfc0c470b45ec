/** A broker of case `mqtt`, in a process of its own: Aedes in one mode with one hook. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'
import { createHookEngine, type PluginOptions } from 'hookring'
import { attachHooks } from 'hookring/aedes'
import { mqtt } from 'hookring/contracts'
import { acl, auth, logger, rateLimit } from 'hookring/hooks'
import { answerRequests } from '../instruments.js'
import { hookInline } from './inline.js'
import { type BrokerRequest, CREDENTIALS, HOOK_MS, HOOKED_TOPIC, type MqttRow, PUBLISHERS } from './rates.js'

let stop: () => Promise<void> = async () => {}

answerRequests(async (request: BrokerRequest): Promise<number | undefined> => {
  if (request.kind === 'start') return start(request.row)
  await stop()
  return undefined
})

async function start({ mode, hook }: MqttRow): Promise<number> {
  const broker = await Aedes.createBroker()
  const closeEngine = await attach(broker, mode, hook)
  const server = createServer({ noDelay: true }, broker.handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  stop = async () => {
    server.close()
    await new Promise<void>((resolve) => broker.close(resolve))
    await closeEngine()
  }
  return (server.address() as AddressInfo).port
}

async function attach(broker: Aedes, mode: MqttRow['mode'], hook: MqttRow['hook']): Promise<() => Promise<void>> {
  const sleepMs = HOOK_MS[hook]
  if (mode === 'bare') return async () => {}
  const plugins = shippedPlugins()
  if (mode === 'inline') {
    await hookInline(broker, plugins, sleepMs)
    return async () => {}
  }
  const engine = await createHookEngine({
    contract: mqtt,
    plugins: hook === 'none' ? plugins : [...plugins, gate(sleepMs)],
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  })
  attachHooks(broker, engine)
  return () => engine.close()
}

function shippedPlugins(): PluginOptions[] {
  return [
    auth({ credentials: { [CREDENTIALS.username]: CREDENTIALS.password } }),
    acl({ rules: [{ topicFilter: '#', read: true, write: true }], denyByDefault: true }),
    rateLimit({ publishRate: 1_000_000 }),
    logger(),
  ]
}

/** A lane for each publisher, as an operator who knows of the 50 ms would choose. */
function gate(sleepMs: number): PluginOptions {
  return {
    from: new URL('../plugins/gate-that-sleeps.js', import.meta.url),
    config: { sleepMs },
    match: { 'packet.topic': { mqtt: `${HOOKED_TOPIC}/#` } },
    bulkhead: 'gate',
    workers: PUBLISHERS,
    timeoutMs: 1_000,
  }
}
