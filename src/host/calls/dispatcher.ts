/** Begins calls for a server, with the caller's options applied. Host's thread only. */
import type { Contract } from '../../contracts/contract.js'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { Verdict } from '../../contracts/verdict.js'
import { monotonicMs } from '../../ring/clock.js'
import { abortedError, Call, ensureRare } from '../model/call.js'
import type { CallOptions } from '../model/call-options.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import type { ActivePlugin } from '../model/plugin.js'
import type { Route } from '../model/route.js'
import { InFlightCount } from '../primitives/in-flight-count.js'
import type { Emit } from '../telemetry/events.js'
import { isTraced, traceStart } from '../telemetry/tracing.js'
import { Aborts } from './aborts.js'
import { MAX_TRACE_ID_BYTES } from './encode-waiting.js'
import { FanOut } from './fan-out.js'
import type { Hops } from './hops.js'
import type { Selection } from './selection.js'

export interface DispatcherOptions {
  readonly contract: Contract
  readonly hops: Hops
  readonly selection: Selection
  readonly emit: Emit
}

export class Dispatcher {
  readonly #contract: Contract
  readonly #hops: Hops
  readonly #selection: Selection
  readonly #emit: Emit
  readonly #fanOut: FanOut
  readonly #aborts: Aborts
  readonly #reportRefused: (error: Error) => void
  readonly #noteRefused: (error: Error) => void
  /** Counts the observations made since the last flush. */
  #batch = new InFlightCount()
  #flushed: Promise<unknown> = Promise.resolve()
  /** An observation is being made; the next field has what was wrong with it. */
  #isTelling = false
  #refused: Error | null = null

  constructor({ contract, hops, selection, emit }: DispatcherOptions) {
    this.#contract = contract
    this.#hops = hops
    this.#selection = selection
    this.#emit = emit
    this.#fanOut = new FanOut({ hops, selection, begin: (call, event, options) => this.#begin(call, event, options) })
    this.#aborts = new Aborts((call, reason) => this.#abandon(call, reason))
    this.#reportRefused = (error) => {
      if (this.#isTelling) this.#refused ??= error
      else this.#report(error)
    }
    this.#noteRefused = (error) => {
      if (this.#isTelling) this.#refused ??= error
    }
  }

  /** For gates, transforms and responds. Never throws: an error rejects the promise. */
  ask(hookpoint: HookpointState, route: Route, event: unknown, callOptions: CallOptions | undefined): Promise<Verdict> {
    const call = new Call(hookpoint, route)
    // V8 allocates no closure here once the function is compiled.
    const promise = new Promise<Verdict>((resolve, reject) => {
      call.resolve = resolve
      call.reject = reject
    })
    this.#begin(call, event, callOptions)
    if (call.isSettled) return promise
    if (route.isPlain) this.#hops.start(call, event)
    else this.#askAround(call, event, callOptions)
    return promise
  }

  /**
   * For observations. Never throws: an error is emitted as `error`. An event that is one list and too large is split, and
   * its parts are sent in order, each as an event of its own.
   */
  tell(hookpoint: HookpointState, route: Route, event: unknown, callOptions: CallOptions | undefined): void {
    // The event's getters may make observations of their own meanwhile.
    const isTelling = this.#isTelling
    const outer = this.#refused
    this.#isTelling = true
    this.#refused = null
    if (route.isPlain) this.#tellOne(hookpoint, route, event, callOptions, false)
    else this.#tellAround(hookpoint, route, event, callOptions)
    const refused: Error | null = this.#refused
    this.#isTelling = isTelling
    this.#refused = outer
    if (refused === null) return
    const parts = (refused as Partial<HookringError>).code === 'EVENT_TOO_LARGE' ? halvesOf(hookpoint, event) : null
    if (parts === null) this.#report(refused)
    else for (const part of parts) this.tell(hookpoint, route, part, callOptions)
  }

  /** The hops of an observation, which do not wait for each other, and its shadows. */
  #tellAround(hookpoint: HookpointState, route: Route, event: unknown, callOptions: CallOptions | undefined): void {
    const branches = route.branches ?? (route.steps.length === 0 ? [] : [route])
    for (const [index, each] of branches.entries()) this.#tellOne(hookpoint, each, event, callOptions, index > 0)
    const { times: _, ...unseen } = callOptions ?? {}
    let told = branches.length
    for (const each of route.shadows) {
      if (!this.#selection.wants(each.steps[0]?.plugins[0] as ActivePlugin, event)) continue
      this.#tellOne(hookpoint, each, event, unseen, told > 0)
      told += 1
    }
    // It counts as a call, though no plugin is told.
    if (told === 0) hookpoint.recorder.calls += 1
  }

  /** Resolves when every observation made so far has settled. */
  async flush(): Promise<void> {
    const mine = this.#batch.whenZero()
    this.#batch = new InFlightCount()
    // Include the observations that an earlier flush still awaits.
    this.#flushed = Promise.all([this.#flushed, mine])
    await this.#flushed
  }

