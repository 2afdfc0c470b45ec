/** What a child's frames say, as the lane's chain takes it. Believes nothing of them but their kind. Pure. */
import { type LogLine, logLineSchema } from '../../contracts/control-checks.js'
import { HookringError } from '../../contracts/errors.js'
import { reject } from '../../plugin/index.js'
import { EncodedReply, StoppedAtDeadline } from '../runtimes/runtime.js'
import { FROM_CHILD, type Frame, HEAD_BYTES, MAX_TEXT_BYTES } from './frames.js'

/** How a call's promise settles. */
export type Verdict = { readonly value: unknown } | { readonly error: Error }

const CONTINUES: Verdict = Object.freeze({ value: undefined })

/** Null: the frame is no verdict. */
export function verdictIn(frame: Frame): Verdict | null {
  switch (frame.what) {
    case FROM_CHILD.continues:
      return CONTINUES
    case FROM_CHILD.rejects:
      return { value: reject(textIn(frame), frame.index === 1 ? frame.extra : undefined) }
    case FROM_CHILD.replaces:
      return { value: new EncodedReply('replace', frame.payload) }
    case FROM_CHILD.responds:
      return { value: new EncodedReply('respond', frame.payload) }
    case FROM_CHILD.fails:
      return { error: new HookringError('PLUGIN_FAILED', textIn(frame)) }
    case FROM_CHILD.invalid:
      return { error: new HookringError('EVENT_INVALID', textIn(frame)) }
    case FROM_CHILD.stopped:
      return { error: new StoppedAtDeadline() }
    default:
      return null
  }
}

export function textIn({ buffer, at, bytes }: Frame): string {
  return buffer.toString('utf8', at + HEAD_BYTES, at + Math.min(bytes, HEAD_BYTES + MAX_TEXT_BYTES))
}

/** Undefined where it is no JSON. */
export function jsonIn(frame: Frame): unknown {
  try {
    return JSON.parse(frame.payload.toString('utf8'))
  } catch {
    return undefined
  }
}

export interface LogTaker {
  /** A line, with the plugin's index (-1: none of them). */
  onLog(line: Omit<LogLine, 'plugin'>, plugin: number): void
  onDropped(lines: number): void
}

const MAX_LINES = 1024

/** Takes the lines of a batch, as far as they are lines. */
export function takeLog(frame: Frame, { onLog, onDropped }: LogTaker): void {
  const { lines, dropped } = (jsonIn(frame) ?? {}) as { lines?: unknown; dropped?: unknown }
  for (const line of Array.isArray(lines) ? lines.slice(0, MAX_LINES) : []) {
    const { plugin, ...rest } = (line ?? {}) as { plugin?: unknown }
    const checked = logLineSchema.safeParse({ ...rest, plugin: '' })
    if (checked.success) onLog(checked.data, typeof plugin === 'number' ? plugin : -1)
    else onDropped(1)
  }
  if (Number.isSafeInteger(dropped) && (dropped as number) > 0) onDropped(dropped as number)
}
