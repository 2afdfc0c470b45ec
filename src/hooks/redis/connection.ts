/**
 * Connections to Redis or Valkey for the shipped plugins that keep state there: one server, a primary that Sentinels watch
 * over, or a Redis Cluster. The one home of ioredis. In a lane.
 *
 * A command fails at once while Redis is away, and after `commandTimeoutMs` when it does not answer: no hook waits longer
 * for Redis than its deadline, and nothing piles up. Reconnecting goes on for ever, with growing pauses. A server that
 * refuses a write because it is a replica is left: the next connection is made to whoever is the primary by then.
 */
import type { Cluster, Redis, RedisOptions } from 'ioredis'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { PluginLogger } from '../../plugin/index.js'
import { LATE, within } from '../../primitives/within.js'
import { type Redact, type RedisAddress, redactorOf, type Server, serverOf, showServer } from './address.js'

const MAX_PAUSE_MS = 2_000
const pauseMs = (attempt: number) => Math.min(25 * 2 ** Math.min(attempt, 10), MAX_PAUSE_MS)

interface Owner {
  readonly plugin: string
  readonly log: PluginLogger
  /** A second connection is there for channels. */
  readonly subscribes: boolean
}

/** @throws HookringError REDIS_MISSING, REDIS_UNAVAILABLE */
export async function connectRedis(address: RedisAddress, owner: Owner): Promise<RedisConnection> {
  const opener = new Opener(address, await loadIoredis(owner.plugin))
  const connection = new RedisConnection(address, opener, owner)
  await connection.open()
  return connection
}

export class RedisConnection {
  readonly commands: Redis
  readonly isCluster: boolean
  readonly #subscriber: Redis
  readonly #address: RedisAddress
  readonly #places: string
  readonly #plugin: string
  readonly #log: PluginLogger
  readonly #redact: Redact
  readonly #channels = new Set<string>()
  readonly #returned: (() => void)[] = []
  #lastError = ''
  #isOpen = false
  #isAway = false

