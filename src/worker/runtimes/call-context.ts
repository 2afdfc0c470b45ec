/**
 * What a hook is given besides its event. One small object per plugin and call; the signal and the clock arithmetic are
 * made only when a hook asks for them.
 */

import type { HookContext, PluginLogger } from '../../plugin/index.js'
import { NO_SERVICES, type PluginInstance, type PluginServices } from '../../plugin/setup.js'
import { monotonicMs } from '../../ring/clock.js'

export class CallContext implements HookContext {
  readonly #plugin: PluginInstance
  readonly #deadlineMs: number
  readonly traceId: string | undefined
  #controller: AbortController | undefined
  #abortedBy: 'deadline' | 'caller' | undefined

  constructor(plugin: PluginInstance, deadlineMs: number, traceId: string | undefined) {
    this.#plugin = plugin
    this.#deadlineMs = deadlineMs
    this.traceId = traceId
  }

  /** Monotonic milliseconds; for the lane and its runtimes, which hand hooks nothing of it. */
  static deadlineMsOf(context: CallContext): number {
    return context.#deadlineMs
  }

  get plugin(): string {
    return this.#plugin.name
  }

  get config(): unknown {
    return this.#plugin.config
  }

  get log(): PluginLogger {
    return this.#plugin.log
  }

  get services(): PluginServices {
    return this.#plugin.services ?? NO_SERVICES
  }

  get deadline(): number {
    return Date.now() + this.#deadlineMs - monotonicMs()
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortedBy !== undefined) this.#controller.abort(reasonFor(this.#abortedBy))
    }
    return this.#controller.signal
  }

  /** The lane's own: ends the call for the hook. */
  abort(by: 'deadline' | 'caller'): void {
    if (this.#abortedBy !== undefined) return
    this.#abortedBy = by
    this.#controller?.abort(reasonFor(by))
  }
}

function reasonFor(by: 'deadline' | 'caller'): DOMException {
  return by === 'deadline'
    ? new DOMException('the call is past its deadline', 'TimeoutError')
    : new DOMException('the caller gave up the call', 'AbortError')
}
