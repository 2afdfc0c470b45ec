/** Encodes events for which no lane has room now, so that calls can wait with their bytes. Host's thread only. */
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import type { Call, HeldBytes } from '../model/call.js'
import { nextRoom } from '../model/lane.js'

/** At most this many bytes of trace id stand behind an event. */
export const MAX_TRACE_ID_BYTES = 256

const SCRATCH_BYTES = 8192

/** The function throws HookringError EVENT_INVALID, EVENT_TOO_LARGE. */
export function createWaitingEncoder(maxEventBytes: number): (call: Call, event: unknown) => HeldBytes {
  let scratch: CodecMemory | null = null

  return (call, event) => {
    const { hookpoint, traceBytes } = call
    let room = (hookpoint.expectedBytes + 63) & ~63
    for (;;) {
      // Large events are encoded where they stay; small ones share a place and are copied out of it.
      const isLarge = room > SCRATCH_BYTES
      scratch ??= codecMemory(new ArrayBuffer(SCRATCH_BYTES + MAX_TRACE_ID_BYTES))
      const memory = isLarge ? codecMemory(new ArrayBuffer((room + MAX_TRACE_ID_BYTES + 7) & ~7)) : scratch
      const used = hookpoint.encoder.encode(memory, 0, Math.min(room, maxEventBytes), event)
      if (used >= 0) {
        call.eventBytes = used
        if (traceBytes > 0) memory.buffer.write(call.rare.traceId as string, used)
        return { u8: isLarge ? memory.u8 : memory.u8.slice(0, used + traceBytes), at: 0 }
      }
      room = nextRoom(hookpoint.name, room, -used, maxEventBytes)
    }
  }
}
