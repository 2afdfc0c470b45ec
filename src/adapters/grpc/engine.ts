/**
 * What the gRPC adapter needs of an engine: its contract and its hooks, typed by the contract. Types only; any object that
 * asks hooks in another way may take the engine's place.
 */
import type { HookpointKind, Hookpoints } from '../../contracts/index.js'
import type { HookEngine } from '../../index.js'

export type AskingEngine<Points extends Hookpoints> = Pick<HookEngine<Points>, 'contract' | 'hooks'>

/** Names of a contract's hookpoints of the given kinds. */
export type HookpointsOf<Points extends Hookpoints, Kind extends HookpointKind> = {
  [Name in keyof Points & string]: Points[Name]['kind'] extends Kind ? Name : never
}[keyof Points & string]
