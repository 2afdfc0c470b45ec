/** What every server of `hookring serve` can do, so that they start and end alike. Types alone. */
import type { HookEngine } from '../../index.js'

export interface StartOptions {
  /** What relative paths of the config are relative to. */
  readonly folder: string
  /** Of the engines that there are; undefined for the first. */
  readonly registry: HookEngine['registry'] | undefined
}

export interface StartedServer {
  readonly name: string
  readonly addresses: readonly string[]
  readonly engine: Pick<HookEngine, 'plugins' | 'registry' | 'shutdown' | 'close' | 'on'>
  /** Takes no more connections. */
  refuse(): void
  /** Ends the connections, having answered what is under way. */
  drain(): Promise<void>
}
