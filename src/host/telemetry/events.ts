/** The events that an engine emits for its operator, with their types. Host's thread only. */
import type { EventEmitter } from 'node:events'
import type { HookringError } from '../../contracts/errors.js'
import type { ThrownError } from '../../contracts/verdict.js'
import type { RestartReason } from './recorders.js'

/** An observation that was accepted and not delivered to a plugin. */
export interface DeadLetter {
  readonly hookpoint: string
  /** The plugin that was not told, or that was interrupted while it was. */
  readonly plugin: string
  /** The event, decoded from the engine's own copy. */
  readonly event: unknown
  readonly reason: 'hang' | 'crash' | 'close' | 'overload'
}

export interface LaneReplaced {
  readonly bulkhead: string
  readonly lane: string
  readonly reason: RestartReason
  /** The plugin that ran when it happened, if that is known. */
  readonly plugin: string | undefined
  readonly hookpoint: string | undefined
  /** Milliseconds from the decision to replace the lane until its successor serves. */
  readonly tookMs: number
  readonly message: string
}

export interface PluginQuarantined {
  readonly plugin: string
  /** Because of its failures, or by an operator. */
  readonly by: 'failures' | 'operator'
  readonly calls: number
  readonly failures: number
}

/** A hook threw. The call's verdict has the same error in `failure.error`. */
export interface PluginError {
  /** The plugin whose hook threw. */
  readonly plugin: string
  /** The hookpoint that it was called at. */
  readonly hookpoint: string
  /** What it threw. */
  readonly error: ThrownError
}

/** `engine.watch()` has seen changes, and the plugin's new version serves. */
export interface PluginReloaded {
  readonly plugin: string
  /** Those of its files that had changed. */
  readonly files: readonly string[]
  /** From the reload's begin to the new version serving, in milliseconds. */
  readonly tookMs: number
}

export interface Zombie {
  readonly bulkhead: string
  readonly lane: string
  readonly plugin: string | undefined
  /** How long the thread had to exit, in milliseconds. */
  readonly graceMs: number
}

export interface EngineEvents {
  deadLetter: [DeadLetter]
  laneReplaced: [LaneReplaced]
  pluginQuarantined: [PluginQuarantined]
  pluginReloaded: [PluginReloaded]
  pluginReleased: [{ readonly plugin: string }]
  /** A hook threw; emitted for each such call. The log has it too, at a bounded rate. */
  pluginError: [PluginError]
  zombie: [Zombie]
  /**
   * Errors that have no caller to go to: refused observations, lanes that do not start. Without listeners nothing is
   * thrown.
   */
  error: [HookringError]
}

export type Emit = <Name extends keyof EngineEvents>(name: Name, ...args: EngineEvents[Name]) => void

/** Emits outside the caller's stack: as everywhere in Node.js, a listener that throws is an uncaught exception. */
export function createEmit(emitter: EventEmitter, onUnheardError: (error: HookringError) => void): Emit {
  return (name, ...args) => {
    if (emitter.listenerCount(name) === 0) {
      if (name === 'error') onUnheardError(args[0] as HookringError)
      return
    }
    process.nextTick(() => emitter.emit(name, ...args))
  }
}
