/**
 * Takes calls along their routes: asks, tells, goes from hop to hop, and turns what comes back into verdicts. Host's thread
 * only.
 *
 *   made -> [step: match, sample, quarantine] -> in a lane <-> waiting -> outcome -> next step ... -> settled
 */
import { codecMemory } from '../contracts/codec/memory.js'
import type { CodecMemory } from '../contracts/codec/memory.js'
import type { Contract } from '../contracts/contract.js'
import { HookringError } from '../contracts/errors.js'
import { CONTINUE, type Failure, type FailureKind, type Verdict } from '../contracts/verdict.js'
import { monotonicMs } from '../ring/clock.js'
import { abortedError, Call, type HeldBytes, rareOf, settle, settleError } from './call.js'
import type { DeadlineTimer } from './deadlines.js'
import type { Emit } from './events.js'
import { nextRoom } from './lane.js'
import type { ActivePlugin } from './plugin-state.js'
import type { Point } from './point.js'
import type { Pump } from './pump.js'
import { FAILURE_INDEX } from './recorders.js'
import type { Route, Step } from './route.js'
import type { Tally } from './tally.js'
import { isTraced, traceStart } from './tracing.js'

export interface CallOptions {
  /** Ends the call: it is taken back if it has not begun, and rejects with CALL_ABORTED. */
  signal?: AbortSignal | undefined
  /** Milliseconds for the whole call, on top of the plugins' own limits. */
  timeoutMs?: number | undefined
  /** Reaches the hooks as `ctx.traceId`; at most 256 bytes of UTF-8. */
  traceId?: string | undefined
}

export interface DispatcherOptions {
  readonly contract: Contract
  readonly maxEventBytes: number
  readonly deadlines: Pick<DeadlineTimer<Call>, 'add' | 'cancel'>
  readonly pump: Pump
  readonly emit: Emit
  /** What flush() waits for at present. */
  currentBatch(): Tally
  random?: () => number
}

export interface Dispatcher {
  /** Gate, transform, respond. Never throws: what is wrong rejects the promise. */
  ask(point: Point, route: Route, event: unknown, options: CallOptions | undefined): Promise<Verdict>
  /** Observe. Never throws: what is wrong is emitted as `error`. */
  tell(point: Point, route: Route, event: unknown, options: CallOptions | undefined): void
  /** The plugins in `done` have run, the call goes on with the rest of its chain. */
  proceed(call: Call, done: number): void
  /** The present step is over; `event` is the replaced event, if it was. */
  decide(call: Call, verdict: Verdict): void
  /** A plugin gave no verdict; `done` have run before it. The policy decides. */
  fail(call: Call, plugin: ActivePlugin, kind: FailureKind, message: string, times: Times, done: number): void
  /** Ends a call without verdict. */
  refuse(call: Call, error: Error): void
}

export interface Times {
  readonly waitedMs: number
  readonly ranMs: number
}

