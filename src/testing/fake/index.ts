/**
 * An engine for a server's unit tests: its hooks are functions of the test's own, in the test's thread. No lane, no thread,
 * no plugin; but the contract's own checks of events and results, by the real codec.
 */
import { EventEmitter } from 'node:events'
import type { Contract, EventOutput, HookEvent, Hookpoint, Hookpoints, Services } from '../../contracts/contract.js'
import { HookringError, thrownText } from '../../contracts/errors.js'
import { unknownHookpoint } from '../../contracts/unknown-hookpoint.js'
import type { Verdict } from '../../contracts/verdict.js'
import type { CallOptions, EngineEvents, EngineHooks, HookEngine, Recording, Watching } from '../../index.js'
import type { HookResult } from '../../plugin/index.js'
import type { HookFunction } from '../../plugin/setup.js'
import { bindMethods } from '../../primitives/bind-methods.js'
import { InlinePlugin } from '../inline/inline-plugin.js'
import { createPluginLog } from '../inline/logs.js'
import { InlinePoint, type OpenedEvent } from '../inline/point.js'
import { isUndecidedResult, type Undecided, verdictOfFailure } from './undecided.js'

/** The plugin that a fake engine's verdicts name. */
const FAKE = 'fake'
/** The longest that a timer can be set for: handlers have no deadline of their own. */
const NO_TIMEOUT_MS = 2_147_483_647

/** What a handler of a fake engine may do: return what a plugin's hook returns, or `undecided(...)`, or a promise of it. */
export type FakeHandler<H extends Hookpoint> = (
  event: HookEvent<EventOutput<H>>,
  options: CallOptions,
) => HookResult<H> | Undecided | Promise<HookResult<H> | Undecided>

/** A handler for each hookpoint that a test cares about; where there is none, every call continues. */
export type FakeHandlers<Points extends Hookpoints> = {
  readonly [Name in keyof Points]?: FakeHandler<Points[Name]>
}

/** A call that a server has made. `event` is a copy, as plugins would see it, defaults filled in. */
export type FakeCall<Points extends Hookpoints> = {
  readonly [Name in keyof Points]: {
    readonly hookpoint: Name
    readonly event: EventOutput<Points[Name]>
    readonly options: CallOptions
  }
}[keyof Points]

/** Fits wherever an engine is meant. */
export interface FakeEngine<Points extends Hookpoints = Hookpoints, Offered extends Services = Services>
  extends HookEngine<Points, Offered> {
  /** The calls so far whose events fit the contract, oldest first. */
  readonly calls: readonly FakeCall<Points>[]
  /** Emits one of the engine's events at once, to see what a server does about it. */
  emit<Name extends keyof EngineEvents>(name: Name, ...args: EngineEvents[Name]): void
}

/**
 * An engine for a server's unit tests:
 *
 * ```ts
 * const engine = fakeEngine(shop, { onOrder: ({ cents }) => (cents > 100 ? reject('too dear') : undefined) })
 * const app = buildServer(engine)
 * ```
 *
 * Each call is checked as an engine checks it: it rejects with EVENT_INVALID or EVENT_TOO_LARGE for an event that no engine
 * would take, with CALL_ABORTED when its signal ends it, with PLUGIN_FAILED when a handler returns what is no verdict of the
 * hookpoint or is pending after the call's `timeoutMs`, and with ENGINE_CLOSED after `close()`. What a handler throws reaches
 * the caller as it is. An observation's errors are the engine event `error`, and flush() rejects with the first of them.
 *
 * Hooks can be spied on: `vi.spyOn(engine.hooks, 'onOrder')`. Plugins cannot be added: add, remove, reload, provide,
 * quarantine, release and watch do nothing, `plugins` is empty, and record() rejects.
 *
 * @throws HookringError HOOKPOINT_UNKNOWN for a handler that the contract has no hookpoint for
 */
export function fakeEngine<Points extends Hookpoints, Offered extends Services>(
  contract: Contract<Points, Offered>,
  handlers: FakeHandlers<Points> = {},
): FakeEngine<Points, Offered> {
  for (const name of Object.keys(handlers)) {
    if (Object.hasOwn(contract.hookpoints, name)) continue
    const known = Object.keys(contract.hookpoints).join(', ')
    throw new HookringError('HOOKPOINT_UNKNOWN', `${contract.id} has no hookpoint ${name}; it has ${known}`, {
      hookpoint: name,
    })
  }
  return bindMethods(new Fake(contract, handlers as Readonly<Record<string, HookFunction | undefined>>))
}

class Fake<Points extends Hookpoints, Offered extends Services> implements FakeEngine<Points, Offered> {
  readonly contract: Contract<Points, Offered>
  readonly hooks: EngineHooks<Points>
  readonly calls: FakeCall<Points>[] = []
  readonly plugins = []
  readonly registry = {
    registerMetric: () => {},
    getSingleMetric: () => undefined,
    removeSingleMetric: () => {},
    metrics: async () => '',
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
  }
  readonly #emitter = new EventEmitter()
  readonly #plugin: InlinePlugin
  readonly #told = new Set<Promise<void>>()
  #lost: { readonly error: unknown } | null = null
  #isClosed = false

