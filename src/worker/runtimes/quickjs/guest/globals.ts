/**
 * Guest code: the globals that QuickJS lacks and plugins expect: console, timers, TextEncoder and TextDecoder, and a
 * Math.random that is seeded for each start. Runs in QuickJS from its source text, so it refers to nothing outside itself.
 */

import type { Intrinsics } from './intrinsics.js'
import type { Protocol } from './protocol.js'
import type { GuestText } from './text.js'

export interface GuestGlobals {
  /** UTF-8 as text; each bad sequence becomes U+FFFD. */
  decode(bytes: Uint8Array): string
  /** Runs the timers that are due; what one throws goes to `uncaught`. */
  runTimers(): void
  seed(first: number, second: number): void
}

interface Timer {
  due: number
  every: number
  run: () => void
}

export function installGlobals(
  intrinsics: Intrinsics,
  protocol: Protocol,
  text: GuestText,
  log: (level: number, message: string, fields: unknown) => void,
  /** Has the lane call runTimers in so many milliseconds; -1: never. */
  wakeIn: (ms: number) => void,
  /** The lane's own decoder, for what is well-formed and has no NUL; undefined: it is not. */
  decodeFast: (bytes: Uint8Array) => string | undefined,
): GuestGlobals {
  const { apply, define, now, Bytes, Table, RangeErr, TypeErr, Str } = intrinsics
  const { mapGet, mapSet, mapDelete, mapForEach, sizeOf, charCodeAt, codePointAt, fromCodePoint } = intrinsics

  function offer(name: string, value: unknown): void {
    define(globalThis, name, { value, writable: true, enumerable: false, configurable: true })
  }

  const timers = new Table<number, Timer>()
  let timerCount = 0

  function start(run: unknown, delay: unknown, args: unknown[], isRepeated: boolean): number {
    if (typeof run !== 'function') throw new TypeErr('a timer needs a function')
    if ((apply(sizeOf, timers, []) as number) >= protocol.MAX_TIMERS) {
      throw new RangeErr(`no more than ${protocol.MAX_TIMERS} timers at once`)
    }
    const ms = typeof delay === 'number' && delay >= 1 && delay <= 2_147_483_647 ? delay : 1
    const timer: Timer = { due: now() + ms, every: isRepeated ? ms : 0, run: () => apply(run, undefined, args) }
    timerCount += 1
    apply(mapSet, timers, [timerCount, timer])
    wake()
    return timerCount
  }

  function stop(id: unknown): void {
    apply(mapDelete, timers, [id])
  }

  function wake(): void {
    let least = -1
    const moment = now()
    apply(mapForEach, timers, [
      ({ due }: Timer) => {
        const ms = due > moment ? due - moment : 0
        if (least === -1 || ms < least) least = ms
      },
    ])
    wakeIn(least)
  }

  function runTimers(): void {
    const moment = now()
    const due: number[] = []
    let count = 0
    apply(mapForEach, timers, [
      (timer: Timer, id: number) => {
        if (timer.due <= moment)
          define(due, count++, { value: id, writable: true, enumerable: true, configurable: true })
      },
    ])
    for (let i = 0; i < count; i++) {
      const timer = apply(mapGet, timers, [due[i]]) as Timer | undefined
      if (timer === undefined) continue
      if (timer.every > 0) timer.due = moment + timer.every
      else apply(mapDelete, timers, [due[i]])
      try {
        timer.run()
      } catch (error) {
        log(-1, text.describe(error), undefined)
      }
    }
    wake()
  }

  offer('setTimeout', (run: unknown, delay?: unknown, ...args: unknown[]) => start(run, delay, args, false))
  offer('setInterval', (run: unknown, delay?: unknown, ...args: unknown[]) => start(run, delay, args, true))
  offer('clearTimeout', stop)
  offer('clearInterval', stop)

  function shown(value: unknown): string {
    if (typeof value === 'string') return value
    if (typeof value !== 'object' || value === null) return typeof value === 'symbol' ? 'a symbol' : Str(value)
    return text.write(value, protocol.MAX_MESSAGE_CHARS, { forLog: true }) ?? '{…}'
  }

  const print =
    (level: number) =>
    (...args: unknown[]) => {
      let line = ''
      for (let i = 0; i < args.length && line.length < protocol.MAX_MESSAGE_CHARS; i++) {
        line += i === 0 ? shown(args[i]) : ` ${shown(args[i])}`
      }
      log(level, line, undefined)
    }
  offer('console', {
    debug: print(0),
    trace: print(0),
    log: print(1),
    info: print(1),
    dir: print(1),
    table: print(1),
    warn: print(2),
    error: print(3),
    assert() {},
    group() {},
    groupEnd() {},
    time() {},
    timeEnd() {},
  })

  // sfc32. QuickJS seeds its own only once, and a plugin starts from a copy of memory.
  let a = 1
  let b = 2
  let c = 3
  let d = 4
  function random(): number {
    const sum = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return (sum >>> 0) / 4_294_967_296
  }
  function seed(first: number, second: number): void {
    a = first
    b = second
    c = (now() / 1000) | 0
    d = 1
    for (let i = 0; i < 12; i++) random()
  }
  define(Math, 'random', { value: random, writable: true, enumerable: false, configurable: true })

  function encode(value: string): Uint8Array {
    const units = value.length
    const bytes = new Bytes(units * 3)
    let at = 0
    for (let i = 0; i < units; i++) {
      let point = apply(codePointAt, value, [i]) as number
      if (point > 0xffff) i++
      else if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd
      if (point < 0x80) bytes[at++] = point
      else {
        if (point < 0x800) bytes[at++] = 0xc0 | (point >> 6)
        else {
          if (point < 0x10000) bytes[at++] = 0xe0 | (point >> 12)
          else {
            bytes[at++] = 0xf0 | (point >> 18)
            bytes[at++] = 0x80 | ((point >> 12) & 0x3f)
          }
          bytes[at++] = 0x80 | ((point >> 6) & 0x3f)
        }
        bytes[at++] = 0x80 | (point & 0x3f)
      }
    }
    const exact = new Bytes(at)
    apply(intrinsics.set, exact, [new Bytes(apply(intrinsics.bufferOf, bytes, []) as ArrayBuffer, 0, at)])
    return exact
  }

  /** @param isFatal throws at what is not UTF-8; otherwise each bad sequence becomes U+FFFD. */
  function decode(bytes: Uint8Array, isFatal = false): string {
    const length = apply(intrinsics.lengthOf, bytes, []) as number
    if (length === 0) return ''
    const fast = decodeFast(bytes)
    if (fast !== undefined) return fast
    let decoded = ''
    let i = 0
    while (i < length) {
      const first = bytes[i] as number
      if (first < 0x80) {
        decoded += apply(fromCodePoint, undefined, [first])
        i += 1
        continue
      }
      const more =
        first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0
      let point = more === 1 ? first & 0x1f : more === 2 ? first & 0x0f : first & 0x07
      let taken = 1
      while (taken <= more && i + taken < length) {
        const next = bytes[i + taken] as number
        const least = taken > 1 ? 0x80 : first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
        const most = taken > 1 ? 0xbf : first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
        if (next < least || next > most) break
        point = (point << 6) | (next & 0x3f)
        taken += 1
      }
      if (more === 0 || taken <= more) {
        if (isFatal) throw new TypeErr('these bytes are not UTF-8')
        decoded += '\ufffd'
      } else decoded += apply(fromCodePoint, undefined, [point])
      i += taken
    }
    return decoded
  }

  class GuestEncoder {
    readonly encoding = 'utf-8'
    encode(value: unknown = ''): Uint8Array {
      return encode(Str(value))
    }
  }

  class GuestDecoder {
    readonly encoding = 'utf-8'
    readonly fatal: boolean
    readonly ignoreBOM: boolean
    constructor(label = 'utf-8', options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
      if (label !== 'utf-8' && label !== 'utf8' && label !== 'UTF-8')
        throw new RangeErr(`only utf-8 is known, not ${label}`)
      this.fatal = options.fatal === true
      this.ignoreBOM = options.ignoreBOM === true
    }
    decode(value?: Uint8Array | ArrayBuffer | DataView): string {
      if (value === undefined) return ''
      let bytes: Uint8Array
      if (apply(intrinsics.tagOf, value, []) === 'Uint8Array') bytes = value as Uint8Array
      else if (value instanceof ArrayBuffer) bytes = new Bytes(value)
      else bytes = new Bytes(value.buffer, value.byteOffset, value.byteLength)
      const decoded = decode(bytes, this.fatal)
      const hasMark = !this.ignoreBOM && apply(charCodeAt, decoded, [0]) === 0xfeff
      return hasMark ? (apply(intrinsics.slice, decoded, [1]) as string) : decoded
    }
  }
  offer('TextEncoder', GuestEncoder)
  offer('TextDecoder', GuestDecoder)

  return { decode, runTimers, seed }
}
