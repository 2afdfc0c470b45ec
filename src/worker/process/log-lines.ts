/** Log lines as a lane takes them from a child: checked one by one, for the child may write what it likes. Pure. */
import { type LogLine, logLineSchema } from '../../contracts/log-batch.js'
import { jsonIn } from './answers.js'
import type { Frame } from './frames.js'
import { MAX_FIELDS } from './log-frames.js'

/** Of a message; one that was clipped says how long it was. */
const MAX_MESSAGE_CHARS = 8192 + 64
const MAX_LINES = 1024

export interface LogTaker {
  /** A line, with the plugin's index (-1: none of them). */
  onLog(line: Omit<LogLine, 'plugin'>, plugin: number): void
  onDropped(lines: number): void
}

/** Hands on the lines of a batch, as far as they are lines. @returns false: it is no batch */
export function takeLog(frame: Frame, { onLog, onDropped }: LogTaker): boolean {
  const batch = jsonIn(frame)
  if (typeof batch !== 'object' || batch === null) return false
  const { lines, dropped } = batch as { lines?: unknown; dropped?: unknown }
  if (!Array.isArray(lines) || lines.length > MAX_LINES) return false
  let refused = Number.isSafeInteger(dropped) ? Math.max(0, dropped as number) : 0
  for (const line of lines) {
    const { plugin, ...rest } = (line ?? {}) as { plugin?: unknown }
    const checked = logLineSchema.safeParse({ ...rest, plugin: '' })
    if (checked.success && isSmall(checked.data)) onLog(checked.data, typeof plugin === 'number' ? plugin : -1)
    else refused += 1
  }
  if (refused > 0) onDropped(refused)
  return true
}

function isSmall({ message, fields }: Omit<LogLine, 'plugin'>): boolean {
  return message.length <= MAX_MESSAGE_CHARS && Object.keys(fields ?? {}).length <= MAX_FIELDS
}
