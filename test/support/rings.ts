/** Both sides of a ring in one thread. */
import { allocateRing, HostRing, type Submission } from '../../dist/ring/host-ring.js'
import * as layout from '../../dist/ring/layout.js'
import { WorkerRing } from '../../dist/ring/worker-ring.js'

export const SLOTS = 8

const ARENA_BYTES = 4096

export const submission = (fields: Partial<Submission> = {}): Submission => ({
  hookpoint: 0,
  mask: 1,
  extentAt: 0,
  eventBytes: 0,
  traceBytes: 0,
  replyRoom: 0,
  ...fields,
})

export function rings(firstSequence = 0) {
  const geometry = { slotCount: SLOTS, arenaBytes: ARENA_BYTES }
  const { completeRingWord, slotsWord } = layout.layoutOf(geometry)
  const host = new HostRing(geometry, allocateRing(geometry), firstSequence)
  const worker = new WorkerRing(host.buffer)
  const words = new Int32Array(host.buffer)
  return {
    host,
    worker,
    words,
    completeRingWord,
    stateAt: (slot: number) => slotsWord + slot * layout.SLOT_WORDS + layout.STATE_WORD,
  }
}
