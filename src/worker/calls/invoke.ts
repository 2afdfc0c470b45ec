/**
 * Enters hooks, and follows the promises that they return. Used by the lane's chain and by the calls of its child process:
 * each says what a call is to it (a slot, the id of a frame) and where verdicts are written. The thread that runs plugins.
 */
import { isThenable } from '../../plugin/result.js'
import type { HookFunction } from '../../plugin/setup.js'
import { CallContext } from '../runtimes/call-context.js'
import { runAs, setRunning } from '../thread/attribution.js'
import type { LoadedPlugin } from './loader.js'
import type { RunPoint } from './run-point.js'
import { isOwnFault, type VerdictWriter, writeFailure, writeResult } from './verdicts.js'

/** A hook whose promise has not settled. */
export class PendingHook {
  /** The slot, or the frame's id. */
  readonly call: number
  readonly plugin: LoadedPlugin
  /** The index of the hookpoint. */
  readonly point: number
  readonly event: unknown
  readonly ctx: CallContext
  /** The plugins of the hop that came before it, as a mask. */
  done = 0
  /** When the hook was entered (monotonic ms). */
  enteredMs = 0
  /** Its call has been given up: what it settles with is dropped. */
  isDetached = false

  constructor(call: number, plugin: LoadedPlugin, point: number, event: unknown, ctx: CallContext) {
    this.call = call
    this.plugin = plugin
    this.point = point
    this.event = event
    this.ctx = ctx
  }

  get deadlineMs(): number {
    return CallContext.deadlineMsOf(this.ctx)
  }
}

export interface InvokerOptions {
  /** By index; null for hookpoints without hooks here. */
  readonly points: readonly (RunPoint | null)[]
  readonly writer: VerdictWriter
  /** A hook has thrown, or its promise was rejected, through a fault of its own. */
  onThrown(plugin: LoadedPlugin, point: number, error: unknown): void
  /** A promise has settled: with this outcome, written already; null when the hook was detached. */
  onSettled(hook: PendingHook, outcome: number | null): void
}

export class Invoker {
  readonly #points: InvokerOptions['points']
  readonly #writer: VerdictWriter
  readonly #onThrown: InvokerOptions['onThrown']
  readonly #onSettled: InvokerOptions['onSettled']
  readonly #pending = new Set<PendingHook>()
  /** Hooks that have returned a promise before: what follows from them carries their plugin's name. */
  readonly #async = new Set<HookFunction>()
  #hasAsync = false

  constructor({ points, writer, onThrown, onSettled }: InvokerOptions) {
    this.#points = points
    this.#writer = writer
    this.#onThrown = onThrown
    this.#onSettled = onSettled
  }

  /** Detached ones included. */
  get pending(): ReadonlySet<PendingHook> {
    return this.#pending
  }

  /** Whether any hook has ever returned a promise. */
  get hasAsync(): boolean {
    return this.#hasAsync
  }

  /** Runs the plugin's hook: its outcome, written already, or the hook itself while its promise is pending. */
  invoke(call: number, plugin: LoadedPlugin, at: number, event: unknown, ctx: CallContext): number | PendingHook {
    const point = this.#points[at] as RunPoint
    const hook = plugin.hooks[at] as HookFunction
    let isPending = false
    setRunning(plugin.name)
    try {
      const result = this.#hasAsync && this.#async.has(hook) ? callAs(plugin.name, hook, event, ctx) : hook(event, ctx)
      // What most hooks say, said once for all kinds of hookpoint.
      if (result === undefined) return this.#writer.continues(call)
      if (!isThenable(result)) return writeResult(this.#writer, call, plugin.index, point, result)
      const pending = this.#follow(new PendingHook(call, plugin, at, event, ctx), hook, result)
      isPending = true
      return pending
    } catch (error) {
      return this.#fail(call, plugin, at, error)
    } finally {
      if (!isPending) point.reader.close(event)
    }
  }

  /** From here on its event cannot be read. */
  close({ point, event }: PendingHook): void {
    ;(this.#points[point] as RunPoint).reader.close(event)
  }

  #fail(call: number, plugin: LoadedPlugin, point: number, error: unknown): number {
    if (isOwnFault(error)) this.#onThrown(plugin, point, error)
    return writeFailure(this.#writer, call, plugin.index, error)
  }

  #follow(pending: PendingHook, hook: HookFunction, promise: PromiseLike<unknown>): PendingHook {
    this.#hasAsync = true
    this.#async.add(hook)
    const { call, plugin, point } = pending
    // Settles once, whatever a thenable of the plugin's own making does.
    Promise.resolve(promise).then(
      (result) =>
        this.#settle(pending, () =>
          writeResult(this.#writer, call, plugin.index, this.#points[point] as RunPoint, result),
        ),
      (error) => this.#settle(pending, () => this.#fail(call, plugin, point, error)),
    )
    this.#pending.add(pending)
    return pending
  }

  #settle(pending: PendingHook, write: () => number): void {
    this.#pending.delete(pending)
    if (pending.isDetached) {
      this.#onSettled(pending, null)
      return
    }
    let outcome: number
    try {
      outcome = write()
    } catch (error) {
      outcome = this.#fail(pending.call, pending.plugin, pending.point, error)
    }
    this.close(pending)
    this.#onSettled(pending, outcome)
  }
}

/** Apart from `invoke`, so that the plain case makes no closure. */
function callAs(plugin: string, hook: HookFunction, event: unknown, ctx: CallContext): unknown {
  return runAs(plugin, () => hook(event, ctx))
}
