/**
 * The end of an engine, in two steps that a server can take apart: its plugins are told that it is shutting down while calls
 * go on; then the door is shut, what was accepted is waited for, and everything that the engine holds is let go of, in the
 * order in which the one needs the other. Host's thread only.
 */

import { LATE, within } from '../primitives/within.js'
import type { Expiry } from './calls/expiry.js'
import type { LaneThreads } from './lanes/lane-threads.js'
import type { Supervisor } from './lanes/supervisor.js'
import type { Registry } from './plugins/registry.js'
import type { DeadlineTimer } from './primitives/timing-wheel.js'
import type { Recordings } from './recordings.js'
import type { PluginSources } from './sources/locate.js'
import type { Metrics } from './telemetry/metrics.js'

export interface EndingOptions {
  /** For calls that were accepted; what is left then is named and given up. */
  readonly closeTimeoutMs: number
  /** Calls are refused once it is shut. */
  readonly door: { isOpen: boolean }
  readonly registry: Registry
  readonly supervisor: Supervisor
  readonly expiry: Pick<Expiry, 'giveUp'>
  readonly recordings: Pick<Recordings, 'stopAll'>
  readonly threads: Pick<LaneThreads, 'close'>
  readonly deadlines: Pick<DeadlineTimer<never>, 'close'>
  readonly sources: Pick<PluginSources, 'close'>
  readonly metrics: Pick<Metrics, 'close'>
}

export interface Ending {
  /** Again: the same promise. */
  shutdown(): Promise<void>
  /** Again: the same promise. */
  close(): Promise<void>
}

export function createEnding(options: EndingOptions): Ending {
  const { registry, supervisor } = options
  let shuttingDown: Promise<void> | null = null
  let closing: Promise<void> | null = null

  function shutdown(): Promise<void> {
    shuttingDown ??= Promise.all(registry.bulkheads.map((bulkhead) => supervisor.shutdown(bulkhead))).then(() => {})
    return shuttingDown
  }

  async function closeAll(): Promise<void> {
    await shutdown()
    options.door.isOpen = false
    await drained()
    await options.recordings.stopAll()
    await registry.close()
    await supervisor.settled()
    await options.threads.close()
    options.deadlines.close()
    await options.sources.close()
    options.metrics.close()
  }

  /** Waits for what was accepted; names what is left after closeTimeoutMs. */
  async function drained(): Promise<void> {
    if ((await within(registry.whenSettled(), options.closeTimeoutMs)) !== LATE) return
    for (const bulkhead of registry.bulkheads) {
      const left = [
        ...bulkhead.takeWaiting(),
        ...bulkhead.seats.flatMap(({ lane }) => (lane === null ? [] : [...lane.calls()])),
      ]
      for (const call of left) options.expiry.giveUp(call)
    }
  }

  return {
    shutdown,
    close() {
      closing ??= closeAll()
      return closing
    },
  }
}
