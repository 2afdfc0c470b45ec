/**
 * Messages as Redis has them: MessagePack. The one home of @msgpack/msgpack. In a lane. What is read is checked: anybody
 * who can reach Redis can write there.
 */
import { z } from 'zod/v4'
import { HookringError } from '../../contracts/errors.js'
import type { MqttPublishPacket } from '../../contracts/mqtt.js'

export interface Wire {
  encode(value: unknown): Buffer
  /** undefined: it is not MessagePack. */
  decode(bytes: Uint8Array): unknown
}

/** @throws HookringError REDIS_MISSING */
export async function openWire(plugin: string): Promise<Wire> {
  const { encode, decode } = await import('@msgpack/msgpack').catch((cause: unknown) => {
    const message = `plugin ${plugin} needs the package @msgpack/msgpack (npm install @msgpack/msgpack)`
    throw new HookringError('REDIS_MISSING', message, { cause, plugin })
  })
  return {
    encode(value) {
      const { buffer, byteOffset, byteLength } = encode(value)
      return Buffer.from(buffer, byteOffset, byteLength)
    },
    decode(bytes) {
      try {
        return decode(bytes)
      } catch {
        return undefined
      }
    },
  }
}

/** Short names: they are in every message. */
const packed = z.object({
  t: z.string().min(1).max(65_535),
  p: z.instanceof(Uint8Array),
  q: z.union([z.literal(0), z.literal(1), z.literal(2)]),
  r: z.boolean().default(false),
})
export type PackedPacket = z.infer<typeof packed>

export function packPacket({ topic, payload, qos, retain }: MqttPublishPacket): PackedPacket {
  return { t: topic, p: payload, q: qos, r: retain }
}

/** null: it is no message. */
export function unpackPacket(value: unknown): MqttPublishPacket | null {
  const { success, data } = packed.safeParse(value)
  if (!success) return null
  // The decoder's bytes are a view of the whole message.
  return { topic: data.t, payload: Uint8Array.from(data.p), qos: data.q, retain: data.r }
}
