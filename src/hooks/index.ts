/**
 * The door `hookring/hooks`: functions that register the plugins which ship with hookring. Called by operators on the
 * host's thread: `plugins: [payloadLimiter({ maxBytes: 65_536 }), tracing()]`. The plugins themselves are loaded by lanes.
 */
import { randomUUID } from 'node:crypto'
import type { PluginOptions } from '../contracts/options.js'
import type { AclConfig } from './acl.js'
import type { AuthConfig } from './auth.js'
import type { ClusterConfig } from './cluster/index.js'
import type { LoggerConfig } from './logger.js'
import type { LoginAuditorConfig } from './login-auditor.js'
import type { PayloadLimiterConfig } from './payload-limiter.js'
import type { RateLimitConfig } from './rate-limit.js'
import type { RedisConfig } from './redis/index.js'
import type { SysConfig } from './sys.js'
import type { TracingConfig } from './tracing.js'

export type { AclConfig, AclRule } from './acl.js'
export type { AuthConfig, AuthValidator, Login } from './auth.js'
export type { ClusterConfig } from './cluster/index.js'
export { type AclControl, type AuthControl, aclControl, authControl, type ReloadingEngine } from './controls.js'
export type { LoggerConfig } from './logger.js'
export type { LoginAuditorConfig } from './login-auditor.js'
export { hashPassword } from './password-hash.js'
export type { PayloadLimiterConfig } from './payload-limiter.js'
export type { RateLimitConfig } from './rate-limit.js'
export type { RedisConfig } from './redis/index.js'
export type { SysConfig } from './sys.js'
export type { TracingConfig } from './tracing.js'

/** What an operator may say of a shipped plugin beside its config: priority, timeoutMs, onFailure, mode, ... */
export type RegistrationOptions = Omit<PluginOptions, 'from' | 'config'>

/** A plugin to put into `plugins`; `config` is typed by the plugin. */
export interface Registration<Config> extends Omit<PluginOptions, 'from' | 'config'> {
  from: URL
  config: Config
}

/** Subscribes to everything and lets everything pass: what the way through the ring costs. */
export function noop(options: RegistrationOptions = {}): Registration<undefined> {
  return register('./noop.js', undefined, options)
}

/**
 * Logs every event of delivery@1. A gate that it fails to log passes (`onFailure: 'allow'`) unless told otherwise: a full
 * disk should not stop the mail. It logs a message when it is asked about it; give it a low `priority` to log only those
 * that other plugins let through.
 */
export function tracing(config: TracingConfig = {}, options: RegistrationOptions = {}): Registration<TracingConfig> {
  return register('./tracing.js', config, { onFailure: 'allow', ...options })
}

/** Rejects messages whose payload is longer than `maxBytes`. */
export function payloadLimiter(
  config: PayloadLimiterConfig,
  options: RegistrationOptions = {},
): Registration<PayloadLimiterConfig> {
  return register('./payload-limiter.js', config, options)
}

/** Writes one line for each failed login, to the host's logger or to a file. */
export function loginAuditor(
  config: LoginAuditorConfig = {},
  options: RegistrationOptions = {},
): Registration<LoginAuditorConfig> {
  return register('./login-auditor.js', config, options)
}

/** Who may write and read which topics of mqtt@1, by rules in order. */
export function acl(config: AclConfig = {}, options: RegistrationOptions = {}): Registration<AclConfig> {
  return register('./acl.js', config, options)
}

/** Checks names and passwords of clients of mqtt@1. A hashed password takes its time: the deadline allows for a rush. */
export function auth(config: AuthConfig = {}, options: RegistrationOptions = {}): Registration<AuthConfig> {
  return register('./auth.js', config, { timeoutMs: 2_000, ...options })
}

/** Limits how many messages a client of mqtt@1 publishes per interval. */
export function rateLimit(config: RateLimitConfig, options: RegistrationOptions = {}): Registration<RateLimitConfig> {
  return register('./rate-limit.js', config, { partitionBy: 'client.clientId', ...options })
}

/** Logs the events of mqtt@1. What it fails to log passes, unless told otherwise. */
export function logger(config: LoggerConfig = {}, options: RegistrationOptions = {}): Registration<LoggerConfig> {
  return register('./logger.js', config, { onFailure: 'allow', ...options })
}

/** Publishes the broker's figures of mqtt@1 under `$SYS/broker/`. */
export function sys(config: SysConfig = {}, options: RegistrationOptions = {}): Registration<SysConfig> {
  return register('./sys.js', config, { services: ['publish', 'stats'], ...options })
}

/** Retained messages of mqtt@1 in Redis, and with a `nodeId` every message to all nodes. Behind plugins that drop messages. */
export function redis(config: RedisConfig = {}, options: RegistrationOptions = {}): Registration<RedisConfig> {
  return register(
    './redis/index.js',
    { instance: randomUUID(), ...config },
    { ...IN_REDIS, services: ['publish'], ...options },
  )
}

/**
 * Makes a broker of mqtt@1 a node of a cluster: routes, sessions, queues and retained messages in Redis. One lane, behind
 * the plugins that refuse clients and drop messages.
 */
export function cluster(config: ClusterConfig, options: RegistrationOptions = {}): Registration<ClusterConfig> {
  const services = ['publish', 'disconnect', 'releaseSession', 'deliverQueued', 'setServing']
  return register('./cluster/index.js', { instance: randomUUID(), ...config }, { ...IN_REDIS, services, ...options })
}

/** Redis is asked last, by one lane, and may take its time; hooks wait for it, many at once. */
const IN_REDIS = { priority: -1_000, workers: 1, timeoutMs: 1_000, limits: { concurrency: 256 } } as const

function register<Config>(file: string, config: Config, options: RegistrationOptions): Registration<Config> {
  return { from: new URL(file, import.meta.url), config, ...options }
}
