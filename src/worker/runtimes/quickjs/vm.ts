/**
 * One QuickJS, in a machine of its own: memory that ends where it was told to, a clock that interrupts, and the ways in
 * and out. It knows nothing of plugins. The lane's thread only.
 *
 * Whatever runs in it runs under a deadline. A WebAssembly trap, such as the thread's own stack running out under it,
 * leaves it in the middle of something: it is broken then, and every way in says so.
 */
import { monotonicMs } from '../../../ring/clock.js'
import { PROTOCOL } from './guest/protocol.js'
import { type Image, takeImage } from './image.js'
import type { Pointer, QuickJs, Started } from './machine.js'
import { callbacksFor, type VmServices } from './vm-services.js'
import { BOOT_MS, boot, EVAL_MODULE, evaluateText, restore } from './vm-start.js'
import {
  allocate,
  createState,
  giveUp,
  guarded,
  newText,
  outOf,
  type Pointers,
  refresh,
  setWord,
  takeException,
  textOf,
  VmBroken,
  type VmState,
  word,
} from './vm-state.js'

export { VmBroken }

/** `stopped`: at the deadline. `failed`: what was thrown got past the guest's own handlers, as when memory runs out. */
export type Outcome = 'returned' | 'stopped' | 'failed'

/** `more`: there are jobs left, and the time is up. `stopped`: a job was, at its deadline. */
export type JobsOutcome = 'none' | 'more' | 'stopped'

export interface VmOptions {
  readonly started: Started
  readonly machineId: string
  readonly heapBytes: number
  readonly services: VmServices
  /** Begins from it, or from the guest's source text. */
  readonly from: Image | string
}

const JOBS_AT_ONCE = 32

/** Bytes of memory for a heap: besides it there are the machine's stack and tables, input, output and gaps. */
export function memoryBytesFor(heapBytes: number): number {
  return 16 * 1024 * 1024 + heapBytes * 1.25
}

export class Vm {
  readonly #qjs: QuickJs
  readonly #state: VmState
  readonly #pointers: Pointers
  readonly #machineId: string
  /** What the last way in returned; 0: nothing that is to be freed. */
  #returned: Pointer = 0

  /** @throws VmBroken */
  constructor({ started: { qjs }, machineId, heapBytes, services, from }: VmOptions) {
    const state = createState(qjs)
    this.#qjs = qjs
    this.#state = state
    this.#pointers = state.pointers
    this.#machineId = machineId
    qjs.callbacks = callbacksFor(state, services)
    guarded(state, () => (typeof from === 'string' ? boot(state, from, heapBytes) : restore(state, from, heapBytes)))
  }

