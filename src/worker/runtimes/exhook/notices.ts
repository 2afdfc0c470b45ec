/**
 * Log lines about what goes wrong with a provider again and again: the first of each kind, and then one in five seconds with
 * how many they were. The lane's thread.
 */
import type { PluginLogger } from '../../../plugin/index.js'

const EVERY_MS = 5_000
/** Kinds come from RPCs and from what is wrong with them. */
const MAX_KINDS = 256

interface Notice {
  count: number
  lastMs: number
}

export class Notices {
  readonly #log: PluginLogger
  readonly #now: () => number
  readonly #kinds = new Map<string, Notice>()

  constructor(log: PluginLogger, now: () => number = Date.now) {
    this.#log = log
    this.#now = now
  }

  warn(kind: string, message: string): void {
    const nowMs = this.#now()
    let notice = this.#kinds.get(kind)
    if (notice === undefined) {
      if (this.#kinds.size >= MAX_KINDS) this.#kinds.clear()
      notice = { count: 0, lastMs: Number.NEGATIVE_INFINITY }
      this.#kinds.set(kind, notice)
    }
    notice.count += 1
    if (nowMs - notice.lastMs < EVERY_MS) return
    this.#log.warn(message, { count: notice.count })
    notice.count = 0
    notice.lastMs = nowMs
  }
}
