/**
 * Makes `engine.hooks`: a function per hookpoint. The functions are what servers call all day, so they do the least:
 * without subscribers one property is read and nothing else happens. Host's thread only.
 */
import type { Contract, Hookpoints } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import { CONTINUE, type Verdict } from '../../contracts/verdict.js'
import type { EngineHooks } from '../api.js'
import type { Point } from '../model/hookpoint-state.js'
import type { Emit } from '../telemetry/events.js'
import type { CallOptions, Dispatcher } from './dispatcher.js'

/** One promise for every call that nobody is asked about. */
const CONTINUED: Promise<Verdict> = Promise.resolve(CONTINUE)

export function createHooks<Points extends Hookpoints>(
  contract: Contract,
  points: readonly Point[],
  dispatcher: Dispatcher,
  engine: { readonly isOpen: boolean },
  emit: Emit,
): EngineHooks<Points> {
  const closed = (hookpoint: string) =>
    new HookringError('ENGINE_CLOSED', `${hookpoint} was called on an engine that is closing or closed`, { hookpoint })

  const functions: Record<string, unknown> = {}
  for (const point of points) {
    functions[point.name] =
      point.kind === 'observe'
        ? (event: unknown, options?: CallOptions): void => {
            const { route } = point
            if (!engine.isOpen) emit('error', closed(point.name))
            else if (route !== null) dispatcher.tell(point, route, event, options)
          }
        : (event: unknown, options?: CallOptions): Promise<Verdict> => {
            const { route } = point
            if (route === null) return engine.isOpen ? CONTINUED : Promise.reject(closed(point.name))
            return engine.isOpen ? dispatcher.ask(point, route, event, options) : Promise.reject(closed(point.name))
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
