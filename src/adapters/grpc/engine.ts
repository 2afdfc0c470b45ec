/**
 * What the gRPC adapter needs of an engine: its contract and its hooks, typed by the contract. Types only; the engine of
 * `createHookEngine` has this shape, and so may any object that asks hooks in another way.
 */
import type { Contract, EventInput, HookpointKind, Hookpoints, VerdictOf } from '../../contracts/index.js'

/** What the adapter says with each call. */
export interface AskOptions {
  /** Aborted when the RPC is cancelled or its deadline passes. */
  signal?: AbortSignal
  /** The call may take no longer than this, in milliseconds; plugins may have less. */
  timeoutMs?: number
  traceId?: string
}

export type AskingHooks<Points extends Hookpoints> = {
  readonly [Name in keyof Points]: Points[Name]['kind'] extends 'observe'
    ? (event: EventInput<Points[Name]>, options?: AskOptions) => void
    : (event: EventInput<Points[Name]>, options?: AskOptions) => Promise<VerdictOf<Points[Name]>>
}

export interface AskingEngine<Points extends Hookpoints> {
  readonly contract: Contract<Points>
  readonly hooks: AskingHooks<Points>
}

/** Names of a contract's hookpoints of the given kinds. */
export type HookpointsOf<Points extends Hookpoints, Kind extends HookpointKind> = {
  [Name in keyof Points & string]: Points[Name]['kind'] extends Kind ? Name : never
}[keyof Points & string]
