/**
 * Makes `engine.hooks`: a function for each hookpoint. Servers call these all the time, so they do as little as possible:
 * without subscribers a call reads one property. Host's thread only.
 */
import type { Contract, EventInput, Hookpoints, VerdictOf } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import { CONTINUE, type Verdict } from '../../contracts/verdict.js'
import type { CallOptions } from '../model/call-options.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import type { Emit } from '../telemetry/events.js'
import type { Dispatcher } from './dispatcher.js'

/** Methods that NestJS looks for on every provider, and calls. */
const LIFECYCLE_METHODS: ReadonlySet<string> = new Set([
  'onModuleInit',
  'onModuleDestroy',
  'onApplicationBootstrap',
  'onApplicationShutdown',
])

/** `engine.hooks`: a function per hookpoint of the contract. */
export type EngineHooks<Points extends Hookpoints> = {
  readonly [Name in keyof Points]: Points[Name]['kind'] extends 'observe'
    ? (event: EventInput<Points[Name]>, options?: CallOptions) => void
    : (event: EventInput<Points[Name]>, options?: CallOptions) => Promise<VerdictOf<Points[Name]>>
}

export interface HooksOptions {
  readonly contract: Contract
  readonly hookpoints: readonly HookpointState[]
  readonly dispatcher: Dispatcher
  readonly engine: { readonly isOpen: boolean }
  readonly emit: Emit
}

/** One promise for all calls that reach no plugin. */
const CONTINUED: Promise<Verdict> = Promise.resolve(CONTINUE)

export function createHooks<Points extends Hookpoints>({
  contract,
  hookpoints,
  dispatcher,
  engine,
  emit,
}: HooksOptions): EngineHooks<Points> {
  const closed = (hookpoint: string) =>
    new HookringError('ENGINE_CLOSED', `${hookpoint} was called on an engine that is closing or closed`, { hookpoint })

  const functions: Record<string, unknown> = {}
  for (const hookpoint of hookpoints) {
    functions[hookpoint.name] =
      hookpoint.kind === 'observe'
        ? (event: unknown, options?: CallOptions): void => {
            const { route } = hookpoint
            if (!engine.isOpen) emit('error', closed(hookpoint.name))
            else if (route !== null) dispatcher.tell(hookpoint, route, event, options)
          }
        : (event: unknown, options?: CallOptions): Promise<Verdict> => {
            const { route } = hookpoint
            if (route === null) return engine.isOpen ? CONTINUED : Promise.reject(closed(hookpoint.name))
            return engine.isOpen
              ? dispatcher.ask(hookpoint, route, event, options)
              : Promise.reject(closed(hookpoint.name))
          }
  }
  return Object.assign(Object.create(unknownHookpoint(contract)), functions) as EngineHooks<Points>
}

/**
 * The prototype of the hooks object, where it costs the functions nothing. A name that looks like a misspelt hookpoint is
 * a function that throws with the names there are. Any other name is undefined, as on every object: inspectors and
 * dependency injection containers ask for many names.
 */
function unknownHookpoint(contract: Contract): object {
  const names = Object.keys(contract.hookpoints)
  const lowerCase = new Set(names.map((name) => name.toLowerCase()))
  return new Proxy(Object.prototype, {
    get(ordinary, key, receiver) {
      if (key in ordinary) return Reflect.get(ordinary, key, receiver)
      if (typeof key === 'symbol' || LIFECYCLE_METHODS.has(key)) return undefined
      if (!/^on[A-Z]/.test(key) && !lowerCase.has(key.toLowerCase())) return undefined
      return () => {
        throw new HookringError(
          'HOOKPOINT_UNKNOWN',
          `contract ${contract.id} has no hookpoint ${key}; it has ${names.join(', ')}`,
          { hookpoint: key },
        )
      }
    },
  })
}
