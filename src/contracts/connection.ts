/**
 * connection@1: the five hooks of a server that speaks with its clients over connections (IPC), as Rayforce's `.ipc.on.*`
 * hooks are. Imported by servers and plugins alike; immutable, readable from any thread.
 *
 * Bodies cross as the bytes that were on the wire, with the name of their codec, and answers go back the same way: a body
 * is any value (undefined, big integers, binary parts), and JSON would lose some of it; a plugin that looks at none of it
 * decodes nothing; and "no answer" stays apart from an answer that is nothing. `hookring/connection-plugin` has what decodes
 * them, and hooks in Rayforce's form: `open(handle)`, `sync(message)`.
 */
import { z } from 'zod/v4'
import { declareContract, type EventOutput } from './contract.js'
import { gate, observe, respond, service } from './make-hookpoint.js'
import { secret } from './secret.js'
import { bytes, i32, u64 } from './types.js'

/** The hooks, and no others: what Rayforce lets users set of `.ipc.on`. */
export const CONNECTION_HOOKS = ['open', 'close', 'sync', 'async', 'auth'] as const

/** How bodies are written. */
export const BODY_CODECS = ['msgpack', 'json'] as const

/**
 * Room for an answer of a plugin. A sync call holds this much of its lane's memory while it is under way, so that with more
 * fewer run at once: with this and a small message 256.
 */
const MAX_RESPONSE_BYTES = 60 * 1024

function define(maxResponseBytes: number) {
  return declareContract('connection', 1, () => {
    const peer = {
      /** The connection's number: unique among those of an engine, 1 or more. What `partitionBy: 'handle'` keeps in order. */
      handle: i32(),
      /** The user that was authenticated; null on a server without users. Chosen by the client: escape it before it is logged. */
      user: z.string().nullable(),
      /** What is done on behalf of this connection is done in restricted mode, in hooks too. */
      restricted: z.boolean(),
    }

    const codec = z.enum(BODY_CODECS)
    /** What host services take for the connection on whose behalf they are asked. Keep it to yourself. */
    const ticket = secret(u64())

    const openEvent = z.object({
      ...peer,
      codec,
      /** 0: none. */
      ticket: ticket.default(0n),
      transport: z.enum(['tcp', 'unix']),
      /** `address:port`; empty for a unix socket. */
      remoteAddress: z.string(),
    })

    const closeEvent = z.object({
      ...peer,
      codec: codec.default('msgpack'),
      /** 0: none. */
      ticket: ticket.default(0n),
      /** `client` ended it; it is `broken`; it was `idle` or `stalled`; a frame broke the `protocol`; the `server` ended it. */
      reason: z.enum(['client', 'broken', 'idle', 'stalled', 'protocol', 'server']),
    })

    const messageEvent = z.object({
      ...peer,
      codec,
      ticket,
      /** Well-formed: the server has looked at its shape. */
      body: bytes(),
    })

    const authEvent = z.object({
      ...peer,
      /** The name whose password the server has found right. */
      user: z.string(),
      password: secret(z.string()),
      transport: z.enum(['tcp', 'unix']),
      remoteAddress: z.string(),
    })

    const answer = z.object({ body: bytes() })

    return {
      hookpoints: {
        /** Observe. A connection has completed its handshake; none of its messages has been read. */
        open: observe(openEvent),
        /** Observe. An open connection is about to close; once for each open, after its last message. */
        close: observe(closeEvent),
        /**
         * Respond. A request: what is returned is the response, and a reject or an error is the response too. Without an
         * answer the server's own handler answers.
         */
        sync: respond(messageEvent, answer, { maxReplyBytes: maxResponseBytes }),
        /** Observe. A message that nobody waits for, in place of the server's own handler. */
        async: observe(messageEvent),
        /** Gate. The server's own check has passed; a reject, and any failure, refuses the connection all the same. */
        auth: gate(authEvent),
      },
      services: {
        /** Runs the server's own handler on a body, on behalf of the connection whose ticket it is, and no more freely. */
        evaluate: service(z.object({ ticket, body: bytes() }), answer),
        /** Closes a connection. False: there is none. On behalf of a restricted one: that one alone. */
        disconnect: service(z.object({ ticket, handle: i32() }), z.boolean()),
        /** Sends a connection a message that answers none of its own. False: there is none. On behalf of a restricted one: to that one alone. */
        post: service(z.object({ ticket, handle: i32(), body: bytes() }), z.boolean()),
      },
    }
  })
}

/** The contract. */
export const connection = define(MAX_RESPONSE_BYTES)

/**
 * The same contract for the engine of a server whose plugins answer with more, or with less, than 60 KiB. Plugins are
 * written for `connection` and fit both.
 */
export function connectionContract({ maxResponseBytes }: { maxResponseBytes: number }): ConnectionContract {
  const contract = define(maxResponseBytes)
  // What is wrong with the size is said now, and not where a hookpoint is first asked for.
  void contract.hookpoints
  return contract
}

export type ConnectionContract = typeof connection
export type ConnectionPoints = ConnectionContract['hookpoints']
export type ConnectionHookName = (typeof CONNECTION_HOOKS)[number]
export type BodyCodec = (typeof BODY_CODECS)[number]
export type ConnectionOpenEvent = EventOutput<ConnectionPoints['open']>
export type ConnectionCloseEvent = EventOutput<ConnectionPoints['close']>
export type ConnectionMessageEvent = EventOutput<ConnectionPoints['sync']>
export type ConnectionAuthEvent = EventOutput<ConnectionPoints['auth']>
