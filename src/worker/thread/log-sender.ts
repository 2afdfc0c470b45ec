/**
 * Carries log lines to the host, in batches, one batch under way at a time: the host's acknowledgement is the flow
 * control. Bounded in lines and characters: what finds no room is counted, and the count goes with the next batch. A line is
 * a small record by the time that it leaves: clipped, its fields plain and shallow. A lane's thread, or its child process.
 */
import { inspect } from 'node:util'
import { SHOWN } from '../../contracts/codec/event-class.js'
import type { LogBatch, LogLevel, LogLine } from '../../contracts/control.js'
import {
  depthOf,
  MAX_BATCH_CHARS,
  MAX_BATCH_LINES,
  MAX_FIELD_DEPTH,
  MAX_FIELDS,
  MAX_FIELDS_CHARS,
  MAX_KEY_CHARS,
  MAX_MESSAGE_CHARS,
} from '../../contracts/log-limits.js'
import type { PluginLogger } from '../../plugin/index.js'
import { within } from '../../primitives/within.js'

export { MAX_MESSAGE_CHARS }

/** A burst of a stack trace per call for some milliseconds; beyond it more lines tell nothing new. */
const MAX_WAITING_LINES = 1000
const MAX_WAITING_CHARS = 1024 * 1024
/** What a line takes besides its message and fields. */
const LINE_CHARS = 128
const FLUSH_MS = 1000

/** Takes batches: the host, or a lane's child process's pipe. */
export interface LogReceiver {
  /** Resolves when the next batch may come. */
  log(batch: LogBatch): Promise<void>
}

interface WaitingLine {
  readonly line: LogLine
  readonly chars: number
}

export class LogSender {
  readonly #receiver: LogReceiver
  #waiting: WaitingLine[] = []
  #waitingChars = 0
  #dropped = 0
  #underWay: Promise<void> | null = null

  constructor(receiver: LogReceiver) {
    this.#receiver = receiver
  }

  send(line: LogLine): void {
    const chars = LINE_CHARS + line.message.length + fieldsChars(line.fields)
    if (this.#waiting.length >= MAX_WAITING_LINES || this.#waitingChars + chars > MAX_WAITING_CHARS) {
      this.#dropped += 1
      return
    }
    this.#waiting.push({ line, chars })
    this.#waitingChars += chars
    this.#pump()
  }

  /** Counts lines that were dropped before they came here. */
  drop(lines: number): void {
    this.#dropped += lines
    this.#pump()
  }

  logger(plugin: string): PluginLogger {
    const at = (level: LogLevel) => (message: string, fields?: Record<string, unknown>) =>
      this.send({ level, plugin, message: clip(message), ...(fields === undefined ? {} : { fields: flat(fields) }) })
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }

  /** A batch is under way: the next one waits for its acknowledgement. */
  isSending(): boolean {
    return this.#underWay !== null
  }

  /** Resolves when everything sent so far is acknowledged, or after a second at the most: what is left then is counted as dropped. */
  async flushed(): Promise<void> {
    const giveUpMs = Date.now() + FLUSH_MS
    while (this.#underWay !== null) {
      const leftMs = giveUpMs - Date.now()
      if (leftMs <= 0) break
      await within(this.#underWay, leftMs)
    }
    if (this.#waiting.length === 0) return
    void this.#receiver.log({ lines: [], dropped: this.#dropped + this.#waiting.length }).catch(() => {})
    this.#waiting = []
    this.#waitingChars = 0
    this.#dropped = 0
  }

  #pump(): void {
    if (this.#underWay !== null || (this.#waiting.length === 0 && this.#dropped === 0)) return
    const batch = { lines: this.#takeLines(), dropped: this.#dropped }
    this.#dropped = 0
    const proceed = () => {
      this.#underWay = null
      this.#pump()
    }
    this.#underWay = this.#receiver.log(batch).then(proceed, proceed)
  }

  #takeLines(): LogLine[] {
    let count = 0
    let chars = 0
    for (const waiting of this.#waiting) {
      if (count === MAX_BATCH_LINES || chars + waiting.chars > MAX_BATCH_CHARS / 4) break
      count += 1
      chars += waiting.chars
    }
    this.#waitingChars -= chars
    return this.#waiting.splice(0, count).map(({ line }) => line)
  }
}

export function clip(message: unknown, maxChars = MAX_MESSAGE_CHARS): string {
  const text = typeof message === 'string' ? message : inspect(message)
  return text.length <= maxChars ? text : `${text.slice(0, maxChars)}… (${text.length} characters)`
}

function fieldsChars(fields: LogLine['fields']): number {
  return fields === undefined ? 0 : JSON.stringify(fields).length
}

/** Fields as plain values that are JSON, few and small: what is not is described instead, and what finds no room is counted. */
function flat(fields: Record<string, unknown>): Record<string, unknown> {
  const plain: Record<string, unknown> = {}
  const entries = Object.entries(fields)
  let left = MAX_FIELDS_CHARS
  let skipped = Math.max(0, entries.length - MAX_FIELDS)
  for (const [key, value] of entries.slice(0, MAX_FIELDS)) {
    const shown = plainValue(value)
    const chars = key.length + (JSON.stringify(shown) ?? '').length
    if (key.length > MAX_KEY_CHARS || chars > left) skipped += 1
    else {
      left -= chars
      // As what it is, it would be lost on the way.
      plain[key === '__proto__' ? 'field___proto__' : key] = shown
    }
  }
  if (skipped > 0) plain.skippedFields = skipped
  return plain
}

function plainValue(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return clip(value)
    case 'number':
      return Number.isFinite(value) ? value : String(value)
    case 'boolean':
    case 'undefined':
      return value
    case 'bigint':
      return clip(value.toString())
    case 'object':
      if (value === null) return null
      if (value instanceof Error) return clip(value.stack ?? String(value))
      return jsonValue(value)
    default:
      return clip(inspect(value))
  }
}

/** For JSON.stringify, which asks an event's toJSON first: a log shows it without what is secret. */
function shownPart(this: Record<string, unknown>, key: string, part: unknown): unknown {
  if (typeof part === 'bigint') return part.toString()
  const shown = (this[key] as { [SHOWN]?: unknown } | null | undefined)?.[SHOWN]
  return typeof shown === 'function' ? shown.call(this[key]) : part
}

/** A copy through JSON, so that structure survives; a description where JSON cannot hold the value, or it is large or deep. */
function jsonValue(value: object): unknown {
  try {
    const text = JSON.stringify(value, shownPart)
    if (text.length <= MAX_MESSAGE_CHARS) {
      const copy: unknown = JSON.parse(text)
      if (depthOf(copy, MAX_FIELD_DEPTH) <= MAX_FIELD_DEPTH) return copy
    }
  } catch {
    // Cyclic, or a getter threw: described below.
  }
  return clip(inspect(value, { depth: 4, breakLength: Number.POSITIVE_INFINITY }))
}
