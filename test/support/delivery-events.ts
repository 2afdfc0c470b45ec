/** Events of delivery@1 for tests. */
import type { MessageEvent } from 'hookring/contracts'

export const keyOf = (byte: number) => new Uint8Array(32).fill(byte)
export const channelOf = (byte: number) => new Uint8Array(16).fill(byte)

export const messageEvent = (overrides: Partial<MessageEvent> = {}): MessageEvent => ({
  senderIdentity: keyOf(1),
  recipientKey: keyOf(0xab),
  channelId: channelOf(3),
  payloadLen: 100,
  seq: 7n,
  ...overrides,
})
