/** What the ledger keeps of a call or an observation until it is accounted for. Types alone. */
import type { PluginStatus } from 'hookring'
import type { SoakEvent } from './events.js'
import type { Act } from './evidence.js'
import type { Link } from './judge.js'
import type { Cast, Role } from './roles.js'

/** An engine from its opening to its close. */
export interface Stay {
  readonly cast: Cast
  readonly instance: number
  /** close() has been called; from some moment on calls are refused. */
  isClosing: boolean
  /** Observations that were refused with ENGINE_CLOSED, as the engine's `error` events told. */
  refusals: number
  /** Observations that went by a quarantined plugin, by its name. */
  readonly passedBy: Map<string, number>
}

export interface Asked {
  readonly stay: Stay
  readonly hookpoint: string
  readonly event: SoakEvent
  readonly links: readonly Link[]
  readonly states: ReadonlyMap<string, PluginStatus['state']>
  /** Counts the operator's quarantines and releases. */
  readonly holds: number
  readonly act: Act
  readonly actor: Role | null
  readonly signal: AbortSignal | undefined
  /** The event does not fit the contract. */
  readonly isMisfit: boolean
}

export interface Entry {
  readonly asked: Asked
  readonly id: number
  readonly madeMs: number
  readonly isCall: boolean
  /** Made after the engine's close() had been called: it may have been refused. */
  readonly wasClosing: boolean
  settled: number
  /** Dead letters, by the bits of the plugins' columns. */
  letters: number
}
