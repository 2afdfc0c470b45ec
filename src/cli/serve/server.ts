/** What every server of `hookring serve` can do, so that they start and end alike. Types alone. */
import type { PluginStatus } from '../../index.js'

export interface StartedServer {
  readonly name: string
  readonly addresses: readonly string[]
  readonly plugins: readonly PluginStatus[]
  /** Takes no more connections. */
  refuse(): void
  /** Tells the plugins that the server is shutting down, its connections being open still. */
  announce(): Promise<void>
  /** Ends the connections, having answered what is under way. */
  drain(): Promise<void>
  /** Delivers what is observed, destroys the plugins, ends the threads. */
  destroy(): Promise<void>
}

/** An engine's registry: engines that share it label what they measure. */
export type SharedRegistry = object
