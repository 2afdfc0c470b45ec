/**
 * What one client is to get, and waits for the hooks' ruling: asked about some at once, written in the order in which it
 * came. Host's thread only.
 *
 * An undecided delivery of a kept session holds up those behind it for `holdMs`, while it is asked about again. Then it
 * stays stored and lets them pass; it is asked about again from time to time, and when the client comes back.
 */
import type { MqttClientInfo } from '../../contracts/index.js'
import { Line } from '../../primitives/line.js'
import type { Client, Deliver, Packet, Qos } from './broker.js'
import type { Questions } from './questions.js'
import type { PacketRuling, Undecided } from './rulings.js'

export const DELIVERIES_AT_ONCE = 32
/** A queue of more makes its publishers wait. */
const CROWDED_DELIVERIES = 256
/** Undecided deliveries that are asked about again while the client is connected; more come when it connects again. */
const MAX_LATER = 1_000
const FIRST_LATER_MS = 1_000
const LONGEST_LATER_MS = 30_000

/** Calls `room` when there is room: at once, if there is. */
export type WhenRoom = (room: () => void) => void

/** What becomes of a delivery. */
export type Delivered =
  | { readonly kind: 'write'; readonly packet: Packet }
  /** It is over: refused, or lost. */
  | { readonly kind: 'gone' }
  /** Undecided: it stays stored, and may be asked about again. */
  | { readonly kind: 'stays' }

/** What a queue needs of the deliveries that it is one of. */
export interface DeliveryRules {
  readonly brokerId: string
  readonly questions: Questions
  readonly maxQueuedDeliveries: number
  readonly maxQueuedBytes: number
  readonly onUndecided: 'keep' | 'drop'
  infoOf(client: Client): MqttClientInfo
  isAsked(): boolean
  /** It comes from its session's queue instead. */
  isKeptFrom(clientId: string, packet: Packet): boolean
  /** `before`: what it came to the last time. */
  ask(client: Client, packet: Packet, qos: Qos, before: Undecided | null): Promise<PacketRuling>
  /** What is to be done by the ruling; counted, told and removed from the store as it says. */
  judge(client: Client, packet: Packet, qos: Qos, ruling: PacketRuling): Delivered
  /** The message went to a crowded queue: who sent it waits for room there. */
  crowd(packet: Packet, whenRoom: WhenRoom): void
}

interface Entry {
  readonly packet: Packet
  /** What it is delivered with, at most. */
  readonly qos: Qos
  /** What it came to when it was asked about last. */
  readonly before: Undecided | null
}

type Outcome = PacketRuling | { readonly kind: 'resent' } | { readonly kind: 'closed' }

export class DeliveryQueue {
  readonly #client: Client
  readonly #rules: DeliveryRules
  readonly #line: Line<Entry, Outcome>
  readonly #deliver0: Deliver
  readonly #deliverQoS: Deliver
  readonly #waitingForRoom: (() => void)[] = []
  #queuedBytes = 0
  #writing = 0
  #lastTaken: Pick<Packet, 'brokerId' | 'brokerCounter'> = {}
  #whenConnected: Promise<void> | null = null
  /** What the offline queue has brought, by the broker's counter, just after connecting. It may come as new as well. */
  #brought: Set<number> | null = null
  #later: Entry[] = []
  #laterMs = FIRST_LATER_MS
  #laterTimer: NodeJS.Timeout | null = null

