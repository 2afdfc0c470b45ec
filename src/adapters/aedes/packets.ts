/** Messages as the broker has them, and as hooks do. Pure. */
import type { MqttPublishPacket } from '../../contracts/index.js'
import type { Packet, Qos } from './broker.js'

/** A message as hooks see it. */
export function packetOf(packet: Packet, qos: Qos = packet.qos): MqttPublishPacket {
  const { topic, payload, retain } = packet
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : (payload ?? Buffer.alloc(0))
  // Applications publish with what JavaScript lets them leave out.
  return { topic, payload: bytes as Uint8Array<ArrayBuffer>, qos: qos ?? 0, retain: retain ?? false }
}

/** A message as a hook has changed it. Its identity (brokerId, brokerCounter) stays. */
export function replacedPacket(packet: Packet, { topic, payload, qos, retain }: MqttPublishPacket): Packet {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  return { ...packet, topic, payload: bytes, qos, retain }
}
