/** What a plugin keeps: memory, and what is alive. In the probe's thread. */
import { setTimeout as sleep } from 'node:timers/promises'
import { getHeapStatistics } from 'node:v8'

/** Handles need a moment to close. */
const SETTLE_MS = 500
const POLL_MS = 20

/** Heap and what hangs off it (buffers), garbage left out. */
export function usedBytes(collectGarbage: () => void): number {
  collectGarbage()
  // What finalizers let go of goes with the second.
  collectGarbage()
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics()
  return heap + external
}

/** What keeps the event loop alive, by type. */
export function liveHandles(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const type of process.getActiveResourcesInfo()) {
    if (type !== 'Immediate') counts.set(type, (counts.get(type) ?? 0) + 1)
  }
  return counts
}

/** What is alive beyond what was before, once it has had time to close: `2 x Timeout`. */
export async function settledHandles(before: ReadonlyMap<string, number>): Promise<string[]> {
  const until = performance.now() + SETTLE_MS
  for (;;) {
    const left: string[] = []
    for (const [type, count] of liveHandles()) {
      const added = count - (before.get(type) ?? 0)
      if (added > 0) left.push(added === 1 ? type : `${added} x ${type}`)
    }
    if (left.length === 0 || performance.now() > until) return left
    await sleep(POLL_MS)
  }
}
