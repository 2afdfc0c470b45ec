/**
 * What the contracts exhook@1, @2 and @3 have in common: the messages that the ExHook protocol has in every version.
 * Imported by the three contracts alone.
 *
 * Names are those of protobuf's JSON mapping (`is_superuser` is `isSuperuser`, enums are their names); 64-bit integers are
 * bigints. The wire knows no absent text or number: what a broker does not say is an empty string or 0.
 */

import { z } from 'zod/v4'
import { secret } from '../secret.js'
import { bytes, i64, u32, u64 } from '../types.js'

/** No wildcard, no NUL (MQTT 3.1.1, 4.7). */
const TOPIC_NAME = /^[^+#\0]+$/
const MAX_TOPIC_CHARS = 65_535

export type Messages = ReturnType<typeof makeMessages>

let made: Messages | undefined

/** Made once, when the first of the contracts is. */
export function messages(): Messages {
  made ??= makeMessages()
  return made
}

function makeMessages() {
  /** A property of an MQTT 5.0 packet, as text. */
  const property = z.object({ name: z.string(), value: z.string() })

  /** Of which broker the request comes. */
  const requestMeta = z.object({
    node: z.string(),
    version: z.string(),
    sysdescr: z.string(),
    clusterName: z.string(),
  })

  /** A connection before its client is known. */
  const connInfo = z.object({
    node: z.string(),
    clientid: z.string(),
    username: z.string(),
    peerhost: z.string(),
    /** The broker's port. */
    sockport: u32(),
    protoName: z.string(),
    protoVer: z.string(),
    /** Seconds. */
    keepalive: u32(),
  })

  /** Who is connected. All but node, addresses and ports comes from the client: escape it before it reaches a log or a terminal. */
  const clientInfo = z.object({
    node: z.string(),
    clientid: z.string(),
    username: z.string(),
    password: secret(z.string()),
    peerhost: z.string(),
    /** The broker's port. */
    sockport: u32(),
    protocol: z.string(),
    mountpoint: z.string(),
    isSuperuser: z.boolean(),
    anonymous: z.boolean(),
    /** Common name of the client's certificate. */
    cn: z.string(),
    /** Subject of the client's certificate. */
    dn: z.string(),
  })

  /** The client's port; brokers before 5.4 do not say it (0). */
  const peerPort = { peerport: u32() }

  const message = z.object({
    node: z.string(),
    id: z.string(),
    qos: z.int().min(0).max(2),
    /** The client id of the publisher. */
    from: z.string(),
    topic: z.string(),
    payload: bytes(),
    /** Milliseconds since the Unix epoch. */
    timestamp: u64(),
    /** Brokers put texts about the message here: `username`, `protocol`, `peerhost`, `allow_publish`. */
    headers: z.record(z.string(), z.string()),
  })

  /** Of a message that is to be published: no wildcards, not empty. A replacement with such a topic is an invalid one. */
  const topicName = z.string().regex(TOPIC_NAME).max(MAX_TOPIC_CHARS)
  const publishedMessage = message.extend({ topic: topicName })

  const brokerInfo = z.object({
    version: z.string(),
    sysdescr: z.string(),
    /** Null: a broker of version 1 that said it in words. */
    uptime: i64().nullable(),
    datetime: z.string(),
  })

  /** Options of a subscription, as far as every version has them. */
  const subOpts = z.object({
    qos: u32(),
    /** Retain handling. */
    rh: u32(),
    /** Retain as published. */
    rap: u32(),
    /** No local. */
    nl: u32(),
  })

  /** The group of a shared subscription, from brokers before 5.4. */
  const shareGroup = { share: z.string() }

  /**
   * The three questions of the protocol have this in their events: a replacement in which it is true is the last word, and
   * no other plugin is asked (STOP_AND_RETURN). One in which it is false is what the next plugin sees (CONTINUE).
   */
  const lastWord = { isFinal: z.boolean().default(false) }

  return {
    property,
    requestMeta,
    connInfo,
    clientInfo,
    peerPort,
    message,
    publishedMessage,
    brokerInfo,
    subOpts,
    shareGroup,
    lastWord,
  }
}

/** Options of those three questions. */
export const LAST_WORD = { endsOn: 'isFinal' } as const

/** Room for a payload that a plugin writes, on top of the event's own size. */
export const PUBLISH_REPLY_BYTES = 64 * 1024
