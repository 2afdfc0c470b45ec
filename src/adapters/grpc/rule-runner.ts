/**
 * Asks an RPC's rules and tells those that come after it. One runner per interceptor, stateless between RPCs; on the host's
 * thread.
 */
import { inspect } from 'node:util'
import { type StatusObject, status } from '@grpc/grpc-js'
import type { Hookpoints, RejectVerdict, Verdict } from '../../contracts/index.js'
import type { CallOptions } from '../../index.js'
import type { AskingEngine } from './engine.js'
import type { CheckedAfterRule, CheckedBeforeRule, RpcCall, RpcOutcome } from './rules.js'
import { errorStatus, plain, rejectStatus, unusableStatus } from './status.js'

export interface InterceptorOptions {
  /** The status of a reject in place of the default one; `undefined` keeps the default. */
  toStatus?(
    verdict: RejectVerdict,
    context: { readonly hookpoint: string; readonly call: RpcCall },
  ): Partial<StatusObject> | undefined
  /** False keeps the names of plugin and hookpoint from the client. Default true. */
  trailers?: boolean
  /** The most time that one hookpoint gets, in milliseconds, however far away the RPC's deadline is. */
  timeoutMs?: number
  /** The trace id of an RPC's calls, up to 256 bytes. Default: that of a W3C `traceparent` in the metadata. */
  traceId?(call: RpcCall): string | undefined
  /** Told of errors in rules and of unexpected errors of the engine. Default: a process warning, once for each place. */
  onError?(error: unknown, context: { readonly hookpoint: string | undefined; readonly call: RpcCall }): void
}

export type Decision =
  | { readonly kind: 'proceed'; readonly request: unknown }
  | { readonly kind: 'answer'; readonly response: unknown }
  | { readonly kind: 'refuse'; readonly status: StatusObject }

/** Events of one gate that are asked at once: enough to fill a lane, too few to be an overload by themselves. */
const MAX_EVENTS_AT_ONCE = 64
/** The longest trace id that engines take. */
const MAX_TRACE_ID_BYTES = 256
/** The longest delay that a timer takes. */
const MAX_TIMEOUT_MS = 2_147_483_647

type LooseHook = (event: unknown, options: CallOptions) => unknown

export class RuleRunner<Points extends Hookpoints> {
  readonly #hooks: Readonly<Record<string, LooseHook | undefined>>
  readonly #options: InterceptorOptions
  readonly #warned = new Set<string>()

  constructor(engine: AskingEngine<Points>, options: InterceptorOptions) {
    this.#hooks = engine.hooks as unknown as Readonly<Record<string, LooseHook | undefined>>
    this.#options = options
  }

  /** Never rejects: what goes wrong is a decision to refuse. */
  async ask(rules: readonly CheckedBeforeRule[], request: unknown, call: RpcCall): Promise<Decision> {
    let current = request
    for (const rule of rules) {
      try {
        const decision = await this.#askRule(rule, current, call)
        if (decision.kind !== 'proceed') return decision
        if (call.signal.aborted) break
        current = decision.request
      } catch (error) {
        const isOfPlugin = current !== request && isAboutEvent(error)
        const refusal = isOfPlugin ? unusableStatus() : errorStatus(error)
        if (isOfPlugin || refusal.code === status.INTERNAL) this.report(error, rule.hookpoint, call)
        return { kind: 'refuse', status: refusal }
      }
    }
    return { kind: 'proceed', request: current }
  }

  /** Never throws. */
  tell(rules: readonly CheckedAfterRule[], outcome: RpcOutcome): void {
    const result = outcome.status.code === status.OK ? 'success' : 'failure'
    for (const rule of rules) {
      if (rule.when !== 'always' && rule.when !== result) continue
      try {
        const event = rule.event(outcome)
        if (event === undefined) continue
        const traceId = this.#traceIdOf(outcome.call)
        this.#call(rule.hookpoint, event, traceId === undefined ? {} : { traceId })
      } catch (error) {
        // The operation has happened and its client is owed the result, whatever an observer thinks of it.
        this.report(error, rule.hookpoint, outcome.call)
      }
    }
  }

