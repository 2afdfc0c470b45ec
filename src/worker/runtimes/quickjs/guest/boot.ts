/**
 * Guest code: the start of a guest. Puts its parts together before any of the plugin's code runs, and gives the lane the
 * two functions by which it enters: `dispatch` for calls, `enter` for everything else. Runs in QuickJS from its source
 * text, so it refers to nothing outside itself.
 */

import type { createGuestContexts } from './context.js'
import type { installGlobals } from './globals.js'
import type { createGuestHooks, GuestEventParts, GuestEvents, GuestMemory } from './hooks.js'
import type { captureIntrinsics } from './intrinsics.js'
import type { MARK, Protocol } from './protocol.js'
import type { createGuestSetups, GuestTable } from './setup.js'
import type { createGuestText } from './text.js'

export interface GuestParts {
  readonly protocol: Protocol
  readonly mark: typeof MARK
  readonly captureIntrinsics: typeof captureIntrinsics
  readonly createText: typeof createGuestText
  readonly installGlobals: typeof installGlobals
  readonly createContexts: typeof createGuestContexts
  readonly createHooks: typeof createGuestHooks
  readonly createSetups: typeof createGuestSetups
  readonly events: (parts: GuestEventParts) => GuestEvents
}

/** What the lane does for a guest, by the header's OP; nothing else of the lane is within reach. */
export type HostCall = (text?: string) => unknown

