/**
 * What the adapter uses of Aedes, in one place: its public doors, and the few parts that have none (marked private). They
 * are looked for when a broker is attached and when a client connects, so that another version is refused, not misused.
 */
import type { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'
import { HookringError } from '../../index.js'

export type Qos = 0 | 1 | 2

export interface Packet {
  cmd: 'publish'
  topic: string
  payload: string | Buffer
  qos: Qos
  retain: boolean
  dup?: boolean
  messageId?: number
  /** With brokerCounter what tells copies of one message; null for retained messages on their way to a new subscriber. */
  brokerId?: string | null
  brokerCounter?: number
  /** The publisher's, while a message is routed; its owner's, of a stored will. */
  clientId?: string
  /** The subscription wants nothing of its own client (MQTT 5). */
  nl?: boolean
}

export interface Subscription {
  topic: string
  qos: number
}

/** A packet as the parser has it. */
export interface ParsedPacket {
  readonly cmd: string
  /** Bytes behind the fixed header. */
  readonly length?: number
  subscriptions?: Subscription[]
}

export interface ConnectPacket {
  readonly clientId?: string
  readonly username?: string
  readonly will?: Packet
  readonly keepalive?: number
}

export interface ConnackPacket {
  readonly returnCode: number
  readonly sessionPresent: boolean
}

export type Done = (error?: Error | null) => void
export type Deliver = (packet: Packet, done: () => void) => void

interface Connection extends EventEmitter {
  readonly remoteAddress?: string
  readonly bytesRead?: number
  readonly bytesWritten?: number
  write(...args: unknown[]): boolean
  destroy(): void
}

export interface Client extends EventEmitter {
  readonly id: string
  readonly clean: boolean
  readonly version: number
  readonly closed: boolean
  readonly connecting: boolean
  readonly conn: Connection
  readonly connDetails?: { readonly ipAddress?: string } | null
  readonly will: Packet | null
  readonly subscriptions: Readonly<Record<string, { readonly qos: number }>>
  close(done?: () => void): void
  /** Private: own properties that subscriptions capture; retained messages take the second. */
  deliver0: Deliver
  deliverQoS: Deliver
  /** Private: the last counter delivered, by broker id. */
  readonly duplicates: Record<string, number>
  /** Private: emits `packet`, to one listener; is given what comes from the connection. */
  readonly _parser: EventEmitter & { parse(chunk: Buffer): number }
  /** Private: packets under way; at none more is read from the connection. */
  _parsingBatch: number
  /** Private: the next message id of deliveries. */
  _nextId: number
  /** Private: the client has said DISCONNECT. */
  _disconnected: boolean
}

export interface Persistence {
  incomingGetPacket(client: Client, packet: Packet): Promise<unknown>
  incomingDelPacket(client: { readonly id: string }, packet: { readonly messageId: number }): Promise<unknown>
  createRetainedStreamCombi(filters: string[]): Readable
  addSubscriptions(client: Client, subscriptions: Subscription[]): Promise<unknown>
  cleanSubscriptions(client: Client): Promise<unknown>
  subscriptionsByClient(client: { readonly id: string }): Promise<Subscription[] | null | undefined>
  countOffline(): Promise<{ readonly subsCount: number; readonly clientsCount: number }>
  outgoingStream(client: Client): Readable
  outgoingUpdate(client: Client, packet: Packet): Promise<unknown>
  outgoingClearMessageId(client: Client, packet: { readonly messageId: number }): Promise<unknown>
}

export interface Broker extends EventEmitter {
  readonly id: string
  readonly version: string
  readonly closed: boolean
  readonly connectedClients: number
  readonly clients: Readonly<Record<string, Client>>
  readonly persistence: Persistence
  readonly queueLimit: number
  readonly maxTopicLevels: number
  /** The last brokerCounter given. */
  readonly counter: number
  /** Routes to subscribers what has been stored for those that are away. */
  readonly mq: { emit(packet: Packet, done?: Done): unknown }
  handle(connection: Connection, request?: unknown): Client | undefined
  preConnect(client: Client, packet: ConnectPacket, done: (error: Error | null, success: boolean) => void): void
  authenticate(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
    done: (error: Error | null, success: boolean | null) => void,
  ): void
  authorizePublish(client: Client | null, packet: Packet, done: Done): void
  authorizeSubscribe(
    client: Client,
    subscription: Subscription,
    done: (error: Error | null, subscription?: Subscription | null) => void,
  ): void
  authorizeForward(client: Client, packet: Packet): Packet | null | undefined
  publish(packet: Packet, client: Client | null | undefined | Done, done?: Done): void
}

/** @throws HookringError BROKER_UNSUPPORTED */
export function checkBroker(value: unknown): Broker {
  const broker = value as Partial<Broker> | null | undefined
  if (typeof broker?.version !== 'string' || !/^1\./.test(broker.version) || typeof broker.publish !== 'function') {
    throw unsupported(`expects a broker of Aedes 1, got ${broker?.version ?? 'something else'}`)
  }
  if (broker.persistence === undefined || broker.closed) {
    throw unsupported('the broker is not open: make it with Aedes.createBroker(), or await broker.listen()')
  }
  if (broker.connectedClients !== 0) {
    throw unsupported('the broker has clients already: attach before it accepts connections')
  }
  return broker as Broker
}

/** @throws HookringError BROKER_UNSUPPORTED */
export function checkClient(client: Client): void {
  const isKnown =
    client._parser?.listenerCount('packet') === 1 &&
    typeof client._parser.parse === 'function' &&
    typeof client._parsingBatch === 'number' &&
    typeof client._nextId === 'number' &&
    typeof client.duplicates === 'object' &&
    Object.hasOwn(client, 'deliver0') &&
    Object.hasOwn(client, 'deliverQoS')
  if (!isKnown) throw unsupported('clients of this version of Aedes are not built as those of 1.2 are')
}

function unsupported(message: string): HookringError {
  return new HookringError('BROKER_UNSUPPORTED', `attachHooks: ${message}`)
}
