/**
 * http@1: the hookpoints of an HTTP server, before a request's handler, in its place, after its response, and at WebSockets.
 * Imported by servers and plugins alike; immutable, readable from any thread.
 *
 * A gate's reject becomes the response: its code is the status if it is 400 to 599, otherwise the status is 403; its reason is
 * what the client reads. Everything in an event but `clientAddress`, `tlsSubject` and `route` comes from the client: escape it
 * before it reaches a log or a terminal.
 */
import { z } from 'zod/v4'
import { declareContract, type EventOutput, type ReplyOutput } from './contract.js'
import { gate, observe, respond } from './make-hookpoint.js'
import { secret } from './secret.js'
import { bytes, u16, u32 } from './types.js'

/** Room for an answer of a plugin: headers and body. */
const MAX_ANSWER_BYTES = 60 * 1024

/** What HTTP calls a token: names of headers are tokens. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Values of headers: no control characters, and nothing that is not one byte. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

function define(maxAnswerBytes: number) {
  return declareContract('http', 1, () => {
    const peer = {
      /** In upper case, as it came: `GET`. */
      method: z.string(),
      /** The path as the client sent it, percent-encoded, not normalised: `/a%2Fb`, `//x`, `/a/../b`. For rules use `route`. */
      path: z.string(),
      /** The router's pattern, `/users/:id`; null where the router has not decided yet, or does not say. */
      route: z.string().nullable(),
      /** The client's address without a port: IPv4, or IPv6 without brackets. Empty where there is none. */
      clientAddress: z.string(),
      /** Unique among the requests of a server. The plugin's `ctx.traceId` too, unless the operator chose another. */
      requestId: z.string(),
    }

    const request = {
      ...peer,
      /** Decoded as a form is: `?tag=a&tag=b` is `{ tag: ['a', 'b'] }`. */
      query: z.record(z.string(), z.array(z.string())),
      /** By lower-case name: those on the operator's list, without credentials. Several of one name are joined by `, `. */
      headers: z.record(z.string(), z.string()),
      /** `authorization`, `cookie` and `proxy-authorization`: those that the operator named. */
      credentials: secret(z.record(z.string(), z.string())),
      /** The subject of the client's certificate (`CN=meter-7,O=Example`); null without one that was verified. */
      tlsSubject: z.string().nullable(),
    }

    const requestEvent = z.object({
      ...request,
      /** The bytes that the client sent; null where the operator did not ask for them. */
      body: bytes().nullable(),
    })

    return {
      hookpoints: {
        /** Gate. A request has come, its handler has not been called. */
        onRequest: gate(requestEvent),
        /** Respond. After onRequest: a plugin that returns an answer has answered, and the handler is not called. */
        onRoute: respond(
          requestEvent,
          z.object({
            status: z.int().min(200).max(599).default(200),
            /** Those on the operator's list are sent. */
            headers: z.record(z.string().regex(TOKEN), z.string().regex(FIELD_VALUE)).default({}),
            body: z.union([z.string(), bytes()]).default(''),
          }),
          { maxReplyBytes: maxAnswerBytes },
        ),
        /** Observe. A response has ended, whoever made it. */
        onResponse: observe(
          z.object({
            ...peer,
            status: u16(),
            /** Milliseconds from when the hooks saw the request until the last byte was handed to the system. */
            durationMs: z.number(),
            /** Of the body. */
            bytes: z.number(),
            /** The client was gone before the response had ended. */
            isAborted: z.boolean(),
          }),
        ),
        /** Gate. A client asks for a WebSocket; a reject is the response to its request, no socket is opened. */
        onUpgrade: gate(
          z.object({
            ...request,
            /** The subprotocols that the client offers, in its order. */
            protocols: z.array(z.string()),
          }),
        ),
        /** Gate. A message of an open WebSocket; a reject drops it, or closes the socket. */
        onMessage: gate(
          z.object({
            ...peer,
            /** Which socket of the server. `requestId` is that of its handshake: `partitionBy: 'requestId'` gives all of one to a lane. */
            socket: u32(),
            /** False: `data` is text in UTF-8. */
            isBinary: z.boolean(),
            /** Socket.IO: the name of the event, and in `data` its arguments as JSON. Null: a message of a WebSocket. */
            event: z.string().nullable(),
            data: bytes(),
          }),
        ),
      },
    }
  })
}

/** The contract. */
export const http = define(MAX_ANSWER_BYTES)

/**
 * The same contract for the engine of a server whose plugins answer at onRoute with more, or with less, than 60 KiB. Plugins
 * are written for `http` and fit both.
 */
export function httpContract({ maxAnswerBytes }: { maxAnswerBytes: number }): HttpContract {
  const contract = define(maxAnswerBytes)
  // What is wrong with the size is said now, and not where a hookpoint is first asked for.
  void contract.hookpoints
  return contract
}

export type HttpContract = typeof http
type Points = HttpContract['hookpoints']
export type HttpRequestEvent = EventOutput<Points['onRequest']>
export type HttpResponseEvent = EventOutput<Points['onResponse']>
export type HttpUpgradeEvent = EventOutput<Points['onUpgrade']>
export type HttpMessageEvent = EventOutput<Points['onMessage']>
export type HttpAnswer = ReplyOutput<Points['onRoute']>
