/**
 * How verdicts and errors become gRPC statuses. Used by the interceptor, and by handlers that ask hookpoints themselves;
 * on the host's thread.
 *
 * | what happened                                   | status                                        |
 * |-------------------------------------------------|-----------------------------------------------|
 * | a plugin rejected                               | its own code if that is 1 to 16, else PERMISSION_DENIED |
 * | the failure policy rejected: timeout            | DEADLINE_EXCEEDED                             |
 * | the failure policy rejected: overload           | RESOURCE_EXHAUSTED                            |
 * | the failure policy rejected: anything else      | UNAVAILABLE                                   |
 * | a plugin's replacement is no event, or too large for one, at the next rule | UNAVAILABLE       |
 * | EVENT_INVALID                                   | INVALID_ARGUMENT                              |
 * | EVENT_TOO_LARGE                                 | RESOURCE_EXHAUSTED                            |
 * | ENGINE_CLOSED, PLUGIN_FAILED                    | UNAVAILABLE                                   |
 * | CALL_ABORTED                                    | CANCELLED                                     |
 * | any other error                                 | INTERNAL                                      |
 *
 * A timeout is not UNAVAILABLE, because clients repeat UNAVAILABLE on their own, and repeats are the last thing that a
 * slow plugin needs; the trailer `hookring-failure` tells it from the client's own deadline. The other failures are: the
 * handler has not run, so to repeat is safe. EVENT_INVALID blames the client, because rules make events from what
 * clients send before any handler has looked at it.
 */
import { Metadata, type StatusObject, status } from '@grpc/grpc-js'
import { type ErrorCode, type FailureKind, isUndecided, type RejectVerdict } from '../../contracts/index.js'

export interface RejectStatusOptions {
  /** The hookpoint that was asked, for the trailer `hookring-hookpoint`. */
  hookpoint?: string
  /** False leaves the trailers `hookring-plugin`, `hookring-hookpoint` and `hookring-failure` out. Default true. */
  trailers?: boolean
}

/**
 * Longest details that are sent, in characters. Trailers travel in a header block that peers commonly bound at 8 KiB, and
 * one character may take nine bytes there.
 */
const MAX_DETAILS_CHARS = 512
const MAX_TRAILER_CHARS = 128

/** Statuses of failure-policy rejects, and what the client is told: nothing of the server's insides. */
const FAILURES: Readonly<Record<FailureKind, { code: status; details: string }>> = {
  timeout: { code: status.DEADLINE_EXCEEDED, details: 'a hook gave no verdict in time' },
  overload: { code: status.RESOURCE_EXHAUSTED, details: 'too many calls are waiting for a hook' },
  crash: { code: status.UNAVAILABLE, details: 'a hook is not available' },
  error: { code: status.UNAVAILABLE, details: 'a hook is not available' },
  quarantined: { code: status.UNAVAILABLE, details: 'a hook is not available' },
  invalid: { code: status.UNAVAILABLE, details: 'a hook is not available' },
}

/**
 * The status of a rejected call, for `callback(rejectStatus(verdict))` or `call.emit('error', rejectStatus(verdict))`.
 * The details are the plugin's reason; a reject by the failure policy says only what kind of failure it was.
 */
export function rejectStatus(verdict: RejectVerdict, options: RejectStatusOptions = {}): StatusObject {
  // One that a plugin refused beside another's failure is refused: the plugin's word counts.
  const failure = isUndecided(verdict) ? verdict.failure : undefined
  const metadata = new Metadata()
  if (options.trailers !== false) {
    metadata.set('hookring-plugin', trailerText(verdict.plugin))
    const hookpoint = options.hookpoint ?? failure?.hookpoint
    if (hookpoint !== undefined) metadata.set('hookring-hookpoint', trailerText(hookpoint))
    if (failure !== undefined) metadata.set('hookring-failure', failure.kind)
  }
  if (failure !== undefined) return { ...FAILURES[failure.kind], metadata }
  const code = isErrorCode(verdict.code) ? verdict.code : status.PERMISSION_DENIED
  return { code, details: detailsText(verdict.reason), metadata }
}

/** Of a request that a plugin's replacement has made larger than an event may be, or one that is none: no client's fault. */
export function unusableStatus(): StatusObject {
  const { code, details } = FAILURES.invalid
  return plain(code, details)
}

/** The status of an error that asking a hookpoint threw. Details of unexpected errors are kept from the client. */
export function errorStatus(error: unknown): StatusObject {
  const message = error instanceof Error ? error.message : ''
  switch (codeOf(error)) {
    case 'EVENT_INVALID':
      return plain(status.INVALID_ARGUMENT, message)
    case 'EVENT_TOO_LARGE':
      return plain(status.RESOURCE_EXHAUSTED, message)
    case 'ENGINE_CLOSED':
      return plain(status.UNAVAILABLE, 'the server is shutting down')
    case 'PLUGIN_FAILED':
      return plain(status.UNAVAILABLE, FAILURES.error.details)
    case 'CALL_ABORTED':
      return plain(status.CANCELLED, 'the call was cancelled')
    default:
      return plain(status.INTERNAL, 'a hook could not be asked')
  }
}

/** Makes a status from parts that a user gave, so that what is sent cannot break the transport. */
export function plain(code: number, details: string, metadata: Metadata = new Metadata()): StatusObject {
  return { code: isErrorCode(code) ? code : status.UNKNOWN, details: detailsText(details), metadata }
}

function codeOf(error: unknown): ErrorCode | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? (error.code as ErrorCode) : undefined
}

function isErrorCode(code: unknown): code is number {
  return Number.isInteger(code) && (code as number) >= status.CANCELLED && (code as number) <= status.UNAUTHENTICATED
}

// grpc-js percent-encodes details with encodeURI, which throws on half a surrogate pair.
function detailsText(text: string): string {
  return text.slice(0, MAX_DETAILS_CHARS).replace(/\p{Surrogate}/gu, '\uFFFD')
}

function trailerText(text: string): string {
  return text.slice(0, MAX_TRAILER_CHARS).replace(/[^\x21-\x7e]/g, '?')
}
