/**
 * Runs a plugin's hooks in a test's own thread: no lane, no ring, no failure policy, but the plugin's own config schema,
 * its setup, and the real codec on both ways. What a hook throws reaches the test as it is.
 */
import type { z } from 'zod'
import type { Contract, EventInput, Hookpoints, VerdictOf } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import { DEFAULTS } from '../../contracts/options.js'
import { CONTINUE, type Verdict } from '../../contracts/verdict.js'
import type { CallOptions } from '../../index.js'
import type { Plugin } from '../../plugin/index.js'
import { isThenable } from '../../plugin/result.js'
import { definitionIn, type HookFunction, ownNameOf, type PluginServices, setUpPlugin } from '../../plugin/setup.js'
import { createInlineContext } from './context.js'
import { createPluginLog, type LogEntry } from './logs.js'
import { createInlinePoint, type InlinePoint } from './point.js'

/** A function per hookpoint of the contract. One that the plugin has no hook for continues, as in an engine. */
export type InlineHooks<Points extends Hookpoints> = {
  readonly [Name in keyof Points]: (
    event: EventInput<Points[Name]>,
    options?: CallOptions,
  ) => Promise<Points[Name]['kind'] extends 'observe' ? void : VerdictOf<Points[Name]>>
}

export interface InlineOptions<Points extends Hookpoints, Schema extends z.ZodType> {
  contract: Contract<Points>
  /** As the operator writes it, not yet parsed. */
  config?: z.input<Schema> | undefined
  /** What stands in for host services, by name; the others are not granted. */
  services?: PluginServices | undefined
  /** The operator's name for the plugin; default: its own. */
  name?: string | undefined
  /** Milliseconds until a hook's deadline. Default 100, as in an engine. */
  timeoutMs?: number | undefined
}

export interface InlineRun<Points extends Hookpoints> extends AsyncDisposable {
  /** The hook runs at once, in the caller's stack; the promise settles when it has, an observe hook's too. */
  readonly hooks: InlineHooks<Points>
  /** What the plugin has logged through `log` so far. */
  readonly logs: readonly LogEntry[]
  /** Runs onShutdown, once. Rejects with what it throws. */
  shutdown(): Promise<void>
  /** shutdown(), waits for hooks under way, then destroy, once. Hooks called from then on reject with ENGINE_CLOSED. */
  close(): Promise<void>
}

/**
 * Sets a plugin up and gives its hooks. `plugin` is what definePlugin returned, or the module that exports it by default.
 *
 * A call resolves to the plugin's verdict. It rejects with what the hook threw; with EVENT_INVALID or EVENT_TOO_LARGE for
 * an event that no engine would take; with CALL_ABORTED when `options.signal` ends it; and with PLUGIN_FAILED when the
 * result is no verdict (the message says what a lane would say) or a promise is pending at the deadline. A lane also cuts
 * reasons that are longer than 384 bytes.
 *
 * @throws HookringError PLUGIN_NO_EXPORT, PLUGIN_CONTRACT_MISMATCH, PLUGIN_CONFIG_INVALID, PLUGIN_SETUP_FAILED,
 * HOOKPOINT_UNKNOWN
 */
export async function runInline<Points extends Hookpoints, Schema extends z.ZodType>(
  plugin: Plugin<Points, Schema> | { readonly default: Plugin<Points, Schema> },
  options: InlineOptions<Points, Schema>,
): Promise<InlineRun<Points>> {
  const { contract, config, services, timeoutMs = DEFAULTS.timeoutMs } = options
  const definition = definitionIn(exportIn(plugin), options.name ?? '(inline)')
  const name = options.name ?? ownNameOf(definition, '(inline)')
  const logs: LogEntry[] = []
  const points = Object.entries(contract.hookpoints).map(([key, point]) => createInlinePoint(key, point))
  const instance = await setUpPlugin(definition, {
    name,
    config,
    log: createPluginLog(name, logs),
    services,
    contract,
    hookpoints: points,
  })
  const underWay = new Set<Promise<unknown>>()
  let isClosed = false
  let shuttingDown: Promise<void> | null = null
  let closing: Promise<void> | null = null

  async function ask(
    point: InlinePoint,
    hook: HookFunction | undefined,
    event: unknown,
    call: CallOptions,
  ): Promise<Verdict> {
    if (isClosed) throw new HookringError('ENGINE_CLOSED', `${point.name} was called on a plugin that is closed`)
    if (hook === undefined) return CONTINUE
    const { signal, traceId } = call
    if (signal?.aborted) throw aborted(point, signal)
    const context = createInlineContext({
      instance,
      hookpoint: point.name,
      timeoutMs: Math.min(timeoutMs, call.timeoutMs ?? Number.POSITIVE_INFINITY),
      traceId,
    })
    const running = run(point, hook, event, context)
    underWay.add(running)
    const forget = () => underWay.delete(running)
    running.then(forget, forget)
    return signal === undefined ? running : unlessAborted(running, point, signal, context.abandon)
  }

  async function run(
    point: InlinePoint,
    hook: HookFunction,
    event: unknown,
    { ctx, beforeDeadline }: ReturnType<typeof createInlineContext>,
  ): Promise<Verdict> {
    const opened = point.open(event)
    try {
      const returned = hook(opened.event, ctx)
      return point.judge(isThenable(returned) ? await beforeDeadline(returned) : returned, opened, name)
    } finally {
      opened.close()
    }
  }

  const functions = points.map((point, index) => {
    const hook = instance.hooks[index]
    const call = (event: unknown, callOptions: CallOptions = {}) => ask(point, hook, event, callOptions)
    return [
      point.name,
      point.kind === 'observe' ? (...args: Parameters<typeof call>) => call(...args).then(() => {}) : call,
    ]
  })

  const inline: InlineRun<Points> = {
    hooks: Object.freeze(Object.fromEntries(functions)) as InlineHooks<Points>,
    logs,
    shutdown() {
      shuttingDown ??= Promise.resolve().then(async () => void (await instance.onShutdown?.()))
      return shuttingDown
    },
    close() {
      closing ??= (async () => {
        try {
          await inline.shutdown()
        } finally {
          isClosed = true
          await Promise.allSettled(underWay)
          await instance.destroy?.()
        }
      })()
      return closing
    },
    [Symbol.asyncDispose]: () => inline.close(),
  }
  return inline
}

function exportIn(plugin: unknown): unknown {
  return typeof plugin === 'object' && plugin !== null && 'default' in plugin ? plugin.default : plugin
}

/** The caller's promise ends with its signal; the hook itself is told, and goes on until it settles or is late. */
function unlessAborted(
  running: Promise<Verdict>,
  point: InlinePoint,
  signal: AbortSignal,
  abandon: () => void,
): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      abandon()
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
