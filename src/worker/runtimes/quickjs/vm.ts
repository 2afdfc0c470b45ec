/**
 * One QuickJS, in a machine of its own: memory that ends where it was told to, a clock that interrupts, and the ways in
 * and out. It knows nothing of plugins. The lane's thread only.
 *
 * Whatever runs in it runs under a deadline. A WebAssembly trap, such as the thread's own stack running out under it,
 * leaves it in the middle of something: it is broken then, and every way in says so.
 */
import { monotonicMs } from '../../../ring/clock.js'
import { PROTOCOL } from './guest/protocol.js'
import { type Image, restoreImage, takeImage } from './image.js'
import type { Pointer, Started } from './machine.js'
import { callbacksFor, type VmServices } from './vm-services.js'
import {
  allocate,
  createState,
  giveUp,
  guarded,
  newText,
  outOf,
  refresh,
  setWord,
  takeException,
  textOf,
  VmBroken,
  word,
} from './vm-state.js'

export { VmBroken }

/** `stopped`: at the deadline. `failed`: what was thrown got past the guest's own handlers, as when memory runs out. */
export type Outcome = 'returned' | 'stopped' | 'failed'

export interface VmOptions {
  readonly started: Started
  readonly machineId: string
  readonly heapBytes: number
  readonly services: VmServices
  /** Begins from it, or from the guest's source text. */
  readonly from: Image | string
}

export type Vm = ReturnType<typeof createVm>

/** Where QuickJS refuses to recurse: well before the thread's own stack, 4 MiB by default, ends. */
const STACK_BYTES = 256 * 1024
const EVAL_SCRIPT = 0
const EVAL_MODULE = 1
const JOBS_AT_ONCE = 32
const HOST_CALL = 1
const INPUT_BYTES = 4096
/** The guest's trusted part takes milliseconds to start. */
const BOOT_MS = 5_000

/** Bytes of memory for a heap: besides it there are the machine's stack and tables, input, output and gaps. */
export function memoryBytesFor(heapBytes: number): number {
  return 16 * 1024 * 1024 + heapBytes * 1.25
}

