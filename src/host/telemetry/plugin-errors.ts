/** Logs what hooks throw: the first at once, then one in ten seconds for each plugin and hookpoint. Host's thread only. */
import type { Logger } from '../../contracts/options.js'
import type { PluginError } from './events.js'

/** A hook that throws on each call must not fill the log. */
const QUIET_MS = 10_000

interface Told {
  atMs: number
  /** Errors since then, which were not logged. */
  more: number
}

export class PluginErrors {
  readonly #logger: Logger
  readonly #now: () => number
  /** By plugin and hookpoint; the names are the operator's and the contract's, so there are few. */
  readonly #told = new Map<string, Told>()

  constructor({ logger, now }: { logger: Logger; now: () => number }) {
    this.#logger = logger
    this.#now = now
  }

  log({ plugin, hookpoint, error }: PluginError): void {
    const key = `${plugin} ${hookpoint}`
    const nowMs = this.#now()
    const told = this.#told.get(key)
    if (told !== undefined && nowMs - told.atMs < QUIET_MS) {
      told.more += 1
      return
    }
    this.#told.set(key, { atMs: nowMs, more: 0 })
    const { name, message, stack } = error
    const text = `${name}: ${message}`
    const more = told === undefined || told.more === 0 ? {} : { more: told.more }
    const err = { type: name, message, stack: stack === '' ? text : `${text}\n${stack}` }
    this.#logger.warn({ plugin, hookpoint, err, ...more }, `plugin ${plugin} threw at ${hookpoint}: ${text}`)
  }
}
