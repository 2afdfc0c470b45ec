/** Encodes events for which no lane has room now, so that their calls can wait. Host's thread only. */
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import type { Call, HeldBytes } from '../model/call.js'
import { nextRoom } from '../model/event-size.js'

/** The longest trace id, in bytes of UTF-8. */
export const MAX_TRACE_ID_BYTES = 256

const SCRATCH_BYTES = 8192

/** The returned function throws HookringError EVENT_INVALID, EVENT_TOO_LARGE. */
export function createWaitingEncoder(maxEventBytes: number): (call: Call, event: unknown) => HeldBytes {
  let scratch: CodecMemory | null = null

  return (call, event) => {
    const { hookpoint, traceBytes } = call
    let room = (hookpoint.expectedBytes + 63) & ~63
    for (;;) {
      // A large event is encoded in memory of its own; small ones are encoded in shared scratch memory and copied out.
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
