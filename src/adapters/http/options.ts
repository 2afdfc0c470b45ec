/** What every door may be told. */
import { httpOptionsSchema, messageOptionsSchema, type ResolvedMessageOptions } from '../../contracts/http-options.js'
import type { Hookpoints } from '../../contracts/index.js'
import { parseOptions } from '../../contracts/parse-options.js'
import type { HttpReply, Refused, Undecided } from './outcomes.js'
import type { HookedRequest } from './request.js'
import type { Stages } from './stages.js'

export interface HttpOptions<Points extends Hookpoints = Hookpoints> {
  /**
   * Headers that plugins see, by name. Credentials (`authorization`, `cookie`, `proxy-authorization`) are never among them
   * unless named, and then stand in the event's `credentials`. Default: accept, accept-encoding, accept-language,
   * content-encoding, content-length, content-type, host, origin, sec-fetch-mode, sec-fetch-site, user-agent.
   */
  headers?: readonly string[]
  /**
   * Headers that an answer of a plugin may set; others are left out and counted. Never those that frame a message. Default:
   * allow, cache-control, content-disposition, content-language, content-type, etag, expires, last-modified, link, location,
   * retry-after, vary, www-authenticate.
   */
  answerHeaders?: readonly string[]
  /** Whether plugins see the body: the request then waits until it is there. Default false. */
  body?: boolean | ((request: HookedRequest) => boolean)
  /** A body of more bytes that plugins were to see is refused with 413. Default 65,536. */
  maxBodyBytes?: number
  /** Milliseconds for such a body to come, then 408. Default 10,000. */
  bodyTimeoutMs?: number
  /** The most time that one hookpoint gets, in milliseconds, on top of the plugins' own limits. Default: none. */
  timeoutMs?: number
  /** What Retry-After says when nobody has decided. Default 1. */
  retryAfterSeconds?: number
  /**
   * The client's address. Default: the connection's; Express' and Fastify's `ip`, which heed their own options about proxies.
   * `X-Forwarded-For` is never read.
   */
  clientAddress?(request: unknown): string
  /** Default: the request's `id` if it has one, as Fastify's and pino-http's have; otherwise a new UUID. */
  requestId?(request: unknown): string
  /** What plugins find as `ctx.traceId`, up to 256 bytes. Default: the request's id. */
  traceId?(request: HookedRequest): string | undefined
  /** The response to a request that was refused or that nobody has decided; `undefined`: the default one. */
  respond?(outcome: Refused | Undecided, request: HookedRequest): HttpReply | undefined
  /** Told of what no client can be: errors in these functions, answers that cannot be sent. Default: a process warning, once for each place. */
  onError?(error: unknown, place: string): void
  /** For an engine of another contract: which hookpoint is asked when, and the events. */
  stages?: Stages<Points>
}

/** What becomes of the messages of an open socket. */
export interface MessageOptions {
  /** A message that a plugin refused. `drop` (the default), or `close` the socket, with 1008. */
  onRefused?: 'drop' | 'close'
  /** A message that nobody has decided. `close` (the default) the socket, with 1013: try again later; or `drop`. */
  onUndecided?: 'close' | 'drop'
  /** Messages of one socket that are asked about at once. Default 16. */
  maxAtOnce?: number
  /** While so many messages of a socket wait for verdicts, it is not read from. Default 64. */
  maxWaiting?: number
}

export interface ResolvedOptions {
  readonly headers: readonly string[]
  readonly answerHeaders: ReadonlySet<string>
  readonly body: boolean | ((request: HookedRequest) => boolean)
  readonly maxBodyBytes: number
  readonly bodyTimeoutMs: number
  readonly timeoutMs: number | undefined
  readonly retryAfterSeconds: number
  readonly clientAddress: ((request: unknown) => string) | undefined
  readonly requestId: ((request: unknown) => string) | undefined
  readonly traceId: ((request: HookedRequest) => string | undefined) | undefined
  readonly respond: ((outcome: Refused | Undecided, request: HookedRequest) => HttpReply | undefined) | undefined
  readonly onError: ((error: unknown, place: string) => void) | undefined
}

/** @throws HookringError OPTIONS_INVALID */
export function parseHttpOptions<Points extends Hookpoints>(
  options: HttpOptions<Points>,
  door: string,
): ResolvedOptions {
  const { stages: _, ...rest } = options
  const { answerHeaders, timeoutMs, ...resolved } = parseOptions(httpOptionsSchema, rest, door)
  const called = { ...resolved, answerHeaders: new Set(answerHeaders), timeoutMs }
  // Called as the methods that they may be.
  for (const name of ['body', 'clientAddress', 'requestId', 'traceId', 'respond', 'onError'] as const) {
    const given = options[name]
    if (typeof given !== 'function') continue
    Object.assign(called, { [name]: (given as (...args: unknown[]) => unknown).bind(options) })
  }
  return called as unknown as ResolvedOptions
}

/** @throws HookringError OPTIONS_INVALID */
export function parseMessageOptions(options: MessageOptions, door: string): ResolvedMessageOptions {
  return parseOptions(messageOptionsSchema, options, `${door}: messages`)
}
