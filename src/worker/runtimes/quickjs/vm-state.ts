/** What a VM's parts share: where things stand in its memory, and how texts go in and out of it. The lane's thread only. */

import { PROTOCOL } from './guest/protocol.js'
import type { Pointer, QuickJs } from './machine.js'

/** Thrown by every way in when the VM is broken, and when it breaks. */
export class VmBroken extends Error {}

export interface VmState {
  readonly qjs: QuickJs
  /** Why nothing may enter any more. */
  broken: string | null
  deadlineMs: number
  /** The clock has interrupted what ran last. */
  isStopped: boolean
  /** What was thrown last and not handled. */
  failure: string
  /** Views of the whole memory, which moves when it grows. */
  heap: Uint8Array
  words: Int32Array
  doubles: Float64Array
  readonly pointers: Pointers
}

/** Images keep them, so they are all numbers. */
export interface Pointers extends Record<string, number> {
  runtime: Pointer
  context: Pointer
  undefinedAt: Pointer
  dispatchAt: Pointer
  enterAt: Pointer
  /** Two words: the argument of a call, and what jobs tell of their context. */
  argumentsAt: Pointer
  headerAt: Pointer
  inputAt: Pointer
  inputBytes: number
  scratchAt: Pointer
  outAt: Pointer
  outBytes: number
}

export function createState(qjs: QuickJs): VmState {
  const heap = qjs.HEAPU8
  return {
    qjs,
    broken: null,
    deadlineMs: 0,
    isStopped: false,
    failure: '',
    heap,
    words: new Int32Array(heap.buffer),
    doubles: new Float64Array(heap.buffer),
    pointers: {
      runtime: 0,
      context: 0,
      undefinedAt: 0,
      dispatchAt: 0,
      enterAt: 0,
      argumentsAt: 0,
      headerAt: 0,
      inputAt: 0,
      inputBytes: 0,
      scratchAt: 0,
      outAt: 0,
      outBytes: 0,
    },
  }
}

/** After anything that may have grown the memory. */
export function refresh(state: VmState): void {
  const { HEAPU8 } = state.qjs
  if (state.heap === HEAPU8) return
  state.heap = HEAPU8
  state.words = new Int32Array(HEAPU8.buffer)
  state.doubles = new Float64Array(HEAPU8.buffer)
}

/** A word of the header. */
export function word({ words, pointers }: VmState, index: number): number {
  return words[(pointers.headerAt >> 2) + index] as number
}

export function setWord({ words, pointers }: VmState, index: number, value: number): void {
  words[(pointers.headerAt >> 2) + index] = value
}

/** @throws VmBroken, from now on */
export function giveUp(state: VmState, reason: string, cause?: unknown): never {
  state.broken = reason
  throw new VmBroken(reason, { cause })
}

/** Every way in goes through here: what is thrown under it, a trap or a fault of ours, ends the VM. */
export function guarded<T>(state: VmState, body: () => T): T {
  if (state.broken !== null) throw new VmBroken(state.broken)
  try {
    return body()
  } catch (error) {
    if (error instanceof VmBroken) throw error
    return giveUp(state, error instanceof Error ? `${error.name}: ${error.message}` : String(error), error)
  }
}

export function allocate(state: VmState, bytes: number): Pointer {
  const at = state.qjs._malloc(bytes)
  refresh(state)
  return at === 0 ? giveUp(state, `no memory for ${bytes} bytes`) : at
}

export function newText(state: VmState, text: string): Pointer {
  const { qjs, pointers } = state
  const bytes = qjs.lengthBytesUTF8(text) + 1
  const at = allocate(state, bytes)
  qjs.stringToUTF8(text, at, bytes)
  const value = qjs._QTS_NewString(pointers.context, at)
  qjs._free(at)
  refresh(state)
  return value
}

/** Null when it is longer, or no text could be made of it. */
export function textOf(state: VmState, value: Pointer, maxBytes: number): string | null {
  const { qjs, pointers } = state
  const at = qjs._QTS_GetString(pointers.context, value)
  refresh(state)
  if (at === 0) return null
  const length = state.heap.subarray(at, at + maxBytes + 1).indexOf(0)
  const text = length === -1 ? null : Buffer.from(state.heap.buffer, at, length).toString('utf8')
  qjs._QTS_FreeCString(pointers.context, at)
  return text
}

/** Takes the exception that the value stands for, if it does; it would be found by what runs next. */
export function takeException(state: VmState, value: Pointer): void {
  const { qjs, pointers } = state
  state.failure = ''
  const exception = qjs._QTS_ResolveException(pointers.context, value)
  if (exception === 0) return
  if (!state.isStopped) state.failure = textOf(state, exception, 1024) ?? 'something that is no text'
  qjs._QTS_FreeValuePointer(pointers.context, exception)
  refresh(state)
}

/** A copy of the bytes that the verdict refers to. */
export function outOf(state: VmState): Uint8Array {
  const { outAt, outBytes } = state.pointers
  const bytes = word(state, PROTOCOL.OUT_BYTES)
  return bytes > 0 && bytes <= outBytes ? state.heap.slice(outAt, outAt + bytes) : NO_BYTES
}

const NO_BYTES = new Uint8Array()
