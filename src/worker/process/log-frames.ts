/**
 * Log lines as a child writes them for its lane: flat, small records. A line's fields are plain values or shallow ones, and a
 * line that is too long loses its fields. Pure. log-lines.ts checks all of it again.
 */
import type { LogLine } from '../../contracts/control.js'
import { MAX_JSON_DEPTH, MAX_LOG_BYTES } from './frames.js'
import { isDeeper } from './json-depth.js'

/** As it crosses: the plugin by its index in the child, -1 for none of them. */
export type CrossingLine = Omit<LogLine, 'plugin'> & { readonly plugin: number }

/** As many full messages as the log keeps of a line, and as much again for its fields. */
const MAX_LINE_BYTES = 32 * 1024
export const MAX_FIELDS = 32
/** What a batch, its lines, a line and its fields take of the depth. */
const DEPTH_ABOVE_FIELDS = 4

/** Payloads of log frames, none larger than a frame may be. The last one tells of what was dropped before. */
export function logPayloads(lines: readonly CrossingLine[], dropped: number): Buffer[] {
  const payloads: Buffer[] = []
  let texts: string[] = []
  let bytes = 0
  const finish = (droppedBefore: number) => {
    payloads.push(Buffer.from(`{"lines":[${texts.join(',')}],"dropped":${droppedBefore}}`))
    texts = []
    bytes = 0
  }
  for (const line of lines) {
    const text = textOf(line)
    const textBytes = Buffer.byteLength(text) + 1
    if (bytes + textBytes > MAX_LOG_BYTES - MAX_LINE_BYTES) finish(0)
    texts.push(text)
    bytes += textBytes
  }
  finish(dropped)
  return payloads
}

function textOf({ fields, message, ...line }: CrossingLine): string {
  const whole = JSON.stringify({ ...line, message, ...(fields === undefined ? {} : { fields: flat(fields) }) })
  if (Buffer.byteLength(whole) <= MAX_LINE_BYTES) return whole
  const clipped = message.slice(0, MAX_LINE_BYTES / 8)
  return JSON.stringify({ ...line, message: `${clipped}… (a line of ${Buffer.byteLength(whole)} bytes)` })
}

/** Fields that are nested too deeply become text. */
function flat(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const flattened: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields).slice(0, MAX_FIELDS)) {
    const text = typeof value === 'object' && value !== null ? JSON.stringify(value) : undefined
    const isDeep = text !== undefined && isDeeper(Buffer.from(text), MAX_JSON_DEPTH - DEPTH_ABOVE_FIELDS)
    flattened[key] = isDeep ? text : value
  }
  return flattened
}
