/**
 * What a client is answered: a value, or an error in words that keep the server's insides to itself. Pure.
 */
import { type Failure, HookringError } from '../../contracts/index.js'
import { messageOf, type RemoteError } from './handshake.js'

export type Answer =
  | { readonly kind: 'value'; readonly body: Uint8Array }
  | { readonly kind: 'error'; readonly error: RemoteError }

/** Of a response: its type and number stand before it. */
const RESPONSE_HEAD_BYTES = 5

/** What a client is told of a failure that is none of its message's. */
const FAILURES: Readonly<Record<Exclude<Failure['kind'], 'error'>, string>> = {
  timeout: 'the hook gave no answer in time',
  overload: 'too many requests wait for the hook',
  crash: 'the hook is not available',
  quarantined: 'the hook is not available',
  invalid: 'the hook gave no answer that can be sent',
}

/** A value, unless it is larger than a frame may be. */
export function valueAnswer(body: Uint8Array, maxFrameBytes: number): Answer {
  const bytes = body.byteLength + RESPONSE_HEAD_BYTES
  if (bytes <= maxFrameBytes) return { kind: 'value', body }
  return errorAnswer('FRAME_TOO_LARGE', `the response takes ${bytes} bytes; at most ${maxFrameBytes} are sent`)
}

export function errorAnswer(code: string, message: string, status?: number): Answer {
  return { kind: 'error', error: { code, message, ...(status !== undefined && { status }) } }
}

export function failureAnswer({ kind, message }: Failure): Answer {
  // What a plugin throws at a message is the response to it.
  return kind === 'error' ? errorAnswer('REQUEST_FAILED', message) : errorAnswer('PLUGIN_FAILED', FAILURES[kind])
}

/** Of what asking threw. */
export function thrownAnswer(error: unknown): Answer {
  if (!(error instanceof HookringError)) return errorAnswer('REQUEST_FAILED', messageOf(error))
  if (error.code === 'PLUGIN_FAILED' && isFailure(error.cause)) return failureAnswer(error.cause)
  return errorAnswer(error.code, messageOf(error))
}

function isFailure(cause: unknown): cause is Failure {
  return typeof cause === 'object' && cause !== null && 'kind' in cause && 'plugin' in cause
}
