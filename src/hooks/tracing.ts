/**
 * The tracing plugin: logs every event of delivery@1, as TracingHooks of quicprochat's server hooks does. Runs in a
 * lane. By default lines go through the lane's log to the host's logger; with `destination`, through pino to a file.
 */

import { z } from 'zod/v4'
import { delivery } from '../contracts/delivery.js'
import type { Takes, TracingConfig } from '../contracts/plugin-configs.js'
import { definePlugin, type PluginLogger } from '../plugin/index.js'
import { escapeForLog, hexPrefix } from './log-text.js'

export type { TracingConfig }

const LEVELS = ['debug', 'info', 'warn'] as const

export const tracingConfig = z
  .strictObject({
    /** Lowest level that is logged. Fetches are `debug`, failed logins `warn`, all else `info`. */
    level: z.enum(LEVELS).default('info'),
    /** File that pino appends JSON lines to. Needs the package `pino`. After moving the file away, reload the plugin. */
    destination: z.string().min(1).optional(),
  })
  .prefault({})
true satisfies Takes<typeof tracingConfig, TracingConfig>

interface Sink {
  readonly log: PluginLogger
  close(): void
}

export default definePlugin(delivery, {
  name: 'tracing',
  config: tracingConfig,
  async setup({ config, log: laneLog, plugin }) {
    const { log, close } =
      config.destination === undefined
        ? { log: laneLog, close() {} }
        : await openPino(config.destination, config.level, plugin)
    const isLogged = (level: (typeof LEVELS)[number]) => LEVELS.indexOf(level) >= LEVELS.indexOf(config.level)
    const traced = (traceId: string | undefined) => (traceId === undefined ? {} : { traceId })

    // A hookpoint whose lines would be dropped is left out: the server then sends nothing for it.
    return {
      ...(isLogged('info') && {
        onMessageEnqueue(event, { traceId }) {
          log.info('hook: message enqueued', {
            recipientPrefix: hexPrefix(event.recipientKey),
            payloadLen: event.payloadLen,
            // As text: readers of JSON lose digits of a u64.
            seq: event.seq.toString(),
            ...traced(traceId),
          })
        },
        onBatchEnqueue(event, { traceId }) {
          log.info('hook: batch enqueued', { count: event.events.length, ...traced(traceId) })
        },
        onChannelCreated(event, { traceId }) {
          log.info('hook: channel created', {
            channelPrefix: hexPrefix(event.channelId),
            initiatorPrefix: hexPrefix(event.initiatorKey),
            peerPrefix: hexPrefix(event.peerKey),
            wasNew: event.wasNew,
            ...traced(traceId),
          })
        },
        onUserRegistered(event, { traceId }) {
          log.info('hook: user registered', {
            username: escapeForLog(event.username),
            identityPrefix: hexPrefix(event.identityKey),
            ...traced(traceId),
          })
        },
      }),
      ...(isLogged('debug') && {
        onFetch(event, { traceId }) {
          log.debug('hook: messages fetched', {
            recipientPrefix: hexPrefix(event.recipientKey),
            channelPrefix: hexPrefix(event.channelId),
            messageCount: event.messageCount,
            ...traced(traceId),
          })
        },
      }),
      onAuth(event, { traceId }) {
        const username = escapeForLog(event.username)
        if (!event.success) {
          const reason = escapeForLog(event.failureReason)
          log.warn('hook: login failure', { username, reason, ...traced(traceId) })
        } else if (isLogged('info')) {
          log.info('hook: login success', { username, ...traced(traceId) })
        }
      },
      destroy: close,
    }
  },
})

async function openPino(destination: string, level: string, plugin: string): Promise<Sink> {
  const { pino } = await import('pino').catch((cause: unknown) => {
    throw new Error("tracing: 'destination' needs the package pino (npm install pino)", { cause })
  })
  // Written at once and in append mode: a lane may park its thread or be replaced at any time, and several may share the file.
  const file = pino.destination({ dest: destination, append: true, mkdir: true, sync: true })
  const logger = pino({ level, name: plugin }, file)
  const line =
    (at: keyof PluginLogger): PluginLogger[typeof at] =>
    (message, fields) =>
      logger[at](fields ?? {}, message)
  return {
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
    close() {
      file.end()
    },
  }
}
