/**
 * Where calls begin: asks and tells on a server's behalf, with the caller's options applied. Host's thread only.
 */
import type { Contract } from '../../contracts/contract.js'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { Verdict } from '../../contracts/verdict.js'
import { monotonicMs } from '../../ring/clock.js'
import { abortedError, Call, ensureRare } from '../model/call.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import type { ActivePlugin } from '../model/plugin.js'
import type { Route } from '../model/route.js'
import type { CallTimes } from '../model/trip.js'
import type { InFlightCount } from '../primitives/in-flight-count.js'
import type { Emit } from '../telemetry/events.js'
import { isTraced, traceStart } from '../telemetry/tracing.js'
import { createAborts } from './aborts.js'
import { MAX_TRACE_ID_BYTES } from './encode-waiting.js'
import { createFanOut } from './fan-out.js'
import type { Hops } from './hops.js'

export interface CallOptions {
  /** Ends the call: it is taken back if it has not begun, and rejects with CALL_ABORTED. */
  signal?: AbortSignal | undefined
  /** Milliseconds for the whole call, on top of the plugins' own limits. */
  timeoutMs?: number | undefined
  /** Reaches the hooks as `ctx.traceId`; at most 256 bytes of UTF-8. */
  traceId?: string | undefined
  /**
   * An object of the caller's that the engine fills in: how long the call waited and ran. It is complete when the call has
   * settled (an observation: when flush() has resolved). One for each call under way.
   */
  times?: CallTimes | undefined
}

export interface DispatcherOptions {
  readonly contract: Contract
  readonly hops: Hops
  readonly emit: Emit
  /** What flush() waits for at present. */
  currentBatch(): InFlightCount
}

export interface Dispatcher {
  /** Gate, transform, respond. Never throws: what is wrong rejects the promise. */
  ask(hookpoint: HookpointState, route: Route, event: unknown, options: CallOptions | undefined): Promise<Verdict>
  /** Observe. Never throws: what is wrong is emitted as `error`. */
  tell(hookpoint: HookpointState, route: Route, event: unknown, options: CallOptions | undefined): void
}

