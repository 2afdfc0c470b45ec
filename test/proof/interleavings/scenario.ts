/**
 * A scenario: a small piece of traffic, written from the host's side, that is run under every schedule up to a bound.
 * Types, and what both sides of a stage must agree on.
 */
import type { FailurePolicy } from '../../../dist/contracts/policy.js'

export interface Scenario {
  readonly name: string
  /** What races in it. */
  readonly about: string
  /** All schedules with up to this many switches away from a thread that could have gone on are run. */
  readonly bound: number
  /** The bound for `--quick`. */
  readonly quickBound: number
  /** A power of two. */
  readonly slots: number
  readonly plugins: number
  /** How many seats the bulkhead has. */
  readonly seats?: number
  readonly maxQueue?: number
  readonly concurrency?: number
  readonly wait?: 'park' | 'spin'
  readonly spinUs?: number
  readonly onFailure?: FailurePolicy
  /** Where the rings' sequences and the slots' use counts start. */
  readonly firstSequence?: number
  /** It runs on a copy of what ships in which these constants are smaller, so that a few calls reach what many would. */
  readonly isScaled?: boolean
  /** It runs on a copy whose arena holds two events at a time. */
  readonly hasSmallArena?: boolean
  /** The lane's thread runs this in place of a lane: a worker that breaks the protocol. */
  readonly worker?: (parts: RogueParts) => void
  /** The host must notice that the worker breaks the protocol, and replace the lane. */
  readonly isRogue?: boolean
  run(host: HostScript): Promise<void>
}

/** A possible outcome of a call: a verdict, `failure:KIND` or `error:CODE`. */
export type Outcome = 'continue' | 'reject' | `failure:${string}` | `error:${string}`

export interface Asked {
  readonly call: number
  /** Resolves when the call has settled, with whatever outcome. */
  readonly settled: Promise<void>
  abort(): void
}

/** What a scenario's script can do. The engine behind it is the real one. */
export interface HostScript {
  /**
   * Calls the gate. `does`: what each plugin is to do, one word for each. `may`: outcomes that are allowed besides the
   * plain one.
   */
  ask(does: string, options?: { may?: readonly Outcome[] }): Asked
  /** Makes an observation. */
  tell(does: string): void
  /** A turn of the host's event loop. */
  turn(): Promise<void>
  /** Lets the other threads run until none can. */
  quiet(): Promise<void>
  /** Time passes; timers that are due fire in the next turn. */
  advance(ms: number): void
  /** Opens a latch for which hooks wait. */
  open(latch: number): void
  /** Resolves when all calls have settled and every slot of every living lane has come back. */
  allBack(): Promise<void>
  /** Asks the lane in a seat to run onShutdown, as the supervisor does. */
  shutdown(): Promise<void>
  /** Stops the lanes, as the engine does when it closes. */
  stop(): Promise<void>
  /** How many lanes have been replaced so far. */
  readonly replaced: number
}

/** What a rogue worker gets: the ring's words, and the real worker's side of the ring. */
export interface RogueParts {
  readonly ring: {
    claim(): number
    complete(slot: number): void
    setContinue(slot: number): void
    hasSubmissions(): boolean
    park(): void
  }
  readonly words: Int32Array
  /** The word with a slot's state. */
  stateAt(slot: number): number
  /** Counts the call as run. */
  noteRun(call: number): void
}

/** The text in the event that was made for this call. */
export function checkOf(call: number): string {
  return `made for call ${call}`
}

export function reasonOf(call: number): string {
  return `call ${call} is denied`
}