const NO_TIMES: Times = { waitedMs: 0, ranMs: 0 }
const MAX_TRACE_ID_BYTES = 256

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { contract, deadlines, pump, emit, random = Math.random } = options
  let scratch: CodecMemory | null = null
  const cancelDeadline = (call: Call) => deadlines.cancel(call)

  // One executor for all promises: a closure per call would be garbage per call.
  let resolveNext: ((verdict: Verdict) => void) | null = null
  let rejectNext: ((error: Error) => void) | null = null
  const captureSettlers = (resolve: (verdict: Verdict) => void, reject: (error: Error) => void) => {
    resolveNext = resolve
    rejectNext = reject
  }

  function ask(point: Point, route: Route, event: unknown, callOptions: CallOptions | undefined): Promise<Verdict> {
    const call = new Call(point, route, monotonicMs())
    const promise = new Promise<Verdict>(captureSettlers)
    call.resolve = resolveNext
    call.reject = rejectNext
    begin(call, event, callOptions)
    if (call.isSettled) return promise
    for (const shadow of route.shadows) beginShadow(call, shadow, event, callOptions)
    if (route.branches === null) advance(call, event)
    else branch(call, route.branches, event, callOptions)
    return promise
  }

  function tell(point: Point, route: Route, event: unknown, callOptions: CallOptions | undefined): void {
    const branches = route.branches ?? (route.steps.length === 0 ? [] : [route])
    for (const each of branches) {
      const call = new Call(point, each, monotonicMs())
      call.reject = reportRefused
      call.batch = options.currentBatch()
      call.batch.enter()
      begin(call, event, callOptions)
      if (!call.isSettled) advance(call, event)
    }
    for (const shadow of route.shadows) {
      const call = new Call(point, shadow, monotonicMs())
      call.batch = options.currentBatch()
      call.batch.enter()
      begin(call, event, callOptions)
      if (!call.isSettled) advance(call, event)
    }
  }

  function reportRefused(error: Error): void {
    emit('error', error instanceof HookringError ? error : new HookringError('EVENT_INVALID', String(error), { cause: error }))
  }

  function begin(call: Call, event: unknown, callOptions: CallOptions | undefined): void {
    const { point, route } = call
    route.edition.calls.enter()
    point.recorder.calls += 1
    if (callOptions !== undefined) applyOptions(call, callOptions)
    if (route.isSelective) select(call, event)
    if (route.isPartitioned) partition(call, event)
    if (isTraced()) {
      rareOf(call).trace = traceStart({ contract: contract.id, hookpoint: point.name, event, traceId: call.rare.traceId })
    }
  }

  function applyOptions(call: Call, { signal, timeoutMs, traceId }: CallOptions): void {
    if (timeoutMs !== undefined) {
      if (!(timeoutMs > 0)) {
        refuse(call, new HookringError('OPTIONS_INVALID', `timeoutMs must be above 0, got ${String(timeoutMs)}`, { path: ['timeoutMs'] }))
        return
      }
      rareOf(call).capMs = call.tripMs + timeoutMs
    }
    if (traceId !== undefined) {
      if (typeof traceId !== 'string' || Buffer.byteLength(traceId) > MAX_TRACE_ID_BYTES) {
        refuse(call, new HookringError('OPTIONS_INVALID', `traceId must be a string of at most ${MAX_TRACE_ID_BYTES} bytes`, { path: ['traceId'] }))
        return
      }
      rareOf(call).traceId = traceId === '' ? undefined : traceId
    }
    if (signal === undefined) return
    const abort = () => abandon(call, signal.reason)
    if (signal.aborted) {
      abort()
      return
    }
    rareOf(call).signal = signal
    rareOf(call).onAbort = abort
    signal.addEventListener('abort', abort, { once: true })
  }

  /** The caller gives up: what has not begun is taken back, what runs is told. */
  function abandon(call: Call, reason: unknown): void {
    if (call.isSettled) return
    call.point.recorder.aborted += 1
    withdraw(call)
    refuse(call, abortedError(contract, call.point.name, reason))
  }

  function withdraw(call: Call): void {
    const { lane } = call
    if (call.isWaiting) stepOf(call).bulkhead.dequeue(call)
    else if (lane !== null && call.slot >= 0 && lane.callIn(call.slot) === call && !lane.recall(call)) {
      lane.ring.cancel(call.slot)
      lane.letGo(call, call.mask)
    }
    releaseProbe(call)
  }

  function select(call: Call, event: unknown): void {
    const masks = new Int32Array(call.route.steps.length)
    for (const [index, step] of call.route.steps.entries()) {
      let { mask } = step
      for (const plugin of step.plugins) {
        const isWanted = (plugin.sample >= 1 || random() < plugin.sample) && (plugin.match === null || plugin.match(event))
        if (!isWanted) mask &= ~(1 << plugin.index)
      }
      masks[index] = mask
    }
    rareOf(call).stepMasks = masks
  }

  function partition(call: Call, event: unknown): void {
    rareOf(call).stepHashes = Int32Array.from(call.route.steps, ({ bulkhead }) => bulkhead.partition?.(event) ?? 0)
  }

  /** On to the next plugins that are to run; settles when there are none. `event` is given while no bytes are held. */
  function advance(call: Call, event: unknown, from: HeldBytes | null = null): void {
    while (call.left === 0) {
      if (call.rare.blockedBy !== null) {
        failQuarantined(call, call.rare.blockedBy)
        return
      }
      call.step += 1
      const step = call.route.steps[call.step]
      if (step === undefined) {
        settleChain(call)
        return
      }
      call.left = call.rare.stepMasks === null ? step.mask : (call.rare.stepMasks[call.step] as number)
      if (step.isGuarded && call.left !== 0) admit(call, step)
    }
    if (call.step > 0) call.tripMs = monotonicMs()
    submit(call, event, from)
  }

  /** Leaves out what is quarantined and allowed to be missing; stops the chain before what is not. */
  function admit(call: Call, step: Step): void {
    const now = monotonicMs()
    for (const plugin of step.plugins) {
      const bit = 1 << plugin.index
      if ((call.left & bit) === 0 || plugin.breaker.state === 'closed') continue
      const admission = plugin.breaker.admit(now)
      if (admission === 'yes') continue
      if (admission === 'probe') {
        if (call.rare.probe === null) rareOf(call).probe = plugin
        else plugin.breaker.forgoProbe(now)
        continue
      }
      countFailure(call, plugin, 'quarantined')
      if (plugin.registration.policies[call.point.kind].quarantined === 'allow' || call.point.kind === 'observe') {
        call.left &= ~bit
        rareOf(call).failure ??= failureOf(call, plugin, 'quarantined', quarantineMessage(call, plugin), NO_TIMES)
        continue
      }
      rareOf(call).blockedBy = plugin
      call.left &= maskBefore(step, plugin)
      return
    }
  }

  function failQuarantined(call: Call, plugin: ActivePlugin): void {
    const failure = failureOf(call, plugin, 'quarantined', quarantineMessage(call, plugin), NO_TIMES)
    end(call, plugin, failure)
  }

  function submit(call: Call, event: unknown, from: HeldBytes | null): void {
    const step = stepOf(call)
    if (call.point.kind !== 'observe') call.dueMs = Math.min(call.tripMs + firstIn(step, call.left).timeoutMs, call.rare.capMs)
    const lane = step.bulkhead.pick(call)
    try {
      if (lane !== null && (from === null ? lane.submitEvent(call, event) : lane.submitBytes(call, from))) {
        pump.submitted(lane)
      } else {
        call.held = from === null ? encodeAside(call, event) : copyOf(call, from)
        if (!step.bulkhead.enqueue(call)) {
          overload(call, step)
          return
        }
      }
    } catch (error) {
      releaseProbe(call)
      refuse(call, error as Error)
      return
    }
    if (call.point.kind !== 'observe') deadlines.add(call, call.tripMs)
  }

  function overload(call: Call, step: Step): void {
    const plugin = firstIn(step, call.left)
    const { bulkhead } = step
    if (call.point.kind === 'observe') {
      if (bulkhead.recorder !== null) bulkhead.recorder.dropped += 1
      for (const each of step.plugins) {
        if ((call.left & (1 << each.index)) === 0) continue
        countFailure(call, each, 'overload')
        deadLetter(call, each, 'overload')
      }
      call.left = 0
      advance(call, undefined, call.held)
      return
    }
    const message = `bulkhead ${bulkhead.name} is full: ${bulkhead.inFlight} calls in flight, ${bulkhead.queueDepth} waiting`
    fail(call, plugin, 'overload', message, NO_TIMES, 0)
  }

  /** Encodes an event for which no lane has room now. */
  function encodeAside(call: Call, event: unknown): HeldBytes {
    const { point } = call
    const traceBytes = call.rare.traceId === undefined ? 0 : Buffer.byteLength(call.rare.traceId)
    let room = (point.expectedBytes + 63) & ~63
    for (;;) {
      if (scratch === null || scratch.u8.length < room + MAX_TRACE_ID_BYTES) {
        scratch = codecMemory(new ArrayBuffer((room + MAX_TRACE_ID_BYTES + 7) & ~7))
      }
      const used = point.encoder.encode(scratch, 0, room, event)
      if (used >= 0) {
        call.eventBytes = used
        call.traceBytes = traceBytes
        if (traceBytes > 0) scratch.buffer.write(call.rare.traceId as string, used)
        return { u8: scratch.u8.slice(0, used + traceBytes), at: 0 }
      }
      room = nextRoom(point.name, room, -used, options.maxEventBytes)
    }
  }

  function proceed(call: Call, done: number): void {
    const { lane } = call
    call.left &= ~done
    if (call.rare.hasNewEvent && call.rare.replacement !== null) {
      // Encoded anew for whoever comes next; whom it concerns may have changed with it.
      rareOf(call).hasNewEvent = false
      if (call.route.isSelective) select(call, call.rare.replacement.event)
      advance(call, call.rare.replacement.event)
      return
    }
    advance(call, undefined, lane === null ? call.held : lane.heldBytes(call))
  }

  function settleChain(call: Call): void {
    const failure = call.rare.failure === null ? {} : { failure: call.rare.failure }
    if (call.rare.replacement !== null) {
      decide(call, { kind: 'replace', event: call.rare.replacement.event, plugin: call.rare.replacement.by, ...failure })
    } else {
      if (call.point.kind === 'respond') call.point.recorder.unanswered += 1
      decide(call, call.rare.failure === null ? CONTINUE : { kind: 'continue', failure: call.rare.failure })
    }
  }

  function decide(call: Call, verdict: Verdict): void {
    settle(call, verdict, cancelDeadline)
  }

  function fail(call: Call, plugin: ActivePlugin, kind: FailureKind, message: string, times: Times, done: number): void {
    countFailure(call, plugin, kind)
    if (kind !== 'overload') recordOutcome(call, plugin, 'failure', monotonicMs())
    const failure = failureOf(call, plugin, kind, message, times)
    const action = plugin.registration.policies[call.point.kind][kind]
    if (call.point.kind !== 'observe' && action !== 'allow') {
      end(call, plugin, failure)
      return
    }
    rareOf(call).failure ??= failure
    // Whoever comes next has its own time.
    call.tripMs = monotonicMs()
    proceed(call, done | (1 << plugin.index))
  }

  /** The failure ends the chain. */
  function end(call: Call, plugin: ActivePlugin, failure: Failure): void {
    if (plugin.registration.policies[call.point.kind][failure.kind] === 'raise') {
      refuse(call, new HookringError('PLUGIN_FAILED', failure.message, { plugin: plugin.name, hookpoint: call.point.name, cause: failure }))
      return
    }
    decide(call, { kind: 'reject', reason: failure.message, plugin: plugin.name, failure })
  }

  function refuse(call: Call, error: Error): void {
    settleError(call, error, cancelDeadline)
  }

  function countFailure(call: Call, plugin: ActivePlugin, kind: FailureKind): void {
    plugin.recorders[call.point.index]!.failures[FAILURE_INDEX[kind]]! += 1
  }

  /** The hops of a parallel gate, each a call of its own; the first reject in the order of the chain is the verdict. */
  function branch(parent: Call, branches: readonly Route[], event: unknown, callOptions: CallOptions | undefined): void {
    const verdicts: (Verdict | Error | undefined)[] = branches.map(() => undefined)
    const children: Call[] = []
    const decideParent = () => {
      if (parent.isSettled) return
      let failure: Failure | undefined
      for (const verdict of verdicts) {
        if (verdict === undefined) return
        if (verdict instanceof Error) {
          refuse(parent, verdict)
          break
        }
        if (verdict.kind !== 'continue') {
          decide(parent, verdict)
          break
        }
        failure ??= verdict.failure
      }
      if (!parent.isSettled) decide(parent, failure === undefined ? CONTINUE : { kind: 'continue', failure })
      for (const child of children) if (!child.isSettled) abandonQuietly(child)
    }
    const { signal: _, ...inherited } = callOptions ?? {}
    for (const [index, route] of branches.entries()) {
      const child = new Call(parent.point, route, parent.tripMs)
      rareOf(child).onSettled = (verdict) => {
        verdicts[index] = verdict
        decideParent()
      }
      children.push(child)
      begin(child, event, inherited)
      parent.point.recorder.calls -= 1
      if (!child.isSettled) advance(child, event)
      if (parent.isSettled) break
    }
    if (parent.rare.signal !== null) {
      parent.rare.signal.addEventListener('abort', () => children.forEach(abandonQuietly), { once: true })
    }
  }

  /** A call whose verdict nobody waits for any more. */
  function abandonQuietly(call: Call): void {
    if (call.isSettled) return
    rareOf(call).onSettled = null
    withdraw(call)
    refuse(call, new HookringError('CALL_ABORTED', 'another hop has decided'))
  }

  /** A shadow's verdict is compared with what was enforced, and counted; nobody waits for it. */
  function beginShadow(main: Call, route: Route, event: unknown, callOptions: CallOptions | undefined): void {
    const { signal: _, ...inherited } = callOptions ?? {}
    const shadow = new Call(main.point, route, main.tripMs)
    const plugin = (route.steps[0] as Step).plugins[0] as ActivePlugin
    let enforced: Verdict | undefined
    let said: Verdict | Error | undefined
    const compare = () => {
      if (enforced === undefined || said === undefined || said instanceof Error) return
      const failure = 'failure' in said ? said.failure : undefined
      plugin.recorders[main.point.index]!.recordShadow(failure === undefined ? said.kind : 'failure', enforced.kind)
    }
    const { resolve } = main
    main.resolve = (verdict) => {
      enforced = verdict
      compare()
      resolve?.(verdict)
    }
    rareOf(shadow).onSettled = (verdict) => {
      said = verdict
      compare()
    }
    begin(shadow, event, inherited)
    main.point.recorder.calls -= 1
    if (shadow.rare.stepMasks !== null && shadow.rare.stepMasks[0] === 0) rareOf(shadow).onSettled = null
    if (!shadow.isSettled) advance(shadow, event)
  }

  function deadLetter(call: Call, plugin: ActivePlugin, reason: 'overload'): void {
    emit('deadLetter', { hookpoint: call.point.name, plugin: plugin.name, event: heldEvent(call, call.held), reason })
  }

  return { ask, tell, proceed, decide, fail, refuse }
}

