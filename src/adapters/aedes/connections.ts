/**
 * Connections: who is connected, what ended a connection, and the hooks about both (onConnect, onConnected, onDisconnect,
 * onSessionCreated, onSessionResumed, onSessionEnded, onUnsubscribe). Host's thread only.
 *
 * The broker's own `authenticate` is asked first; a client that it refuses never reaches a hook.
 */
import { MQTT_REASON, type MqttClientInfo } from '../../contracts/index.js'
import { type Asker, packetOf, type Refusal } from './asking.js'
import type { Broker, Client, ConnectPacket, Packet } from './broker.js'

export interface Connections {
  /** A client is about to connect. */
  open(client: Client, packet: ConnectPacket): void
  authenticate(
    client: Client,
    password: Buffer | undefined,
    done: (error: Error | null, success: boolean | null) => void,
  ): void
  /** The CONNACK is on its way. */
  accepted(client: Client, sessionPresent: boolean): void
  /** Why the connection will end; the first word counts. */
  ending(client: Client, reason: string): void
  ended(client: Client): void
  unsubscribed(client: Client, filters: readonly string[]): void
  /** Of connected clients and of those that connect. */
  infoOf(client: Client): MqttClientInfo
}

interface Connection {
  readonly packet: ConnectPacket
  info: MqttClientInfo | null
  isAccepted: boolean
  endReason: string | null
}

export function createConnections(broker: Broker, asker: Asker): Connections {
  const connections = new WeakMap<Client, Connection>()
  /** The latest to come with an id: one that is not it any more was taken over. */
  const latest = new Map<string, Client>()

  function infoOf(client: Client): MqttClientInfo {
    const connection = connections.get(client)
    if (connection === undefined) return makeInfo(client, {})
    connection.info ??= makeInfo(client, connection.packet)
    return connection.info
  }

  function endReasonOf(client: Client, connection: Connection): string | null {
    if (connection.endReason !== null) return connection.endReason
    if (client._disconnected) return null
    const other = latest.get(client.id)
    if (other !== undefined && other !== client) return 'taken over by another connection'
    return broker.closed ? 'the broker was closed' : 'connection closed'
  }

  return {
    infoOf,
    open(client, packet) {
      connections.set(client, { packet, info: null, isAccepted: false, endReason: null })
    },
    authenticate(client, password, done) {
      const admit = () => {
        if (!client.closed) {
          latest.set(client.id, client)
          client.conn.once('close', () => {
            if (latest.get(client.id) === client) latest.delete(client.id)
          })
        }
        done(null, true)
      }
      if (!asker.isSubscribed('onConnect')) return admit()
      const will = connections.get(client)?.packet.will
      const event = {
        client: infoOf(client),
        password: (password ?? null) as Uint8Array<ArrayBuffer> | null,
        will: will === undefined || will === null ? null : packetOf(will),
      }
      void asker.ask('onConnect', event).then((decision) => {
        if (decision.kind === 'proceed') return admit()
        asker.counts.connectsRefused += 1
        done(connectError(decision), null)
      })
    },
    accepted(client, sessionPresent) {
      const connection = connections.get(client)
      if (connection === undefined || client.closed) return
      connection.isAccepted = true
      const info = infoOf(client)
      asker.tell(sessionPresent ? 'onSessionResumed' : 'onSessionCreated', () => ({ client: info }))
      asker.tell('onConnected', () => ({ client: info, sessionPresent }))
    },
    ending(client, reason) {
      const connection = connections.get(client)
      if (connection !== undefined) connection.endReason ??= reason
    },
    ended(client) {
      const connection = connections.get(client)
      if (connection === undefined || !connection.isAccepted) return
      connection.isAccepted = false
      const info = infoOf(client)
      const reason = endReasonOf(client, connection)
      asker.tell('onDisconnect', () => ({ client: info, reason }))
      if (client.clean) asker.tell('onSessionEnded', () => ({ clientId: info.clientId }))
    },
    unsubscribed(client, filters) {
      // Aedes says it of a clean session's end as well, where onSessionEnded says it better.
      if (client === null || client.closed) return
      asker.tell('onUnsubscribe', () => ({ client: infoOf(client), filters: [...filters] }))
    },
  }
}

/** Whose will it is, when a broker publishes it for one that is gone. */
export function ownerOf(will: Packet): MqttClientInfo {
  const clientId = will.clientId ?? ''
  return { clientId, username: null, remoteAddress: '', protocolVersion: 4, clean: false, keepalive: 0 }
}

function makeInfo(client: Client, packet: ConnectPacket): MqttClientInfo {
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
function connectError({ reason, code, isFailure }: Refusal): Error {
  return Object.assign(new Error(reason), { returnCode: isFailure ? 3 : returnCodeOf(code) })
}

function returnCodeOf(code: number | undefined): number {
  switch (code) {
    case MQTT_REASON.clientIdentifierNotValid:
      return 2
    case MQTT_REASON.serverUnavailable:
    case MQTT_REASON.serverBusy:
      return 3
    case MQTT_REASON.badUserNameOrPassword:
      return 4
    default:
      return 5
  }
}
