/**
 * What calls leave behind in a plugin's VM: jobs of promises, and timers. They run between calls, in slices, under the
 * plugin's deadline. The lane's thread only.
 */
import type { PluginLogger } from '../../../plugin/index.js'
import { monotonicMs } from '../../../ring/clock.js'
import { PROTOCOL } from './guest/protocol.js'
import type { Keeper, TimerListener } from './keeper.js'
import type { Vm } from './vm.js'

/** Jobs that are left run this long at a time. */
const SLICE_MS = 2

export interface LeftoverJobsOptions {
  readonly keeper: Keeper
  readonly log: PluginLogger
  readonly timeoutMs: number
}

export class LeftoverJobs implements TimerListener {
  readonly #keeper: Keeper
  readonly #log: PluginLogger
  readonly #timeoutMs: number
  #isScheduled = false
  /** What jobs have taken since the last call. */
  #jobsMs = 0

  constructor({ keeper, log, timeoutMs }: LeftoverJobsOptions) {
    this.#keeper = keeper
    this.#log = log
    this.#timeoutMs = timeoutMs
  }

  /** A call begins: jobs have their time anew. */
  refill(): void {
    this.#jobsMs = 0
  }

  runSoon(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(this.#run)
  }

  timersDue(): void {
    this.#keeper.betweenCalls(this.#fireTimers)
  }

  readonly #run = (): void => {
    this.#isScheduled = false
    this.#keeper.betweenCalls(this.#runSlice)
  }

  readonly #fireTimers = (vm: Vm): void => {
    if (vm.enter(PROTOCOL.TIMERS, monotonicMs() + this.#timeoutMs) === 'stopped') {
      this.#log.warn(`a timer's function was stopped after ${this.#timeoutMs} ms`)
    }
    this.refill()
    if (vm.hasJobs()) this.runSoon()
  }

  /** Jobs without end are stopped until the plugin is called again: a lane at rest must not keep a core busy. */
  readonly #runSlice = (vm: Vm): void => {
    const fromMs = monotonicMs()
    const deadlineMs = this.#keeper.waiting.earliestDeadlineMs(fromMs, fromMs + this.#timeoutMs)
    const jobs = vm.runJobs(fromMs + SLICE_MS, deadlineMs)
    this.#jobsMs += monotonicMs() - fromMs
    if (jobs === 'stopped') this.#log.warn(`a job was stopped after ${Math.round(deadlineMs - fromMs)} ms`)
    if (!vm.hasJobs()) return
    if (this.#jobsMs > this.#timeoutMs) {
      this.#log.warn(`its jobs have run for ${this.#timeoutMs} ms since its last call and go on at the next one`)
      return
    }
    this.#isScheduled = true
    setTimeout(this.#run, 1)
  }
}
