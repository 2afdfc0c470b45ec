/**
 * What a hook is given beside its event in a test without threads, and the end of its time.
 */
import { HookringError } from '../../contracts/errors.js'
import type { HookContext } from '../../plugin/index.js'
import { NO_SERVICES, type PluginInstance } from '../../plugin/setup.js'

export interface InlineContext {
  readonly ctx: HookContext
  /** What the promise comes to, unless the deadline is earlier. @throws HookringError PLUGIN_FAILED at the deadline */
  beforeDeadline(promise: PromiseLike<unknown>): Promise<unknown>
  /** The caller has given up: the hook is told, and goes on. */
  abandon(): void
}

export interface InlineContextOptions {
  readonly instance: PluginInstance
  readonly hookpoint: string
  readonly timeoutMs: number
  readonly traceId: string | undefined
}

export function createInlineContext({ instance, hookpoint, timeoutMs, traceId }: InlineContextOptions): InlineContext {
  const { name, config, log, services } = instance
  const controller = new AbortController()
  const deadline = Date.now() + timeoutMs
  const late = `plugin ${name} timed out after ${timeoutMs} ms at ${hookpoint}: its promise was pending at the deadline`
  return {
    ctx: {
      plugin: name,
      config,
      log,
      services: services ?? NO_SERVICES,
      deadline,
      traceId: traceId === '' ? undefined : traceId,
      signal: controller.signal,
    },
    beforeDeadline(promise) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => {
            controller.abort(new DOMException('the call is past its deadline', 'TimeoutError'))
            reject(new HookringError('PLUGIN_FAILED', late, { plugin: name, hookpoint }))
          },
          Math.max(deadline - Date.now(), 0),
        )
        promise.then(
          (result) => {
            clearTimeout(timer)
            resolve(result)
          },
          (error) => {
            clearTimeout(timer)
            reject(error)
          },
        )
      })
    },
    abandon() {
      controller.abort(new DOMException('the caller gave up the call', 'AbortError'))
    },
  }
}
