/**
 * Log lines as a lane's thread hands them to the host: one text for a batch, so that its length is known before anything is
 * made of it, with lines that are clipped already. The host keeps the bounds itself. Pure.
 */
import { z } from 'zod/v4'
import { LOG_LEVELS } from './log-levels.js'
import {
  depthOf,
  MAX_BATCH_CHARS,
  MAX_BATCH_LINES,
  MAX_FIELD_DEPTH,
  MAX_FIELDS,
  MAX_KEY_CHARS,
  MAX_MESSAGE_CHARS,
} from './log-limits.js'

/** What is said of how much was clipped. */
const NOTE_CHARS = 64

/** A line that a plugin logged, printed, or caused by an error that nobody caught. */
export const logLineSchema = z.strictObject({
  level: z.enum(LOG_LEVELS),
  plugin: z.string().max(256),
  message: z.string().max(MAX_MESSAGE_CHARS + NOTE_CHARS),
  fields: z.record(z.string().max(MAX_KEY_CHARS), z.unknown()).optional(),
  /** An error that no code caught: counted as a failure of the plugin. */
  uncaught: z.boolean().optional(),
})
export type LogLine = z.infer<typeof logLineSchema>

export interface LogBatch {
  readonly lines: readonly LogLine[]
  /** Lines that found no room since the last batch. */
  readonly dropped: number
}

/** One as its receiver has read it. */
export interface ReadBatch extends LogBatch {
  /** Of the text. */
  readonly chars: number
}

/** What of a text is a batch. Lines that are none, or whose fields are too many or too deep, count as dropped. */
export function readLogBatch(text: unknown): ReadBatch {
  const nothing: ReadBatch = { lines: [], dropped: 1, chars: 0 }
  if (typeof text !== 'string' || text.length > MAX_BATCH_CHARS) return nothing
  let batch: unknown
  try {
    batch = JSON.parse(text)
  } catch {
    return nothing
  }
  const { lines, dropped } = (batch ?? {}) as { lines?: unknown; dropped?: unknown }
  if (!Array.isArray(lines) || lines.length > MAX_BATCH_LINES) return nothing
  const kept: LogLine[] = []
  for (const line of lines) {
    const checked = logLineSchema.safeParse(line)
    if (checked.success && isShallow(checked.data.fields)) kept.push(checked.data)
  }
  const before = Number.isSafeInteger(dropped) && (dropped as number) > 0 ? (dropped as number) : 0
  return { lines: kept, dropped: before + lines.length - kept.length, chars: text.length }
}

function isShallow(fields: LogLine['fields']): boolean {
  if (fields === undefined) return true
  const values = Object.values(fields)
  if (values.length > MAX_FIELDS + 1) return false
  return values.every((value) => depthOf(value, MAX_FIELD_DEPTH) <= MAX_FIELD_DEPTH)
}
