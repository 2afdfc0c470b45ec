/**
 * The configs of the shipped plugins as an operator writes them. What is inferred from a schema has no docstrings, so they
 * stand here; each schema is held to its type. Types alone.
 */
import type { z } from 'zod/v4'

/** True where a schema takes exactly this type; otherwise it does not compile. */
export type Takes<S extends z.ZodType, Config> = [NonNullable<z.input<S>>, Config] extends [
  Config,
  NonNullable<z.input<S>>,
]
  ? true
  : never

/** Options of a TLS connection, as node:tls has them; the certificates are PEM texts. */
interface RedisTls {
  /** Certificates of authorities that are trusted in place of Node's own. */
  ca?: string | string[] | undefined
  /** The client's own certificate, with the chain. */
  cert?: string | string[] | undefined
  /** The key of `cert`. */
  key?: string | string[] | undefined
  /** Of the key. */
  passphrase?: string | undefined
  /** The name that the server's certificate must have. Default: the host. */
  servername?: string | undefined
  /** False: any certificate will do. For tests alone. Default true. */
  rejectUnauthorized?: boolean | undefined
  /** The oldest version that is spoken. */
  minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
}

/** Where Redis is. An address is `host:port`, the path of a unix socket, or a `redis://` or `rediss://` URL. */
interface RedisAddressConfig {
  /** One server; several with commas between them are a Redis Cluster's. Default `localhost:6379`. */
  addr?: string | undefined
  /** Addresses of a Redis Cluster; any of its nodes will do. Goes before `addr`. */
  addrs?: string[] | undefined
  /** Addresses of Sentinels, which say where the primary is. Goes before `addr` and `addrs`. */
  sentinels?: string[] | undefined
  /** The primary's name among the Sentinels. Default `mymaster`. */
  sentinelName?: string | undefined
  /** A login for the Sentinels, where they want one of their own. */
  sentinelUsername?: string | undefined
  /** The password of `sentinelUsername`. */
  sentinelPassword?: string | undefined
  /** A login for Redis. */
  username?: string | undefined
  /** The password of `username`, or of Redis' default user. */
  password?: string | undefined
  /** Database number; a Redis Cluster has 0 alone. Default 0. */
  db?: number | undefined
  /** Speak TLS; an object says how. Default false, and true for a `rediss://` address. */
  tls?: boolean | RedisTls | undefined
  /** What the name of every key and channel begins with (up to 256 characters). Default `mqtt:`. */
  keyPrefix?: string | undefined
  /** How long setup waits for Redis, in milliseconds (10 to 60,000); less than the engine waits for setup. Default 4,000. */
  connectTimeoutMs?: number | undefined
  /** A command that Redis does not answer within this fails, in milliseconds (10 to 60,000). Default 1,000. */
  commandTimeoutMs?: number | undefined
}

export interface RedisConfig extends RedisAddressConfig {
  /** This broker's name among the nodes (up to 128 characters). Empty, the default: messages do not cross. */
  nodeId?: string | undefined
  /** Tells brokers apart that were given one name; set by `redis()`. */
  instance?: string | undefined
}

export interface ClusterConfig extends RedisAddressConfig {
  /** This broker's name in the cluster (1 to 128 characters); no two may have the same (NODE_ID_TAKEN). */
  nodeId: string
  /** Milliseconds between two signs of life (50 to 3,600,000). Default 3,000. */
  heartbeatIntervalMs?: number | undefined
  /** A node that was not heard of for this long is dead, in milliseconds; at least twice `heartbeatIntervalMs`. Default 10,000. */
  nodeTtlMs?: number | undefined
  /** Messages in a session's queue (1 to 1,000,000); past it the oldest goes. Default 1,000. */
  queueMax?: number | undefined
  /** Bytes in a session's queue; past it the oldest goes. One message has always room. Default 16,777,216 (16 MiB). */
  queueMaxBytes?: number | undefined
  /** A session whose client has been away for this long ends, and its queue with it, in milliseconds. Default 7 days. */
  sessionExpiryMs?: number | undefined
  /** How long a node waits for another one to let go of a session, in milliseconds (1 to 60,000). Default 500. */
  takeoverMs?: number | undefined
  /** Tells brokers of one process apart; set by `cluster()`. */
  instance?: string | undefined
}

export interface AuthConfig {
  /** Passwords by user name, plain or as hashPassword makes them. Left out: everybody may in. `{}`: nobody may. */
  credentials?: Record<string, string> | undefined
  /**
   * A module whose default export decides in their place, `(login: Login) => boolean | Promise<boolean>`: an absolute path or
   * a file: URL. It is loaded in the lane; `credentials` is ignored then.
   */
  validator?: string | undefined
}

export interface AclRule {
  /** `*` stands for any text, anywhere in it; `\*` is a star. Empty, the default: any client. */
  clientId?: string | undefined
  /** The same of user names; a client without one has an empty one. */
  username?: string | undefined
  /**
   * An MQTT topic filter. `%c` in it is the client's id, `%u` its user name; a client whose name would be a wildcard or a path
   * fits no rule that grants.
   */
  topicFilter: string
  /** Whether such a client may subscribe to and be sent such topics. Default false. */
  read?: boolean | undefined
  /** Whether such a client may publish to them. Default false. */
  write?: boolean | undefined
}

export interface AclConfig {
  /** The first rule that fits client and topic decides. Default: none. */
  rules?: AclRule[] | undefined
  /** What becomes of a topic that no rule matches. Default false: allowed. */
  denyByDefault?: boolean | undefined
  /** A subscription is granted when parts of it may be read (`overlap`, the default), or only all of it (`contained`). */
  subscribe?: 'overlap' | 'contained' | undefined
}

export interface LoggerConfig {
  /** What is logged: the sum of LOG_LEVEL bits, or their names. Default: all. */
  level?: number | ('connection' | 'subscribe' | 'publish' | 'session' | 'all')[] | undefined
}

export interface LoginAuditorConfig {
  /**
   * File that lines are appended to, made when it is missing, readable by its owner only: people type passwords where names
   * belong. Without one, lines go to the host's logger as warnings. After moving the file away, reload the plugin.
   */
  file?: string | undefined
  /** Starts each line of the file with the time, ISO 8601 in UTC. The host's logger keeps its own time. Default true. */
  timestamps?: boolean | undefined
}

export interface PayloadLimiterConfig {
  /** Longest payload that passes, in bytes. */
  maxBytes: number
}

export interface RateLimitConfig {
  /** Messages per interval and client id; 0: no limit. */
  publishRate: number
  /** The interval, in milliseconds. Default 1,000. */
  intervalMs?: number | undefined
  /** Messages that may come at once after a pause. Default: twice the rate. */
  burstSize?: number | undefined
  /** Clients that a lane keeps count of; past it the one that was quiet longest starts anew. Not with `redis`. Default 100,000. */
  maxClients?: number | undefined
  /** Where the nodes keep one count for all of them, under `rate:`. Needs ioredis and rate-limiter-flexible. */
  redis?: RedisAddressConfig | undefined
}

export interface SysConfig {
  /** Milliseconds between two reports (10 to 86,400,000). Default 10,000. */
  intervalMs?: number | undefined
  /** What `$SYS/broker/version` says. Default `1.0.0`. */
  version?: string | undefined
}

export interface TracingConfig {
  /** Lowest level that is logged. Fetches are `debug`, failed logins `warn`, all else `info`. Default `info`. */
  level?: 'debug' | 'info' | 'warn' | undefined
  /** File that pino appends JSON lines to. Needs the package `pino`. After moving the file away, reload the plugin. */
  destination?: string | undefined
}
