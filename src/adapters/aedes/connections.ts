/**
 * Connections: who is connected, what ended a connection, and the hooks about both (onConnect, onConnected, onDisconnect,
 * onSessionCreated, onSessionResumed, onSessionEnded, onUnsubscribe). Host's thread only.
 *
 * The broker's own `authenticate` is asked first; a client that it refuses never reaches a hook.
 */
import { MQTT_REASON, type MqttClientInfo } from '../../contracts/index.js'
import type { Broker, Client, ConnectPacket, Packet } from './broker.js'
import { packetOf } from './packets.js'
import type { Questions } from './questions.js'
import type { Refused, Undecided } from './rulings.js'

type Admitted = (error: Error | null, success: boolean | null) => void

interface Connection {
  readonly packet: ConnectPacket
  info: MqttClientInfo | null
  isAccepted: boolean
  endReason: string | null
}

const CONNACK = { identifierRejected: 2, serverUnavailable: 3, badUserNameOrPassword: 4, notAuthorized: 5 } as const

export class Connections {
  readonly #broker: Broker
  readonly #questions: Questions
  readonly #connections = new WeakMap<Client, Connection>()
  /** The latest to come with an id: one that is not it any more was taken over. */
  readonly #latest = new Map<string, Client>()

  constructor(broker: Broker, questions: Questions) {
    this.#broker = broker
    this.#questions = questions
  }

  /** A client is about to connect. */
  open(client: Client, packet: ConnectPacket): void {
    this.#connections.set(client, { packet, info: null, isAccepted: false, endReason: null })
  }

  /** Of connected clients and of those that connect. */
  infoOf(client: Client): MqttClientInfo {
    const connection = this.#connections.get(client)
    if (connection === undefined) return makeInfo(client, {})
    connection.info ??= makeInfo(client, connection.packet)
    return connection.info
  }

  authenticate(client: Client, password: Buffer | undefined, done: Admitted): void {
    if (!this.#questions.isSubscribed('onConnect')) {
      this.#admit(client, done)
      return
    }
    const will = this.#connections.get(client)?.packet.will
    const event = {
      client: this.infoOf(client),
      password: (password ?? null) as Uint8Array<ArrayBuffer> | null,
      will: will === undefined || will === null ? null : packetOf(will),
    }
    void this.#questions.ask('onConnect', event).then((ruling) => {
      if (ruling.kind === 'allowed') {
        this.#admit(client, done)
        return
      }
      const { counts } = this.#questions
      if (ruling.kind === 'refused') counts.connectsRefused += 1
      else counts.connectsUndecided += 1
      done(connectError(ruling), null)
    })
  }

  /** Whether the client's id will do; null: it will (MQTT 3.1.1, 3.1.3-8; MQTT 3.1 knows no empty one). */
  refusalOfId(client: Client): Error | null {
    const { clientId = '' } = this.#connections.get(client)?.packet ?? {}
    if (clientId !== '' || (client.clean && client.version > 3)) return null
    const reason = 'a client without an id asks for a session that is kept'
    return Object.assign(new Error(reason), { returnCode: CONNACK.identifierRejected })
  }

  /** The CONNACK is on its way. */
  accepted(client: Client, sessionPresent: boolean): void {
    const connection = this.#connections.get(client)
    if (connection === undefined || client.closed) return
    connection.isAccepted = true
    const info = this.infoOf(client)
    this.#questions.tell(sessionPresent ? 'onSessionResumed' : 'onSessionCreated', () => ({ client: info }))
    this.#questions.tell('onConnected', () => ({ client: info, sessionPresent }))
  }

  /** Why the connection will end; the first word counts. */
  ending(client: Client, reason: string): void {
    const connection = this.#connections.get(client)
    if (connection !== undefined) connection.endReason ??= reason
  }

  ended(client: Client): void {
    const connection = this.#connections.get(client)
    if (connection === undefined || !connection.isAccepted) return
    connection.isAccepted = false
    const info = this.infoOf(client)
    const reason = this.#endReasonOf(client, connection)
    this.#questions.tell('onDisconnect', () => ({ client: info, reason }))
    if (client.clean) this.#questions.tell('onSessionEnded', () => ({ clientId: info.clientId }))
  }

  unsubscribed(client: Client, filters: readonly string[]): void {
    // Aedes says it of a clean session's end as well, where onSessionEnded says it better.
    if (client === null || client.closed) return
    this.#questions.tell('onUnsubscribe', () => ({ client: this.infoOf(client), filters: [...filters] }))
  }

  #admit(client: Client, done: Admitted): void {
    if (!client.closed) {
      this.#latest.set(client.id, client)
      client.conn.once('close', () => {
        if (this.#latest.get(client.id) === client) this.#latest.delete(client.id)
      })
    }
    done(null, true)
  }

  #endReasonOf(client: Client, connection: Connection): string | null {
    if (connection.endReason !== null) return connection.endReason
    if (client._disconnected) return null
    const other = this.#latest.get(client.id)
    if (other !== undefined && other !== client) return 'taken over by another connection'
    return this.#broker.closed ? 'the broker was closed' : 'connection closed'
  }
}

/** Whose will it is, when a broker publishes it for one that is gone. */
export function ownerOf(will: Packet): MqttClientInfo {
  const clientId = will.clientId ?? ''
  return { clientId, username: null, remoteAddress: '', protocolVersion: 4, clean: false, keepalive: 0 }
}

function makeInfo(client: Client, packet: Partial<ConnectPacket>): MqttClientInfo {
  return Object.freeze({
    clientId: client.id ?? '',
    username: packet.username ?? null,
    remoteAddress: client.connDetails?.ipAddress ?? client.conn.remoteAddress ?? '',
    protocolVersion: client.version ?? 4,
    clean: client.clean,
    keepalive: packet.keepalive ?? 0,
  })
}

/** The return code of MQTT 3.1.1 that says most of what the reason code says. */
function connectError(ruling: Refused | Undecided): Error {
  const returnCode = ruling.kind === 'refused' ? returnCodeOf(ruling.code) : CONNACK.serverUnavailable
  return Object.assign(new Error(ruling.reason), { returnCode })
}

function returnCodeOf(code: number | undefined): number {
  switch (code) {
    case MQTT_REASON.clientIdentifierNotValid:
      return CONNACK.identifierRejected
    case MQTT_REASON.serverUnavailable:
    case MQTT_REASON.serverBusy:
      return CONNACK.serverUnavailable
    case MQTT_REASON.badUserNameOrPassword:
      return CONNACK.badUserNameOrPassword
    default:
      return CONNACK.notAuthorized
  }
}
