/**
 * Where Redis is: the options, the forms of an address, and its secrets. Pure.
 *
 * An address is `host:port`, the path of a unix socket, or a URL (`redis://user:password@host:port/db`, `rediss://` for
 * TLS). Whatever an operator writes there may hold a password, so nothing of it is shown before redact() has seen it.
 */
import { z } from 'zod/v4'

const pem = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)])

/** Options of a TLS connection, as node:tls has them; the certificates are PEM texts. */
const tlsOptions = z.strictObject({
  ca: pem.optional(),
  cert: pem.optional(),
  key: pem.optional(),
  passphrase: z.string().optional(),
  servername: z.string().optional(),
  /** False: any certificate will do. For tests alone. */
  rejectUnauthorized: z.boolean().default(true),
  minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).optional(),
})

const place = z
  .string()
  .min(1)
  .refine((text) => text.split(',').every((part) => readAddress(part.trim()) !== null), {
    // Without the text: it may have a password in it.
    message:
      'must be HOST:PORT, the path of a unix socket, or redis://[USER:PASSWORD@]HOST[:PORT][/DB] (rediss:// for TLS)',
  })

export const redisAddress = {
  /** One server; several with commas between them are a Redis Cluster's. */
  addr: place.default('localhost:6379'),
  /** Addresses of a Redis Cluster; any of its nodes will do. Goes before `addr`. */
  addrs: z.array(place).min(1).optional(),
  /** Addresses of Sentinels: they say where the primary is. Goes before `addr` and `addrs`. */
  sentinels: z.array(place).min(1).optional(),
  /** The primary's name among the Sentinels. */
  sentinelName: z.string().min(1).default('mymaster'),
  /** Where the Sentinels want a login of their own. */
  sentinelUsername: z.string().optional(),
  sentinelPassword: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  /** Database number; a Redis Cluster has 0 alone. */
  db: z.int().min(0).default(0),
  tls: z.union([z.boolean(), tlsOptions]).default(false),
  /** Before the name of every key and channel. */
  keyPrefix: z.string().max(256).default('mqtt:'),
  /** How long setup waits for Redis, in milliseconds; less than the engine waits for setup. */
  connectTimeoutMs: z.int().min(10).max(60_000).default(4_000),
  /** A command that Redis does not answer within this fails, in milliseconds. */
  commandTimeoutMs: z.int().min(10).max(60_000).default(1_000),
}
const schema = z.object(redisAddress)
export type RedisAddress = z.output<typeof schema>

/** One server, as its address says. */
export interface Server {
  readonly path?: string
  readonly host: string
  readonly port: number
  readonly username?: string
  readonly password?: string
  readonly db?: number
  readonly isTls: boolean
}

/** Null: no address. */
export function readAddress(text: string): Server | null {
  if (text.startsWith('/')) return { path: text, host: '', port: 0, isTls: false }
  if (/^rediss?:\/\//i.test(text)) return readUrl(text)
  const [, bracketed, plain, port = '6379'] = /^(?:\[([0-9a-f:.]+)\]|([^\s/@:[\]]+))(?::(\d{1,5}))?$/i.exec(text) ?? []
  const host = bracketed ?? plain
  return host === undefined || Number(port) > 65_535 ? null : { host, port: Number(port), isTls: false }
}

function readUrl(text: string): Server | null {
  if (!URL.canParse(text)) return null
  const { protocol, hostname, port, username, password, pathname } = new URL(text)
  const db = /^\/(\d*)$/.exec(pathname === '' ? '/' : pathname)?.[1]
  if (db === undefined || hostname === '') return null
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 6379 : Number(port),
    ...(username !== '' && { username: decode(username) }),
    ...(password !== '' && { password: decode(password) }),
    ...(db !== '' && { db: Number(db) }),
    isTls: protocol === 'rediss:',
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** Of a place that has been validated. */
export function serverOf(text: string): Server {
  const server = readAddress(text.trim())
  if (server === null) throw new TypeError('an address of Redis that was not validated')
  return server
}

/** An address as errors and logs may show it. */
export function showServer({ path, host, port }: Server): string {
  return path ?? `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Takes every secret of the address out of a text. */
export type Redact = (text: string) => string

export function redactorOf(address: RedisAddress): Redact {
  const { password, sentinelPassword, tls, addr, addrs = [], sentinels = [] } = address
  const secrets = [password, sentinelPassword]
  if (typeof tls === 'object') secrets.push(tls.passphrase, ...[tls.key ?? []].flat())
  for (const text of [...addr.split(','), ...addrs, ...sentinels]) {
    // As it stands there, and as it is meant.
    secrets.push(readAddress(text.trim())?.password, /^[^@]*?:\/\/[^@:]*:(.*)@/.exec(text)?.[1])
  }
  const known = [...new Set(secrets)].filter((secret): secret is string => secret !== undefined && secret !== '')
  // The longest first: one may be a part of another.
  known.sort((a, b) => b.length - a.length)
  return (text) => known.reduce((shown, secret) => shown.replaceAll(secret, '***'), text)
}
