/**
 * The control protocol: what host and lane say to each other besides calls, over comlink. Types, one interface per
 * direction; the schemas by which the host checks what a lane says are in control-checks.ts, since lanes need none.
 */
import type { LayoutPlan } from './codec/plan.js'
import type { HookpointKind } from './contract.js'
import type { Manifest, ServiceCall } from './control-checks.js'
import type { ErrorCode } from './errors.js'
import type { LogBatch, LogLine } from './log-batch.js'
import type { LogLevel } from './log-levels.js'
import type { LaneLoss } from './process.js'
import type { Boundary, RuntimeName } from './runtimes.js'

/** One hookpoint as a lane needs it; its index in the list is what slots name. */
export interface HookpointSpec {
  readonly name: string
  readonly kind: HookpointKind
  readonly plan: LayoutPlan
  readonly replyPlan: LayoutPlan | null
}

/** One plugin as a lane loads it; its index in the list is its bit in a slot's mask. */
export interface PluginSpec {
  /** The operator's name for it; without one its file's, until it has told its own. */
  readonly name: string
  /** Whether the operator named it. */
  readonly isNamed: boolean
  /** file: URL of the module; of a remote provider where it is reached. */
  readonly url: string
  /** Structured-cloneable, not yet parsed. */
  readonly config: unknown
  /** Milliseconds that one run of an async hook may take; also what an observation gets. */
  readonly timeoutMs: number
  readonly runtime: RuntimeName
  readonly boundary: Boundary
  /** Of the protocol that a remote provider speaks; left out: the contract's. */
  readonly version?: number | undefined
  /** Memory that a runtime with a heap of its own gives to the plugin, MiB. */
  readonly memoryMb: number
  /** Host services that it was granted, by name. */
  readonly services: readonly string[]
  /** What a failure of kind `error` becomes at a gate: for a runtime that tells a refusal from a failure. Left out: deny. */
  readonly onError?: 'deny' | 'allow' | undefined
  /** It takes the place of another version of itself, whose lane did not end its session elsewhere. */
  readonly isReload?: boolean | undefined
}

/** All that a lane needs to start; constant for its life. */
export interface LaneSpec {
  readonly lane: string
  readonly buffer: SharedArrayBuffer
  readonly contract: { readonly name: string; readonly version: number }
  readonly hookpoints: readonly HookpointSpec[]
  readonly plugins: readonly PluginSpec[]
  readonly concurrency: number
  readonly wait: 'adaptive' | 'park' | 'spin'
  readonly spinUs: number
  readonly shutdownTimeoutMs: number
  /** Of a host service's input, serialised; looked at on both sides before anything is made of it. */
  readonly maxServiceBytes: number
  /** How long the host waits for the answer to `load`; left out: the lane is not told. */
  readonly setupTimeoutMs?: number | undefined
}

/** Errors lose their code on the way through comlink, so a lane answers with a value. */
export type LoadResult = LoadSuccess | LoadRefusal
interface LoadSuccess {
  ok: true
  manifests: Manifest[]
}
interface LoadRefusal {
  ok: false
  code: ErrorCode
  message: string
  plugin: string
  stack?: string | undefined
}

export type { LogBatch, LogLevel, LogLine, Manifest, ServiceCall }

/** Errors lose their code on the way through comlink, so the host answers with a value. */
export type ServiceAnswer = { ok: true; output: unknown } | { ok: false; code: ErrorCode; message: string }

/** Host services that the plugins of one lane may have under way at once. */
export const MAX_SERVICE_CALLS = 64

/** Lane to host. */
export interface HostControl {
  /** A LogBatch as JSON. Resolves when the next one may come. */
  log(batch: string): void | Promise<void>
  /** The child process behind the lane is lost: the lane gives nothing back any more. */
  lost(loss: LaneLoss): void
  /** A host service, for a plugin that was granted it. */
  serve(call: ServiceCall): Promise<ServiceAnswer>
}

/**
 * How a lane hands its plugins' sessions over to the lane that comes after it. `begin`: the session is ended, and calls wait.
 * `done`: the other lane has one, and what waits goes on in it. `back`: it could not be had, and this lane opens it again.
 */
export type HandOver = 'begin' | 'done' | 'back'

/** Host to lane. Every call is under a deadline of the host's. */
export interface LaneControl {
  load(spec: LaneSpec): Promise<LoadResult>
  /** onShutdown of every plugin, connections still being open. */
  shutdown(): Promise<void>
  /** Of plugins that are reloaded and have a session elsewhere, which no two may have at once. */
  handOver(step: HandOver): Promise<void>
  /**
   * Ends the lane's loop, then destroy of every plugin that was set up, exactly once. `isSucceeded`: its plugins have been
   * reloaded, and go on in another lane.
   */
  stop(isSucceeded?: boolean): Promise<void>
}