  /** Never throws. */
  report(error: unknown, hookpoint: string | undefined, call: RpcCall): void {
    const { onError } = this.#options
    if (onError !== undefined) {
      try {
        Reflect.apply(onError, this.#options, [error, { hookpoint, call }])
        return
      } catch {
        // Falls through to the warning about the error that it was told of.
      }
    }
    const place = `${call.path} ${hookpoint ?? ''}`
    if (this.#warned.has(place)) return
    this.#warned.add(place)
    process.emitWarning(`hookInterceptor, ${place}: ${inspect(error)}`, 'HookringWarning')
  }

  async #askRule(rule: CheckedBeforeRule, request: unknown, call: RpcCall): Promise<Decision> {
    const { hookpoint, kind } = rule
    const events = rule.eventsOf(request, call)
    const traceId = this.#traceIdOf(call)
    const atOnce = kind === 'gate' ? MAX_EVENTS_AT_ONCE : 1
    let current = request
    for (let from = 0; from < events.length; from += atOnce) {
      if (Date.now() >= call.deadlineMs) {
        return { kind: 'refuse', status: plain(status.DEADLINE_EXCEEDED, 'Deadline exceeded') }
      }
      const options = this.#callOptions(call, traceId)
      const asked = events.slice(from, from + atOnce).map((event) => this.#call(hookpoint, event, options))
      if (kind === 'observe') continue
      for (const verdict of (await Promise.all(asked)) as Verdict[]) {
        const decision = this.#decide(rule, verdict, current, call)
        if (decision.kind !== 'proceed') return decision
        current = decision.request
      }
      if (call.signal.aborted) break
    }
    return { kind: 'proceed', request: current }
  }

  #decide(rule: CheckedBeforeRule, verdict: Verdict, request: unknown, call: RpcCall): Decision {
    switch (verdict.kind) {
      case 'continue':
        return { kind: 'proceed', request }
      case 'reject':
        return this.#refuse(verdict, rule.hookpoint, call)
      case 'replace':
        return { kind: 'proceed', request: rule.replace(request, verdict.event, call) }
      case 'respond':
        return { kind: 'answer', response: rule.answer(verdict.value, request, call) }
      default:
        throw new Error(`${rule.hookpoint} came to no verdict: ${String(verdict satisfies never)}`)
    }
  }

  #refuse(verdict: RejectVerdict, hookpoint: string, call: RpcCall): Decision {
    const chosen = rejectStatus(verdict, { hookpoint, trailers: this.#options.trailers ?? true })
    const wanted = this.#options.toStatus?.(verdict, { hookpoint, call })
    if (wanted === undefined) return { kind: 'refuse', status: chosen }
    const { code = chosen.code, details = chosen.details, metadata = chosen.metadata } = wanted
    return { kind: 'refuse', status: plain(code, details, metadata) }
  }

  #callOptions(call: RpcCall, traceId: string | undefined): CallOptions {
    const remainingMs = Math.min(call.deadlineMs - Date.now(), this.#options.timeoutMs ?? Number.POSITIVE_INFINITY)
    return {
      signal: call.signal,
      ...(remainingMs <= MAX_TIMEOUT_MS && { timeoutMs: Math.max(1, remainingMs) }),
      ...(traceId !== undefined && { traceId }),
    }
  }

  #call(hookpoint: string, event: unknown, options: CallOptions): unknown {
    const hook = this.#hooks[hookpoint]
    if (hook === undefined) throw new Error(`the engine has no hookpoint ${hookpoint}`)
    return Reflect.apply(hook, this.#hooks, [event, options])
  }

  /** It may come from a client: one that is too long is left out, it is no reason to refuse the call. */
  #traceIdOf(call: RpcCall): string | undefined {
    const { traceId: chosen } = this.#options
    const traceId = chosen === undefined ? traceparentId(call) : Reflect.apply(chosen, this.#options, [call])
    return traceId !== undefined && Buffer.byteLength(traceId) <= MAX_TRACE_ID_BYTES ? traceId : undefined
  }
}

/** No event can be made of it. */
function isAboutEvent(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | null)?.code
  return code === 'EVENT_INVALID' || code === 'EVENT_TOO_LARGE'
}

function traceparentId(call: RpcCall): string | undefined {
  const header = call.metadata.get('traceparent')[0]
  return typeof header === 'string' ? /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-/.exec(header)?.[1] : undefined
}
