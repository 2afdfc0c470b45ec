/**
 * A request as hooks see it, whichever server has it: one class for Node's requests, one for those of fetch. Made for each
 * request that is asked about, on the host's thread; what costs something is read when it is first asked for.
 */
import { Buffer } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'

/** A request, as functions of the operator's are given it. */
export interface HookedRequest {
  readonly method: string
  /** The path, as the client sent it. */
  readonly path: string
  /** What follows the `?`, as the client sent it. */
  readonly search: string
  readonly query: Readonly<Record<string, readonly string[]>>
  /** The router's pattern, where it is known. */
  readonly route: string | null
  readonly clientAddress: string
  /** The subject of the client's certificate, if it was verified. */
  readonly tlsSubject: string | null
  readonly requestId: string
  /** Subprotocols that a client offers for a WebSocket. */
  readonly protocols: readonly string[]
  /** The body, if it was asked for. */
  readonly body: Uint8Array | null
  /** A header by its lower-case name; several are joined by `, `. */
  header(name: string): string | undefined
  /** The server's own request: an IncomingMessage, Fastify's request, or a Request. */
  readonly raw: unknown
}

const NO_QUERY: Readonly<Record<string, readonly string[]>> = Object.freeze(Object.create(null))
/** `http://host`, as in a proxy's request (RFC 9112, 3.2.2), and as in `Request.url`. */
const SCHEME_AND_HOST = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i
/** `::ffff:192.0.2.1`: an IPv4 client of a socket that listens for both. */
const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

export interface RequestParts {
  readonly method: string
  /** As the client sent it. */
  readonly target: string
  readonly route: string | null
  readonly requestId: string
}

abstract class AnyRequest implements HookedRequest {
  readonly method: string
  readonly path: string
  readonly search: string
  readonly route: string | null
  readonly requestId: string
  abstract readonly raw: unknown
  body: Uint8Array<ArrayBuffer> | null = null
  #query: Readonly<Record<string, readonly string[]>> | null = null
  #clientAddress: string | null = null

  constructor({ method, target, route, requestId }: RequestParts) {
    this.method = method
    const { path, search } = splitTarget(target)
    this.path = path
    this.search = search
    this.route = route
    this.requestId = requestId
  }

  get query(): Readonly<Record<string, readonly string[]>> {
    this.#query ??= this.search === '' ? NO_QUERY : parseQuery(this.search)
    return this.#query
  }

  get clientAddress(): string {
    this.#clientAddress ??= plainAddress(this.readAddress())
    return this.#clientAddress
  }

  get protocols(): readonly string[] {
    const offered = this.header('sec-websocket-protocol')
    if (offered === undefined) return []
    return offered
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
  }

  abstract get tlsSubject(): string | null
  abstract header(name: string): string | undefined
  protected abstract readAddress(): string
}

/** What is read of Node's requests, and of Express' and Fastify's around them. */
export interface NodeParts {
  readonly message: IncomingMessage
  readonly raw: unknown
  address(): string
}

export class NodeRequest extends AnyRequest {
  readonly raw: unknown
  readonly message: IncomingMessage
  readonly #address: () => string

  constructor(parts: RequestParts, { message, raw, address }: NodeParts) {
    super(parts)
    this.message = message
    this.raw = raw
    this.#address = address
  }

  get tlsSubject(): string | null {
    return subjectOf(this.message.socket)
  }

  header(name: string): string | undefined {
    const { headers } = this.message
    // Not a text: what an object inherits under that name.
    const value: unknown = headers[name] ?? (name === 'host' ? headers[':authority'] : undefined)
    if (typeof value === 'string') return value
    return Array.isArray(value) ? value.join(', ') : undefined
  }

  protected readAddress(): string {
    return this.#address()
  }
}

export class FetchRequest extends AnyRequest {
  readonly raw: Request
  readonly #address: () => string

  constructor(parts: RequestParts, { raw, address }: { raw: Request; address(): string }) {
    super(parts)
    this.raw = raw
    this.#address = address
  }

  /** A Request says nothing of its connection. */
  get tlsSubject(): string | null {
    return null
  }

  header(name: string): string | undefined {
    return this.raw.headers.get(name) ?? (name === 'host' ? hostOf(this.raw.url) : undefined)
  }

  protected readAddress(): string {
    return this.#address()
  }
}

/**
 * Path and query of a request target, as they were sent: `new URL` would take `//x/y` for a host and resolve `..`. The path
 * of a target without one is `/`.
 */
export function splitTarget(target: string): { readonly path: string; readonly search: string } {
  const origin = target.startsWith('/') ? null : SCHEME_AND_HOST.exec(target)
  const start = origin === null ? 0 : origin[0].length
  const hash = target.indexOf('#', start)
  const end = hash === -1 ? target.length : hash
  const mark = target.indexOf('?', start)
  const isQueried = mark !== -1 && mark < end
  const path = target.slice(start, isQueried ? mark : end)
  return { path: path === '' ? '/' : path, search: isQueried ? target.slice(mark + 1, end) : '' }
}

/** Names are the client's: on an object without a prototype none of them means anything else. */
function parseQuery(search: string): Record<string, string[]> {
  const query: Record<string, string[]> = Object.create(null)
  for (const [name, value] of new URLSearchParams(search)) {
    const values = query[name]
    if (values === undefined) query[name] = [value]
    else values.push(value)
  }
  return query
}

function plainAddress(address: unknown): string {
  if (typeof address !== 'string') return ''
  return MAPPED_IPV4.exec(address)?.[1] ?? address
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined
}

const subjects = new WeakMap<object, string | null>()

/** Read once for each connection: a certificate is parsed anew each time. */
function subjectOf(socket: unknown): string | null {
  const { authorized, getPeerX509Certificate } = (socket ?? {}) as Partial<TLSSocket>
  if (authorized !== true || typeof getPeerX509Certificate !== 'function') return null
  let subject = subjects.get(socket as object)
  if (subject === undefined) {
    const lines = (socket as TLSSocket).getPeerX509Certificate()?.subject
    // OpenSSL has escaped the commas in them.
    subject = lines === undefined ? null : lines.split('\n').join(',')
    subjects.set(socket as object, subject)
  }
  return subject
}

/** Bytes of a body as events take them: a view of a larger buffer is fine. */
export function bytesOf(value: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return (typeof value === 'string' ? Buffer.from(value) : value) as Uint8Array<ArrayBuffer>
}
