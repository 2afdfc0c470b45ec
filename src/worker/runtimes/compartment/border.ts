/**
 * What crosses between the lane and a compartment: frozen copies in, plain copies out. Nothing of Node.js is handed over, and
 * nothing of a plugin's is shown to code that asks objects how they want to be shown. The lane's thread only, or a child
 * process.
 */

import { SHOWN } from '../../../contracts/codec/event-class.js'
import type { LogLevel } from '../../../contracts/control.js'
import type { HookContext, PluginLogger } from '../../../plugin/index.js'
import type { CallContext } from '../call-context.js'
import { hardened } from './realm.js'

/** Of what is logged: more tells nothing new. */
const MAX_DEPTH = 6
const MAX_ENTRIES = 64
const MAX_TEXT_CHARS = 8192

interface Shown {
  [SHOWN](plain: object): unknown
}

/** How a log shows events that have secret fields. */
const shownEvents = new WeakMap<object, (plain: object) => unknown>()

/** An event as a hook in a compartment sees it: plain data, complete and frozen, and `copy()` for one to change. */
export function frozenEvent(event: unknown): unknown {
  const { copy } = (event ?? {}) as { copy?: () => object }
  if (typeof copy !== 'function') return hardened(event)
  const plain = copy.call(event)
  const again = () => copied(plain)
  if (SHOWN in (event as object)) shownEvents.set(plain, (event as Shown)[SHOWN].bind(event))
  return hardened(Object.defineProperty(plain, 'copy', { value: again }))
}

/** Plain data of our own making, copied: nothing of it runs code. */
function copied(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (value instanceof Date) return new Date(value.getTime())
  if (Array.isArray(value)) return value.map(copied)
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, copied(part)]))
}

/** A call's context without a way to the lane's own. */
export function frozenContext(ctx: CallContext, given: Pick<HookContext, 'plugin' | 'config' | 'log'>): HookContext {
  return Object.freeze({
    ...given,
    // Nothing but plain data crosses this border.
    services: Object.freeze({}),
    traceId: ctx.traceId,
    get deadline() {
      return ctx.deadline
    },
    get signal() {
      return frozenSignal(ctx.signal) as AbortSignal
    },
  })
}

/** What plugins use of an AbortSignal. */
function frozenSignal(signal: AbortSignal): object {
  const reasonOf = (): Error | undefined => {
    if (!signal.aborted) return undefined
    const { name, message } = signal.reason as Error
    return hardened(Object.assign(new Error(message), { name }))
  }
  const listeners = new Map<unknown, () => void>()
  const frozen = {
    get aborted() {
      return signal.aborted
    },
    get reason() {
      return reasonOf()
    },
    throwIfAborted() {
      if (signal.aborted) throw reasonOf()
    },
    addEventListener(type: unknown, listener: unknown) {
      if (type !== 'abort' || typeof listener !== 'function' || listeners.has(listener)) return
      const listen = () => void listener(hardened({ type: 'abort' }))
      listeners.set(listener, listen)
      signal.addEventListener('abort', listen, { once: true })
    },
    removeEventListener(_type: unknown, listener: unknown) {
      const listen = listeners.get(listener)
      if (listen !== undefined) signal.removeEventListener('abort', listen)
      listeners.delete(listener)
    },
  }
  return hardened(frozen)
}

/** A logger to hand over: lines are text, fields plain copies. */
export function frozenLogger(log: PluginLogger): PluginLogger {
  const at = (level: LogLevel) => (message: unknown, fields?: unknown) => {
    const shown = fields === undefined ? undefined : (shownAs(fields, 0) as Record<string, unknown>)
    log[level](textOf(message), typeof shown === 'object' && shown !== null ? shown : undefined)
  }
  return hardened({ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') })
}

/** The least of a console: what it prints is logged. */
export function frozenConsole(log: PluginLogger): Pick<Console, 'debug' | 'log' | 'info' | 'warn' | 'error'> {
  const at =
    (level: LogLevel) =>
    (...values: unknown[]) =>
      log[level](values.map(textOf).join(' ').slice(0, MAX_TEXT_CHARS))
  return hardened({ debug: at('debug'), log: at('info'), info: at('info'), warn: at('warn'), error: at('error') })
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value.slice(0, MAX_TEXT_CHARS)
  const shown = shownAs(value, 0)
  return typeof shown === 'string' ? shown : (JSON.stringify(shown) ?? String(shown)).slice(0, MAX_TEXT_CHARS)
}

/** A copy for a log. Getters run, as they would for whoever reads; nobody asks the object how it wants to be shown. */
function shownAs(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return value.slice(0, MAX_TEXT_CHARS)
    case 'number':
    case 'boolean':
    case 'undefined':
      return value
    case 'object':
      return value === null ? null : shownObject(value, depth)
    case 'bigint':
      return value.toString()
    default:
      return `[${typeof value}]`
  }
}

function shownObject(value: object, depth: number): unknown {
  try {
    if (value instanceof Error) return `${String(value.name)}: ${String(value.message)}`.slice(0, MAX_TEXT_CHARS)
    if (depth >= MAX_DEPTH) return '[…]'
    const show = shownEvents.get(value)
    if (show !== undefined) return shownAs(show(value), depth + 1)
    if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((part) => shownAs(part, depth + 1))
    const shown: Record<string, unknown> = {}
    for (const key of Object.keys(value).slice(0, MAX_ENTRIES)) {
      const part = shownAs((value as Record<string, unknown>)[key], depth + 1)
      Object.defineProperty(shown, key, { value: part, enumerable: true, configurable: true, writable: true })
    }
    return shown
  } catch {
    return '[an object that cannot be read]'
  }
}