  constructor(client: Client, rules: DeliveryRules) {
    this.#client = client
    this.#rules = rules
    this.#deliver0 = client.deliver0
    this.#deliverQoS = client.deliverQoS
    this.#line = new Line<Entry, Outcome>({
      atOnce: DELIVERIES_AT_ONCE,
      ask: (entry) => this.#ask(entry),
      settle: (entry, outcome) => {
        this.#queuedBytes -= entry.packet.payload.length
        this.#settle(entry, outcome)
        this.#makeRoom()
      },
    })
    client.deliver0 = (packet, done) => this.#take0(packet, done)
    client.deliverQoS = (packet, done) => this.#takeQoS(packet, done)
  }

  expectRepetitions(brought: Set<number>): void {
    this.#brought = brought
  }

  /** It stays stored, and is asked about again after a while. */
  askLater(packet: Packet, before: Undecided, qos = packet.qos): void {
    if (this.#later.length >= MAX_LATER) return
    this.#later.push({ packet, qos, before })
    if (this.#laterTimer !== null) return
    this.#laterTimer = setTimeout(() => this.#askAgain(), this.#laterMs).unref()
    this.#laterMs = Math.min(2 * this.#laterMs, LONGEST_LATER_MS)
  }

  get #crowdedBy(): number {
    return this.#line.length + this.#writing
  }

  #take0(packet: Packet, done: () => void): void {
    if (this.#comesFromQueue(packet)) setImmediate(done)
    else if (this.#line.length === 0 && !this.#rules.isAsked()) this.#pass(this.#deliver0, packet, done)
    else this.#take(packet, done, 0)
  }

  #takeQoS(packet: Packet, done: () => void): void {
    if (packet.qos === 0) this.#client.deliver0(packet, done)
    else if (this.#comesFromQueue(packet)) setImmediate(done)
    else if (this.#line.length === 0 && !this.#rules.isAsked()) this.#pass(this.#deliverQoS, packet, done)
    else this.#take(packet, done, packet.qos)
  }

  #comesFromQueue(packet: Packet): boolean {
    return packet.brokerId === this.#rules.brokerId && this.#rules.isKeptFrom(this.#client.id, packet)
  }

  /** Past the hooks of delivery, which nobody has. */
  #pass(deliver: Deliver, packet: Packet, done: () => void): void {
    // Without plugins a message gets from its counter to its subscribers before another does.
    if (!this.#rules.questions.isSubscribed('queueMessage')) deliver(packet, done)
    else if (this.#isCopy(packet)) setImmediate(done)
    else this.#deliverOnce(deliver, packet, done)
  }

  #take(packet: Packet, done: () => void, qos: Qos): void {
    const { maxQueuedDeliveries, maxQueuedBytes } = this.#rules
    const isRetained = packet.brokerId === null
    // Of overlapping subscriptions one delivery is made, and the hooks are asked once.
    if (this.#isCopy(packet) || (packet.nl && packet.clientId === this.#client.id)) {
      setImmediate(done)
      return
    }
    const { length } = this.#line
    const bytes = packet.payload.length
    if (length >= maxQueuedDeliveries || (length > 0 && this.#queuedBytes + bytes > maxQueuedBytes)) {
      this.#lost({ packet, qos, before: null }, 'too many deliveries wait for this subscriber')
      setImmediate(done)
      return
    }
    this.#push({ packet, qos, before: null })
    if (isRetained) this.#whenRoom(() => setImmediate(done))
    else setImmediate(done)
    if (this.#crowdedBy > CROWDED_DELIVERIES) this.#rules.crowd(packet, (room) => this.#whenRoom(room))
  }

  #push(entry: Entry): void {
    this.#queuedBytes += entry.packet.payload.length
    this.#line.push(entry)
  }

  async #ask({ packet, qos, before }: Entry): Promise<Outcome> {
    const client = this.#client
    if (client.connecting) await this.#connected()
    const { brokerId, questions, onUndecided } = this.#rules
    const isKept = isStored(client, packet, qos)
    // What is asked about again is what the offline queue has brought, not its repetition.
    const isNew = before === null && packet.brokerId === brokerId
    if (isKept && isNew && this.#brought?.delete(packet.brokerCounter ?? 0)) return { kind: 'resent' }
    if (client.closed) return { kind: 'closed' }
    const ask = (last: Undecided | null) => this.#rules.ask(client, packet, qos, last)
    if (!isKept || onUndecided === 'drop') return ask(before)
    // While others are asked about from time to time, this one need not hold up what is behind it.
    const isOver = () => client.closed || this.#later.length > 0
    return questions.persist<PacketRuling>(ask, { isOver, before })
  }

  #settle(entry: Entry, outcome: Outcome): void {
    const { packet, qos } = entry
    if (outcome.kind === 'resent') return
    if (outcome.kind === 'closed' || this.#client.closed) {
      this.#lost(entry, 'the connection ended')
      return
    }
    const delivered = this.#rules.judge(this.#client, packet, qos, outcome)
    if (delivered.kind === 'stays') this.askLater(packet, outcome as Undecided, qos)
    if (delivered.kind !== 'write') return
    const { packet: written } = delivered
    this.#laterMs = FIRST_LATER_MS
    this.#writing += 1
    this.#deliverOnce(written.qos === 0 || qos === 0 ? this.#deliver0 : this.#deliverQoS, written, () => {
      this.#writing -= 1
      this.#makeRoom()
    })
  }

  #askAgain(): void {
    const entries = this.#later
    this.#later = []
    this.#laterTimer = null
    if (this.#client.closed) return
    for (const entry of entries) this.#push(entry)
  }

  /** What is new comes behind what has waited for the client: Aedes says connected when that is written. */
  #connected(): Promise<void> {
    this.#whenConnected ??= new Promise((resolve) => {
      this.#client.once('connected', resolve)
      this.#client.conn.once('close', () => resolve())
    })
    return this.#whenConnected
  }

  #whenRoom(room: () => void): void {
    if (this.#crowdedBy <= CROWDED_DELIVERIES) room()
    else this.#waitingForRoom.push(room)
  }

  #makeRoom(): void {
    if (this.#crowdedBy > CROWDED_DELIVERIES / 2) return
    for (const room of this.#waitingForRoom.splice(0)) room()
  }

  #lost({ packet, qos }: Entry, reason: string): void {
    if (isStored(this.#client, packet, qos)) return
    const { questions, infoOf } = this.#rules
    questions.counts.deliveriesDropped += 1
    questions.dropped(infoOf(this.#client), packet, { reason })
  }

  /** Aedes takes for a copy what comes behind a higher counter: it need not be one, and copies do not get here. */
  #deliverOnce(deliver: Deliver, packet: Packet, done: () => void): void {
    const { brokerId, brokerCounter } = packet
    const { duplicates } = this.#client
    const last = brokerId ? duplicates[brokerId] : undefined
    if (brokerId) duplicates[brokerId] = 0
    deliver(packet, done)
    if (brokerId) duplicates[brokerId] = Math.max(last ?? 0, brokerCounter ?? 0)
  }

  /** Copies of a message, one for each subscription that matches, come one right after the other. */
  #isCopy({ brokerId, brokerCounter = 0 }: Packet): boolean {
    if (!brokerId) return false
    if (brokerId === this.#lastTaken.brokerId && brokerCounter === this.#lastTaken.brokerCounter) return true
    this.#lastTaken = { brokerId, brokerCounter }
    return false
  }
}

/** Whether the broker keeps the message for the session until it is acknowledged. `qos`: what it is delivered with. */
export function isStored({ clean }: Client, { brokerId }: Packet, qos: Qos): boolean {
  return !clean && qos > 0 && Boolean(brokerId)
}
