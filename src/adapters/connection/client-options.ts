/** What a client says of its connection, and the defaults. Read once, when it connects. */
import { BODY_CODECS, type BodyCodec, HookringError } from '../../contracts/index.js'
import { DEFAULT_MAX_FRAME_BYTES } from './frames.js'
import { helloPayload } from './handshake.js'

/** PEM texts, not file names. */
export interface ClientTls {
  /** Who signed the server's certificate. Left out: the authorities that Node.js knows. */
  ca?: string | Buffer | undefined
  /** The client's own certificate and key, for a server that asks for one. */
  cert?: string | Buffer | undefined
  /** The key of the certificate, PEM. */
  key?: string | Buffer | undefined
  /** The name in the server's certificate, where it is not the host. */
  serverName?: string | undefined
}

export interface ConnectOptions {
  /** The server's address or name. Default `127.0.0.1`. */
  host?: string | undefined
  /** The server's TCP port. */
  port?: number | undefined
  /** Of a unix socket, in place of host and port. */
  path?: string | undefined
  /** Connects by TLS. True: with the authorities that Node.js knows, under the host's name. */
  tls?: boolean | ClientTls | undefined
  /** Who logs in. Default: nobody, where the server lets such clients in. */
  user?: string | undefined
  /** The password of `user`. */
  password?: string | undefined
  /** How bodies are written: `msgpack` or `json`. Default `msgpack`. */
  codec?: BodyCodec | undefined
  /** Until the handshake is done. Default 10,000. */
  connectTimeoutMs?: number | undefined
  /** Of a request that says nothing else. Default 30,000. */
  requestTimeoutMs?: number | undefined
  /** How long `close` waits for the server to have handled what was sent. Default 30,000. */
  closeTimeoutMs?: number | undefined
  /** Of a frame that is taken. Default 1,000,000. */
  maxFrameBytes?: number | undefined
  /** Requests that may be under way. Default 1024. */
  maxPending?: number | undefined
  /** Gives up connecting. */
  signal?: AbortSignal | undefined
}

export type ClientSettings = ReturnType<typeof resolveClientOptions>

/** @throws HookringError OPTIONS_INVALID */
export function resolveClientOptions(options: ConnectOptions) {
  const { path, port, host = '127.0.0.1', user = '', password = '', codec = 'msgpack', signal } = options
  if ((path === undefined) === (port === undefined)) throw invalid('port', 'or path must be given, one of them')
  const { tls = false } = options
  if (typeof tls !== 'boolean' && (typeof tls !== 'object' || tls === null)) {
    throw invalid('tls', 'must be true, or an object with ca, cert, key and serverName')
  }
  if (!BODY_CODECS.includes(codec)) throw invalid('codec', `must be one of ${BODY_CODECS.join(', ')}`)
  const positive = (
    name: 'connectTimeoutMs' | 'requestTimeoutMs' | 'closeTimeoutMs' | 'maxFrameBytes' | 'maxPending',
    fallback: number,
  ) => {
    const value = options[name] ?? fallback
    if (Number.isInteger(value) && value > 0 && value <= 2_147_483_647) return value
    throw invalid(name, 'must be a whole number from 1 to 2147483647')
  }
  return {
    path,
    host,
    port: port ?? 0,
    codec,
    signal,
    tls: tls === false ? null : tls === true ? NO_TLS_OPTIONS : tls,
    hello: helloPayload({ codec, user, password }),
    connectTimeoutMs: positive('connectTimeoutMs', 10_000),
    requestTimeoutMs: positive('requestTimeoutMs', 30_000),
    closeTimeoutMs: positive('closeTimeoutMs', 30_000),
    maxFrameBytes: positive('maxFrameBytes', DEFAULT_MAX_FRAME_BYTES),
    maxPending: positive('maxPending', 1024),
  }
}

const NO_TLS_OPTIONS: ClientTls = {}

function invalid(name: string, problem: string): HookringError {
  return new HookringError('OPTIONS_INVALID', `connect: ${name} ${problem}`, { path: [name] })
}
