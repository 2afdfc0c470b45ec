/** Passes what plugins log on to the server's logger. Host's thread only. */
import type { LogLine } from '../../contracts/control.js'
import type { ReadBatch } from '../../contracts/log-batch.js'
import type { Logger } from '../../contracts/options.js'
import { ByteBudget } from '../../primitives/byte-budget.js'
import { monotonicMs } from '../../ring/clock.js'
import type { BulkheadRecorder } from './recorders.js'

export interface PluginLogsOptions {
  readonly logger: Logger
  /** Takes lines that are meant for the engine itself, and returns true for those. */
  hears(line: LogLine): boolean
  /** A plugin has thrown outside any call. */
  blame(plugin: string): void
}

/** Text of log lines for all lanes of a bulkhead: some thousand lines a second. Lines beyond it are dropped and counted. */
const BUDGET = { bytesPerSecond: 1024 * 1024, burstBytes: 4 * 1024 * 1024 }
/** A lane that logs too much waits this long for its next batch, and drops what it has no room for. */
const HOLD_MS = 250
/** Names that loggers write themselves, and the engine's own. A plugin's field with such a name becomes `field_NAME`. */
const RESERVED: ReadonlySet<string> = new Set([
  ...['level', 'time', 'timestamp', 'msg', 'message', 'pid', 'hostname', 'name', 'v', 'severity', 'err'],
  ...['plugin', 'bulkhead'],
])

interface LoggingBulkhead {
  readonly name: string
  readonly recorder: BulkheadRecorder | null
}

export class PluginLogs {
  readonly #options: PluginLogsOptions
  readonly #budgets = new WeakMap<LoggingBulkhead, ByteBudget>()

  constructor(options: PluginLogsOptions) {
    this.#options = options
  }

  /** Resolves when the lane may send its next batch. */
  async receive(bulkhead: LoggingBulkhead, { lines, dropped, chars }: ReadBatch): Promise<void> {
    const budget = this.#budgetOf(bulkhead)
    const nowMs = monotonicMs()
    const lineChars = lines.length === 0 ? 0 : chars / lines.length
    let overBudget = 0
    for (const line of lines) {
      if (budget.left(nowMs) < lineChars) overBudget += 1
      else {
        budget.take(lineChars, nowMs)
        this.#write(bulkhead, line)
      }
      if (line.uncaught) this.#options.blame(line.plugin)
    }
    this.#tellDropped(bulkhead, dropped + overBudget)
    if (overBudget > 0) await new Promise((resolve) => setTimeout(resolve, HOLD_MS).unref())
  }

  #write(bulkhead: LoggingBulkhead, line: LogLine): void {
    if (this.#options.hears(line)) return
    const { level, plugin, message, fields } = line
    this.#options.logger[level]({ ...renamed(fields), plugin, bulkhead: bulkhead.name }, message)
  }

  #tellDropped(bulkhead: LoggingBulkhead, dropped: number): void {
    if (dropped === 0) return
    if (bulkhead.recorder !== null) bulkhead.recorder.droppedLogLines += dropped
    this.#options.logger.warn({ bulkhead: bulkhead.name, dropped }, 'log lines of plugins were dropped')
  }

  #budgetOf(bulkhead: LoggingBulkhead): ByteBudget {
    const known = this.#budgets.get(bulkhead)
    if (known !== undefined) return known
    const budget = new ByteBudget(BUDGET, monotonicMs())
    this.#budgets.set(bulkhead, budget)
    return budget
  }
}

function renamed(fields: LogLine['fields']): LogLine['fields'] {
  if (fields === undefined || !Object.keys(fields).some((key) => RESERVED.has(key))) return fields
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [RESERVED.has(key) ? `field_${key}` : key, value]),
  )
}
