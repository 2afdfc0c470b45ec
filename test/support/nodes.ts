/** Brokers' engines with the cluster or the redis plugin, in lanes, without a broker: what a node is told and what it does. */
import type { HookEngine, PluginOptions } from 'hookring'
import { type MqttClientInfo, type MqttPublishPacket, mqtt, type Verdict } from 'hookring/contracts'
import { runInLane } from 'hookring/testing'
import { onTestFinished } from 'vitest'
import { until } from './lab.js'

export interface TestNode {
  readonly engine: HookEngine<typeof mqtt.hookpoints, typeof mqtt.services>
  readonly hooks: HookEngine<typeof mqtt.hookpoints>['hooks']
  readonly logs: readonly { readonly level: string; readonly message: string }[]
  /** What the node was asked to publish: `TOPIC PAYLOAD`. */
  readonly published: string[]
  /** What the node was asked to let go of. */
  readonly released: string[]
  readonly delivered: { clientId: string; messages: { id: string; packetId: number; packet: MqttPublishPacket }[] }[]
  publish(topic: string, payload?: string, packet?: Partial<MqttPublishPacket>): Promise<Verdict>
  got(count: number): Promise<string[]>
  close(): Promise<void>
}

export const client = (clientId: string, info: Partial<MqttClientInfo> = {}): MqttClientInfo => ({
  clientId,
  username: null,
  remoteAddress: '',
  protocolVersion: 4,
  clean: true,
  keepalive: 0,
  ...info,
})

export const message = (topic: string, payload = '', packet: Partial<MqttPublishPacket> = {}): MqttPublishPacket => ({
  topic,
  payload: Uint8Array.from(Buffer.from(payload)),
  qos: 0,
  retain: false,
  ...packet,
})

/** A respond that fails rejects: here it is told as gates tell it. */
function failedVerdict(error: Error & { failure?: object }): Verdict {
  return { kind: 'reject', reason: error.message, failure: error.failure } as Verdict
}

export async function startNode(
  plugin: PluginOptions | { from: URL; config: unknown },
  { keep = false, execArgv }: { keep?: boolean; execArgv?: string[] } = {},
): Promise<TestNode> {
  const published: string[] = []
  const released: string[] = []
  const delivered: TestNode['delivered'] = []
  const engine = await runInLane({
    ...(plugin as PluginOptions),
    contract: mqtt,
    engine: { quarantine: false, ...(execArgv === undefined ? {} : { execArgv }) },
  })
  engine.provide({
    publish: ({ topic, payload }: MqttPublishPacket) =>
      void published.push(`${topic} ${Buffer.from(payload).toString()}`.trim()),
    releaseSession: ({ clientId }: { clientId: string }) => released.push(clientId) > 0,
    deliverQueued: (given: TestNode['delivered'][number]) => delivered.push(given) > 0,
  } as never)
  if (!keep) onTestFinished(() => engine.close())
  return {
    engine: engine as never,
    hooks: engine.hooks,
    logs: engine.logs as never,
    published,
    released,
    delivered,
    publish(topic, payload, packet) {
      const event = { client: client('publisher'), packet: message(topic, payload, packet) }
      if (engine.isSubscribed('onPublishReceived')) return engine.hooks.onPublishReceived(event)
      return engine.hooks.routeMessage({ ...event, exchange: null }).catch(failedVerdict)
    },
    async got(count) {
      await until(`${count} messages`, () => published.length >= count)
      return [...published]
    },
    close: () => engine.close(),
  }
}
