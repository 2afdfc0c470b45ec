/**
 * Connections to Redis or Valkey, one server or a cluster, for the shipped plugins that keep state there. The one home of
 * ioredis. In a lane.
 *
 * A command fails at once while Redis is away, and after `commandTimeoutMs` when it does not answer: no hook waits longer
 * for Redis than its deadline, and nothing piles up. Reconnecting goes on for ever, with growing pauses.
 */
import type { Cluster, Redis, RedisOptions } from 'ioredis'
import { z } from 'zod'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { PluginLogger } from '../../plugin/index.js'
import { LATE, within } from '../../primitives/within.js'

export const redisAddress = {
  /** `host:port`, or the path of a unix socket; several hosts with commas between them are a cluster's. */
  addr: z.string().min(1).default('localhost:6379'),
  /** Addresses of a cluster; any of its nodes will do. Goes before `addr`. */
  addrs: z.array(z.string().min(1)).min(1).optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  /** Database number; a cluster has 0 alone. */
  db: z.int().min(0).default(0),
  tls: z.boolean().default(false),
  /** Before the name of every key and channel. */
  keyPrefix: z.string().max(256).default('mqtt:'),
  /** How long setup waits for Redis; less than the engine waits for setup. */
  connectTimeoutMs: z.int().min(10).max(60_000).default(4_000),
  /** A command that Redis does not answer within this fails. */
  commandTimeoutMs: z.int().min(10).max(60_000).default(1_000),
}
const schema = z.object(redisAddress)
export type RedisAddress = z.output<typeof schema>

export interface RedisConnection {
  readonly commands: Redis
  readonly isCluster: boolean
  /** Messages on one channel arrive in the order in which they were sent. Resolves with how many listened. */
  publish(channel: string, bytes: Buffer): Promise<number>
  /** Listens, also when Redis has been away. */
  subscribe(channel: string): Promise<void>
  unsubscribe(channel: string): Promise<void>
  /** Called with what comes on any channel subscribed to. */
  onMessage(listener: (bytes: Buffer) => void): void
  /** Called each time that Redis is back after it was away. */
  onReturn(listener: () => void): void
  close(): void
}

const MAX_PAUSE_MS = 2_000
const pauseMs = (attempt: number) => Math.min(25 * 2 ** Math.min(attempt, 10), MAX_PAUSE_MS)

/** @throws HookringError REDIS_MISSING, REDIS_UNAVAILABLE */
export async function connectRedis(
  address: RedisAddress,
  { plugin, log, subscribes }: { plugin: string; log: PluginLogger; subscribes: boolean },
): Promise<RedisConnection> {
  const { addrs, addr } = address
  const nodes = addrs ?? addr.split(',').map((part) => part.trim())
  const isCluster = addrs !== undefined || nodes.length > 1
  const listeners: (() => void)[] = []
  const open = await opener(address, isCluster ? nodes.map(readAddress) : null, plugin)
  const commands = open({ enableOfflineQueue: false, maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false })
  const subscriber = subscribes ? open({}) : commands
  let isAway = false
  let isOpen = false
  let lastError: unknown
  commands.on('error', (error: unknown) => {
    lastError = error
  })
  commands.on('close', () => {
    if (isOpen && !isAway) log.warn('Redis is away', lastError === undefined ? {} : { error: thrownText(lastError) })
    isAway = isOpen
  })
  commands.on('ready', () => {
    if (!isAway) return
    isAway = false
    log.info('Redis is back')
    for (const listener of listeners) listener()
  })
  const close = () => {
    isOpen = false
    for (const client of new Set([commands, subscriber])) client.disconnect()
  }
  // Errors of a connection are said by the other one's.
  if (subscriber !== commands) subscriber.on('error', () => {})
  try {
    await Promise.all([...new Set([commands, subscriber])].map((client) => ready(client, address.connectTimeoutMs)))
  } catch (cause) {
    close()
    const message = `plugin ${plugin}: Redis at ${nodes.join(', ')} does not answer: ${thrownText(lastError ?? cause)}`
    throw new HookringError('REDIS_UNAVAILABLE', message, { cause, plugin })
  }
  isOpen = true
  return {
    commands,
    isCluster,
    // A cluster's servers hand plain messages on to each other in any order; a sharded channel has one server.
    ...(isCluster ? sharded(commands, subscriber) : plain(commands, subscriber)),
    onReturn: (listener) => void listeners.push(listener),
    close,
  }
}

