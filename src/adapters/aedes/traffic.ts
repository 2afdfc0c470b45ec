/** Counts messages as they pass, and bytes as the connections count them. Host's thread only. */
import type { Client, ParsedPacket } from './broker.js'

export interface TrafficTotals {
  readonly messagesReceived: number
  readonly messagesSent: number
  readonly bytesReceived: number
  readonly bytesSent: number
}

interface Bytes {
  received: number
  sent: number
}

export class Traffic {
  #messagesReceived = 0
  #messagesSent = 0
  #closedReceived = 0
  #closedSent = 0
  readonly #open = new Set<Client>()
  /** Of connections that do not count by themselves, such as WebSocket streams: what is in and behind the fixed header. */
  readonly #counted = new WeakMap<Client, Bytes>()

  /** A client is about to connect. */
  open(client: Client): void {
    const { conn } = client
    if (typeof conn.bytesRead !== 'number' || typeof conn.bytesWritten !== 'number') this.#countItself(client)
    this.#open.add(client)
    conn.once('close', () => {
      this.#open.delete(client)
      const { received, sent } = this.#bytesOf(client)
      this.#closedReceived += received
      this.#closedSent += sent
    })
  }

  received(client: Client, packet: ParsedPacket): void {
    if (packet.cmd === 'publish') this.#messagesReceived += 1
    const own = this.#counted.get(client)
    if (own !== undefined) own.received += (packet.length ?? 0) + 2
  }

  sent(): void {
    this.#messagesSent += 1
  }

  totals(): TrafficTotals {
    let bytesReceived = this.#closedReceived
    let bytesSent = this.#closedSent
    for (const client of this.#open) {
      const { received, sent } = this.#bytesOf(client)
      bytesReceived += received
      bytesSent += sent
    }
    return { messagesReceived: this.#messagesReceived, messagesSent: this.#messagesSent, bytesReceived, bytesSent }
  }

  #countItself(client: Client): void {
    const { conn } = client
    const own: Bytes = { received: 0, sent: 0 }
    this.#counted.set(client, own)
    const { write } = conn
    conn.write = (...args) => {
      const [chunk] = args
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) own.sent += chunk.length
      return Reflect.apply(write, conn, args)
    }
  }

  #bytesOf(client: Client): Bytes {
    const own = this.#counted.get(client)
    return { received: own?.received ?? client.conn.bytesRead ?? 0, sent: own?.sent ?? client.conn.bytesWritten ?? 0 }
  }
}
