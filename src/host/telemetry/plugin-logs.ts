/** What plugins log, on its way to the server's logger. Host's thread only. */
import type { LogBatch, LogLine } from '../../contracts/control.js'
import type { Logger } from '../../contracts/options.js'
import type { BulkheadRecorder } from './recorders.js'

export interface PluginLogsOptions {
  readonly logger: Logger
  /** Takes lines that are meant for the engine itself: true for those. */
  hears(line: LogLine): boolean
  /** A plugin has thrown outside any call. */
  blame(plugin: string): void
}

export class PluginLogs {
  readonly #options: PluginLogsOptions

  constructor(options: PluginLogsOptions) {
    this.#options = options
  }

  receive(bulkhead: { readonly name: string; readonly recorder: BulkheadRecorder | null }, batch: LogBatch): void {
    const { logger, hears, blame } = this.#options
    for (const line of batch.lines) {
      if (hears(line)) continue
      const { level, plugin, message, fields, uncaught } = line
      logger[level]({ ...fields, plugin, bulkhead: bulkhead.name }, message)
      if (uncaught) blame(plugin)
    }
    const { dropped } = batch
    if (dropped === 0) return
    if (bulkhead.recorder !== null) bulkhead.recorder.droppedLogLines += dropped
    logger.warn({ bulkhead: bulkhead.name, dropped }, 'log lines of plugins were dropped')
  }
}