  /** A word of the header, as the last way in left it. */
  word(index: number): number {
    return word(this.#state, index)
  }

  setWord(index: number, value: number): void {
    setWord(this.#state, index, value)
  }

  setDeadline(epochMs: number): void {
    this.#state.doubles[(this.#pointers.headerAt >> 3) + PROTOCOL.DEADLINE] = epochMs
  }

  /** Puts an event at the start of the input, and what goes `behind` it. Before the header is written: it may enter. */
  setInput(u8: Uint8Array, at: number, bytes: number, behind: Uint8Array | null): void {
    const state = this.#state
    const needed = bytes + (behind === null ? 0 : behind.length)
    if (needed > this.#pointers.inputBytes) guarded(state, () => this.#growInput(needed))
    const { heap } = state
    const { inputAt } = this.#pointers
    heap.set(u8.subarray(at, at + bytes), inputAt)
    if (behind !== null) heap.set(behind, inputAt + bytes)
    setWord(state, PROTOCOL.EVENT_BYTES, bytes)
  }

  /** Calls the hook that the header names. What is said of its outcome holds until the next way in. */
  dispatch(untilMs: number): Outcome {
    return guarded(this.#state, () => this.#call(this.#pointers.dispatchAt, 0, untilMs))
  }

  /** Enters the guest for anything else. */
  enter(op: number, untilMs: number, argument: string | Pointer = 0): Outcome {
    return guarded(this.#state, () => this.#enter(op, untilMs, argument))
  }

  /** Evaluates a module: its namespace, or a promise of it. `failed`: the guest's description of the error is said. */
  evaluate(code: Uint8Array, file: string, untilMs: number): { outcome: Outcome; value: Pointer } {
    return guarded(this.#state, () => this.#evaluate(code, file, untilMs))
  }

  /** 0 pending, 1 fulfilled, 2 rejected; below 0: no promise. */
  promiseState(value: Pointer): number {
    return guarded(this.#state, () => this.#qjs._QTS_PromiseState(this.#pointers.context, value))
  }

  promiseResult(value: Pointer): Pointer {
    return guarded(this.#state, () => this.#qjs._QTS_PromiseResult(this.#pointers.context, value))
  }

  /** What the last way in returned, if that is a text of at most so many bytes. */
  said(maxBytes: number): string | null {
    return guarded(this.#state, () => (this.#returned === 0 ? null : textOf(this.#state, this.#returned, maxBytes)))
  }

  /** A copy of the bytes that the verdict refers to. */
  out(): Uint8Array {
    return outOf(this.#state)
  }

  /** What the last outcome `failed` by. */
  failure(): string {
    return this.#state.failure
  }

  hasJobs(): boolean {
    return this.#qjs._QTS_IsJobPending(this.#pointers.runtime) !== 0
  }

  /** Runs jobs until there are none, until `untilMs` (between jobs), or until `jobDeadlineMs` (within one). */
  runJobs(untilMs: number, jobDeadlineMs: number): JobsOutcome {
    return guarded(this.#state, () => this.#runJobs(untilMs, jobDeadlineMs))
  }

  image(defined: string): Image {
    this.#forget()
    return takeImage(this.#qjs.HEAPU8, { machine: this.#machineId, defined, pointers: { ...this.#pointers } })
  }

  /** Starts a way in: the last one's result is let go of, the clock is set. */
  #begin(deadlineMs: number): void {
    this.#forget()
    this.#state.deadlineMs = deadlineMs
    this.#state.isStopped = false
  }

  #forget(): void {
    if (this.#returned === 0) return
    this.#qjs._QTS_FreeValuePointer(this.#pointers.context, this.#returned)
    this.#returned = 0
  }

  #call(fn: Pointer, argument: Pointer, untilMs: number): Outcome {
    this.#begin(untilMs)
    const state = this.#state
    setWord(state, PROTOCOL.STATUS, PROTOCOL.UNSET)
    const { context, undefinedAt, argumentsAt } = this.#pointers
    if (argument === 0) this.#returned = this.#qjs._QTS_Call(context, fn, undefinedAt, 0, 0)
    else {
      state.words[argumentsAt >> 2] = argument
      this.#returned = this.#qjs._QTS_Call(context, fn, undefinedAt, 1, argumentsAt)
    }
    refresh(state)
    if (word(state, PROTOCOL.STATUS) !== PROTOCOL.UNSET) return 'returned'
    takeException(state, this.#returned)
    return state.isStopped ? 'stopped' : 'failed'
  }

  #enter(op: number, untilMs: number, argument: string | Pointer): Outcome {
    setWord(this.#state, PROTOCOL.OP, op)
    const value = typeof argument === 'string' ? newText(this.#state, argument) : argument
    const outcome = this.#call(this.#pointers.enterAt, value, untilMs)
    if (value !== 0) this.#qjs._QTS_FreeValuePointer(this.#pointers.context, value)
    return outcome
  }

  #growInput(needed: number): void {
    const bytes = 2 ** Math.ceil(Math.log2(needed))
    const at = allocate(this.#state, bytes + 8)
    const buffer = this.#qjs._QTS_NewArrayBuffer(this.#pointers.context, at, bytes)
    if (this.#enter(PROTOCOL.INPUT, monotonicMs() + BOOT_MS, buffer) !== 'returned') {
      giveUp(this.#state, `an input of ${bytes} bytes finds no room`)
    }
    this.#pointers.inputAt = at
    this.#pointers.inputBytes = bytes
  }

  #evaluate(code: Uint8Array, file: string, untilMs: number): { outcome: Outcome; value: Pointer } {
    this.#begin(untilMs)
    const value = evaluateText(this.#state, code, file, EVAL_MODULE)
    const exception = this.#qjs._QTS_ResolveException(this.#pointers.context, value)
    refresh(this.#state)
    if (exception === 0) return { outcome: 'returned', value }
    if (this.#state.isStopped) return { outcome: 'stopped', value: 0 }
    this.#enter(PROTOCOL.DESCRIBE, untilMs, exception)
    return { outcome: 'failed', value: 0 }
  }

  #runJobs(untilMs: number, jobDeadlineMs: number): JobsOutcome {
    this.#begin(jobDeadlineMs)
    const qjs = this.#qjs
    const state = this.#state
    const { runtime, argumentsAt } = this.#pointers
    while (qjs._QTS_IsJobPending(runtime) !== 0) {
      const value = qjs._QTS_ExecutePendingJob(runtime, JOBS_AT_ONCE, argumentsAt + 8)
      refresh(state)
      takeException(state, value)
      qjs._QTS_FreeValuePointerRuntime(runtime, value)
      if (state.isStopped) return 'stopped'
      if (monotonicMs() >= untilMs) return 'more'
    }
    return 'none'
  }
}
