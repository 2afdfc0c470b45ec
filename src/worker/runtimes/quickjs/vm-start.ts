/** How a VM starts: from the guest's source text, or from an image of one that did. The lane's thread only. */
import { monotonicMs } from '../../../ring/clock.js'
import { PROTOCOL } from './guest/protocol.js'
import { type Image, restoreImage } from './image.js'
import type { Pointer } from './machine.js'
import { allocate, giveUp, newText, refresh, takeException, type VmState } from './vm-state.js'

/** Where QuickJS refuses to recurse: well before the thread's own stack, 4 MiB by default, ends. */
const STACK_BYTES = 256 * 1024
const EVAL_SCRIPT = 0
export const EVAL_MODULE = 1
const HOST_CALL = 1
const INPUT_BYTES = 4096
/** The guest's trusted part takes milliseconds to start. */
export const BOOT_MS = 5_000

export function restore({ qjs, pointers }: VmState, image: Image, heapBytes: number): void {
  restoreImage(qjs.HEAPU8, image)
  Object.assign(pointers, image.pointers)
  // The image may be of another limit.
  qjs._QTS_RuntimeSetMemoryLimit(pointers.runtime, heapBytes)
}

/** @throws VmBroken */
export function boot(state: VmState, source: string, heapBytes: number): void {
  newContext(state, heapBytes)
  state.deadlineMs = monotonicMs() + BOOT_MS
  const start = evaluateText(state, Buffer.from(source), 'hookring', EVAL_SCRIPT)
  mustNotThrow(state, start)
  startGuest(state, start)
  state.qjs._QTS_FreeValuePointer(state.pointers.context, start)
}

/** Evaluates a text in the context: what it comes to, which may be an exception. */
export function evaluateText(state: VmState, code: Uint8Array, file: string, flags: number): Pointer {
  const { qjs, pointers } = state
  const evaluate = qjs.cwrap('QTS_Eval', 'number', ['number', 'number', 'number', 'string', 'number', 'number'])
  const at = allocate(state, code.length + 1)
  state.heap.set(code, at)
  state.heap[at + code.length] = 0
  const value = evaluate(pointers.context, at, code.length, file, 0, flags)
  qjs._free(at)
  refresh(state)
  return value
}

function newContext(state: VmState, heapBytes: number): void {
  const { qjs, pointers } = state
  const runtime = qjs._QTS_NewRuntime()
  qjs._QTS_RuntimeSetMemoryLimit(runtime, heapBytes)
  qjs._QTS_RuntimeSetMaxStackSize(runtime, STACK_BYTES)
  qjs._QTS_RuntimeEnableInterruptHandler(runtime)
  pointers.runtime = runtime
  pointers.context = qjs._QTS_NewContext(runtime, 0)
  pointers.undefinedAt = qjs._QTS_GetUndefined()
  pointers.argumentsAt = allocate(state, 16)
  pointers.headerAt = allocate(state, PROTOCOL.HEADER_BYTES)
  pointers.inputAt = allocate(state, INPUT_BYTES + 8)
  pointers.inputBytes = INPUT_BYTES
}

/** Hands the guest's function what both sides see, and keeps its two ways in. */
function startGuest(state: VmState, start: Pointer): void {
  const { qjs, pointers } = state
  const { context } = pointers
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
  mustNotThrow(state, guest)
  pointers.dispatchAt = qjs._QTS_GetProp(context, guest, newText(state, 'dispatch'))
  pointers.enterAt = qjs._QTS_GetProp(context, guest, newText(state, 'enter'))
  for (const value of [guest, ...args]) qjs._QTS_FreeValuePointer(context, value)
  qjs._free(argv)
}

function mustNotThrow(state: VmState, value: Pointer): void {
  takeException(state, value)
  if (state.isStopped || state.failure !== '') giveUp(state, `its start failed: ${state.failure}`)
}
