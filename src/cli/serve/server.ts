/** What every server of `hookring serve` can do, so that they start, change and end alike. Types alone. */
import type { HookEngine, Logger } from '../../index.js'

export interface StartOptions {
  /** What relative paths of the config are relative to. */
  readonly folder: string
  /** Of the engines that there are; undefined for the first. */
  readonly registry: HookEngine['registry'] | undefined
  /** For engines that were given none. */
  readonly logger: Logger
}

export type ServedEngine = Pick<
  HookEngine,
  'plugins' | 'registry' | 'shutdown' | 'close' | 'on' | 'add' | 'remove' | 'reload' | 'watch'
>

export interface StartedServer {
  readonly name: 'mqtt' | 'connection' | 'exhook'
  readonly addresses: readonly string[]
  readonly engine: ServedEngine
  /** Reads certificates again. @throws UsageError CONFIG_INVALID; then the old ones stay */
  renewCertificates?(): void
  /** What it cannot do now though it runs; empty: nothing. Must not take long. */
  problems(): Promise<string[]>
  /** False: it must be started anew, or be let go of. */
  isHealthy(): boolean
  /** Takes no more connections. */
  refuse(): void
  /** Ends the connections, having answered what is under way. */
  drain(): Promise<void>
}