export function stepOf(call: Call): Step {
  return call.route.steps[call.step] as Step
}

/** The first plugin of the step that is in `mask`. */
export function firstIn(step: Step, mask: number): ActivePlugin {
  return step.bulkhead.plugins[31 - Math.clz32(mask & -mask)] as ActivePlugin
}

/** Counts what a call came to against the plugin's breaker. */
export function recordOutcome(call: Call, plugin: ActivePlugin, outcome: 'success' | 'failure', nowMs: number): void {
  if (call.rare.probe === plugin) {
    rareOf(call).probe = null
    plugin.breaker.recordProbe(outcome, nowMs)
  } else {
    plugin.breaker.record(outcome, nowMs)
  }
}

function releaseProbe(call: Call): void {
  if (call.rare.probe === null) return
  call.rare.probe.breaker.forgoProbe(monotonicMs())
  rareOf(call).probe = null
}

function maskBefore(step: Step, plugin: ActivePlugin): number {
  return step.mask & ((1 << plugin.index) - 1)
}

function quarantineMessage(call: Call, plugin: ActivePlugin): string {
  return `plugin ${plugin.name} is quarantined and was not asked at ${call.point.name}`
}

function failureOf(call: Call, plugin: ActivePlugin, kind: FailureKind, message: string, times: Times): Failure {
  return { kind, plugin: plugin.name, hookpoint: call.point.name, message, waitedMs: times.waitedMs, ranMs: times.ranMs }
}

/** A copy of a call's bytes, to keep while it is in no lane. */
export function copyOf(call: Call, from: HeldBytes): HeldBytes {
  return { u8: from.u8.slice(from.at, from.at + call.eventBytes + call.traceBytes), at: 0 }
}

/** The event of a call, decoded from the host's own copy. */
export function heldEvent(call: Call, from: HeldBytes | null): unknown {
  if (from === null) return undefined
  return call.point.reader.decode(codecMemory(from.u8.buffer as ArrayBuffer), from.at, call.eventBytes)
}
