/**
 * Guest code: calls. `dispatch` calls a hook with the event that stands in the input, and says what it came to; promises
 * are followed until they settle. Runs in QuickJS from its source text, so it refers to nothing outside itself.
 */

import type { Intrinsics } from './intrinsics.js'
import type { Protocol } from './protocol.js'
import type { GuestTable } from './setup.js'
import type { GuestText } from './text.js'

/** Views over the same bytes. */
export interface GuestMemory {
  readonly buffer: ArrayBuffer
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly f64: Float64Array
  readonly u64: BigUint64Array
  readonly i64: BigInt64Array
}

/** One call; also what its event knows of itself. */
export interface GuestCall {
  /** Null once the event is closed. */
  m: GuestMemory | null
  readonly id: number
  readonly point: number
  readonly deadline: number
  readonly trace: string | undefined
  signal: { abort(by: number): void } | null
  abortedBy: number
}

export interface GuestEvents {
  /** By hookpoint. */
  readonly opens: readonly ((call: GuestCall) => unknown)[]
  /** A plain copy, if the value is an event or part of one. */
  copyOf(value: object, isLog: boolean): unknown
}

/** What event-source.ts's text is a function of. */
export interface GuestEventParts {
  text(memory: GuestMemory, at: number, length: number): string
  bytes(memory: GuestMemory, at: number, length: number): Uint8Array
  readonly parse: (text: string) => unknown
  readonly Calendar: DateConstructor
  readonly define: typeof Reflect.defineProperty
  expired(field: string): Error
  readonly ABSENT: unknown
}

export interface GuestHooks {
  dispatch(): string | undefined
  end(id: number): string | undefined
  abort(id: number, by: number): void
  isThenable(value: unknown): boolean
  follow(id: number, promise: unknown, read: (value: unknown) => string | undefined): void
  failed(error: unknown): string
  /** The call that has just come to wait keeps its event, in memory of its own. */
  keep(id: number): void
}

/** Sets the status, and gives the text. */
type Reading = (value: unknown) => string | undefined