/** @throws VmBroken */
export function createVm({ started: { qjs }, machineId, heapBytes, services, from }: VmOptions) {
  const state = createState(qjs)
  const { pointers } = state
  const evaluateText = qjs.cwrap('QTS_Eval', 'number', ['number', 'number', 'number', 'string', 'number', 'number'])
  /** What the last way in returned; 0: nothing that is to be freed. */
  let returned: Pointer = 0

  qjs.callbacks = callbacksFor(state, services)
  guarded(state, () => (typeof from === 'string' ? boot(from) : restore(from)))

  function restore(image: Image): void {
    restoreImage(qjs.HEAPU8, image)
    Object.assign(pointers, image.pointers)
    // The image may be of another limit.
    qjs._QTS_RuntimeSetMemoryLimit(pointers.runtime, heapBytes)
  }

  function boot(source: string): void {
    const runtime = qjs._QTS_NewRuntime()
    qjs._QTS_RuntimeSetMemoryLimit(runtime, heapBytes)
    qjs._QTS_RuntimeSetMaxStackSize(runtime, STACK_BYTES)
    qjs._QTS_RuntimeEnableInterruptHandler(runtime)
    const context = qjs._QTS_NewContext(runtime, 0)
    pointers.runtime = runtime
    pointers.context = context
    pointers.undefinedAt = qjs._QTS_GetUndefined()
    pointers.argumentsAt = allocate(state, 16)
    pointers.headerAt = allocate(state, PROTOCOL.HEADER_BYTES)
    pointers.inputAt = allocate(state, INPUT_BYTES + 8)
    pointers.inputBytes = INPUT_BYTES
    state.deadlineMs = monotonicMs() + BOOT_MS
    const start = evaluated(Buffer.from(source), 'hookring', EVAL_SCRIPT)
    mustNotThrow(start)
    const newFunction = qjs.cwrap('QTS_NewFunction', 'number', ['number', 'string', 'number', 'boolean', 'number'])
    const args = [
      newFunction(context, 'host', 1, false, HOST_CALL),
      qjs._QTS_NewArrayBuffer(context, pointers.headerAt, PROTOCOL.HEADER_BYTES),
      qjs._QTS_NewArrayBuffer(context, pointers.inputAt, INPUT_BYTES),
    ]
    const argv = allocate(state, args.length * 4)
    for (const [i, value] of args.entries()) state.words[(argv >> 2) + i] = value
    const guest = qjs._QTS_Call(context, start, pointers.undefinedAt, args.length, argv)
    refresh(state)
    mustNotThrow(guest)
    pointers.dispatchAt = qjs._QTS_GetProp(context, guest, newText(state, 'dispatch'))
    pointers.enterAt = qjs._QTS_GetProp(context, guest, newText(state, 'enter'))
    for (const value of [start, guest, ...args]) qjs._QTS_FreeValuePointer(context, value)
    qjs._free(argv)
  }

  function mustNotThrow(value: Pointer): void {
    takeException(state, value)
    if (state.isStopped || state.failure !== '') giveUp(state, `its start failed: ${state.failure}`)
  }

  function evaluated(code: Uint8Array, file: string, flags: number): Pointer {
    const at = allocate(state, code.length + 1)
    state.heap.set(code, at)
    state.heap[at + code.length] = 0
    const value = evaluateText(pointers.context, at, code.length, file, 0, flags)
    qjs._free(at)
    refresh(state)
    return value
  }

  function forget(): void {
    if (returned === 0) return
    qjs._QTS_FreeValuePointer(pointers.context, returned)
    returned = 0
  }

  function call(fn: Pointer, argument: Pointer, untilMs: number): Outcome {
    forget()
    state.deadlineMs = untilMs
    state.isStopped = false
    setWord(state, PROTOCOL.STATUS, PROTOCOL.UNSET)
    const { context, undefinedAt, argumentsAt } = pointers
    if (argument === 0) returned = qjs._QTS_Call(context, fn, undefinedAt, 0, 0)
    else {
      state.words[argumentsAt >> 2] = argument
      returned = qjs._QTS_Call(context, fn, undefinedAt, 1, argumentsAt)
    }
    refresh(state)
    if (word(state, PROTOCOL.STATUS) !== PROTOCOL.UNSET) return 'returned'
    takeException(state, returned)
    return state.isStopped ? 'stopped' : 'failed'
  }

  function enter(op: number, untilMs: number, argument: string | Pointer = 0): Outcome {
    setWord(state, PROTOCOL.OP, op)
    const value = typeof argument === 'string' ? newText(state, argument) : argument
    const outcome = call(pointers.enterAt, value, untilMs)
    if (value !== 0) qjs._QTS_FreeValuePointer(pointers.context, value)
    return outcome
  }

  function growInput(needed: number): void {
    const bytes = 2 ** Math.ceil(Math.log2(needed))
    const at = allocate(state, bytes + 8)
    const buffer = qjs._QTS_NewArrayBuffer(pointers.context, at, bytes)
    if (enter(PROTOCOL.INPUT, monotonicMs() + BOOT_MS, buffer) !== 'returned') {
      giveUp(state, `an input of ${bytes} bytes finds no room`)
    }
    pointers.inputAt = at
    pointers.inputBytes = bytes
  }

  /** Evaluates a module: its namespace, or a promise of it. `failed`: the guest's description of the error is said. */
  function evaluate(code: Uint8Array, file: string, untilMs: number): { outcome: Outcome; value: Pointer } {
    forget()
    state.deadlineMs = untilMs
    state.isStopped = false
    const value = evaluated(code, file, EVAL_MODULE)
    const exception = qjs._QTS_ResolveException(pointers.context, value)
    refresh(state)
    if (exception === 0) return { outcome: 'returned', value }
    if (state.isStopped) return { outcome: 'stopped', value: 0 }
    enter(PROTOCOL.DESCRIBE, untilMs, exception)
    return { outcome: 'failed', value: 0 }
  }

  /** Runs jobs until there are none, until `untilMs` (between jobs), or until `jobDeadlineMs` (within one). */
  function runJobs(untilMs: number, jobDeadlineMs: number): 'none' | 'more' | 'stopped' {
    forget()
    const { runtime, argumentsAt } = pointers
    state.deadlineMs = jobDeadlineMs
    state.isStopped = false
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

  return {
    /** A word of the header, as the last way in left it. */
    word: (index: number): number => word(state, index),
    setWord: (index: number, value: number): void => setWord(state, index, value),
    setDeadline(epochMs: number): void {
      state.doubles[(pointers.headerAt >> 3) + PROTOCOL.DEADLINE] = epochMs
    },
    /** Puts an event at the start of the input, and what goes `behind` it. Before the header is written: it may enter. */
    setInput(u8: Uint8Array, at: number, bytes: number, behind: Uint8Array | null): void {
      const needed = bytes + (behind === null ? 0 : behind.length)
      if (needed > pointers.inputBytes) guarded(state, () => growInput(needed))
      const { heap } = state
      const { inputAt } = pointers
      heap.set(u8.subarray(at, at + bytes), inputAt)
      if (behind !== null) heap.set(behind, inputAt + bytes)
      setWord(state, PROTOCOL.EVENT_BYTES, bytes)
    },
    /** Calls the hook that the header names. What is said of its outcome holds until the next way in. */
    dispatch: (untilMs: number): Outcome => guarded(state, () => call(pointers.dispatchAt, 0, untilMs)),
    /** Enters the guest for anything else. */
    enter: (op: number, untilMs: number, argument?: string | Pointer): Outcome =>
      guarded(state, () => enter(op, untilMs, argument)),
    evaluate: (code: Uint8Array, file: string, untilMs: number) => guarded(state, () => evaluate(code, file, untilMs)),
    /** 0 pending, 1 fulfilled, 2 rejected; below 0: no promise. */
    promiseState: (value: Pointer): number => guarded(state, () => qjs._QTS_PromiseState(pointers.context, value)),
    promiseResult: (value: Pointer): Pointer => guarded(state, () => qjs._QTS_PromiseResult(pointers.context, value)),
    /** What the last way in returned, if that is a text of at most so many bytes. */
    said: (maxBytes: number): string | null =>
      guarded(state, () => (returned === 0 ? null : textOf(state, returned, maxBytes))),
    /** A copy of the bytes that the verdict refers to. */
    out: (): Uint8Array => outOf(state),
    /** What the last outcome `failed` by. */
    failure: (): string => state.failure,
    hasJobs: (): boolean => qjs._QTS_IsJobPending(pointers.runtime) !== 0,
    runJobs: (untilMs: number, jobDeadlineMs: number) => guarded(state, () => runJobs(untilMs, jobDeadlineMs)),
    image(defined: string): Image {
      forget()
      return takeImage(qjs.HEAPU8, { machine: machineId, defined, pointers: { ...pointers } })
    },
  }
}
