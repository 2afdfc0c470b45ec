/**
 * diagnostics_channel: the tracing channel `hookring:call` follows a call from start to settlement. While nobody
 * subscribes, it costs one property read for each call. Host's thread only.
 */

import { AsyncResource } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { maskOf } from '../../contracts/codec/secrets.js'
import type { Hookpoint } from '../../contracts/contract.js'
import type { Verdict } from '../../contracts/verdict.js'

/** The message of every event of the channel. `result` or `error` is set when the call has settled. */
export interface CallTraceMessage {
  readonly contract: string
  readonly hookpoint: string
  readonly event: unknown
  readonly traceId: string | undefined
  result?: Verdict
  error?: Error
}

export interface CallTrace {
  readonly message: CallTraceMessage
  readonly masks: TraceMasks
  /** A call settles in another async context than the one in which it was made. */
  readonly resource: AsyncResource
}

/** What subscribers are shown of the values of a hookpoint: all but what its contract calls secret. */
export class TraceMasks {
  readonly #event: ((value: unknown) => unknown) | null
  readonly #reply: ((value: unknown) => unknown) | null

  constructor({ plan, replyPlan }: Hookpoint) {
    this.#event = maskOf(plan.root)
    this.#reply = replyPlan === null ? null : maskOf(replyPlan.root)
  }

  /** The event itself, where none of it is secret. It is as its caller made it: a getter may throw. */
  event(event: unknown): unknown {
    try {
      return this.#event === null ? event : this.#event(event)
    } catch {
      return '[an event that cannot be read]'
    }
  }

  shown(verdict: Verdict): Verdict {
    if (verdict.kind === 'replace' && this.#event !== null) return { ...verdict, event: this.#event(verdict.event) }
    if (verdict.kind === 'respond' && this.#reply !== null) return { ...verdict, value: this.#reply(verdict.value) }
    return verdict
  }
}

const channel = tracingChannel<CallTraceMessage>('hookring:call')
const { start, end, asyncStart, asyncEnd, error } = channel

export function isTraced(): boolean {
  return (
    start.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers ||
    end.hasSubscribers ||
    asyncStart.hasSubscribers
  )
}

/**
 * Publishes `start` and `end`: the call is under way. Stores that are bound to `start` (`bindStore`) are active in every
 * later event of the call.
 */
export function traceStart(message: CallTraceMessage, masks: TraceMasks): CallTrace {
  return start.runStores(message, () => {
    const resource = new AsyncResource('HOOKRING_CALL')
    end.publish(message)
    return { message, masks, resource }
  })
}

export function traceEnd(trace: CallTrace, verdict: Verdict): void {
  trace.message.result = trace.masks.shown(verdict)
  finish(trace)
}

export function traceError(trace: CallTrace, cause: Error): void {
  trace.message.error = cause
  trace.resource.runInAsyncScope(() => error.publish(trace.message))
  finish(trace)
}

function finish({ message, resource }: CallTrace): void {
  resource.runInAsyncScope(() => {
    asyncStart.runStores(message, () => asyncEnd.publish(message))
  })
  resource.emitDestroy()
}
