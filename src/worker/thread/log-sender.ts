/**
 * Carries log lines to the host, in batches, one batch under way at a time: the host's acknowledgement is the flow
 * control. Bounded: what finds no room is counted, and the count goes with the next batch.
 */
import { inspect } from 'node:util'
import type { LogBatch, LogLevel, LogLine } from '../../contracts/control.js'
import type { PluginLogger } from '../../plugin/index.js'

/** A burst of a stack trace per call for some milliseconds; beyond it more lines tell nothing new. */
const MAX_LINES = 1000
const MAX_BATCH = 256
const MAX_MESSAGE_CHARS = 8192
const MAX_FIELDS = 32

/** Takes batches: the host, or a lane's child process's pipe. */
export interface LogReceiver {
  /** Resolves when the next batch may come. */
  log(batch: LogBatch): Promise<void>
}

export interface LogSender {
  send(line: LogLine): void
  logger(plugin: string): PluginLogger
  /** A batch is under way: the next one waits for its acknowledgement. */
  isSending(): boolean
  /** Resolves when everything sent so far is acknowledged, or after a second at the most. */
  flushed(): Promise<void>
}

export function createLogSender(receiver: LogReceiver): LogSender {
  let waiting: LogLine[] = []
  let dropped = 0
  let underWay: Promise<void> | null = null

  function pump(): void {
    if (underWay !== null || (waiting.length === 0 && dropped === 0)) return
    const lines = waiting.slice(0, MAX_BATCH)
    waiting = waiting.slice(MAX_BATCH)
    const batch = { lines, dropped }
    dropped = 0
    underWay = receiver.log(batch).then(proceed, proceed)
  }

  function proceed(): void {
    underWay = null
    pump()
  }

  function send(line: LogLine): void {
    if (waiting.length >= MAX_LINES) {
      dropped += 1
      return
    }
    waiting.push(line)
    pump()
  }

  return {
    send,
    logger(plugin) {
      const at = (level: LogLevel) => (message: string, fields?: Record<string, unknown>) =>
        send({ level, plugin, message: clip(message), ...(fields === undefined ? {} : { fields: cloneable(fields) }) })
      return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
    },
    isSending: () => underWay !== null,
    async flushed() {
      const giveUp = Date.now() + 1000
      while (underWay !== null && Date.now() < giveUp) {
        await Promise.race([underWay, new Promise((resolve) => setTimeout(resolve, 50))])
      }
    },
  }
}

export function clip(message: unknown): string {
  const text = typeof message === 'string' ? message : inspect(message)
  return text.length <= MAX_MESSAGE_CHARS ? text : `${text.slice(0, MAX_MESSAGE_CHARS)}… (${text.length} characters)`
}

/** Fields as plain values that cross threads and serialise: what does not is described instead. */
function cloneable(fields: Record<string, unknown>): Record<string, unknown> {
  const plain: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields).slice(0, MAX_FIELDS)) plain[key] = plainValue(value)
  return plain
}

function plainValue(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return clip(value)
    case 'number':
    case 'boolean':
    case 'undefined':
      return value
    case 'bigint':
      return value.toString()
    case 'object':
      if (value === null) return null
      if (value instanceof Error) return clip(value.stack ?? String(value))
      return jsonValue(value)
    default:
      return clip(inspect(value))
  }
}

/** A copy through JSON, so that structure survives; a description where JSON cannot hold the value or it is too large. */
function jsonValue(value: object): unknown {
  try {
    const text = JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? part.toString() : part))
    if (text.length <= MAX_MESSAGE_CHARS) return JSON.parse(text)
  } catch {
    // Cyclic, or a getter threw: described below.
  }
  return clip(inspect(value, { depth: 4, breakLength: Number.POSITIVE_INFINITY }))
}
