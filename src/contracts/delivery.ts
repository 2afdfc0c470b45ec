/**
 * delivery@1: the server hooks of quicprochat, an end-to-end encrypted message delivery server. Imported by servers and
 * plugins alike; immutable, readable from any thread.
 *
 * Every hook fires after validation (auth, rate limits, wire format) and before storage or delivery. A chain stops at the
 * first reject. Only `onMessageEnqueue` can refuse an operation; all others are told of one that has happened, and it goes on
 * whatever they do. Payloads are encrypted end to end, so hooks see metadata only.
 */
import { z } from 'zod/v4'
import { declareContract, type EventInput, type EventOutput } from './contract.js'
import { gate, observe } from './make-hookpoint.js'
import { bytes, u64 } from './types.js'

/** Bytes of an identity key (Ed25519 public key). */
export const IDENTITY_KEY_BYTES = 32
/** Bytes of a channel id. */
export const CHANNEL_ID_BYTES = 16

/** The contract. Each hookpoint quotes what quicprochat says of the method that it stands for. */
export const delivery = declareContract('delivery', 1, () => {
  const identityKey = bytes(IDENTITY_KEY_BYTES)
  const channelId = bytes(CHANNEL_ID_BYTES)

  const messageEvent = z.object({
    /** The sender's identity key, 32 bytes; null in sealed-sender mode. */
    senderIdentity: identityKey.nullable(),
    /** The recipient's identity key, 32 bytes. */
    recipientKey: identityKey,
    /** The channel's id, 16 bytes. */
    channelId,
    /** Length of the encrypted payload, in bytes. */
    payloadLen: z.int().min(0),
    /** Sequence number that the server assigned. A bigint or an exact number; hooks see a bigint. */
    seq: u64(),
  })

  const batchEvent = z.object({
    /** The messages of the batch that were enqueued, in the batch's order. */
    events: z.array(messageEvent),
  })

  const authEvent = z.object({
    /** The name that tried to log in. It comes from the client: escape it before it reaches a log or a terminal. */
    username: z.string(),
    success: z.boolean(),
    /** Why the login failed; empty on success. */
    failureReason: z.string(),
  })

  const channelEvent = z.object({
    /** The channel's id, 16 bytes. */
    channelId,
    /** Identity key of the one who asked for the channel, 32 bytes. */
    initiatorKey: identityKey,
    /** Identity key of the other side, 32 bytes. */
    peerKey: identityKey,
    /** True when the call created the channel, false when it found it. */
    wasNew: z.boolean(),
  })

  const fetchEvent = z.object({
    /** Identity key of the one who fetches, 32 bytes. */
    recipientKey: identityKey,
    /** The channel that was fetched from, 16 bytes. */
    channelId,
    /** Number of messages returned; zero when a fetch found none. */
    messageCount: z.int().min(0),
  })

  const userEvent = z.object({
    username: z.string(),
    /** The new user's identity key, 32 bytes. */
    identityKey,
  })

  return {
    hookpoints: {
      /**
       * Gate. "Called before a message is stored in the delivery queue. Return HookAction::Reject to prevent delivery"; the
       * reason is "returned to the client as an error". Fires on enqueue, and for each message of a batch enqueue.
       */
      onMessageEnqueue: gate(messageEvent),
      /** Observe. "Called after a batch of messages is enqueued." */
      onBatchEnqueue: observe(batchEvent),
      /** Observe. "Called after a successful or failed login attempt." */
      onAuth: observe(authEvent),
      /** Observe. "Called after a channel is created or looked up." */
      onChannelCreated: observe(channelEvent),
      /** Observe. "Called after messages are fetched from the delivery queue": after a fetch or a fetch-wait. */
      onFetch: observe(fetchEvent),
      /** Observe. "Called when a user completes OPAQUE registration." */
      onUserRegistered: observe(userEvent),
    },
  }
})

export type Delivery = typeof delivery

type Points = Delivery['hookpoints']
/** Events as hooks see them. A caller may give `seq` as a number too. */
export type MessageEvent = EventOutput<Points['onMessageEnqueue']>
export type BatchEvent = EventOutput<Points['onBatchEnqueue']>
export type AuthEvent = EventOutput<Points['onAuth']>
export type ChannelEvent = EventOutput<Points['onChannelCreated']>
export type FetchEvent = EventOutput<Points['onFetch']>
export type UserEvent = EventOutput<Points['onUserRegistered']>
/** A message event as a server passes it. */
export type MessageEventInput = EventInput<Points['onMessageEnqueue']>
