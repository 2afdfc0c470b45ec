/** What a child's frames say, as the lane's chain takes it. Believes nothing of them but their kind. Pure. */
import { HookringError } from '../../contracts/errors.js'
import { reject } from '../../plugin/index.js'
import { EncodedReply, StoppedAtDeadline } from '../runtimes/runtime.js'
import { FROM_CHILD, type Frame, HEAD_BYTES, MAX_JSON_DEPTH, MAX_TEXT_BYTES } from './frames.js'
import { isDeeper } from './json-depth.js'

/** How a call's promise settles. */
export type Settlement = { readonly value: unknown } | { readonly error: Error }

const CONTINUES: Settlement = Object.freeze({ value: undefined })

/** Null: the frame settles no call. */
export function settlementIn(frame: Frame): Settlement | null {
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
      return { error: failureIn(textIn(frame)) }
    case FROM_CHILD.invalid:
      return { error: new HookringError('EVENT_INVALID', textIn(frame)) }
    case FROM_CHILD.stopped:
      return { error: new StoppedAtDeadline() }
    default:
      return null
  }
}

/** What a hook threw, with the stack that it had in the child. */
function failureIn(text: string): HookringError {
  const [message = '', stack = ''] = text.split('\0', 2)
  const error = new HookringError('PLUGIN_FAILED', message)
  error.stack = `${message}\n${stack}`
  return error
}

export function textIn({ buffer, at, bytes }: Frame): string {
  return buffer.toString('utf8', at + HEAD_BYTES, at + Math.min(bytes, HEAD_BYTES + MAX_TEXT_BYTES))
}

/** Undefined where it is no JSON, or is nested more deeply than any honest frame. */
export function jsonIn(frame: Frame): unknown {
  const { payload } = frame
  if (isDeeper(payload, MAX_JSON_DEPTH)) return undefined
  try {
    return JSON.parse(payload.toString('utf8'))
  } catch {
    return undefined
  }
}
