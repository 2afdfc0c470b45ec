/**
 * The rate-limit plugin of mqtt@1: how many messages a client may publish per interval. Runs in a lane. A client's count is
 * its id's: a new connection is no new allowance. With several lanes
 * it is right when a client's events stay in one: `partitionBy: 'client.clientId'`, which rateLimit() sets. With `redis` it
 * is right over all nodes; while Redis is away the plugin's failure policy says what becomes of messages.
 */

import { z } from 'zod/v4'
import { MQTT_REASON, mqtt } from '../contracts/mqtt.js'
import type { RateLimitConfig, Takes } from '../contracts/plugin-configs.js'
import { definePlugin, reject } from '../plugin/index.js'
import { redisAddress } from './redis/address.js'
import { createSharedRate } from './redis/rate.js'
import { TokenBuckets } from './token-bucket.js'

export type { RateLimitConfig }

export const rateLimitConfig = z.strictObject({
  /** Messages per interval and client id; 0: no limit. */
  publishRate: z.number().min(0),
  intervalMs: z.number().positive().default(1_000),
  /** Messages that may come at once after a pause. Left out: twice the rate. */
  burstSize: z.number().min(1).optional(),
  /** Clients that a lane keeps count of; past it the one that was quiet longest starts anew. Not with `redis`. */
  maxClients: z.int().positive().default(100_000),
  /** Where the nodes keep one count for all of them, under `rate:`. Needs ioredis and rate-limiter-flexible. */
  redis: z.strictObject(redisAddress).optional(),
})
true satisfies Takes<typeof rateLimitConfig, RateLimitConfig>

export default definePlugin(mqtt, {
  name: 'rate-limit',
  config: rateLimitConfig,
  async setup({ config, plugin, log }) {
    const { publishRate, intervalMs, burstSize = Math.max(1, publishRate * 2), maxClients, redis } = config
    if (publishRate === 0) return {}
    const refusal = () => reject('publishes too fast', MQTT_REASON.messageRateTooHigh)
    if (redis !== undefined) {
      const options = { rate: publishRate, intervalMs, burst: burstSize, address: redis, plugin, log }
      const shared = await createSharedRate(options)
      return {
        async onPublishReceived({ client }) {
          if (client === null || (await shared.take(client.clientId))) return
          return refusal()
        },
        destroy: () => shared.close(),
      }
    }
    const buckets = new TokenBuckets({ rate: publishRate, intervalMs, burst: burstSize, maxKeys: maxClients })
    return {
      onPublishReceived({ client }) {
        if (client === null || buckets.take(client.clientId, performance.now())) return
        return refusal()
      },
    }
  },
})
