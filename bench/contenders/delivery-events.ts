/**
 * The question that every contender of `peers` answers: may this message be enqueued? The same events, the same limit,
 * the same verdicts for all. Used on the host's thread; the gate itself also in contenders' workers.
 */
import { randomBytes } from 'node:crypto'

/** An event of delivery@1's onMessageEnqueue. */
export interface DeliveryEvent {
  readonly senderIdentity: Uint8Array | null
  readonly recipientKey: Uint8Array
  readonly channelId: Uint8Array
  readonly payloadLen: number
  readonly seq: bigint
}

export type GateAnswer = { readonly kind: 'continue' } | { readonly kind: 'reject'; readonly reason: string }

export const MAX_BYTES = 65_536
/**
 * Few enough to stay in a core's caches, as an event does that a server has made a moment before it asks: what is measured
 * is the way to the gate and back, not the fetching of the bench's own data from memory.
 */
const EVENT_COUNT = 64
const CONTINUE: GateAnswer = { kind: 'continue' }

/** The trivial gate. */
export function limitPayload(event: Pick<DeliveryEvent, 'payloadLen'>): GateAnswer {
  if (event.payloadLen <= MAX_BYTES) return CONTINUE
  return { kind: 'reject', reason: `payload too large: ${event.payloadLen} > ${MAX_BYTES} bytes` }
}

/** Events and, for each, whether it must be rejected: one in 64, so that both verdicts are checked. */
export function deliveryEvents(): { events: DeliveryEvent[]; rejects: boolean[] } {
  const events = Array.from({ length: EVENT_COUNT }, (_, index): DeliveryEvent => {
    // Copies: a slice of Node's buffer pool would make structured clone carry the whole pool.
    const bytes = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
    return {
      senderIdentity: index % 4 === 3 ? null : bytes(32),
      recipientKey: bytes(32),
      channelId: bytes(16),
      payloadLen: index % 64 === 63 ? MAX_BYTES + 1 + index : 200 + index,
      seq: BigInt(index) + (1n << 40n),
    }
  })
  return { events, rejects: events.map((event) => event.payloadLen > MAX_BYTES) }
}
