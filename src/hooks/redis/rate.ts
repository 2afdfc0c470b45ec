/**
 * A rate per key that all nodes share: a bucket that refills by rate, kept by Redis, taken from through
 * rate-limiter-flexible. Its one home. In a lane.
 */
import type { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { HookringError } from '../../contracts/errors.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { RedisAddress } from './address.js'
import { connectRedis, type RedisConnection } from './connection.js'

export interface SharedRateOptions {
  /** Tokens that come back per interval. */
  readonly rate: number
  readonly intervalMs: number
  /** Most tokens that a bucket holds. */
  readonly burst: number
  readonly address: RedisAddress
  readonly plugin: string
  readonly log: PluginLogger
}

/**
 * The library's own script counts in fixed windows. This one keeps, per key, the time at which the bucket will be full
 * again; the clock is that of Redis, one for all nodes.
 */
const script = ({ emptyUs, tokenUs, burst }: { emptyUs: number; tokenUs: number; burst: number }) => `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local full = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0)) + ${tokenUs} * ARGV[1]
local over = full - now - ${emptyUs}
if over > 0 then return { ${Math.floor(burst)} + 1, math.ceil(over / 1000) } end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return { math.min(${Math.floor(burst)}, math.ceil((full - now) / ${tokenUs})), math.ceil((full - now) / 1000) }
`

/** @throws HookringError REDIS_MISSING, REDIS_UNAVAILABLE */
export async function createSharedRate(options: SharedRateOptions): Promise<SharedRate> {
  const { address, plugin, log } = options
  const library = await import('rate-limiter-flexible').catch((cause: unknown) => {
    const message = `plugin ${plugin} needs the package rate-limiter-flexible (npm install rate-limiter-flexible)`
    throw new HookringError('REDIS_MISSING', message, { cause, plugin })
  })
  const connection = await connectRedis(address, { plugin, log, subscribes: false })
  return new SharedRate(new library.RateLimiterRedis(limiterOptions(options, connection)), connection)
}

export class SharedRate {
  readonly #limiter: RateLimiterRedis
  readonly #connection: RedisConnection

  constructor(limiter: RateLimiterRedis, connection: RedisConnection) {
    this.#limiter = limiter
    this.#connection = connection
  }

  /** Takes a token, if there is one. Rejects when Redis cannot say. */
  async take(key: string): Promise<boolean> {
    try {
      await this.#limiter.consume(key)
      return true
    } catch (answer) {
      if (answer instanceof Error) throw answer
      return ((answer as RateLimiterRes).remainingPoints ?? 0) > 0
    }
  }

  close(): void {
    this.#connection.close()
  }
}

function limiterOptions({ rate, intervalMs, burst, address }: SharedRateOptions, { commands }: RedisConnection) {
  const tokenUs = Math.max(1, Math.round((intervalMs * 1_000) / rate))
  return {
    storeClient: commands,
    keyPrefix: `${address.keyPrefix}rate`,
    points: Math.floor(burst),
    // Whole seconds, and more than none, or the library would not ask the script.
    duration: Math.max(1, Math.ceil((tokenUs * burst) / 1_000_000)),
    customIncrTtlLuaScript: script({ emptyUs: Math.round(tokenUs * burst), tokenUs, burst }),
    rejectIfRedisNotReady: true,
  }
}
