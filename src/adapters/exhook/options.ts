/**
 * The provider's options, checked. Called when a provider starts, on the host's thread.
 */
import { createSecureContext } from 'node:tls'
import { ServerCredentials } from '@grpc/grpc-js'
import { EXHOOK_VERSIONS, type ExhookVersion, HookringError } from '../../contracts/index.js'
import type { Logger } from '../../index.js'
import { checkTopics, type TopicsOption } from './hook-specs.js'

/** PEM texts, not file names. */
export interface ExhookTls {
  /** The server's certificate, with those between it and its root. */
  cert: string | Uint8Array
  /** The key of the certificate, PEM. */
  key: string | Uint8Array
  /** Who signs brokers. Given: a broker must show a certificate of theirs (mutual TLS). */
  ca?: string | Uint8Array | undefined
}

export interface ExhookProviderOptions {
  /** `host:port`, `[::1]:port` or `unix:/path`. Port 0: a free one. Default `127.0.0.1:9000`. */
  address?: string
  /** Left out: plain text, for loopback and networks of one's own. */
  tls?: ExhookTls | undefined
  /** The protocol's versions that are served. Default: 1, 2 and 3. */
  versions?: readonly ExhookVersion[]
  /** Topic filters that brokers ask about, of the hooks of messages alone. Default: all topics. */
  topics?: TopicsOption | undefined
  /**
   * How long a broker waits for an answer, in milliseconds; its option `request_timeout`. Plugins that take longer are
   * past their deadline a little earlier, so that what their policy says still arrives. A shorter deadline of the call
   * itself goes before. Default 5000, the brokers' own default.
   */
  requestTimeoutMs?: number
  /** The largest request that is read, in bytes. Default 4 MiB. */
  maxRequestBytes?: number
  /** Where its lines go, pino-shaped. Default: process warnings, for errors alone. */
  logger?: Logger | undefined
}

export interface CheckedOptions {
  readonly address: string
  readonly isSecure: boolean
  readonly credentials: ServerCredentials
  readonly versions: readonly ExhookVersion[]
  readonly topics: TopicsOption | undefined
  readonly requestTimeoutMs: number
  readonly maxRequestBytes: number
  readonly logger: Logger
}

const DEFAULT_ADDRESS = '127.0.0.1:9000'
/** That of the brokers. */
const DEFAULT_REQUEST_TIMEOUT_MS = 5000
/** That of gRPC. */
const DEFAULT_REQUEST_BYTES = 4 * 1024 * 1024
const MAX_REQUEST_BYTES = 256 * 1024 * 1024
/** The longest delay that a timer takes. */
const MAX_TIMEOUT_MS = 2_147_483_647

const KNOWN = ['address', 'tls', 'versions', 'topics', 'requestTimeoutMs', 'maxRequestBytes', 'logger']
const KNOWN_TLS = ['cert', 'key', 'ca']

/** @throws HookringError OPTIONS_INVALID, with the path */
export function checkOptions(options: ExhookProviderOptions): CheckedOptions {
  if (typeof options !== 'object' || options === null) throw invalid([], 'must be an object')
  refuseUnknown(options, KNOWN, [])
  const { address = DEFAULT_ADDRESS, tls, versions = EXHOOK_VERSIONS, topics, logger } = options
  const { requestTimeoutMs = DEFAULT_REQUEST_TIMEOUT_MS, maxRequestBytes = DEFAULT_REQUEST_BYTES } = options
  checkAddress(address)
  if (!Array.isArray(versions) || versions.length === 0 || !versions.every((each) => EXHOOK_VERSIONS.includes(each))) {
    throw invalid(['versions'], `must be some of ${EXHOOK_VERSIONS.join(', ')}`)
  }
  if (!(typeof requestTimeoutMs === 'number' && requestTimeoutMs > 0 && requestTimeoutMs <= MAX_TIMEOUT_MS)) {
    throw invalid(['requestTimeoutMs'], `must be above 0 and at most ${MAX_TIMEOUT_MS}`)
  }
  if (!Number.isInteger(maxRequestBytes) || maxRequestBytes < 1024 || maxRequestBytes > MAX_REQUEST_BYTES) {
    throw invalid(['maxRequestBytes'], `must be a whole number from 1024 to ${MAX_REQUEST_BYTES}`)
  }
  return {
    address,
    isSecure: tls !== undefined,
    credentials: tls === undefined ? ServerCredentials.createInsecure() : secured(tls),
    versions: [...new Set(versions)],
    topics: checkTopics(topics),
    requestTimeoutMs,
    maxRequestBytes,
    logger: logger ?? WARNINGS,
  }
}

function checkAddress(address: unknown): void {
  const port =
    typeof address === 'string' ? /^(?:[^\s:/[\]]+|\[[\da-fA-F:.]+\]):(\d{1,5})$/.exec(address)?.[1] : undefined
  const isUnix = typeof address === 'string' && /^unix:.+/.test(address)
  if (isUnix || (port !== undefined && Number(port) <= 65_535)) return
  throw invalid(['address'], `must be host:port, [ipv6]:port or unix:/path, got ${JSON.stringify(address)}`)
}

function secured(tls: ExhookTls): ServerCredentials {
  if (typeof tls !== 'object' || tls === null) throw invalid(['tls'], 'must be an object with cert and key')
  refuseUnknown(tls, KNOWN_TLS, ['tls'])
  const cert = pemOf(tls.cert, 'cert')
  const key = pemOf(tls.key, 'key')
  const ca = tls.ca === undefined ? null : pemOf(tls.ca, 'ca')
  try {
    // gRPC would find out at the first handshake, and tell nobody.
    createSecureContext({ cert, key, ...(ca !== null && { ca }) })
  } catch (cause) {
    throw new HookringError(
      'OPTIONS_INVALID',
      `options.tls: cert, key and ca do not make a server: ${(cause as Error).message}`,
      { path: ['tls'], cause },
    )
  }
  return ServerCredentials.createSsl(ca, [{ cert_chain: cert, private_key: key }], ca !== null)
}

function pemOf(pem: unknown, key: string): Buffer {
  const bytes = typeof pem === 'string' || pem instanceof Uint8Array ? Buffer.from(pem as string) : null
  if (bytes?.includes('-----BEGIN ')) return bytes
  throw invalid(['tls', key], 'must be PEM text, which begins with -----BEGIN')
}

function refuseUnknown(options: object, known: readonly string[], path: readonly string[]): void {
  const unknown = Object.keys(options).find((key) => !known.includes(key))
  if (unknown !== undefined) throw invalid([...path, unknown], `is not known; there are ${known.join(', ')}`)
}

function invalid(path: readonly string[], problem: string): HookringError {
  return new HookringError('OPTIONS_INVALID', `${['options', ...path].join('.')}: ${problem}`, { path })
}

const WARNINGS: Logger = {
  debug() {},
  info() {},
  warn: (_, message) => process.emitWarning(message, 'HookringWarning'),
  error: (_, message) => process.emitWarning(message, 'HookringWarning'),
}
