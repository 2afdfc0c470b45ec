/**
 * The rate-limit plugin of mqtt@1: how many messages a client may publish per interval. Runs in a lane. With several lanes
 * it is right when a client's events stay in one: `partitionBy: 'client.clientId'`, which rateLimit() sets.
 */
import { z } from 'zod'
import { MQTT_REASON, mqtt } from '../contracts/mqtt.js'
import { definePlugin, reject } from '../plugin/index.js'
import { createTokenBuckets } from './token-bucket.js'

export const rateLimitConfig = z.strictObject({
  /** Messages per interval and client id; 0: no limit. */
  publishRate: z.number().min(0),
  intervalMs: z.number().positive().default(1_000),
  /** Messages that may come at once after a pause. Left out: twice the rate. */
  burstSize: z.number().min(1).optional(),
  /** Clients that a lane keeps count of; past it the one that was quiet longest starts anew. */
  maxClients: z.int().positive().default(100_000),
})
export type RateLimitConfig = z.input<typeof rateLimitConfig>

export default definePlugin(mqtt, {
  name: 'rate-limit',
  config: rateLimitConfig,
  setup({ config }) {
    const { publishRate, intervalMs, burstSize = Math.max(1, publishRate * 2), maxClients } = config
    if (publishRate === 0) return {}
    const buckets = createTokenBuckets({ rate: publishRate, intervalMs, burst: burstSize, maxKeys: maxClients })
    return {
      onPublishReceived({ client }) {
        if (client === null || buckets.take(client.clientId, performance.now())) return
        return reject('publishes too fast', MQTT_REASON.messageRateTooHigh)
      },
      onDisconnect: ({ client }) => buckets.forget(client.clientId),
    }
  },
})