type Channels = Pick<RedisConnection, 'publish' | 'subscribe' | 'unsubscribe' | 'onMessage'>

const plain = (commands: Redis, subscriber: Redis): Channels => ({
  publish: (channel, bytes) => commands.publish(channel, bytes),
  subscribe: async (channel) => void (await subscriber.subscribe(channel)),
  unsubscribe: async (channel) => void (await subscriber.unsubscribe(channel)),
  onMessage: (listener) => void subscriber.on('messageBuffer', (_channel: Buffer, bytes: Buffer) => listener(bytes)),
})

const sharded = (commands: Redis, subscriber: Redis): Channels => ({
  publish: async (channel, bytes) => Number(await commands.spublish(channel, bytes)),
  subscribe: async (channel) => void (await subscriber.ssubscribe(channel)),
  unsubscribe: async (channel) => void (await subscriber.sunsubscribe(channel)),
  onMessage: (listener) => void subscriber.on('smessageBuffer', (_channel: Buffer, bytes: Buffer) => listener(bytes)),
})

type Opener = (options: RedisOptions) => Redis

async function opener(address: RedisAddress, nodes: ReturnType<typeof readAddress>[] | null, plugin: string) {
  const { username, password, db, tls, connectTimeoutMs, commandTimeoutMs, addr } = address
  const ioredis = await import('ioredis').catch((cause: unknown) => {
    throw new HookringError('REDIS_MISSING', `plugin ${plugin} needs the package ioredis (npm install ioredis@5)`, {
      cause,
      plugin,
    })
  })
  const login: RedisOptions = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
    connectTimeout: connectTimeoutMs,
    disableClientInfo: true,
  }
  return ((options) => {
    // A subscriber has nothing to time out: it waits for messages.
    const timeout = options.enableOfflineQueue === false ? { commandTimeout: commandTimeoutMs } : {}
    const all: RedisOptions = { ...login, ...timeout, ...options, lazyConnect: true, retryStrategy: pauseMs }
    if (nodes === null) return new ioredis.Redis({ ...all, ...readAddress(addr), db })
    const cluster: Cluster = new ioredis.Cluster(nodes as { host: string; port: number }[], {
      lazyConnect: true,
      enableOfflineQueue: options.enableOfflineQueue ?? true,
      shardedSubscribers: options.enableOfflineQueue !== false,
      clusterRetryStrategy: pauseMs,
      // A server that has died is found out within a fraction of a second, or the command fails.
      maxRedirections: 5,
      retryDelayOnFailover: 50,
      retryDelayOnClusterDown: 50,
      slotsRefreshTimeout: connectTimeoutMs,
      redisOptions: { ...login, ...timeout },
    })
    // The same commands; what differs (transactions, databases) is not used.
    return cluster as unknown as Redis
  }) satisfies Opener
}

function readAddress(addr: string): { path: string } | { host: string; port: number } {
  if (addr.startsWith('/')) return { path: addr }
  const [, host = addr, port = '6379'] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(addr) ?? []
  return { host, port: Number(port) }
}

async function ready(client: Redis, withinMs: number): Promise<void> {
  const isReady = new Promise<void>((resolve) => client.once('ready', resolve))
  // It goes on trying by itself; the time alone decides.
  client.connect().catch(() => {})
  if ((await within(isReady, withinMs)) === LATE) throw new Error(`no answer within ${withinMs} ms`)
}