export function bootGuest(parts: GuestParts, host: HostCall, headerBuffer: ArrayBuffer, inputBuffer: ArrayBuffer) {
  const { protocol } = parts
  const { STATUS, OP, CALL, A, B } = protocol
  hideFunctionsOfStacks()
  const intrinsics = parts.captureIntrinsics()
  const { apply, Bytes, Bytes16, Ints, Words, Doubles, Unsigned64, Signed64, Err, stringify } = intrinsics
  const header = new Ints(headerBuffer)
  const deadlines = new Doubles(headerBuffer)
  let input = viewsOf(inputBuffer)

  function viewsOf(buffer: ArrayBuffer): GuestMemory {
    return {
      buffer,
      u8: new Bytes(buffer),
      u16: new Bytes16(buffer),
      i32: new Ints(buffer),
      u32: new Words(buffer),
      f64: new Doubles(buffer),
      u64: new Unsigned64(buffer),
      i64: new Signed64(buffer),
    }
  }

  /** A call site would give a plugin the functions on the stack, of which the lowest ones are not its own. */
  function hideFunctionsOfStacks(): void {
    const errors = Error as unknown as { prepareStackTrace: unknown }
    const before = errors.prepareStackTrace
    errors.prepareStackTrace = (_error: Error, sites: object[]) => sites
    const [site] = (new Error() as unknown as { stack: object[] }).stack
    errors.prepareStackTrace = before
    if (typeof site !== 'object') return
    const ofSites = Reflect.getPrototypeOf(site) as object
    const names = Reflect.ownKeys(ofSites)
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string
      if (name === 'getFunction' || name === 'getThis') Reflect.deleteProperty(ofSites, name)
    }
    Object.freeze(ofSites)
  }

  /** The header belongs to the call that runs: what the lane is asked on the way leaves it as it was. */
  function ask(op: number, a: number, b: number, text?: string): unknown {
    const outer = header[OP] as number
    header[OP] = op
    header[A] = a
    header[B] = b
    const answer = text === undefined ? host() : host(text)
    header[OP] = outer
    return answer
  }

  const scratch = new Bytes(ask(protocol.ROOM, 65_536, 0) as ArrayBuffer)
  let room = new Bytes(ask(protocol.ROOM, 4_096, 1) as ArrayBuffer)

  /** The text of the input's bytes, by the lane's own decoder. */
  function inputText(at: number, length: number): string | undefined {
    return ask(protocol.TEXT, at, length) as string | undefined
  }

  /** Bytes that stand elsewhere are shown to the lane in the scratch. */
  function decodeFast(bytes: Uint8Array): string | undefined {
    const length = apply(intrinsics.lengthOf, bytes, []) as number
    if (length > scratch.length) return undefined
    apply(intrinsics.set, scratch, [bytes, 0])
    return ask(protocol.TEXT, -1, length) as string | undefined
  }

  function textAt(memory: GuestMemory, at: number, length: number): string {
    if (length === 0) return ''
    const fast = memory === input ? inputText(at, length) : undefined
    return fast ?? globals.decode(new Bytes(memory.buffer, at, length))
  }

  function bytesAt(memory: GuestMemory, at: number, length: number): Uint8Array {
    const copy = new Bytes(length)
    if (length > 0) apply(intrinsics.set, copy, [new Bytes(memory.buffer, at, length)])
    return copy
  }

  function log(level: number, message: string, fields: unknown): void {
    let told: string | null = null
    if (fields !== undefined) {
      told = text.write(fields, protocol.MAX_FIELDS_CHARS, { forLog: true })
      told ??= `{"fields":"longer than ${protocol.MAX_FIELDS_CHARS} characters"}`
    }
    const line = stringify(text.clip(message, protocol.MAX_MESSAGE_CHARS))
    ask(protocol.LOG, level, 0, told === null ? line : `${line}\n${told}`)
  }

  const events = parts.events({
    text: textAt,
    bytes: bytesAt,
    parse: intrinsics.parse,
    Calendar: intrinsics.Calendar,
    define: intrinsics.define,
    ABSENT: { __proto__: null },
    expired(field) {
      const error = new Err(
        `${field} was first read after its hook had returned: read it before, or keep event.copy() (async hooks: before the hook settles)`,
      )
      error.name = 'HookringError'
      intrinsics.define(error, 'code', { value: 'EVENT_EXPIRED', enumerable: true, writable: true, configurable: true })
      return error
    },
  })

  const text = parts.createText(
    intrinsics,
    protocol,
    parts.mark,
    header,
    (bytes) => {
      if (bytes > room.length) room = new Bytes(ask(protocol.ROOM, bytes, 1) as ArrayBuffer)
      return room
    },
    events.copyOf,
  )
  const globals = parts.installGlobals(
    intrinsics,
    protocol,
    text,
    log,
    (ms) => void ask(protocol.TIMER, ms < 0 ? -1 : Math.ceil(ms), 0),
    decodeFast,
  )
  const about = { name: '', config: undefined }
  const table: GuestTable = { hooks: [], kinds: [], stages: {} }
  const contexts = parts.createContexts(intrinsics, protocol, text, about, log)
  const hooks = parts.createHooks(
    intrinsics,
    protocol,
    text,
    header,
    deadlines,
    events,
    () => input,
    (bytes, of) => {
      // Whole words, for the widest view.
      const copy = new Bytes((bytes + 7) & ~7)
      apply(intrinsics.set, copy, [new Bytes(of.buffer, 0, bytes)])
      return viewsOf(apply(intrinsics.bufferOf, copy, []) as ArrayBuffer)
    },
    textAt,
    table,
    contexts.contextOf,
    (id, told) => {
      const outer = header[CALL] as number
      header[CALL] = id
      if (told === undefined) ask(protocol.SETTLED, 0, 0)
      else ask(protocol.SETTLED, 0, 0, told)
      header[CALL] = outer
    },
  )

  const setups = parts.createSetups(
    intrinsics,
    protocol,
    text,
    header,
    about,
    table,
    contexts.logger,
    hooks.isThenable,
    hooks.follow,
    hooks.failed,
  )

  function enter(argument: unknown): unknown {
    const id = header[CALL] as number
    switch (header[OP]) {
      case protocol.DEFINE:
        header[STATUS] = protocol.DONE
        return setups.define(argument)
      case protocol.SET_UP:
        return setups.setUp(argument as string)
      case protocol.SHUT_DOWN:
      case protocol.DESTROY:
        return hooks.end(id)
      case protocol.ABORT:
        hooks.abort(id, header[A] as number)
        break
      case protocol.TIMERS:
        globals.runTimers()
        break
      case protocol.KEEP:
        hooks.keep(id)
        break
      case protocol.PROBE:
        if (new Bytes(protocol.PROBE_BYTES).length !== protocol.PROBE_BYTES) return undefined
        break
      case protocol.SEED:
        globals.seed(header[A] as number, header[B] as number)
        break
      case protocol.DESCRIBE: {
        const described = text.describe(argument)
        header[STATUS] = protocol.DONE
        return described
      }
      case protocol.INPUT:
        input = viewsOf(argument as ArrayBuffer)
        break
    }
    header[STATUS] = protocol.DONE
    return undefined
  }

  return { dispatch: hooks.dispatch, enter }
}
