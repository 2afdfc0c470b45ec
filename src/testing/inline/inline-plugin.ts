/** A plugin that was set up in a test's own thread: its calls, those under way, and its end. */
import { HookringError } from '../../contracts/errors.js'
import { CONTINUE, type Verdict } from '../../contracts/verdict.js'
import type { CallOptions } from '../../index.js'
import { isThenable } from '../../plugin/result.js'
import type { HookFunction, PluginInstance } from '../../plugin/setup.js'
import { InlineContext } from './context.js'
import type { InlinePoint } from './point.js'

export class InlinePlugin {
  readonly #instance: PluginInstance
  /** Milliseconds. */
  readonly #timeoutMs: number
  readonly #underWay = new Set<Promise<unknown>>()
  #isClosed = false
  #shuttingDown: Promise<void> | null = null
  #closing: Promise<void> | null = null

  constructor({ instance, timeoutMs }: { instance: PluginInstance; timeoutMs: number }) {
    this.#instance = instance
    this.#timeoutMs = timeoutMs
  }

  /**
   * @param hook undefined: the plugin has none for this hookpoint.
   * @throws HookringError, and what the hook throws
   */
  async call(
    point: InlinePoint,
    hook: HookFunction | undefined,
    event: unknown,
    { signal, traceId, timeoutMs }: CallOptions,
  ): Promise<Verdict> {
    if (this.#isClosed) throw new HookringError('ENGINE_CLOSED', `${point.name} was called on a plugin that is closed`)
    if (hook === undefined) return CONTINUE
    if (signal?.aborted) throw aborted(point, signal)
    const context = new InlineContext({
      instance: this.#instance,
      hookpoint: point.name,
      timeoutMs: Math.min(this.#timeoutMs, timeoutMs ?? Number.POSITIVE_INFINITY),
      traceId,
    })
    const running = this.#run(point, hook, event, context)
    this.#underWay.add(running)
    const forget = () => this.#underWay.delete(running)
    running.then(forget, forget)
    return signal === undefined ? running : unlessAborted(running, point, signal, context)
  }

  shutdown(): Promise<void> {
    this.#shuttingDown ??= Promise.resolve().then(async () => void (await this.#instance.onShutdown?.()))
    return this.#shuttingDown
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #run(point: InlinePoint, hook: HookFunction, event: unknown, context: InlineContext): Promise<Verdict> {
    const opened = point.open(event)
    try {
      const returned = hook(opened.event, context.ctx)
      const result = isThenable(returned) ? await context.beforeDeadline(returned) : returned
      return point.judge(result, opened, this.#instance.name)
    } finally {
      opened.close()
    }
  }

  async #close(): Promise<void> {
    try {
      await this.shutdown()
    } finally {
      this.#isClosed = true
      await Promise.allSettled(this.#underWay)
      await this.#instance.destroy?.()
    }
  }
}

/** The caller's promise ends with its signal. The hook is told, and runs on until it settles or is late. */
function unlessAborted(
  running: Promise<Verdict>,
  point: InlinePoint,
  signal: AbortSignal,
  context: InlineContext,
): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      context.abandon()
      reject(aborted(point, signal))
    }
    signal.addEventListener('abort', abort, { once: true })
    const unlisten = () => signal.removeEventListener('abort', abort)
    running.then(resolve, reject)
    running.then(unlisten, unlisten)
  })
}

function aborted({ name }: InlinePoint, signal: AbortSignal): HookringError {
  return new HookringError('CALL_ABORTED', `the call of ${name} was aborted by its caller`, {
    cause: signal.reason,
    hookpoint: name,
  })
}
