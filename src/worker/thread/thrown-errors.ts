/**
 * What hooks throw, told to the log with its stack: a call's failure has room for a line only. Rate-limited for each
 * plugin, since a hook that is broken throws at every call. A lane's thread, or its child process.
 */
import { describe } from '../../plugin/setup.js'
import { monotonicMs } from '../../ring/clock.js'
import type { LogSender } from './log-sender.js'

/** Different faults at the start are worth a line each; from then on one a second. */
const BURST = 5
const EVERY_MS = 1000

interface Allowance {
  left: number
  sinceMs: number
  /** Not told since the last one that was. */
  untold: number
}

export class ThrownErrors {
  readonly #sender: Pick<LogSender, 'logger'>
  readonly #allowances = new Map<string, Allowance>()

  constructor(sender: Pick<LogSender, 'logger'>) {
    this.#sender = sender
  }

  tell(plugin: string, hookpoint: string, error: unknown): void {
    const untold = this.#allow(plugin)
    if (untold === null) return
    const stack = stackOf(error)
    this.#sender.logger(plugin).warn(`${hookpoint} threw: ${describe(error)}`, {
      hookpoint,
      ...(stack === undefined ? {} : { stack }),
      ...(untold === 0 ? {} : { untold }),
    })
  }

  /** How many went untold before this one; null: so does this one. */
  #allow(plugin: string): number | null {
    const nowMs = monotonicMs()
    const allowance = this.#allowances.get(plugin) ?? { left: BURST, sinceMs: nowMs, untold: 0 }
    this.#allowances.set(plugin, allowance)
    const gained = Math.floor((nowMs - allowance.sinceMs) / EVERY_MS)
    allowance.left = Math.min(BURST, allowance.left + gained)
    allowance.sinceMs += gained * EVERY_MS
    if (allowance.left < 1) {
      allowance.untold += 1
      return null
    }
    allowance.left -= 1
    const { untold } = allowance
    allowance.untold = 0
    return untold
  }
}

/** Reading it may run the plugin's code. */
function stackOf(error: unknown): string | undefined {
  try {
    const { stack } = (error ?? {}) as { stack?: unknown }
    return typeof stack === 'string' && stack !== '' ? stack : undefined
  } catch {
    return undefined
  }
}
