/**
 * The end of an engine, in two steps that a server can take separately. First its plugins are told that it is shutting
 * down, while calls go on. Then calls are refused, the accepted ones are awaited, and everything that the engine holds is
 * released, each part before the parts that it needs. Host's thread only.
 */
import { LATE, within } from '../primitives/within.js'
import type { Expiry } from './calls/expiry.js'
import type { LaneThreads } from './lanes/lane-threads.js'
import type { Supervisor } from './lanes/supervisor.js'
import type { PluginWatches } from './plugins/plugin-watch.js'
import type { Registry } from './plugins/registry.js'
import type { Recordings } from './recordings.js'
import type { PluginSources } from './sources/locate.js'
import type { Metrics } from './telemetry/metrics.js'

export interface ShutdownOptions {
  /** How long accepted calls may take, in milliseconds. What is left then is reported and given up. */
  readonly closeTimeoutMs: number
  readonly registry: Registry
  readonly supervisor: Supervisor
  readonly expiry: Pick<Expiry, 'giveUp'>
  readonly recordings: Pick<Recordings, 'stopAll'>
  readonly watches: Pick<PluginWatches, 'close'>
  readonly threads: Pick<LaneThreads, 'close'>
  readonly timer: { close(): void }
  readonly sources: Pick<PluginSources, 'close'>
  readonly metrics: Pick<Metrics, 'close'>
}

/** Whether an engine takes calls. */
export interface Openness {
  isOpen: boolean
}

export class Shutdown {
  readonly #options: ShutdownOptions
  readonly #engine: Openness
  #shuttingDown: Promise<void> | null = null
  #closing: Promise<void> | null = null

  /** @param engine it is closed when calls are to be refused */
  constructor(engine: Openness, options: ShutdownOptions) {
    this.#engine = engine
    this.#options = options
  }

  /** Tells the plugins. Called again, it returns the same promise. */
  begin(): Promise<void> {
    const { registry, supervisor } = this.#options
    this.#shuttingDown ??= Promise.all(registry.bulkheads.map((bulkhead) => supervisor.shutdown(bulkhead))).then(
      () => {},
    )
    return this.#shuttingDown
  }

  /** Ends everything. Called again, it returns the same promise. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    const { registry, supervisor, recordings, watches, threads, timer, sources, metrics } = this.#options
    // Before the plugins are told: nothing new is started from here on.
    await watches.close()
    await this.begin()
    this.#engine.isOpen = false
    await this.#drained()
    await recordings.stopAll()
    await registry.close()
    await supervisor.settled()
    await threads.close()
    timer.close()
    await sources.close()
    metrics.close()
  }

  /** Waits for accepted calls; after closeTimeoutMs it reports what is left. */
  async #drained(): Promise<void> {
    const { registry, expiry, closeTimeoutMs } = this.#options
    if ((await within(registry.whenSettled(), closeTimeoutMs)) !== LATE) return
    for (const bulkhead of registry.bulkheads) {
      const left = [
        ...bulkhead.takeWaiting(),
        ...bulkhead.seats.flatMap(({ lane }) => (lane === null ? [] : [...lane.calls()])),
      ]
      for (const call of left) expiry.giveUp(call)
    }
  }
}
