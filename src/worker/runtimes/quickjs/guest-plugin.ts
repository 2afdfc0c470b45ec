/**
 * A plugin in its VM as a lane calls it: hooks, what they leave behind, and the ends of its life. The lane's thread only.
 *
 * A hook is entered and left within its deadline. What it leaves behind (promises, timers) runs between calls, in slices.
 * QuickJS has nothing that takes time of its own but timers, so most async hooks have settled by the time that their jobs
 * are done, and then the lane is told of no promise at all.
 */
import { describe, type HookFunction, type PluginInstance } from '../../../plugin/setup.js'
import { monotonicMs } from '../../../ring/clock.js'
import { CallContext } from '../call-context.js'
import { type EventBytes, StoppedAtDeadline } from '../runtime.js'
import { thrownBy } from './definition.js'
import { PROTOCOL } from './guest/protocol.js'
import { createKeeper, type GuestOptions, MOMENT_MS } from './keeper.js'
import { START_MS } from './preparation.js'
import { MAX_SAID_BYTES, resultOf, type Settled, settledIn } from './verdict.js'
import type { Outcome, Vm } from './vm.js'

export interface Guest extends PluginInstance {
  dispose(): void
}

/** How long a call waits for the jobs of its own promise before it is a promise to the lane too. */
const INLINE_MS = 2
/** Jobs that are left run this long at a time. */
const SLICE_MS = 2
const MAX_ID = 0x3fff_ffff

