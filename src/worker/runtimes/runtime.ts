/**
 * What a runtime is: the way in which a plugin's code is executed behind a lane. One interface for all of them; the chain
 * calls what `load` gives and knows no runtime by name. The lane's thread only.
 *
 *   load      finds the plugin's hooks, its config parsed, its setup run
 *   call      a hook, by the index of its hookpoint; synchronous or a promise
 *   dispose   after `destroy`: what the runtime itself holds is let go of
 */
import type { HandOver, HookpointSpec, PluginSpec } from '../../contracts/control.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { PluginInstance, PluginServices } from '../../plugin/setup.js'

export interface Runtime {
  /** @throws HookringError PLUGIN_..., naming the plugin. What was made on the way is let go of before it throws. */
  load(place: PluginPlace): Promise<RuntimePlugin>
}

/** Where a plugin is loaded, and what it has to fit. */
export interface PluginPlace {
  readonly plugin: PluginSpec
  readonly contract: { readonly name: string; readonly version: number }
  /** The index of one is the index of its hook. */
  readonly hookpoints: readonly HookpointSpec[]
  /** Its code, where there is no file to read: in a child process the lane has sent it. See code.ts. */
  readonly code?: Uint8Array | undefined
  /** Told once, before setup: the name by which the plugin goes, the operator's or else its own. */
  named(name: string): void
  /** Log lines go to the host's logger, under that name. */
  logger(name: string): PluginLogger
  /** The host services that it was granted. Runtimes other than `module` are granted none. */
  readonly services?: PluginServices | undefined
  /** How long the host waits for the lane to be loaded; left out: not known. */
  readonly setupTimeoutMs?: number | undefined
}

/** A plugin that has been loaded. Its hooks are called with what `takes` says, and a CallContext. */
export interface RuntimePlugin extends PluginInstance {
  /** `event`: the lazy event, closed when the hook has settled. `bytes`: EventBytes. */
  readonly takes: 'event' | 'bytes'
  dispose?(): void | Promise<void>
  /** Another version of the plugin is loaded in another lane: what it has elsewhere is handed over. */
  handOver?(step: HandOver): void | Promise<void>
  /** Told before `destroy`: another version of the plugin has taken its place. */
  succeeded?(): void
}

/** An event as the host encoded it, by the hookpoint's layout plan: valid until the hook has returned. */
export interface EventBytes {
  readonly u8: Uint8Array
  readonly at: number
  readonly bytes: number
}

/** Returned by a hook of a runtime that encodes replacements and answers on its side; checked by the host like any other. */
export class EncodedReply {
  readonly kind: 'replace' | 'respond'
  readonly bytes: Uint8Array

  constructor(kind: 'replace' | 'respond', bytes: Uint8Array) {
    this.kind = kind
    this.bytes = bytes
  }
}

/**
 * Thrown, or rejected with, by a hook that the runtime stopped at its deadline: the host has settled the call already, or
 * is about to, and the lane lives on.
 */
export class StoppedAtDeadline extends Error {
  constructor() {
    super('the hook was stopped at its deadline')
    this.name = 'StoppedAtDeadline'
  }
}
