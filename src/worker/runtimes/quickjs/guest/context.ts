/**
 * Guest code: what a hook is given besides its event, its signal included. Runs in QuickJS from its source text, so it
 * refers to nothing outside itself.
 */

import type { GuestCall } from './hooks.js'
import type { Intrinsics } from './intrinsics.js'
import type { Protocol } from './protocol.js'
import type { GuestAbout } from './setup.js'
import type { GuestText } from './text.js'

export interface GuestContexts {
  /** What setup and hooks log by. */
  readonly logger: unknown
  contextOf(call: GuestCall): unknown
}

export function createGuestContexts(
  intrinsics: Intrinsics,
  protocol: Protocol,
  text: GuestText,
  about: GuestAbout,
  log: (level: number, message: string, fields: unknown) => void,
): GuestContexts {
  const { apply, Err } = intrinsics

  const level = (number: number) => (message: unknown, fields?: unknown) =>
    log(number, typeof message === 'string' ? message : shown(message), fields)
  const logger = intrinsics.freeze({ debug: level(0), info: level(1), warn: level(2), error: level(3) })

  function shown(value: unknown): string {
    return text.write(value, protocol.MAX_MESSAGE_CHARS, { forLog: true }) ?? '{…}'
  }

  class Signal {
    aborted = false
    reason: unknown = undefined
    onabort: unknown = null
    #listeners: { run: unknown }[] = []

    addEventListener(type: string, run: unknown): void {
      if (type !== 'abort' || this.aborted || run === null || run === undefined) return
      const listeners = this.#listeners
      for (let i = 0; i < listeners.length; i++) if ((listeners[i] as { run: unknown }).run === run) return
      listeners[listeners.length] = { run }
    }

    removeEventListener(_type: string, run: unknown): void {
      const listeners = this.#listeners
      for (let i = 0; i < listeners.length; i++) {
        const listener = listeners[i] as { run: unknown }
        if (listener.run === run) listener.run = null
      }
    }

    throwIfAborted(): void {
      if (this.aborted) throw this.reason
    }

    static abort(signal: Signal, by: number): void {
      if (signal.aborted) return
      signal.aborted = true
      const isLate = by === protocol.BY_DEADLINE
      const reason = new Err(isLate ? 'the call is past its deadline' : 'the caller gave up the call')
      reason.name = isLate ? 'TimeoutError' : 'AbortError'
      signal.reason = reason
      const listeners = signal.#listeners
      signal.#listeners = []
      tell(signal, signal.onabort)
      for (let i = 0; i < listeners.length; i++) tell(signal, (listeners[i] as { run: unknown }).run)
    }
  }

  function tell(signal: Signal, run: unknown): void {
    const event = { type: 'abort', target: signal, currentTarget: signal }
    try {
      if (typeof run === 'function') apply(run, signal, [event])
      else if (typeof run === 'object' && run !== null)
        (run as { handleEvent(event: unknown): void }).handleEvent(event)
    } catch (error) {
      log(-1, text.describe(error), undefined)
    }
  }

  class Context {
    readonly #call: GuestCall
    constructor(call: GuestCall) {
      this.#call = call
    }
    get plugin(): string {
      return about.name
    }
    get config(): unknown {
      return about.config
    }
    get log(): unknown {
      return logger
    }
    /** None is granted to guests. */
    get services(): object {
      return {}
    }
    get deadline(): number {
      return this.#call.deadline
    }
    get traceId(): string | undefined {
      return this.#call.trace
    }
    get signal(): unknown {
      const call = this.#call
      if (call.signal === null) {
        const signal = new Signal()
        call.signal = { abort: (by) => Signal.abort(signal, by) }
        if (call.abortedBy !== -1) Signal.abort(signal, call.abortedBy)
        this.#signal = signal
      }
      return this.#signal
    }
    #signal: Signal | null = null
  }

  return { logger, contextOf: (call) => new Context(call) }
}
