/** What the doors need of an engine: its contract and its hooks, typed by the contract. Types only. */
import type { HookpointKind, Hookpoints } from '../../contracts/index.js'
import type { HookEngine } from '../../index.js'

export type AskingEngine<Points extends Hookpoints> = Pick<HookEngine<Points>, 'contract' | 'hooks' | 'isSubscribed'>

/** Names of a contract's hookpoints of the given kind. */
export type HookpointsOf<Points extends Hookpoints, Kind extends HookpointKind> = {
  [Name in keyof Points & string]: Points[Name]['kind'] extends Kind ? Name : never
}[keyof Points & string]