export function createGuestHooks(
  intrinsics: Intrinsics,
  protocol: Protocol,
  text: GuestText,
  header: Int32Array,
  deadlines: Float64Array,
  events: GuestEvents,
  input: () => GuestMemory,
  memoryOf: (bytes: number, of: GuestMemory) => GuestMemory,
  textAt: (memory: GuestMemory, at: number, length: number) => string,
  table: GuestTable,
  contextOf: (call: GuestCall) => unknown,
  settled: (id: number, text: string | undefined) => void,
): GuestHooks {
  const { apply, isInteger, stringify, then, resolve, Later, Table } = intrinsics
  const { mapGet, mapSet, mapDelete } = intrinsics
  const { STATUS, CALL, CODE } = protocol
  const VERDICT = Symbol.for('hookring.verdict@1')
  const waiting = new Table<number, GuestCall>()
  /** The call whose hook runs. One that was stopped is closed when the next begins. */
  let running: GuestCall | null = null

  function dispatch(): string | undefined {
    if (running !== null) running.m = null
    const memory = input()
    const point = header[protocol.OP] as number
    const traceBytes = header[protocol.TRACE_BYTES] as number
    const call: GuestCall = {
      m: memory,
      id: header[CALL] as number,
      point,
      deadline: deadlines[protocol.DEADLINE] as number,
      trace: traceBytes === 0 ? undefined : textAt(memory, header[protocol.EVENT_BYTES] as number, traceBytes),
      signal: null,
      abortedBy: -1,
    }
    running = call
    try {
      const result = (table.hooks[point] as (event: unknown, ctx: unknown) => unknown)(
        (events.opens[point] as (call: GuestCall) => unknown)(call),
        contextOf(call),
      )
      if (result === undefined) {
        call.m = null
        header[STATUS] = protocol.CONTINUE
        return undefined
      }
      if (isThenable(result)) {
        apply(mapSet, waiting, [call.id, call])
        follow(call.id, result, (value) => verdict(point, value))
        header[STATUS] = protocol.PENDING
        return undefined
      }
      const spoken = verdict(point, result)
      call.m = null
      return spoken
    } catch (error) {
      call.m = null
      return failed(error)
    }
  }

  function isThenable(value: unknown): boolean {
    return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  }

  /** Tells what becomes of a promise, once. */
  function follow(id: number, promise: unknown, read: Reading): void {
    const done = (reading: Reading) => (value: unknown) => {
      if (id >= 0 && apply(mapGet, waiting, [id]) === undefined) return
      let spoken: string | undefined
      try {
        spoken = reading(value)
      } catch (error) {
        spoken = failed(error)
      }
      const call = apply(mapGet, waiting, [id]) as GuestCall | undefined
      if (call !== undefined) {
        call.m = null
        apply(mapDelete, waiting, [id])
      }
      settled(id, spoken)
    }
    apply(then, apply(resolve, Later, [promise]), [done(read), done(failed)])
  }

  function failed(error: unknown): string {
    const description = text.describe(error)
    header[STATUS] = protocol.ERROR
    return description
  }

  /** What plugin/result.ts reads: the two must agree on what a verdict is. */
  function verdict(point: number, result: unknown): string | undefined {
    const kind = table.kinds[point]
    if (result === undefined || kind === 'observe') {
      header[STATUS] = protocol.CONTINUE
      return undefined
    }
    const brand =
      typeof result === 'object' && result !== null ? (result as Record<symbol, unknown>)[VERDICT] : undefined
    if (brand === 'reject') {
      const { reason, code } = result as { reason: unknown; code: unknown }
      const isCode = code === undefined || (isInteger(code) && (code as number) >= 0 && (code as number) <= 0x7fffffff)
      if (typeof reason !== 'string' || !isCode) return odd(brand, undefined, reason, code)
      const spoken = stringify(text.clip(reason, protocol.MAX_REASON_CHARS))
      header[CODE] = code === undefined ? -1 : (code as number)
      header[STATUS] = protocol.REJECT
      return spoken
    }
    if (brand === 'replace' && kind === 'transform') {
      return written((result as { event: unknown }).event, protocol.REPLACE, 'replacement')
    }
    if (kind === 'respond' && brand === undefined) return written(result, protocol.VALUE, 'answer')
    return odd(brand, result, undefined, undefined)
  }

  function written(value: unknown, status: number, what: string): string {
    const most = protocol.MAX_VERDICT_BYTES + 4 * (header[protocol.EVENT_BYTES] as number)
    const spoken = text.write(value, most)
    header[STATUS] = spoken === null ? protocol.INVALID : status
    return spoken ?? stringify(`the ${what} is circular, nested too deeply, or takes more than ${most} bytes`)
  }

  function odd(brand: unknown, result: unknown, reason: unknown, code: unknown): string {
    const outside = (value: unknown) => (typeof value === 'object' && value !== null ? {} : short(value))
    const parts = { brand: outside(brand), result: outside(result), reason: outside(reason), code: outside(code) }
    const spoken = text.write(parts, protocol.MAX_REASON_CHARS) ?? '{}'
    header[STATUS] = protocol.ODD
    return spoken
  }

  function short(value: unknown): unknown {
    return typeof value === 'string' ? text.clip(value, 200) : value
  }

  function end(id: number): string | undefined {
    const stage = table.stages[id === protocol.SHUTDOWN_ID ? 'onShutdown' : 'destroy']
    try {
      const result = stage?.()
      if (isThenable(result)) {
        follow(id, result, over)
        header[STATUS] = protocol.PENDING
        return undefined
      }
      return over()
    } catch (error) {
      return failed(error)
    }
  }

  function over(): undefined {
    header[STATUS] = protocol.DONE
    return undefined
  }

  function abort(id: number, by: number): void {
    const call = apply(mapGet, waiting, [id]) as GuestCall | undefined
    if (call === undefined) return
    if (by === protocol.BY_DEADLINE) apply(mapDelete, waiting, [id])
    call.abortedBy = by
    call.signal?.abort(by)
    if (by === protocol.BY_DEADLINE) call.m = null
  }

  function keep(id: number): void {
    const call = apply(mapGet, waiting, [id]) as GuestCall | undefined
    if (call !== undefined && call.m !== null) call.m = memoryOf(header[protocol.EVENT_BYTES] as number, call.m)
  }

  return { dispatch, isThenable, follow, failed, end, abort, keep }
}
