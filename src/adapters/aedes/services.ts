/**
 * The host services of mqtt@1, on an Aedes broker, and what the broker is counted by. Host's thread only.
 */
import type { mqtt, ProvidedServices } from '../../contracts/index.js'
import { HookringError } from '../../index.js'
import type { Broker, Client, Done, Packet, ParsedPacket } from './broker.js'
import { isPublishable } from './topics.js'

export interface Traffic {
  /** A client is about to connect. */
  open(client: Client): void
  received(client: Client, packet: ParsedPacket): void
  sent(): void
  readonly totals: () => { messagesReceived: number; messagesSent: number; bytesReceived: number; bytesSent: number }
}

/** Counts messages as they pass, and bytes as the connections count them. */
export function createTraffic(): Traffic {
  let messagesReceived = 0
  let messagesSent = 0
  let closedReceived = 0
  let closedSent = 0
  const open = new Set<Client>()
  /** Of connections that do not count by themselves, such as WebSocket streams: what is in and behind the fixed header. */
  const counted = new WeakMap<Client, { received: number; sent: number }>()
  const bytesOf = (client: Client) => {
    const own = counted.get(client)
    return { received: own?.received ?? client.conn.bytesRead ?? 0, sent: own?.sent ?? client.conn.bytesWritten ?? 0 }
  }

  return {
    open(client) {
      const { conn } = client
      if (typeof conn.bytesRead !== 'number' || typeof conn.bytesWritten !== 'number') {
        const own = { received: 0, sent: 0 }
        counted.set(client, own)
        const { write } = conn
        conn.write = (...args) => {
          const [chunk] = args
          if (typeof chunk === 'string' || chunk instanceof Uint8Array) own.sent += chunk.length
          return Reflect.apply(write, conn, args)
        }
      }
      open.add(client)
      conn.once('close', () => {
        open.delete(client)
        const { received, sent } = bytesOf(client)
        closedReceived += received
        closedSent += sent
      })
    },
    received(client, packet) {
      if (packet.cmd === 'publish') messagesReceived += 1
      const own = counted.get(client)
      if (own !== undefined) own.received += (packet.length ?? 0) + 2
    },
    sent() {
      messagesSent += 1
    },
    totals() {
      let bytesReceived = closedReceived
      let bytesSent = closedSent
      for (const client of open) {
        const { received, sent } = bytesOf(client)
        bytesReceived += received
        bytesSent += sent
      }
      return { messagesReceived, messagesSent, bytesReceived, bytesSent }
    },
  }
}

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

export interface ServiceOptions {
  readonly broker: Broker
  readonly traffic: Traffic
  readonly startedAtMs: number
  publish(packet: Packet, done: Done): void
  onDisconnect(client: Client, reason: string): void
}

export function createServices(
  options: ServiceOptions,
): ProvidedServices<(typeof mqtt)['services']> & { stats(): Promise<BrokerStats> } {
  const { broker, traffic, startedAtMs, publish, onDisconnect } = options

  /** Connected clients' subscriptions, and those that are stored for clients which are away (QoS 1 and 2). */
  async function countSubscriptions() {
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

  return {
    publish({ topic, payload, qos, retain }) {
      if (!isPublishable(topic)) {
        throw new HookringError(
          'SERVICE_INPUT_INVALID',
          `publish.topic: ${JSON.stringify(topic.slice(0, 80))} cannot be published to`,
        )
      }
      const packet: Packet = { cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain, dup: false }
      return new Promise((resolve, reject) => publish(packet, (error) => (error ? reject(error) : resolve(undefined))))
    },
    disconnect({ clientId, code }, { plugin }) {
      const client = broker.clients[clientId]
      if (client === undefined || client.closed) return false
      onDisconnect(client, `disconnected by ${plugin}${code === undefined ? '' : ` (0x${code.toString(16)})`}`)
      client.close()
      return true
    },
    async subscriptions() {
      const { count, clients } = await countSubscriptions()
      return { count, clients }
    },
    async stats() {
      const { count, away } = await countSubscriptions()
      const clientsConnected = broker.connectedClients
      return {
        startedAtMs,
        clientsConnected,
        clientsTotal: clientsConnected + away,
        ...traffic.totals(),
        subscriptions: count,
      }
    },
  }
}