  constructor(contract: Contract<Points, Offered>, handlers: Readonly<Record<string, HookFunction | undefined>>) {
    this.contract = contract
    const instance = { name: FAKE, config: undefined, log: createPluginLog(FAKE, []), hooks: [] }
    this.#plugin = new InlinePlugin({
      instance: { ...instance, onShutdown: undefined, destroy: undefined },
      timeoutMs: NO_TIMEOUT_MS,
    })
    const functions = Object.entries(contract.hookpoints).map(([name, { kind }]) => {
      const call = this.#hook(name, handlers[name])
      return [name, kind === 'observe' ? (...args: Parameters<typeof call>) => this.#tell(name, call(...args)) : call]
    })
    this.hooks = Object.assign(Object.create(unknownHookpoint(contract)), Object.fromEntries(functions))
  }

  isSubscribed(hookpoint: keyof Points & string): boolean {
    if (Object.hasOwn(this.contract.hookpoints, hookpoint)) return true
    throw new HookringError('HOOKPOINT_UNKNOWN', `${this.contract.id} has no hookpoint ${hookpoint}`, { hookpoint })
  }

  async add(): Promise<void> {}
  async remove(): Promise<void> {}
  async reload(): Promise<void> {}
  provide(): void {}
  quarantine(): void {}
  release(): void {}

  async watch(): Promise<Watching> {
    const close = async () => {}
    return { close, [Symbol.asyncDispose]: close }
  }

  async record(): Promise<Recording> {
    throw new HookringError('OPTIONS_INVALID', 'a fake engine records nothing; its calls are in `calls`')
  }

  async flush(): Promise<void> {
    await Promise.all(this.#told)
    const lost = this.#lost
    this.#lost = null
    if (lost !== null) throw lost.error
  }

  async shutdown(): Promise<void> {}

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#plugin.close()
  }

  on<Name extends keyof EngineEvents>(name: Name, listener: (...args: EngineEvents[Name]) => void): this {
    this.#emitter.on(name, listener as (...args: unknown[]) => void)
    return this
  }

  once<Name extends keyof EngineEvents>(name: Name, listener: (...args: EngineEvents[Name]) => void): this {
    this.#emitter.once(name, listener as (...args: unknown[]) => void)
    return this
  }

  off<Name extends keyof EngineEvents>(name: Name, listener: (...args: EngineEvents[Name]) => void): this {
    this.#emitter.off(name, listener as (...args: unknown[]) => void)
    return this
  }

  emit<Name extends keyof EngineEvents>(name: Name, ...args: EngineEvents[Name]): void {
    // As of an engine: an error that nobody listens for is not thrown.
    if (this.#emitter.listenerCount(name) > 0) this.#emitter.emit(name, ...args)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #hook(name: string, handler: HookFunction = () => undefined) {
    const point = new FakePoint(name, this.contract.hookpoints[name] as Hookpoint)
    return (event: unknown, options: CallOptions = {}) => {
      if (this.#isClosed) {
        const message = `${name} was called on an engine that is closing or closed`
        return Promise.reject(new HookringError('ENGINE_CLOSED', message, { hookpoint: name }))
      }
      if (options.times !== undefined) Object.assign(options.times, { waitedMs: 0, ranMs: 0 })
      return this.#plugin.call(
        point,
        (opened) => {
          this.calls.push({ hookpoint: name, event: copyOf(opened), options } as FakeCall<Points>)
          return handler(opened, options)
        },
        event,
        options,
      )
    }
  }

  #tell(hookpoint: string, telling: Promise<unknown>): void {
    const told = telling.then(
      () => {},
      (cause) => {
        this.#lost ??= { error: cause }
        const error =
          cause instanceof HookringError
            ? cause
            : new HookringError('PLUGIN_FAILED', `${hookpoint}: ${thrownText(cause)}`, { cause, hookpoint })
        this.emit('error', error)
      },
    )
    this.#told.add(told)
    void told.then(() => this.#told.delete(told))
  }
}

/** A hookpoint whose handler may also return `undecided(...)`. */
class FakePoint extends InlinePoint {
  override judge(result: unknown, opened: OpenedEvent, plugin: string): Verdict {
    return isUndecidedResult(result) ? verdictOfFailure(result, this.name, plugin) : super.judge(result, opened, plugin)
  }
}

/** An event of no named fields is plain data already. */
function copyOf(event: unknown): unknown {
  const { copy } = (event ?? {}) as { copy?: unknown }
  return typeof copy === 'function' ? (copy as () => unknown).call(event) : event
}
