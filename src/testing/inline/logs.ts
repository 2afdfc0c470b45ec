/**
 * Keeps what a plugin logs in a test. Runs where the engine runs.
 */
import type { Logger } from '../../contracts/options.js'
import type { PluginLogger } from '../../plugin/index.js'

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** The plugin that logged it; undefined: the engine. */
  readonly plugin: string | undefined
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** A logger as plugins get it. */
export function createPluginLog(plugin: string, logs: LogEntry[]): PluginLogger {
  return Object.fromEntries(
    LEVELS.map((level) => [
      level,
      (message: string, fields: Record<string, unknown> = {}) => logs.push({ level, plugin, message, fields }),
    ]),
  ) as unknown as PluginLogger
}

/** A logger as engines get it. */
export function createEngineLog(logs: LogEntry[]): Logger {
  return Object.fromEntries(
    LEVELS.map((level) => [
      level,
      ({ plugin, bulkhead: _, ...fields }: { plugin?: string; bulkhead?: string }, message: string) =>
        logs.push({ level, plugin, message, fields }),
    ]),
  ) as unknown as Logger
}
