/**
 * The host services of mqtt@1, on an Aedes broker. Host's thread only.
 */
import type { mqtt, ProvidedServices } from '../../contracts/index.js'
import { HookringError } from '../../index.js'
import type { Broker, Client, Done, Packet } from './broker.js'
import { isPublishable } from './topics.js'
import type { Traffic } from './traffic.js'

export interface BrokerStats {
  /** As Date.now() has it. */
  readonly startedAtMs: number
  readonly clientsConnected: number
  /** Connected clients and kept sessions. */
  readonly clientsTotal: number
  readonly messagesReceived: number
  readonly messagesSent: number
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly subscriptions: number
}

type Services = Required<Omit<ProvidedServices<(typeof mqtt)['services']>, 'releaseSession' | 'deliverQueued'>>

export interface BrokerServicesOptions {
  readonly broker: Broker
  readonly traffic: Traffic
  publish(packet: Packet, done: Done, isQueued: boolean): void
  onDisconnect(client: Client, reason: string): void
}

export class BrokerServices {
  readonly #options: BrokerServicesOptions
  readonly #startedAtMs = Date.now()
  #isServing = true
  /** As the engine takes them. */
  readonly services: Services

  constructor(options: BrokerServicesOptions) {
    this.#options = options
    this.services = {
      publish: (message) => this.#publish(message),
      disconnect: ({ clientId, code }, { plugin }) => this.#disconnect(clientId, code, plugin),
      subscriptions: async () => {
        const { count, clients } = await this.#countSubscriptions()
        return { count, clients }
      },
      setServing: ({ isServing }) => {
        this.#isServing = isServing
      },
      stats: () => this.stats(),
    }
  }

  get isServing(): boolean {
    return this.#isServing
  }

  async stats(): Promise<BrokerStats> {
    const { broker, traffic } = this.#options
    const { count, away } = await this.#countSubscriptions()
    const clientsConnected = broker.connectedClients
    return {
      startedAtMs: this.#startedAtMs,
      clientsConnected,
      clientsTotal: clientsConnected + away,
      ...traffic.totals(),
      subscriptions: count,
    }
  }

  #publish({ topic, payload, qos, retain, isQueued = false }: Parameters<Services['publish']>[0]): Promise<void> {
    if (!isPublishable(topic)) {
      throw new HookringError(
        'SERVICE_INPUT_INVALID',
        `publish.topic: ${JSON.stringify(topic.slice(0, 80))} cannot be published to`,
      )
    }
    const packet: Packet = { cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain, dup: false }
    return new Promise((resolve, reject) => {
      this.#options.publish(packet, (error) => (error ? reject(error) : resolve(undefined)), isQueued)
    })
  }

  #disconnect(clientId: string, code: number | undefined, plugin: string): boolean {
    const client = this.#options.broker.clients[clientId]
    if (client === undefined || client.closed) return false
    const because = code === undefined ? '' : ` (0x${code.toString(16)})`
    this.#options.onDisconnect(client, `disconnected by ${plugin}${because}`)
    client.close()
    return true
  }

  /** Connected clients' subscriptions, and those that are stored for clients which are away (QoS 1 and 2). */
  async #countSubscriptions(): Promise<{ count: number; clients: number; away: number }> {
    const { broker } = this.#options
    const stored = await broker.persistence.countOffline()
    let count = 0
    let clients = 0
    let keptHere = 0
    let keptCount = 0
    for (const id of Object.keys(broker.clients)) {
      const client = broker.clients[id]
      if (client === undefined) continue
      const own = Object.values(client.subscriptions)
      count += own.length
      if (own.length > 0) clients += 1
      if (client.clean || own.length === 0) continue
      keptHere += 1
      keptCount += own.filter(({ qos }) => qos > 0).length
    }
    const away = Math.max(0, stored.clientsCount - keptHere)
    return { count: count + Math.max(0, stored.subsCount - keptCount), clients: clients + away, away }
  }
}
