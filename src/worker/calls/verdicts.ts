/**
 * Reads what a hook returned or threw, and has it written: into a slot by the lane's chain, into a frame by its child
 * process. One reading for both, so that a plugin means the same on either side of the process boundary.
 */
import { HookringError } from '../../contracts/errors.js'
import { readResult } from '../../plugin/result.js'
import { describe } from '../../plugin/setup.js'
import { EncodedReply, StoppedAtDeadline } from '../runtimes/runtime.js'
import type { RunPoint } from './run-point.js'

export type ReplyKind = EncodedReply['kind']

/**
 * Where verdicts go. `call` is the slot or the frame's id, `plugin` the plugin's index. Each method returns the outcome
 * (ring/layout.ts), with everything that belongs to it in place.
 */
export interface VerdictWriter {
  continues(call: number): number
  rejects(call: number, plugin: number, reason: string, code: number | undefined): number
  /** Encodes a replacement or an answer. Throws what the value's getters throw, with nothing written. */
  replies(call: number, plugin: number, point: RunPoint, kind: ReplyKind, value: unknown): number
  /** The same for one that the runtime has encoded. */
  repliesEncoded(call: number, plugin: number, point: RunPoint, reply: EncodedReply): number
  /** It is no verdict of this hookpoint. */
  isInvalid(call: number, plugin: number, message: string): number
  /** The runtime stopped the hook at its deadline. */
  wasStopped(call: number, plugin: number): number
  /** @param stack what it threw left behind; may be empty */
  fails(call: number, plugin: number, message: string, stack: string): number
}

/** Throws what reading the result throws. */
export function writeResult(
  writer: VerdictWriter,
  call: number,
  plugin: number,
  point: RunPoint,
  result: unknown,
): number {
  if (result instanceof EncodedReply) return writer.repliesEncoded(call, plugin, point, result)
  const read = readResult(point.kind, result)
  switch (read.kind) {
    case 'continue':
      return writer.continues(call)
    case 'reject':
      return writer.rejects(call, plugin, read.reason, read.code)
    case 'replace':
      return writer.replies(call, plugin, point, 'replace', read.event)
    case 'respond':
      return writer.replies(call, plugin, point, 'respond', read.value)
    case 'invalid':
      return writer.isInvalid(call, plugin, read.message)
  }
}

/** What a hook threw, and not what was made of its verdict or its time. */
export function isOwnFault(error: unknown): boolean {
  if (error instanceof StoppedAtDeadline) return false
  return !(error instanceof HookringError && error.code === 'EVENT_INVALID')
}

export function writeFailure(writer: VerdictWriter, call: number, plugin: number, error: unknown): number {
  if (error instanceof StoppedAtDeadline) return writer.wasStopped(call, plugin)
  // A value that does not fit its schema is a bad verdict, not a broken plugin.
  if (error instanceof HookringError && error.code === 'EVENT_INVALID') {
    return writer.isInvalid(call, plugin, error.message)
  }
  return writer.fails(call, plugin, describe(error), stackOf(error))
}

/** The lines behind the first of an error's stack. Reading it runs a plugin's code, where that has made a getter of it. */
function stackOf(error: unknown): string {
  try {
    const stack: unknown = error instanceof Error ? error.stack : undefined
    if (typeof stack !== 'string') return ''
    const frames = stack.slice(0, MAX_STACK_CHARS).search(/\n\s+at /)
    return frames === -1 ? '' : stack.slice(frames + 1, frames + MAX_STACK_CHARS)
  } catch {
    return ''
  }
}

/** More than a slot has room for. */
const MAX_STACK_CHARS = 4096
