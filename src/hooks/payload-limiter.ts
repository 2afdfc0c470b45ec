/**
 * The payload-limiter plugin: rejects messages whose payload is longer than `maxBytes`. Runs in a lane.
 * The payload size limiter of quicprochat's server hooks, its reason word for word.
 */

import { z } from 'zod/v4'
import { delivery } from '../contracts/delivery.js'
import type { PayloadLimiterConfig, Takes } from '../contracts/plugin-configs.js'
import { definePlugin, reject } from '../plugin/index.js'

export type { PayloadLimiterConfig }

export const payloadLimiterConfig = z.strictObject({
  /** Longest payload that passes, in bytes. */
  maxBytes: z.int().positive(),
})
true satisfies Takes<typeof payloadLimiterConfig, PayloadLimiterConfig>

export default definePlugin(delivery, {
  name: 'payload-limiter',
  config: payloadLimiterConfig,
  setup({ config }) {
    const { maxBytes } = config
    return {
      onMessageEnqueue({ payloadLen }) {
        return payloadLen > maxBytes ? reject(`payload too large: ${payloadLen} > ${maxBytes} bytes`) : undefined
      },
    }
  },
})
