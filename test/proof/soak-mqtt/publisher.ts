/**
 * A publisher of numbered messages, by hand, so that what it sends is in the order that MQTT asks of a client: what is not
 * acknowledged is sent again first, in its order, whenever it connects (MQTT 3.1.1, 4.4 and 4.6).
 */
import { connect, type Socket } from 'node:net'
import type { Gateway } from './cluster.js'
import type { Ledger } from './ledger.js'

/** Messages that are under way. */
const WINDOW = 16
const RECONNECT_MS = 50
/** A broker that says nothing for this long, with messages under way, is left. */
const PATIENCE_MS = 2_500

const [CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP] = [0x10, 0x20, 0x30, 0x40, 0x50, 0x62, 0x70]
const DUP = 8

interface Sent {
  readonly packetId: number
  readonly qos: 1 | 2
  readonly text: string
  isReceived: boolean
}

export interface PublisherOptions {
  readonly ledger: Ledger
  /** Between two messages. */
  readonly pauseMs: number
  nowMs(): number
}

export class Publisher {
  readonly name: string
  readonly gateway: Gateway
  readonly #options: PublisherOptions
  readonly #sent: Sent[] = []
  #socket: Socket | null = null
  #isConnected = false
  #isEnded = false
  #number = 0
  #lastPacketId = 0
  #heardAtMs = 0
  #rest: Buffer = Buffer.alloc(0)
  #timer: NodeJS.Timeout | undefined

  constructor(name: string, gateway: Gateway, options: PublisherOptions) {
    this.name = name
    this.gateway = gateway
    this.#options = options
  }

  /** Messages that are not acknowledged. */
  get underWay(): number {
    return this.#sent.length
  }

  /** For the first time; it connects again by itself. */
  connect(): void {
    if (this.#isEnded) return
    const socket = connect(this.gateway.port, '127.0.0.1')
    this.#socket = socket
    this.#rest = Buffer.alloc(0)
    this.#heardAtMs = performance.now()
    socket.on('error', () => {}).on('data', (bytes) => this.#hear(bytes))
    socket.on('close', () => {
      this.#isConnected = false
      if (!this.#isEnded) setTimeout(() => this.connect(), RECONNECT_MS)
    })
    this.#write(CONNECT, Buffer.concat([text('MQTT'), Buffer.from([4, 0, 0, 0]), text(this.name)]))
  }

  start(): void {
    this.#timer = setInterval(() => this.#publish(), this.#options.pauseMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = setInterval(() => this.#leaveTheSilent(), 100)
  }

  end(): void {
    this.#isEnded = true
    clearInterval(this.#timer)
    this.#socket?.destroy()
  }

  #publish(): void {
    this.#leaveTheSilent()
    if (!this.#isConnected || this.#sent.length >= WINDOW) return
    const qos = this.#number % 2 === 0 ? 1 : 2
    const message = { publisher: this.name, qos, number: Math.floor(this.#number / 2) } as const
    this.#number += 1
    this.#lastPacketId = (this.#lastPacketId % 0xffff) + 1
    const { ledger, nowMs } = this.#options
    const sent = {
      packetId: this.#lastPacketId,
      qos,
      text: ledger.publish(message, nowMs()),
      isReceived: false,
    } as const
    this.#sent.push({ ...sent })
    this.#send(sent, 0)
  }

  #leaveTheSilent(): void {
    if (this.#isConnected && this.#sent.length === 0) this.#heardAtMs = performance.now()
    if (performance.now() - this.#heardAtMs > PATIENCE_MS) this.#socket?.destroy()
  }

  #send({ packetId, qos, text: payload }: Sent, dup: number): void {
    const body = [text(`soak/${this.name}`), number(packetId), Buffer.from(payload)]
    this.#write(PUBLISH | (qos << 1) | dup, Buffer.concat(body))
  }

  #hear(bytes: Buffer): void {
    this.#heardAtMs = performance.now()
    this.#rest = Buffer.concat([this.#rest, bytes])
    // What a broker says to a publisher is four bytes long.
    while (this.#rest.length >= 4) {
      const [type = 0, , , code = 0] = this.#rest
      this.#take(type & 0xf0, this.#rest.readUInt16BE(2), code)
      this.#rest = this.#rest.subarray(4)
    }
  }

  #take(type: number, packetId: number, code: number): void {
    const at = this.#sent.findIndex((sent) => sent.packetId === packetId)
    if (type === CONNACK) this.#connected(code)
    else if (type === PUBREC) this.#received(this.#sent[at], packetId)
    else if ((type === PUBACK || type === PUBCOMP) && at >= 0) {
      const [sent] = this.#sent.splice(at, 1) as [Sent]
      this.#options.ledger.acknowledge(sent.text)
    }
  }

  #connected(code: number): void {
    if (code !== 0) {
      this.#socket?.destroy()
      return
    }
    this.#isConnected = true
    for (const sent of this.#sent) {
      if (sent.isReceived) this.#write(PUBREL, number(sent.packetId))
      else this.#send(sent, DUP)
    }
  }

  #received(sent: Sent | undefined, packetId: number): void {
    if (sent !== undefined) sent.isReceived = true
    this.#write(PUBREL, number(packetId))
  }

  #write(type: number, body: Buffer): void {
    // Packets of the soak are shorter than 128 bytes.
    this.#socket?.write(Buffer.concat([Buffer.from([type, body.length]), body]))
  }
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([number(bytes.length), bytes])
}

function number(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}