  /** The call with its shadows, or the parallel hops of a gate. */
  #askAround(call: Call, event: unknown, callOptions: CallOptions | undefined): void {
    const { shadows, branches } = call.route
    const isFirstTime = call.rare.startAt === null
    for (const shadow of isFirstTime ? shadows : []) this.#fanOut.beginShadow(call, shadow, event, callOptions)
    if (branches === null) this.#hops.start(call, event)
    else this.#fanOut.branch(call, branches, event, callOptions)
  }

  #tellOne(
    hookpoint: HookpointState,
    route: Route,
    event: unknown,
    callOptions: CallOptions | undefined,
    isPart: boolean,
  ): void {
    const call = new Call(hookpoint, route)
    // An invalid event is invalid for every hop, and is reported once. Later errors of the call are reported by its first
    // hop.
    call.reject = isPart ? this.#noteRefused : this.#reportRefused
    if (isPart) ensureRare(call).isPart = true
    call.batch = this.#batch
    call.batch.enter()
    this.#begin(call, event, callOptions)
    if (!call.isSettled) this.#hops.start(call, event)
  }

  #report(error: Error): void {
    this.#emit(
      'error',
      error instanceof HookringError ? error : new HookringError('EVENT_INVALID', String(error), { cause: error }),
    )
  }

  #begin(call: Call, event: unknown, callOptions: CallOptions | undefined): void {
    const { hookpoint, route } = call
    route.snapshot.calls.enter()
    if (!call.rare.isPart) hookpoint.recorder.calls += 1
    if (callOptions !== undefined) this.#readOptions(call, callOptions)
    if (call.isSettled) return
    this.#selection.prepare(call, event)
    if (isTraced() && !call.rare.isPart) this.#trace(call, event)
  }

  #trace(call: Call, event: unknown): void {
    const { name, traceMasks } = call.hookpoint
    const shown = traceMasks.event(event)
    const message = { contract: this.#contract.id, hookpoint: name, event: shown, traceId: call.rare.traceId }
    ensureRare(call).trace = traceStart(message, traceMasks)
  }

  /** Reads the caller's options, whose getters may throw. */
  #readOptions(call: Call, callOptions: CallOptions): void {
    try {
      const { signal, timeoutMs, traceId, times, startAt } = callOptions
      if (times !== undefined) fillIn(call, times)
      if (timeoutMs !== undefined) limitTime(call, timeoutMs)
      if (traceId !== undefined) nameTrace(call, traceId)
      if (startAt !== undefined) ensureRare(call).startAt = nameOf(startAt)
      if (signal !== undefined) this.#follow(call, signal)
    } catch (cause) {
      const error =
        cause instanceof HookringError
          ? cause
          : new HookringError('OPTIONS_INVALID', `the call's options could not be read: ${thrownText(cause)}`, {
              cause,
            })
      this.#hops.refuse(call, error)
    }
  }

  #follow(call: Call, signal: AbortSignal): void {
    if (typeof signal?.addEventListener !== 'function') {
      throw new HookringError('OPTIONS_INVALID', 'signal must be an AbortSignal', { path: ['signal'] })
    }
    if (signal.aborted) this.#abandon(call, signal.reason)
    else this.#aborts.follow(signal, call)
  }

  /** The caller gives up: what no plugin has begun is taken back, and a running plugin is told. */
  #abandon(call: Call, reason: unknown): void {
    if (call.isSettled) return
    call.hookpoint.recorder.aborted += 1
    this.#hops.withdraw(call)
    for (const child of call.rare.children ?? []) this.#fanOut.abandonQuietly(child)
    this.#hops.refuse(call, abortedError(this.#contract, call.hookpoint.name, reason))
  }
}

/** Splits an event that is one list and nothing else; null: it is not, or has fewer than two items. */
function halvesOf({ definition }: HookpointState, event: unknown): [object, object] | null {
  const { root } = definition.plan
  const [field, ...others] = root.kind === 'object' ? root.fields : []
  if (field?.node.kind !== 'array' || others.length > 0) return null
  // Encoding has read it already, so reading it throws nothing new.
  const list = (event as Record<string, unknown>)[field.key]
  if (!Array.isArray(list) || list.length < 2) return null
  const middle = Math.ceil(list.length / 2)
  return [{ [field.key]: list.slice(0, middle) }, { [field.key]: list.slice(middle) }]
}

function fillIn(call: Call, times: NonNullable<CallOptions['times']>): void {
  call.times = times
  if (call.rare.isPart) return
  times.waitedMs = 0
  times.ranMs = 0
}

function limitTime(call: Call, timeoutMs: number): void {
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0)) {
    throw new HookringError('OPTIONS_INVALID', `timeoutMs must be above 0, got ${String(timeoutMs)}`, {
      path: ['timeoutMs'],
    })
  }
  ensureRare(call).capMs = monotonicMs() + timeoutMs
}

function nameOf(startAt: string): string {
  if (typeof startAt === 'string') return startAt
  throw new HookringError('OPTIONS_INVALID', `startAt must be a plugin's name, got ${String(startAt)}`, {
    path: ['startAt'],
  })
}

function nameTrace(call: Call, traceId: string): void {
  const traceBytes = typeof traceId === 'string' ? Buffer.byteLength(traceId) : Number.NaN
  if (!(traceBytes <= MAX_TRACE_ID_BYTES)) {
    throw new HookringError('OPTIONS_INVALID', `traceId must be a string of at most ${MAX_TRACE_ID_BYTES} bytes`, {
      path: ['traceId'],
    })
  }
  if (traceBytes === 0) return
  ensureRare(call).traceId = traceId
  call.traceBytes = traceBytes
}
