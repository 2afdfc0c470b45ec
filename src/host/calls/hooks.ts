/**
 * Makes `engine.hooks`: a function per hookpoint. The functions are what servers call all day, so they do the least:
 * without subscribers one property is read and nothing else happens. Host's thread only.
 */
import type { Contract, Hookpoints } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import { CONTINUE, type Verdict } from '../../contracts/verdict.js'
import type { EngineHooks } from '../api.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import type { Emit } from '../telemetry/events.js'
import type { CallOptions, Dispatcher } from './dispatcher.js'

/** One promise for every call that nobody is asked about. */
const CONTINUED: Promise<Verdict> = Promise.resolve(CONTINUE)

export function createHooks<Points extends Hookpoints>(
  contract: Contract,
  hookpoints: readonly HookpointState[],
  dispatcher: Dispatcher,
  engine: { readonly isOpen: boolean },
  emit: Emit,
): EngineHooks<Points> {
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
  return Object.freeze(Object.assign(Object.create(unknownHookpoint(contract)), functions)) as EngineHooks<Points>
}

/** Sits behind the functions, so that it costs them nothing: a misspelt hookpoint is named, not `undefined`. */
function unknownHookpoint(contract: Contract): object {
  return new Proxy(Object.create(null), {
    get(_, key) {
      if (typeof key === 'symbol' || key === 'then' || key === 'toJSON' || key === 'constructor') return undefined
      const known = Object.keys(contract.hookpoints).join(', ')
      throw new HookringError('HOOKPOINT_UNKNOWN', `contract ${contract.id} has no hookpoint ${key}; it has ${known}`, {
        hookpoint: key,
      })
    },
  })
}
