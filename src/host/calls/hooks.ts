/**
 * Makes `engine.hooks`: a function for each hookpoint. Servers call these all the time, so they do as little as possible:
 * without subscribers a call reads one property. Host's thread only.
 */
import type { Contract, EventInput, Hookpoints, VerdictOf } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import { unknownHookpoint } from '../../contracts/unknown-hookpoint.js'
import { CONTINUE, type Verdict } from '../../contracts/verdict.js'
import type { CallOptions } from '../model/call-options.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import type { Emit } from '../telemetry/events.js'
import type { Dispatcher } from './dispatcher.js'

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
