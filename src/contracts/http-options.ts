/**
 * What an operator says of an HTTP server with hooks: bounds, lists of headers, and what clients are told. For every door of
 * hookring/http and hookring/fastify. Each default stands here, once, with its reason.
 */
import { z } from 'zod/v4'

/** Shown to plugins unless the operator says otherwise: what rules are written about, and nothing that lets anybody in. */
const SHOWN_HEADERS = [
  ...['accept', 'accept-encoding', 'accept-language', 'content-encoding', 'content-length', 'content-type'],
  ...['host', 'origin', 'sec-fetch-mode', 'sec-fetch-site', 'user-agent'],
]

/** These let a client in. They are shown if they are named, and stand apart from the others. */
export const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization'])

/** What an answer of a plugin may set unless the operator says otherwise. */
const ANSWER_HEADERS = [
  ...['allow', 'cache-control', 'content-disposition', 'content-language', 'content-type', 'etag', 'expires'],
  ...['last-modified', 'link', 'location', 'retry-after', 'vary', 'www-authenticate'],
]

/** The connection's and the message's framing are the server's alone (RFC 9110, 7.6.1; RFC 9112, 6). */
export const FRAMING_HEADERS: ReadonlySet<string> = new Set([
  ...['connection', 'content-length', 'date', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding'],
  ...['upgrade', 'http2-settings', 'expect'],
])

const name = z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'must be a name of a header')
const names = z.array(name).transform((list) => [...new Set(list.map((one) => one.toLowerCase()))])

function functionOf<T extends (...args: never[]) => unknown>() {
  return z.custom<T>((value) => typeof value === 'function', 'must be a function')
}

/** Each option is explained where it is typed, at HttpOptions. */
export const httpOptionsSchema = z.strictObject({
  headers: names.prefault(SHOWN_HEADERS),
  answerHeaders: names
    .refine(
      (list) => !list.some((one) => FRAMING_HEADERS.has(one)),
      `must be headers that are not the connection's own: none of ${[...FRAMING_HEADERS].join(', ')}`,
    )
    .prefault(ANSWER_HEADERS),
  body: z.union([z.boolean(), functionOf<(request: never) => boolean>()]).default(false),
  /** Forms and JSON of an API; not an upload, which would cross to the lane as a whole. */
  maxBodyBytes: z
    .int()
    .min(0)
    .max(64 * 1024 * 1024)
    .default(64 * 1024),
  /** A client that sends a byte a minute holds a connection, as it does with any server; this long before the hooks. */
  bodyTimeoutMs: z.number().min(1).max(2_147_483_647).default(10_000),
  timeoutMs: z.number().min(1).max(2_147_483_647).optional(),
  /** The least that HTTP can say. */
  retryAfterSeconds: z.int().min(0).max(86_400).default(1),
  clientAddress: functionOf<(request: never) => string>().optional(),
  requestId: functionOf<(request: never) => string>().optional(),
  traceId: functionOf<(request: never) => string | undefined>().optional(),
  respond: functionOf<(outcome: never) => unknown>().optional(),
  onError: functionOf<(error: unknown, place: string) => void>().optional(),
})

/** What a server says of the messages of its WebSockets. Each option is explained at MessageOptions. */
export const messageOptionsSchema = z.strictObject({
  onRefused: z.enum(['drop', 'close']).default('drop'),
  /** What nobody has decided is not passed on, and not lost without a word either. */
  onUndecided: z.enum(['close', 'drop']).default('close'),
  /** Enough to keep a lane busy with one client; few enough that a flood of one is no overload for others. */
  maxAtOnce: z.int().min(1).max(1_024).default(16),
  /** The socket is not read from while so many wait. */
  maxWaiting: z.int().min(1).max(1_048_576).default(64),
})

export type ResolvedHttpOptions = z.output<typeof httpOptionsSchema>
export type ResolvedMessageOptions = z.output<typeof messageOptionsSchema>
