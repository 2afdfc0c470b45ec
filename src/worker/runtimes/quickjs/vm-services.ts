/**
 * What a guest may ask of the lane, in the middle of its run: the header says what, and only this is answered. Services
 * that an operator grants by name would stand here. The lane's thread only.
 */
import { isUtf8 } from 'node:buffer'
import { monotonicMs } from '../../../ring/clock.js'
import { PROTOCOL } from './guest/protocol.js'
import type { Callbacks, Pointer } from './machine.js'
import { refresh, textOf, type VmState, word } from './vm-state.js'

export interface VmServices {
  /** @param level below 0: an error that nobody caught */
  log(level: number, text: string): void
  /** The call or stage that the header names has settled. */
  settled(text: string | null): void
  /** Timers are to be run in so many milliseconds; below 0: there are none. */
  timer(ms: number): void
}

const SCRATCH_BYTES = 65_536
const LEAST_OUT_BYTES = 4_096
const MAX_OUT_BYTES = 64 * 1024 * 1024
/** What a log line or a settled verdict may be: the guest's own bounds are tighter. */
const MAX_TEXT_BYTES = 16 * 1024 * 1024

export function callbacksFor(state: VmState, services: VmServices): Callbacks {
  return {
    callFunction(_state, _context, _self, argc, argv) {
      refresh(state)
      try {
        return serve(state, services, argc, argv)
      } catch {
        // Whatever it was, it is not the guest's to see.
        return 0
      }
    },
    shouldInterrupt() {
      if (monotonicMs() < state.deadlineMs) return 0
      state.isStopped = true
      return 1
    },
    loadModuleSource: () => 0,
    normalizeModule: () => 0,
    freeHostRef() {},
  }
}

/** The value that the guest is given; 0: undefined. */
function serve(state: VmState, services: VmServices, argc: number, argv: Pointer): Pointer {
  const op = word(state, PROTOCOL.OP)
  const a = word(state, PROTOCOL.A)
  const b = word(state, PROTOCOL.B)
  if (op === PROTOCOL.TEXT) return decoded(state, a, b)
  if (op === PROTOCOL.ROOM) return room(state, a, b)
  const text = argc > 0 ? textOf(state, state.qjs._QTS_ArgvGetJSValueConstPointer(argv, 0), MAX_TEXT_BYTES) : null
  if (op === PROTOCOL.LOG && text !== null) services.log(a, text)
  else if (op === PROTOCOL.SETTLED) services.settled(text)
  else if (op === PROTOCOL.TIMER) services.timer(a)
  return 0
}

/** A text of bytes that are UTF-8 without NUL. @param at in the input; -1: at the start of the scratch */
function decoded(state: VmState, at: number, bytes: number): Pointer {
  const { inputAt, inputBytes, scratchAt, context } = state.pointers
  const isInside = bytes >= 0 && (at === -1 ? bytes <= SCRATCH_BYTES : at >= 0 && at + bytes <= inputBytes)
  if (!isInside) return 0
  const start = at === -1 ? scratchAt : inputAt + at
  const text = state.heap.subarray(start, start + bytes)
  if (text.includes(0) || !isUtf8(text)) return 0
  // QuickJS takes a text that ends with NUL: it is ended in place.
  const after = state.heap[start + bytes] as number
  state.heap[start + bytes] = 0
  const value = state.qjs._QTS_NewString(context, start)
  refresh(state)
  state.heap[start + bytes] = after
  return value
}

/** A buffer that both sides see. @param which 0: the scratch; 1: the output, a larger one than before */
function room(state: VmState, bytes: number, which: number): Pointer {
  const { pointers, qjs } = state
  if (which === 0 && (pointers.scratchAt !== 0 || bytes !== SCRATCH_BYTES)) return 0
  const size = Math.max(LEAST_OUT_BYTES, 2 ** Math.ceil(Math.log2(bytes)))
  if (!(size <= MAX_OUT_BYTES)) return 0
  // And a byte in which texts are ended.
  const at = qjs._malloc(size + 8)
  refresh(state)
  if (at === 0) return 0
  if (which === 0) pointers.scratchAt = at
  else {
    pointers.outAt = at
    pointers.outBytes = size
  }
  return qjs._QTS_NewArrayBuffer(pointers.context, at, size)
}
