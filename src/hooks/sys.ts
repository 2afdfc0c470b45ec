/**
 * The sys plugin of mqtt@1: publishes nine retained `$SYS/broker/...` topics every interval, from what the broker itself
 * has counted. Runs in a lane; needs the host services `publish` and `stats`.
 */

import { z } from 'zod/v4'
import { mqtt } from '../contracts/mqtt.js'
import type { SysConfig, Takes } from '../contracts/plugin-configs.js'
import { definePlugin } from '../plugin/index.js'

export type { SysConfig }

export const sysConfig = z
  .strictObject({
    intervalMs: z.int().min(10).max(86_400_000).default(10_000),
    /** What `$SYS/broker/version` says. */
    version: z.string().default('1.0.0'),
  })
  .prefault({})
true satisfies Takes<typeof sysConfig, SysConfig>

export default definePlugin(mqtt, {
  name: 'sys',
  config: sysConfig,
  setup({ config: { intervalMs, version }, log, services: { publish, stats } }) {
    if (publish === undefined || stats === undefined) {
      throw new Error("sys needs the host services publish and stats: register it with services: ['publish', 'stats']")
    }
    let isUnderWay = false

    async function publishAll(): Promise<void> {
      if (isUnderWay || publish === undefined || stats === undefined) return
      isUnderWay = true
      try {
        const counted = await stats(undefined)
        const topics = {
          version,
          uptime: Math.max(0, Math.floor((Date.now() - counted.startedAtMs) / 1_000)),
          'clients/connected': counted.clientsConnected,
          'clients/total': counted.clientsTotal,
          'messages/received': counted.messagesReceived,
          'messages/sent': counted.messagesSent,
          'bytes/received': counted.bytesReceived,
          'bytes/sent': counted.bytesSent,
          'subscriptions/count': counted.subscriptions,
        }
        for (const [topic, value] of Object.entries(topics)) {
          await publish({ topic: `$SYS/broker/${topic}`, payload: Buffer.from(String(value)), qos: 0, retain: true })
        }
      } catch (error) {
        log.warn('the $SYS topics could not be published', { error: String(error) })
      } finally {
        isUnderWay = false
      }
    }

    const timer = setInterval(publishAll, intervalMs)
    return { destroy: () => clearInterval(timer) }
  },
})
