/**
 * A plugin's calls into its VM. A hook is entered and left within its deadline.
 *
 * QuickJS has nothing that takes time of its own but timers, so most async hooks have settled by the time that their jobs
 * are done, and then the lane is told of no promise at all. The lane's thread only.
 */
import { describe } from '../../../plugin/setup.js'
import { monotonicMs } from '../../../ring/clock.js'
import { CallContext } from '../call-context.js'
import { type EventBytes, StoppedAtDeadline } from '../runtime.js'
import { thrownBy } from './definition.js'
import { PROTOCOL } from './guest/protocol.js'
import { type Keeper, MOMENT_MS } from './keeper.js'
import type { LeftoverJobs } from './leftover-jobs.js'
import { START_MS } from './preparation.js'
import { MAX_SAID_BYTES, resultOf, type Settled, settledIn } from './verdict.js'
import type { Outcome, Vm } from './vm.js'

/** How long a call waits for the jobs of its own promise before it is a promise to the lane too. */
const INLINE_MS = 2
const MAX_ID = 0x3fff_ffff

export class GuestCalls {
  readonly #keeper: Keeper
  readonly #jobs: LeftoverJobs
  #lastId = 0

  constructor({ keeper, jobs }: { keeper: Keeper; jobs: LeftoverJobs }) {
    this.#keeper = keeper
    this.#jobs = jobs
  }

  /** @param point the hook's index. What the hook returns: its result, or a promise of it. @throws what it threw */
  call(point: number, event: EventBytes, ctx: CallContext): unknown {
    return this.#keeper.guarded(() => this.#call(point, event, ctx))
  }

  /** Runs the stage that ends the plugin's life. */
  async end(op: number, id: number): Promise<void> {
    const keeper = this.#keeper
    if (!keeper.isSetUp) return
    try {
      const settled = await keeper.guarded(() => keeper.stage(op, id))
      if (settled.status === PROTOCOL.ERROR) throw thrownBy(settled.text)
    } catch (error) {
      throw error instanceof StoppedAtDeadline ? new Error(`it was stopped after ${START_MS} ms`) : error
    }
  }

  #call(point: number, event: EventBytes, ctx: CallContext): unknown {
    const vm = this.#keeper.running()
    const { traceId } = ctx
    const deadlineMs = CallContext.deadlineMsOf(ctx)
    const trace = traceId === undefined ? null : Buffer.from(traceId)
    const id = this.#nextId()
    this.#jobs.refill()
    vm.setInput(event.u8, event.at, event.bytes, trace)
    vm.setWord(PROTOCOL.OP, point)
    vm.setWord(PROTOCOL.CALL, id)
    vm.setWord(PROTOCOL.TRACE_BYTES, trace === null ? 0 : trace.length)
    vm.setWord(PROTOCOL.OUT_BYTES, 0)
    vm.setDeadline(Date.now() + deadlineMs - monotonicMs())
    const outcome = vm.dispatch(deadlineMs)
    if (outcome !== 'returned') throw this.#cutOff(vm, outcome)
    const status = vm.word(PROTOCOL.STATUS)
    if (status === PROTOCOL.PENDING) return this.#pending(vm, id, event.bytes, ctx)
    const settled = status === PROTOCOL.CONTINUE ? null : settledIn(vm, vm.said(MAX_SAID_BYTES))
    if (vm.hasJobs()) this.#jobs.runSoon()
    return settled === null ? undefined : this.#resultNow(settled)
  }

  #nextId(): number {
    this.#lastId = this.#lastId === MAX_ID ? 1 : this.#lastId + 1
    return this.#lastId
  }

  #resultNow(settled: Settled): unknown {
    try {
      return resultOf(settled)
    } catch (error) {
      if (settled.status === PROTOCOL.ERROR && describe(error).includes('out of memory')) {
        this.#keeper.checkMemory(describe(error))
      }
      throw error
    }
  }

  #cutOff(vm: Vm, outcome: Outcome): Error {
    if (vm.hasJobs()) this.#jobs.runSoon()
    if (outcome === 'stopped') return new StoppedAtDeadline()
    const failure = vm.failure()
    this.#keeper.checkMemory(failure)
    return new Error(failure)
  }

  /** The hook has returned a promise: its jobs are run, and only when it still waits is it the lane's to wait for. */
  #pending(vm: Vm, id: number, eventBytes: number, ctx: CallContext): unknown {
    const deadlineMs = CallContext.deadlineMsOf(ctx)
    const untilMs = Math.min(deadlineMs, monotonicMs() + INLINE_MS)
    const { jobs, settled } = this.#keeper.runJobsFor(id, untilMs, deadlineMs)
    if (vm.hasJobs()) this.#jobs.runSoon()
    if (settled !== null) return this.#resultNow(settled)
    if (jobs === 'stopped') {
      this.#abort(id, PROTOCOL.BY_DEADLINE)
      throw new StoppedAtDeadline()
    }
    vm.setWord(PROTOCOL.CALL, id)
    vm.setWord(PROTOCOL.EVENT_BYTES, eventBytes)
    const kept = vm.enter(PROTOCOL.KEEP, deadlineMs)
    if (kept !== 'returned') throw this.#cutOff(vm, kept)
    return this.#resultLater(id, deadlineMs, ctx.signal)
  }

  #resultLater(id: number, deadlineMs: number, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, fail) => {
      const settle = (settled: Settled) => {
        try {
          resolve(resultOf(settled))
        } catch (error) {
          fail(error as Error)
        }
      }
      this.#keeper.waiting.add(id, { deadlineMs, settle, fail })
      signal.addEventListener('abort', () => this.#aborted(id, signal))
    })
  }

  #aborted(id: number, signal: AbortSignal): void {
    const { waiting } = this.#keeper
    if (!waiting.has(id)) return
    const isLate = (signal.reason as { name?: string } | undefined)?.name === 'TimeoutError'
    // The lane has let go of it: nothing is kept for a promise that may never settle.
    if (isLate) waiting.fail(id, new StoppedAtDeadline())
    this.#abort(id, isLate ? PROTOCOL.BY_DEADLINE : PROTOCOL.BY_CALLER)
  }

  #abort(id: number, by: number): void {
    this.#keeper.betweenCalls((vm) => {
      vm.setWord(PROTOCOL.CALL, id)
      vm.setWord(PROTOCOL.A, by)
      vm.enter(PROTOCOL.ABORT, monotonicMs() + MOMENT_MS)
      if (vm.hasJobs()) this.#jobs.runSoon()
    })
  }
}