  constructor(address: RedisAddress, opener: Opener, { plugin, log, subscribes }: Owner) {
    this.#address = address
    this.#plugin = plugin
    this.#log = log
    this.#redact = redactorOf(address)
    this.#places = opener.places
    this.isCluster = opener.isCluster
    this.commands = opener.openForCommands((error) => this.#mustLeave(error))
    this.#subscriber = subscribes ? opener.openForMessages() : this.commands
    this.#watch()
  }

  get #clients(): Set<Redis> {
    return new Set([this.commands, this.#subscriber])
  }

  /** Whether commands can be sent. */
  get isThere(): boolean {
    return this.commands.status === 'ready'
  }

  /** @throws HookringError REDIS_UNAVAILABLE */
  async open(): Promise<void> {
    const { connectTimeoutMs } = this.#address
    // They go on trying by themselves; the time alone decides.
    const role = await within(this.#connect(), connectTimeoutMs)
    if (role === LATE || role === 'sentinel') this.close()
    if (role === LATE) {
      throw this.#unavailable(this.#lastError === '' ? `no answer within ${connectTimeoutMs} ms` : this.#lastError)
    }
    if (role === 'sentinel') {
      throw this.#unavailable('that is a Sentinel: name it in `sentinels`, and its primary in `sentinelName`')
    }
    this.#isOpen = true
  }

  /** Resolves with the role of who answers; who is a replica is asked again until it is none. */
  async #connect(): Promise<unknown> {
    await Promise.all([...this.#clients].map(becomesReady))
    for (;;) {
      const role = await this.#role()
      if (role !== 'slave') return role
      this.#lastError = 'it is a read-only replica'
      const ready = new Promise((resolve) => this.commands.once('ready', resolve))
      this.commands.disconnect(true)
      await ready
    }
  }

  /** Messages on one channel arrive in the order in which they were sent. Resolves with how many listened. */
  async publish(channel: string, bytes: Buffer): Promise<number> {
    // A cluster's servers hand plain messages on to each other in any order; a sharded channel has one server.
    return this.isCluster ? Number(await this.commands.spublish(channel, bytes)) : this.commands.publish(channel, bytes)
  }

  /** Listens, also when Redis has been away. */
  async subscribe(channel: string): Promise<void> {
    this.#channels.add(channel)
    await (this.isCluster ? this.#subscriber.ssubscribe(channel) : this.#subscriber.subscribe(channel))
  }

  async unsubscribe(channel: string): Promise<void> {
    this.#channels.delete(channel)
    await (this.isCluster ? this.#subscriber.sunsubscribe(channel) : this.#subscriber.unsubscribe(channel))
  }

  /** Called with what comes on any channel subscribed to. */
  onMessage(listener: (bytes: Buffer) => void): void {
    const event = this.isCluster ? 'smessageBuffer' : 'messageBuffer'
    this.#subscriber.on(event, (_channel: Buffer, bytes: Buffer) => listener(bytes))
  }

  /** Called each time that something may have been missed: Redis was away, or nobody listened for a moment. */
  onReturn(listener: () => void): void {
    this.#returned.push(listener)
  }

  close(): void {
    this.#isOpen = false
    for (const client of this.#clients) client.disconnect()
  }

  #watch(): void {
    for (const client of this.#clients) {
      client.on('error', (error: unknown) => {
        this.#lastError = this.#redact(thrownText(error))
      })
    }
    this.commands.on('close', () => {
      if (this.#isOpen && !this.#isAway) {
        this.#log.warn('Redis is away', this.#lastError === '' ? {} : { error: this.#lastError })
      }
      this.#isAway = this.#isOpen
    })
    this.commands.on('ready', () => {
      if (!this.#isAway) return
      this.#isAway = false
      this.#log.info('Redis is back')
      this.#tellReturned()
    })
    if (this.#subscriber !== this.commands) this.#subscriber.on('ready', () => void this.#listenAgain())
  }

  async #listenAgain(): Promise<void> {
    if (!this.#isOpen) return
    try {
      // Already asked for by ioredis; this resolves when the channels are heard.
      await Promise.all([...this.#channels].map((channel) => this.subscribe(channel)))
      if (this.isThere) this.#tellReturned()
    } catch {
      // It comes back here when the connection does.
    }
  }

  #tellReturned(): void {
    for (const listener of this.#returned) listener()
  }

  /** Whether the server that gave this error is to be left: it is a replica, or has lost its primary. */
  #mustLeave(error: Error): boolean {
    const mustLeave = /\b(?:READONLY|MASTERDOWN)\b/.test(error.message)
    // Its channels may be heard by nobody else.
    if (mustLeave && this.#subscriber !== this.commands) setImmediate(() => this.#subscriber.disconnect(true))
    return mustLeave
  }

  async #role(): Promise<unknown> {
    // Not everybody may ask; then it is taken for what it should be.
    const role = await this.commands.call('ROLE').catch(() => null)
    return Array.isArray(role) ? String(role[0]) : null
  }

  #unavailable(why: string): HookringError {
    // Not the library's error as its cause: that one carries the command that failed, and AUTH has the password.
    const message = `plugin ${this.#plugin}: Redis at ${this.#places} cannot be used: ${this.#redact(why)}`
    return new HookringError('REDIS_UNAVAILABLE', message, { plugin: this.#plugin })
  }
}

interface Ioredis {
  readonly Redis: typeof Redis
  readonly Cluster: typeof Cluster
}

async function loadIoredis(plugin: string): Promise<Ioredis> {
  return import('ioredis').catch((cause: unknown) => {
    const message = `plugin ${plugin} needs the package ioredis (npm install ioredis)`
    throw new HookringError('REDIS_MISSING', message, { cause, plugin })
  })
}

/** Makes clients that are not connected yet. */
class Opener {
  readonly isCluster: boolean
  /** For errors. */
  readonly places: string
  readonly #address: RedisAddress
  readonly #ioredis: Ioredis
  readonly #servers: readonly Server[]

  constructor(address: RedisAddress, ioredis: Ioredis) {
    const { addr, addrs, sentinels } = address
    this.#address = address
    this.#ioredis = ioredis
    this.#servers = (sentinels ?? addrs ?? addr.split(',')).map(serverOf)
    this.isCluster = sentinels === undefined && (addrs !== undefined || this.#servers.length > 1)
    const places = this.#servers.map(showServer).join(', ')
    this.places = sentinels === undefined ? places : `${address.sentinelName} (Sentinels: ${places})`
  }

  openForCommands(mustLeave: (error: Error) => boolean): Redis {
    const { commandTimeoutMs } = this.#address
    return this.#open({
      commandTimeout: commandTimeoutMs,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // 1: reconnect; the command fails, and whoever sent it knows best whether to send it again.
      reconnectOnError: (error) => mustLeave(error) && 1,
    })
  }

  /** A subscriber has nothing to time out: it waits for messages. */
  openForMessages(): Redis {
    return this.#open({})
  }

  #open(options: RedisOptions): Redis {
    const all: RedisOptions = { ...this.#login(), ...options, lazyConnect: true, retryStrategy: pauseMs }
    if (this.#address.sentinels !== undefined) return this.#openBehindSentinels(all)
    if (this.isCluster) return this.#openCluster(all)
    const [{ path, host, port }] = this.#servers as [Server]
    return new this.#ioredis.Redis({ ...all, ...(path === undefined ? { host, port } : { path }) })
  }

  #login(): RedisOptions {
    const { tls, connectTimeoutMs, sentinels } = this.#address
    const [first] = this.#servers as [Server]
    // A Sentinel's URL has the Sentinel's login.
    const named: Partial<Server> = sentinels === undefined ? first : {}
    const username = this.#address.username ?? named.username
    const password = this.#address.password ?? named.password
    const isTls = tls !== false || named.isTls === true
    return {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(isTls ? { tls: tlsOf(tls) } : {}),
      ...(this.isCluster ? {} : { db: named.db ?? this.#address.db }),
      connectTimeout: connectTimeoutMs,
      disableClientInfo: true,
    }
  }

  #openBehindSentinels(all: RedisOptions): Redis {
    const { sentinelName, tls } = this.#address
    const [first] = this.#servers as [Server]
    const username = this.#address.sentinelUsername ?? first.username
    const password = this.#address.sentinelPassword ?? first.password
    return new this.#ioredis.Redis({
      ...all,
      sentinels: this.#servers.map(({ host, port }) => ({ host, port })),
      name: sentinelName,
      role: 'master',
      // Told of a new primary, it leaves the old one before that has said that it is none any more.
      failoverDetector: true,
      sentinelRetryStrategy: pauseMs,
      ...(username === undefined ? {} : { sentinelUsername: username }),
      ...(password === undefined ? {} : { sentinelPassword: password }),
      ...(tls === false && !first.isTls ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tlsOf(tls) }),
    })
  }

  #openCluster({ retryStrategy: _, lazyConnect, enableOfflineQueue = true, ...redisOptions }: RedisOptions): Redis {
    const cluster: Cluster = new this.#ioredis.Cluster(
      this.#servers.map(({ host, port }) => ({ host, port })),
      {
        lazyConnect: lazyConnect ?? true,
        enableOfflineQueue,
        shardedSubscribers: enableOfflineQueue,
        clusterRetryStrategy: pauseMs,
        // A server that has died is found out within a fraction of a second, or the command fails.
        maxRedirections: 5,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 50,
        slotsRefreshTimeout: this.#address.connectTimeoutMs,
        redisOptions,
      },
    )
    // The same commands; what differs (transactions, databases) is not used.
    return cluster as unknown as Redis
  }
}

function tlsOf(tls: RedisAddress['tls']): NonNullable<RedisOptions['tls']> {
  return typeof tls === 'object' ? (tls as NonNullable<RedisOptions['tls']>) : {}
}

function becomesReady(client: Redis): Promise<void> {
  return new Promise((resolve) => {
    client.once('ready', () => resolve())
    client.connect().catch(() => {})
  })
}
