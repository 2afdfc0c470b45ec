/** A hook's context in a test without threads: what the hook gets besides its event, and its deadline. */
import { HookringError } from '../../contracts/errors.js'
import type { HookContext } from '../../plugin/index.js'
import { NO_SERVICES, type PluginInstance } from '../../plugin/setup.js'
import { LATE, within } from '../../primitives/within.js'

export interface InlineContextOptions {
  readonly instance: PluginInstance
  readonly hookpoint: string
  readonly timeoutMs: number
  readonly traceId: string | undefined
}

export class InlineContext {
  readonly ctx: HookContext
  readonly #controller = new AbortController()
  readonly #options: InlineContextOptions

  constructor(options: InlineContextOptions) {
    const { instance, timeoutMs, traceId } = options
    const { name, config, log, services } = instance
    this.#options = options
    this.ctx = {
      plugin: name,
      config,
      log,
      services: services ?? NO_SERVICES,
      deadline: Date.now() + timeoutMs,
      traceId: traceId === '' ? undefined : traceId,
      signal: this.#controller.signal,
    }
  }

  /** Settles as `promise` does, unless the deadline is earlier. @throws HookringError PLUGIN_FAILED at the deadline */
  async beforeDeadline(promise: PromiseLike<unknown>): Promise<unknown> {
    const result = await within(promise, Math.max(this.ctx.deadline - Date.now(), 0))
    if (result !== LATE) return result
    this.#controller.abort(new DOMException('the call is past its deadline', 'TimeoutError'))
    const { instance, hookpoint, timeoutMs } = this.#options
    throw new HookringError(
      'PLUGIN_FAILED',
      `plugin ${instance.name} timed out after ${timeoutMs} ms at ${hookpoint}: its promise was pending at the deadline`,
      { plugin: instance.name, hookpoint },
    )
  }

  /** The caller has given up: the hook is told, and goes on. */
  abandon(): void {
    this.#controller.abort(new DOMException('the caller gave up the call', 'AbortError'))
  }
}
