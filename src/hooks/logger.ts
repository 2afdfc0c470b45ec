/**
 * The logger plugin of mqtt@1: one line for each event of the levels chosen. Runs in a lane. What clients chose (ids,
 * names, topics) is escaped and cut, so that none can forge a line or drive a terminal; payloads are not logged.
 */

import { z } from 'zod/v4'
import { type MqttClientInfo, type MqttPublishPacket, mqtt } from '../contracts/mqtt.js'
import type { LoggerConfig, Takes } from '../contracts/plugin-configs.js'
import { definePlugin } from '../plugin/index.js'
import { escapeForLog } from './log-text.js'

export type { LoggerConfig }

/** Bits of `level`. */
export const LOG_LEVEL = { connection: 1, subscribe: 2, publish: 4, session: 8, all: 15 } as const

export const loggerConfig = z
  .strictObject({
    /** The sum of LOG_LEVEL bits, or their names. */
    level: z
      .union([z.int().min(0).max(15), z.array(z.enum(['connection', 'subscribe', 'publish', 'session', 'all']))])
      .default(LOG_LEVEL.all),
  })
  .prefault({})
true satisfies Takes<typeof loggerConfig, LoggerConfig>

export default definePlugin(mqtt, {
  name: 'logger',
  config: loggerConfig,
  setup({ config: { level }, log }) {
    // A transform that returns anything would be a verdict.
    const say = (text: string, fields: Record<string, unknown>): void => {
      log.info(text, fields)
    }
    const bits = typeof level === 'number' ? level : level.reduce((sum, name) => sum | LOG_LEVEL[name], 0)
    const of = (client: MqttClientInfo) => ({
      clientId: escapeForLog(client.clientId),
      username: client.username === null ? null : escapeForLog(client.username),
      remoteAddress: escapeForLog(client.remoteAddress),
    })
    const message = ({ topic, qos, retain, payload }: MqttPublishPacket) => ({
      topic: escapeForLog(topic),
      qos,
      retain,
      payloadBytes: payload.byteLength,
    })
    return {
      ...((bits & LOG_LEVEL.connection) !== 0 && {
        onConnected: ({ client, sessionPresent }) => say('client connected', { ...of(client), sessionPresent }),
        onDisconnect: ({ client, reason }) =>
          say('client disconnected', { ...of(client), reason: reason === null ? null : escapeForLog(reason) }),
      }),
      ...((bits & LOG_LEVEL.subscribe) !== 0 && {
        onSubscribe({ client, subscriptions }) {
          const filters = [...subscriptions].map(({ filter, qos }) => ({ filter: escapeForLog(filter), qos }))
          say('client subscribes', { ...of(client), subscriptions: filters })
        },
        onUnsubscribe: ({ client, filters }) =>
          say('client unsubscribed', {
            ...of(client),
            filters: [...filters].map((filter) => escapeForLog(filter)),
          }),
      }),
      ...((bits & LOG_LEVEL.publish) !== 0 && {
        onPublishReceived: ({ client, packet }) =>
          say('message received', { ...(client === null ? { clientId: null } : of(client)), ...message(packet) }),
        onPublishDeliver: ({ client, packet }) => say('message delivered', { ...of(client), ...message(packet) }),
      }),
      ...((bits & LOG_LEVEL.session) !== 0 && {
        onSessionCreated: ({ client }) => say('session created', of(client)),
        onSessionResumed: ({ client }) => say('session resumed', of(client)),
        onSessionEnded: ({ clientId }) => say('session ended', { clientId: escapeForLog(clientId) }),
      }),
    }
  },
})
