/** A session of this broker that a plugin keeps: what of its queue the broker has. Host's thread only. */
import type { Client, Packet } from './broker.js'

/** Those below are the plugin's, for messages from its queue; Aedes takes these for its own. */
const FIRST_OWN_PACKET_ID = 32_768

export class KeptSession {
  readonly client: Client
  /** The plugin's name for a queued message, by the broker's: `brokerId:brokerCounter`. */
  readonly #ids = new Map<string, string>()
  /** The same, by the packet id under which it is sent; empty: a PUBREL alone is left of it. */
  readonly #sent = new Map<number, string>()
  /** Its queue is changed by one at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #delivered: Promise<unknown> = Promise.resolve()
  #released: Promise<unknown> = Promise.resolve()

  constructor(client: Client) {
    this.client = client
    this.#partPacketIds()
  }

  knows(id: string): boolean {
    for (const known of this.#sent.values()) if (known === id) return true
    return false
  }

  knowsPacketId(packetId: number): boolean {
    return this.#sent.has(packetId)
  }

  note(name: string, packetId: number, id: string): void {
    this.#ids.set(name, id)
    this.#sent.set(packetId, id)
  }

  /** The plugin's name for what was sent under this id; empty: a PUBREL; undefined: it is not from the queue. */
  idOf(packetId: number): string | undefined {
    return this.#sent.get(packetId)
  }

  isQueued(name: string): boolean {
    return this.#ids.has(name)
  }

  /** Forgets the message that was acknowledged; the plugin's name for it, if it has one. */
  acknowledged(name: string, packetId: number): string | undefined {
    const id = this.#ids.get(name) ?? this.#sent.get(packetId)
    this.#ids.delete(name)
    this.#sent.delete(packetId)
    return id
  }

  /** Runs it behind what changes the queue now. */
  inTurn<Value>(change: () => Promise<Value>): Promise<Value> {
    const changed = this.#turn.then(change)
    this.#turn = changed.catch(() => {})
    return changed
  }

  /** Resolves when it is noted, and what was released before it is too: PUBRELs go in the order of the messages. */
  release(noted: Promise<void>): Promise<void> {
    const before = this.#released
    const released = noted.then(async () => void (await before))
    this.#released = released.catch(() => {})
    return released
  }

  /** Sends what `take` gives when its client is connected, behind what was there when it connected. */
  deliver(take: () => Promise<readonly Packet[]>): void {
    const delivered = this.#delivered.then(async () => {
      await this.#connected()
      if (this.client.closed) return
      const packets = await take()
      this.#partPacketIds()
      for (const packet of packets) if (!this.client.closed) this.client.deliverQoS(packet, () => {})
    })
    this.#delivered = delivered.catch(() => {})
  }

  #connected(): Promise<void> | undefined {
    const { client } = this
    if (client.closed || !client.connecting) return undefined
    return new Promise((resolve) => {
      client.once('connected', resolve)
      client.conn.once('close', () => resolve())
    })
  }

  #partPacketIds(): void {
    if (this.client._nextId < FIRST_OWN_PACKET_ID) this.client._nextId += FIRST_OWN_PACKET_ID
  }
}