export function createDispatcher({ contract, hops, emit, currentBatch }: DispatcherOptions): Dispatcher {
  const fanOut = createFanOut(hops, begin)
  const aborts = createAborts(abandon)

  function ask(
    hookpoint: HookpointState,
    route: Route,
    event: unknown,
    callOptions: CallOptions | undefined,
  ): Promise<Verdict> {
    const call = new Call(hookpoint, route)
    // A closure in the source alone: compiled code has none.
    const promise = new Promise<Verdict>((resolve, reject) => {
      call.resolve = resolve
      call.reject = reject
    })
    begin(call, event, callOptions)
    if (call.isSettled) return promise
    if (route.isPlain) hops.start(call, event)
    else askAround(call, event, callOptions)
    return promise
  }

  /** The call, its shadows, and the hops that do not wait for each other. */
  function askAround(call: Call, event: unknown, callOptions: CallOptions | undefined): void {
    const { shadows, branches } = call.route
    for (const shadow of shadows) fanOut.beginShadow(call, shadow, event, callOptions)
    if (branches === null) hops.start(call, event)
    else fanOut.branch(call, branches, event, callOptions)
  }

  function tell(hookpoint: HookpointState, route: Route, event: unknown, callOptions: CallOptions | undefined): void {
    if (route.isPlain) {
      tellOne(hookpoint, route, event, callOptions, false)
      return
    }
    const branches = route.branches ?? (route.steps.length === 0 ? [] : [route])
    for (const [index, each] of branches.entries()) tellOne(hookpoint, each, event, callOptions, index > 0)
    const { times: _, ...unseen } = callOptions ?? {}
    let told = branches.length
    for (const each of route.shadows) {
      if (!hops.wants(each.steps[0]?.plugins[0] as ActivePlugin, event)) continue
      tellOne(hookpoint, each, event, unseen, told > 0)
      told += 1
    }
    // A call like any other, though nobody hears of it.
    if (told === 0) hookpoint.recorder.calls += 1
  }

  function tellOne(
    hookpoint: HookpointState,
    route: Route,
    event: unknown,
    callOptions: CallOptions | undefined,
    isPart: boolean,
  ): void {
    const call = new Call(hookpoint, route)
    // What is wrong with the event is wrong with it everywhere, and reported once.
    if (isPart) ensureRare(call).isPart = true
    else call.reject = reportRefused
    call.batch = currentBatch()
    call.batch.enter()
    begin(call, event, callOptions)
    if (!call.isSettled) hops.start(call, event)
  }

  function reportRefused(error: Error): void {
    emit(
      'error',
      error instanceof HookringError ? error : new HookringError('EVENT_INVALID', String(error), { cause: error }),
    )
  }

  function begin(call: Call, event: unknown, callOptions: CallOptions | undefined): void {
    const { hookpoint, route } = call
    route.snapshot.calls.enter()
    if (!call.rare.isPart) hookpoint.recorder.calls += 1
    if (callOptions !== undefined) readOptions(call, callOptions)
    if (call.isSettled) return
    hops.prepare(call, event)
    if (isTraced() && !call.rare.isPart) trace(call, event)
  }

  function trace(call: Call, event: unknown): void {
    ensureRare(call).trace = traceStart({
      contract: contract.id,
      hookpoint: call.hookpoint.name,
      event,
      traceId: call.rare.traceId,
    })
  }

  /** Options are the caller's: reading them may throw what the caller's getters throw. */
  function readOptions(call: Call, callOptions: CallOptions): void {
    try {
      applyOptions(call, callOptions)
    } catch (cause) {
      hops.refuse(
        call,
        new HookringError('OPTIONS_INVALID', `the call's options could not be read: ${thrownText(cause)}`, { cause }),
      )
    }
  }

  function applyOptions(call: Call, { signal, timeoutMs, traceId, times }: CallOptions): void {
    if (times !== undefined) {
      call.times = times
      if (!call.rare.isPart) {
        times.waitedMs = 0
        times.ranMs = 0
      }
    }
    if (timeoutMs !== undefined) {
      if (typeof timeoutMs !== 'number' || !(timeoutMs > 0)) {
        hops.refuse(
          call,
          new HookringError('OPTIONS_INVALID', `timeoutMs must be above 0, got ${String(timeoutMs)}`, {
            path: ['timeoutMs'],
          }),
        )
        return
      }
      ensureRare(call).capMs = monotonicMs() + timeoutMs
    }
    if (traceId !== undefined) {
      const traceBytes = typeof traceId === 'string' ? Buffer.byteLength(traceId) : Number.NaN
      if (!(traceBytes <= MAX_TRACE_ID_BYTES)) {
        hops.refuse(
          call,
          new HookringError('OPTIONS_INVALID', `traceId must be a string of at most ${MAX_TRACE_ID_BYTES} bytes`, {
            path: ['traceId'],
          }),
        )
        return
      }
      if (traceBytes > 0) {
        ensureRare(call).traceId = traceId
        call.traceBytes = traceBytes
      }
    }
    if (signal === undefined) return
    if (typeof signal?.addEventListener !== 'function') {
      hops.refuse(call, new HookringError('OPTIONS_INVALID', 'signal must be an AbortSignal', { path: ['signal'] }))
      return
    }
    if (signal.aborted) {
      abandon(call, signal.reason)
      return
    }
    aborts.follow(signal, call)
  }

  /** The caller gives up: what has not begun is taken back, what runs is told. */
  function abandon(call: Call, reason: unknown): void {
    if (call.isSettled) return
    call.hookpoint.recorder.aborted += 1
    hops.withdraw(call)
    for (const child of call.rare.children ?? []) fanOut.abandonQuietly(child)
    hops.refuse(call, abortedError(contract, call.hookpoint.name, reason))
  }

  return { ask, tell }
}