/** @throws HookringError PLUGIN_... */
export async function createGuest(options: GuestOptions): Promise<Guest> {
  const { name, spec, hookpoints, log } = options
  const { timeoutMs } = spec
  const keeper = createKeeper(options, fireTimers)
  let lastId = 0
  let isPumping = false
  /** What jobs have taken since the last call. */
  let jobsMs = 0

  function call(point: number, event: EventBytes, ctx: CallContext): unknown {
    const vm = keeper.running()
    const { traceId } = ctx
    const deadlineMs = CallContext.deadlineMsOf(ctx)
    const trace = traceId === undefined ? null : Buffer.from(traceId)
    lastId = lastId === MAX_ID ? 1 : lastId + 1
    const id = lastId
    jobsMs = 0
    vm.setInput(event.u8, event.at, event.bytes, trace)
    vm.setWord(PROTOCOL.OP, point)
    vm.setWord(PROTOCOL.CALL, id)
    vm.setWord(PROTOCOL.TRACE_BYTES, trace === null ? 0 : trace.length)
    vm.setWord(PROTOCOL.OUT_BYTES, 0)
    vm.setDeadline(Date.now() + deadlineMs - monotonicMs())
    const outcome = vm.dispatch(deadlineMs)
    if (outcome !== 'returned') throw cutOff(vm, outcome)
    const status = vm.word(PROTOCOL.STATUS)
    if (status === PROTOCOL.PENDING) return pending(vm, id, event.bytes, ctx)
    const settled = status === PROTOCOL.CONTINUE ? null : settledIn(vm, vm.said(MAX_SAID_BYTES))
    if (vm.hasJobs()) pumpSoon()
    return settled === null ? undefined : resultNow(settled)
  }

  function resultNow(settled: Settled): unknown {
    try {
      return resultOf(settled)
    } catch (error) {
      if (settled.status === PROTOCOL.ERROR && describe(error).includes('out of memory')) {
        keeper.checkMemory(describe(error))
      }
      throw error
    }
  }

  function cutOff(vm: Vm, outcome: Outcome): Error {
    if (vm.hasJobs()) pumpSoon()
    if (outcome === 'stopped') return new StoppedAtDeadline()
    const failure = vm.failure()
    keeper.checkMemory(failure)
    return new Error(failure)
  }

  /** The hook has returned a promise: its jobs are run, and only when it still waits is it the lane's to wait for. */
  function pending(vm: Vm, id: number, eventBytes: number, ctx: CallContext): unknown {
    const deadlineMs = CallContext.deadlineMsOf(ctx)
    const untilMs = Math.min(deadlineMs, monotonicMs() + INLINE_MS)
    const { jobs, settled } = keeper.runJobsFor(id, untilMs, deadlineMs)
    if (vm.hasJobs()) pumpSoon()
    if (settled !== null) return resultNow(settled)
    if (jobs === 'stopped') {
      abort(id, PROTOCOL.BY_DEADLINE)
      throw new StoppedAtDeadline()
    }
    vm.setWord(PROTOCOL.CALL, id)
    vm.setWord(PROTOCOL.EVENT_BYTES, eventBytes)
    const kept = vm.enter(PROTOCOL.KEEP, deadlineMs)
    if (kept !== 'returned') throw cutOff(vm, kept)
    return new Promise((resolve, fail) => {
      const settle = (later: Settled) => {
        try {
          resolve(resultOf(later))
        } catch (error) {
          fail(error as Error)
        }
      }
      keeper.waiting.set(id, { deadlineMs, settle, fail })
      ctx.signal.addEventListener('abort', () => {
        if (!keeper.waiting.has(id)) return
        const isLate = (ctx.signal.reason as { name?: string } | undefined)?.name === 'TimeoutError'
        // The lane has let go of it: nothing is kept for a promise that may never settle.
        if (isLate) keeper.take(id)?.fail(new StoppedAtDeadline())
        abort(id, isLate ? PROTOCOL.BY_DEADLINE : PROTOCOL.BY_CALLER)
      })
    })
  }

  function abort(id: number, by: number): void {
    between((vm) => {
      vm.setWord(PROTOCOL.CALL, id)
      vm.setWord(PROTOCOL.A, by)
      vm.enter(PROTOCOL.ABORT, monotonicMs() + MOMENT_MS)
      if (vm.hasJobs()) pumpSoon()
    })
  }

  function fireTimers(): void {
    between((vm) => {
      if (vm.enter(PROTOCOL.TIMERS, monotonicMs() + timeoutMs) === 'stopped') {
        log.warn(`a timer's function was stopped after ${timeoutMs} ms`)
      }
      jobsMs = 0
      if (vm.hasJobs()) pumpSoon()
    })
  }

  function pumpSoon(): void {
    if (isPumping) return
    isPumping = true
    queueMicrotask(pump)
  }

  /** Jobs without end are stopped until the plugin is called again: a lane at rest must not keep a core busy. */
  function pump(): void {
    isPumping = false
    between((vm) => {
      const fromMs = monotonicMs()
      let deadlineMs = fromMs + timeoutMs
      for (const waiting of keeper.waiting.values()) {
        if (waiting.deadlineMs > fromMs && waiting.deadlineMs < deadlineMs) deadlineMs = waiting.deadlineMs
      }
      const jobs = vm.runJobs(fromMs + SLICE_MS, deadlineMs)
      jobsMs += monotonicMs() - fromMs
      if (jobs === 'stopped') log.warn(`a job was stopped after ${Math.round(deadlineMs - fromMs)} ms`)
      if (!vm.hasJobs()) return
      if (jobsMs > timeoutMs) {
        log.warn(`its jobs have run for ${timeoutMs} ms since its last call and go on at the next one`)
        return
      }
      isPumping = true
      setTimeout(pump, 1)
    })
  }

  /** For what no call waits for: a VM that breaks under it has been reported. */
  function between(body: (vm: Vm) => void): void {
    const vm = keeper.vm()
    if (vm === null) return
    try {
      keeper.guarded(() => body(vm))
    } catch (error) {
      if (keeper.vm() !== null) log.error(`between calls: ${describe(error)}`)
    }
  }

  const flags = await keeper.start()
  pumpSoon()

  const hookOf =
    (point: number): HookFunction =>
    (event, ctx) =>
      keeper.guarded(() => call(point, event as EventBytes, ctx as CallContext))

  function ending(flag: number, op: number, id: number): (() => unknown) | undefined {
    if (flags[flag] !== '1') return undefined
    return async () => {
      if (keeper.vm() === null) return
      try {
        const settled = await keeper.guarded(() => keeper.stage(op, id))
        if (settled.status === PROTOCOL.ERROR) throw thrownBy(settled.text)
      } catch (error) {
        throw error instanceof StoppedAtDeadline ? new Error(`it was stopped after ${START_MS} ms`) : error
      }
    }
  }

  return {
    name,
    // What its schema made of it stays where it was made.
    config: undefined,
    log,
    hooks: hookpoints.map((_, point) => (flags[point + 2] === '1' ? hookOf(point) : undefined)),
    onShutdown: ending(0, PROTOCOL.SHUT_DOWN, PROTOCOL.SHUTDOWN_ID),
    destroy: ending(1, PROTOCOL.DESTROY, PROTOCOL.DESTROY_ID),
    dispose: keeper.dispose,
  }
}
