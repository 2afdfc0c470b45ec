import { delivery, type MessageEvent } from 'hookring/contracts'
import { expect, expectTypeOf, test } from 'vitest'
import { channelOf, keyOf, messageEvent } from '../support/delivery-events.js'

const accepts = (name: keyof typeof delivery.hookpoints, event: unknown) =>
  delivery.hookpoints[name].event.safeParse(event).success

test('delivery@1 has one gate, and all else is told', () => {
  expect(delivery.id).toBe('delivery@1')
  const kinds = Object.entries(delivery.hookpoints).map(([name, { kind }]) => [name, kind])
  expect(Object.fromEntries(kinds)).toEqual({
    onMessageEnqueue: 'gate',
    onBatchEnqueue: 'observe',
    onAuth: 'observe',
    onChannelCreated: 'observe',
    onFetch: 'observe',
    onUserRegistered: 'observe',
  })
})

test('a message event is accepted with a sender, and without one in sealed-sender mode', () => {
  expect(accepts('onMessageEnqueue', messageEvent())).toBe(true)
  expect(accepts('onMessageEnqueue', messageEvent({ senderIdentity: null }))).toBe(true)
  expect(accepts('onMessageEnqueue', messageEvent({ payloadLen: Number.MAX_SAFE_INTEGER, seq: 2n ** 64n - 1n }))).toBe(
    true,
  )
  expect(accepts('onMessageEnqueue', { ...messageEvent(), seq: 7 })).toBe(true)
})

test.each([
  ['a short sender', { senderIdentity: new Uint8Array(31) }],
  ['an absent sender', { senderIdentity: undefined }],
  ['a long recipient', { recipientKey: new Uint8Array(33) }],
  ['a short channel', { channelId: new Uint8Array(15) }],
  ['a negative length', { payloadLen: -1 }],
  ['half a byte', { payloadLen: 0.5 }],
  ['a negative sequence number', { seq: -1n }],
  ['a sequence number past u64', { seq: 2n ** 64n }],
  ['an inexact sequence number', { seq: 2 ** 60 }],
])('a message event with %s is refused', (_, field) => {
  expect(accepts('onMessageEnqueue', { ...messageEvent(), ...field })).toBe(false)
})

test('the other events are accepted as documented', () => {
  expect(accepts('onBatchEnqueue', { events: [messageEvent(), messageEvent({ senderIdentity: null })] })).toBe(true)
  expect(accepts('onAuth', { username: 'ada', success: true, failureReason: '' })).toBe(true)
  const channel = { channelId: channelOf(1), initiatorKey: keyOf(1), peerKey: keyOf(2), wasNew: false }
  expect(accepts('onChannelCreated', channel)).toBe(true)
  expect(accepts('onFetch', { recipientKey: keyOf(1), channelId: channelOf(1), messageCount: 0 })).toBe(true)
  expect(accepts('onUserRegistered', { username: 'ada', identityKey: keyOf(1) })).toBe(true)
})

test('a sequence number is a bigint for hooks, and a bigint or a number for servers', () => {
  expectTypeOf<MessageEvent['seq']>().toEqualTypeOf<bigint>()
  expectTypeOf<MessageEvent['senderIdentity']>().toExtend<Uint8Array | null>()
})
