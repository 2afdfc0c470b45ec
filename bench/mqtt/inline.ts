/**
 * The shipped hooks on the broker's own thread, in Aedes' own callbacks: what a server does without lanes. Used by the
 * broker's process of mode `inline`.
 */
import type { Aedes, AedesPublishPacket, AuthenticateError, Client } from 'aedes'
import type { PluginOptions } from 'hookring'
import { block } from './block.js'
import { HOOKED_TOPIC } from './rates.js'

interface Verdict {
  readonly kind?: string
}
type Hook = (event: object) => Verdict | undefined | Promise<Verdict | undefined>
type Hooks = Readonly<Partial<Record<string, Hook>>>
interface Definition {
  readonly config: { parse(config: unknown): unknown }
  setup(context: object): Hooks | Promise<Hooks>
}

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

/** Answers the broker's callbacks with the hooks of these plugins, in their order. */
export async function hookInline(broker: Aedes, plugins: readonly PluginOptions[], sleepMs: number): Promise<void> {
  const all = await Promise.all(plugins.map(load))
  const of = (name: string): Hook[] => all.flatMap((hooks) => hooks[name] ?? [])
  const [connects, publishes, received, subscribes, reads, delivers] = [
    of('onConnect'),
    of('onPublish'),
    of('onPublishReceived'),
    of('onSubscribe'),
    of('canRead'),
    of('onPublishDeliver'),
  ]
  // Those that are asked of messages answer at once; the broker decides about deliveries synchronously.
  const refuses = (hooks: readonly Hook[], event: object): boolean =>
    hooks.some((hook) => (hook(event) as Verdict | undefined)?.kind === 'reject')

  broker.authenticate = (client, _username, password, done) => {
    const copy = { client: infoOf(client), password, will: null }
    const answers = connects.map((hook) => hook({ ...copy, copy: () => copy }))
    void Promise.all(answers).then((verdicts) => {
      if (!verdicts.some((verdict) => verdict?.kind === 'reject')) return done(null, true)
      done(Object.assign(new Error('refused'), { returnCode: 4 }) as AuthenticateError, false)
    })
  }
  broker.authorizePublish = (client, packet, done) => {
    const event = { client: client === null ? null : infoOf(client), packet: partsOf(packet as AedesPublishPacket) }
    if (packet.topic.startsWith(`${HOOKED_TOPIC}/`)) block(sleepMs)
    done(refuses(publishes, event) || refuses(received, event) ? new Error('refused') : null)
  }
  broker.authorizeSubscribe = (client, subscription, done) => {
    const { topic: filter, qos } = subscription
    done(null, refuses(subscribes, { client: infoOf(client), subscriptions: [{ filter, qos }] }) ? null : subscription)
  }
  broker.authorizeForward = (client, packet) => {
    const event = { client: infoOf(client), packet: partsOf(packet) }
    return refuses(reads, event) || refuses(delivers, event) ? null : packet
  }
}

async function load({ from, config }: PluginOptions): Promise<Hooks> {
  const { default: definition } = (await import(String(from))) as { default: Definition }
  return definition.setup({ config: definition.config.parse(config), log: quiet, services: {} })
}

function infoOf(client: Client) {
  const { username = null } = client as { username?: string | null }
  return { clientId: client.id, username, remoteAddress: '', protocolVersion: 4, clean: client.clean, keepalive: 0 }
}

function partsOf({ topic, payload, qos, retain }: AedesPublishPacket) {
  return { topic, payload: Buffer.from(payload), qos, retain }
}
