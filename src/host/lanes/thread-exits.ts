/** How the threads of lanes end that are let go of. Host's thread only. */

import type { Lane } from '../model/lane.js'
import type { Emit } from '../telemetry/events.js'
import type { LaneMemories } from './lane-memories.js'
import type { LaneThread } from './lane-threads.js'

export interface Departures {
  /** Terminates a thread in two stages: told to, and, if it does not, counted as a zombie and no longer waited for. */
  letGo(lane: Lane, thread: LaneThread, plugin: string | undefined): Promise<void>
  /** The same, with nobody waiting but, in the end, settled(). */
  letGoMeanwhile(lane: Lane, thread: LaneThread, plugin: string | undefined): void
  /** Resolves when every thread that was let go of meanwhile is gone, or is a zombie. Never rejects. */
  settled(): Promise<void>
}

export interface DeparturesOptions {
  readonly memories: LaneMemories
  readonly terminateGraceMs: number
  readonly emit: Emit
  onZombie(change: 1 | -1): void
}

export function createDepartures({ memories, terminateGraceMs, emit, onZombie }: DeparturesOptions): Departures {
  const underWay = new Set<Promise<void>>()

  async function letGo(lane: Lane, thread: LaneThread, plugin: string | undefined): Promise<void> {
    const { bulkhead, seat } = lane
    seat.leaving += 1
    const isGone = await thread.terminate(terminateGraceMs)
    seat.leaving -= 1
    if (isGone) {
      memories.keep(lane)
      return
    }
    // A zombie may write to its own for ever.
    memories.prepare(bulkhead, seat)
    onZombie(1)
    emit('zombie', { bulkhead: bulkhead.name, lane: lane.id, plugin, graceMs: terminateGraceMs })
    void thread.gone.then(() => onZombie(-1))
  }

  return {
    letGo,
    letGoMeanwhile(lane, thread, plugin) {
      const departure = letGo(lane, thread, plugin).finally(() => underWay.delete(departure))
      underWay.add(departure)
    },
    async settled() {
      await Promise.all(underWay)
    },
  }
}
