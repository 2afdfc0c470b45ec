/**
 * Asks an RPC's before-rules and tells its after-rules. One asker per interceptor, stateless between RPCs; on the host's
 * thread.
 */
import { inspect } from 'node:util'
import { type StatusObject, status } from '@grpc/grpc-js'
import type { Hookpoints, RejectVerdict, Verdict } from '../../contracts/index.js'
import type { CallOptions } from '../../index.js'
import type { AskingEngine } from './engine.js'
import type { CheckedAfterRule, CheckedBeforeRule, RpcCall, RpcOutcome } from './rules.js'
import { errorStatus, plain, rejectStatus } from './status.js'

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

export interface Asker {
  /** Never rejects: what goes wrong is a decision to refuse. */
  ask(rules: readonly CheckedBeforeRule[], request: unknown, call: RpcCall): Promise<Decision>
  /** Never throws. */
  tell(rules: readonly CheckedAfterRule[], outcome: RpcOutcome): void
  /** Never throws. */
  report(error: unknown, hookpoint: string | undefined, call: RpcCall): void
}

/** Events of one gate that are asked at once: enough to fill a lane, too few to be an overload by themselves. */
const MAX_EVENTS_AT_ONCE = 64
/** The longest trace id that engines take. */
const MAX_TRACE_ID_BYTES = 256
/** The longest delay that a timer takes. */
const MAX_TIMEOUT_MS = 2_147_483_647

type LooseHook = (event: unknown, options: CallOptions) => unknown

export function createAsker<Points extends Hookpoints>(
  engine: AskingEngine<Points>,
  options: InterceptorOptions,
): Asker {
  const hooks = engine.hooks as unknown as Readonly<Record<string, LooseHook | undefined>>
  const traceIdOf = (call: RpcCall) => {
    const traceId = (options.traceId ?? traceparentId)(call)
    // It may come from a client: one that is too long is left out, it is no reason to refuse the call.
    return traceId !== undefined && Buffer.byteLength(traceId) <= MAX_TRACE_ID_BYTES ? traceId : undefined
  }
  const warned = new Set<string>()

  const callHook = (hookpoint: string, event: unknown, askOptions: CallOptions): unknown => {
    const hook = hooks[hookpoint]
    if (hook === undefined) throw new Error(`the engine has no hookpoint ${hookpoint}`)
    return Reflect.apply(hook, hooks, [event, askOptions])
  }

  const report: Asker['report'] = (error, hookpoint, call) => {
    if (options.onError !== undefined) {
      try {
        options.onError(error, { hookpoint, call })
        return
      } catch {
        // Falls through to the warning about the error that it was told of.
      }
    }
    const place = `${call.path} ${hookpoint ?? ''}`
    if (warned.has(place)) return
    warned.add(place)
    process.emitWarning(`hookInterceptor, ${place}: ${inspect(error)}`, 'HookringWarning')
  }

  const refuse = (verdict: RejectVerdict, hookpoint: string, call: RpcCall): Decision => {
    const chosen = rejectStatus(verdict, { hookpoint, trailers: options.trailers ?? true })
    const wanted = options.toStatus?.(verdict, { hookpoint, call })
    if (wanted === undefined) return { kind: 'refuse', status: chosen }
    const { code = chosen.code, details = chosen.details, metadata = chosen.metadata } = wanted
    return { kind: 'refuse', status: plain(code, details, metadata) }
  }

  const askRule = async (rule: CheckedBeforeRule, request: unknown, call: RpcCall): Promise<Decision> => {
    const { hookpoint, kind } = rule
    const events = rule.eventsOf(request, call)
    const traceId = traceIdOf(call)
    const optionsNow = (): CallOptions => {
      const remainingMs = Math.min(call.deadlineMs - Date.now(), options.timeoutMs ?? Infinity)
      return {
        signal: call.signal,
        ...(remainingMs <= MAX_TIMEOUT_MS && { timeoutMs: Math.max(1, remainingMs) }),
        ...(traceId !== undefined && { traceId }),
      }
    }
    const atOnce = kind === 'gate' ? MAX_EVENTS_AT_ONCE : 1
    let current = request
    for (let from = 0; from < events.length; from += atOnce) {
      if (Date.now() >= call.deadlineMs) {
        return { kind: 'refuse', status: plain(status.DEADLINE_EXCEEDED, 'Deadline exceeded') }
      }
      const askOptions = optionsNow()
      const asked = events.slice(from, from + atOnce).map((event) => callHook(hookpoint, event, askOptions))
      if (kind === 'observe') continue
      for (const verdict of (await Promise.all(asked)) as Verdict[]) {
        switch (verdict.kind) {
          case 'continue':
            break
          case 'reject':
            return refuse(verdict, hookpoint, call)
          case 'replace':
            current = rule.replace(current, verdict.event, call)
            break
          case 'respond':
            return { kind: 'answer', response: rule.answer(verdict.value, current, call) }
          default:
            throw new Error(`${hookpoint} came to no verdict: ${String(verdict satisfies never)}`)
        }
      }
      if (call.signal.aborted) break
    }
    return { kind: 'proceed', request: current }
  }

  return {
    report,
    async ask(rules, request, call) {
      let current = request
      for (const rule of rules) {
        try {
          const decision = await askRule(rule, current, call)
          if (decision.kind !== 'proceed') return decision
          if (call.signal.aborted) break
          current = decision.request
        } catch (error) {
          const refusal = errorStatus(error)
          if (refusal.code === status.INTERNAL) report(error, rule.hookpoint, call)
          return { kind: 'refuse', status: refusal }
        }
      }
      return { kind: 'proceed', request: current }
    },
    tell(rules, outcome) {
      const result = outcome.status.code === status.OK ? 'success' : 'failure'
      for (const rule of rules) {
        if (rule.when !== 'always' && rule.when !== result) continue
        try {
          const event = rule.event(outcome)
          if (event === undefined) continue
          const traceId = traceIdOf(outcome.call)
          callHook(rule.hookpoint, event, traceId === undefined ? {} : { traceId })
        } catch (error) {
          // The operation has happened and its client is owed the result, whatever an observer thinks of it.
          report(error, rule.hookpoint, outcome.call)
        }
      }
    },
  }
}

function traceparentId(call: RpcCall): string | undefined {
  const header = call.metadata.get('traceparent')[0]
  return typeof header === 'string' ? /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-/.exec(header)?.[1] : undefined
}
