/**
 * Connections whose CONNECT has not been accepted, and the size of packets of all. Whoever can reach the port is a stranger
 * until then: bounded in bytes, in time, and in number. Host's thread only.
 *
 * Stands before the parser, which keeps what has come of a packet until the rest of it has come: it is told the lengths
 * that the fixed headers announce, before the bytes are kept.
 */
import type { Broker, Client } from './broker.js'
import type { HookCounts } from './counts.js'

export interface StrangersOptions {
  readonly counts: HookCounts
  readonly maxPacketBytes: number
  readonly maxConnectBytes: number
  readonly connectTimeoutMs: number
  readonly maxUnauthenticated: number
}

interface Stranger {
  readonly client: Client
  timer: NodeJS.Timeout | null
  receivedBytes: number
  hasConnected: boolean
}

export class Strangers {
  readonly #options: StrangersOptions
  /** The oldest first. */
  readonly #strangers = new Map<Client, Stranger>()
  readonly #guarded = new WeakSet<Client>()

  constructor(options: StrangersOptions) {
    this.#options = options
  }

  /** Takes the place of `broker.handle`. */
  guard(broker: Broker): void {
    const { handle } = broker
    broker.handle = (connection, request) => {
      if (!this.#makeRoom()) {
        this.#options.counts.connectionsShed += 1
        connection.destroy()
        return undefined
      }
      const client = handle(connection, request)
      if (client !== undefined) this.open(client)
      return client
    }
  }

  /** A connection that the broker has taken; once is enough. */
  open(client: Client): void {
    if (this.#guarded.has(client)) return
    this.#guarded.add(client)
    const { conn } = client
    const stranger: Stranger = { client, timer: null, receivedBytes: 0, hasConnected: false }
    stranger.timer = setTimeout(
      () => this.#shed(stranger, 'CONNECT did not come in time'),
      this.#options.connectTimeoutMs,
    )
    this.#strangers.set(client, stranger)
    conn.once('close', () => this.#forget(stranger))
    this.#meter(stranger)
  }

  /** Its CONNECT has come. */
  connecting(client: Client): void {
    const stranger = this.#strangers.get(client)
    if (stranger === undefined) return
    stranger.hasConnected = true
    if (stranger.timer !== null) clearTimeout(stranger.timer)
  }

  /** Its CONNACK is on its way. */
  accepted(client: Client): void {
    const stranger = this.#strangers.get(client)
    if (stranger !== undefined) this.#forget(stranger)
  }

  #meter(stranger: Stranger): void {
    const { client } = stranger
    const { _parser: parser } = client
    const { parse } = parser
    const meter = new PacketMeter()
    parser.parse = (chunk) => {
      if (client.closed) return 0
      const isStranger = this.#strangers.has(client)
      const limit = isStranger ? this.#options.maxConnectBytes : this.#options.maxPacketBytes
      stranger.receivedBytes += isStranger ? chunk.length : 0
      const packetBytes = meter.largestIn(chunk)
      if (packetBytes > limit) this.#tooLarge(stranger, `a packet of ${packetBytes} bytes; ${limit} are taken`)
      else if (isStranger && stranger.receivedBytes > limit) {
        this.#shed(stranger, `more than ${limit} bytes before its CONNECT was accepted`)
      } else return Reflect.apply(parse, parser, [chunk])
      return 0
    }
  }

  #tooLarge(stranger: Stranger, reason: string): void {
    this.#options.counts.packetsTooLarge += 1
    if (this.#strangers.has(stranger.client)) this.#shed(stranger, reason)
    else stranger.client.emit('error', new Error(reason))
  }

  /** True: there is room for one more, if need be in place of the one that has been silent longest. */
  #makeRoom(): boolean {
    if (this.#strangers.size < this.#options.maxUnauthenticated) return true
    for (const stranger of this.#strangers.values()) {
      if (stranger.hasConnected) continue
      this.#shed(stranger, 'too many connections without a CONNECT')
      return true
    }
    return false
  }

  #shed(stranger: Stranger, reason: string): void {
    this.#forget(stranger)
    if (stranger.client.closed) return
    this.#options.counts.connectionsShed += 1
    stranger.client.emit('error', new Error(reason))
  }

  #forget(stranger: Stranger): void {
    if (stranger.timer !== null) clearTimeout(stranger.timer)
    this.#strangers.delete(stranger.client)
  }
}

/** Reads the fixed headers of a stream of packets, wherever its chunks begin and end. */
export class PacketMeter {
  #state: 'type' | 'length' | 'body' = 'type'
  #length = 0
  #lengthBytes = 0
  /** Bytes of the present packet that have not come yet. */
  #left = 0

  /** The length of the largest packet that begins in this chunk, or whose length is known by now; without its header. */
  largestIn(chunk: Uint8Array): number {
    let largest = 0
    for (let at = 0; at < chunk.length; ) {
      if (this.#state === 'body') {
        const taken = Math.min(this.#left, chunk.length - at)
        at += taken
        this.#left -= taken
        if (this.#left === 0) this.#state = 'type'
        continue
      }
      const byte = chunk[at] as number
      at += 1
      if (this.#state === 'type') this.#begin()
      else if (this.#readLength(byte)) largest = Math.max(largest, this.#length)
    }
    return largest
  }

  #begin(): void {
    this.#state = 'length'
    this.#length = 0
    this.#lengthBytes = 0
  }

  /** True: it is known. One of more than four bytes is the parser's to refuse; here it is too large. */
  #readLength(byte: number): boolean {
    this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes
    this.#lengthBytes += 1
    if ((byte & 0x80) !== 0) {
      if (this.#lengthBytes < 4) return false
      this.#length = Number.POSITIVE_INFINITY
    }
    this.#left = this.#length
    this.#state = this.#left === 0 ? 'type' : 'body'
    return true
  }
}
