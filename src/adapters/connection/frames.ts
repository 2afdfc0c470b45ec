/**
 * The frames of the protocol, as bytes. Both sides use it, on the thread that has the socket.
 *
 *   u32   length of what follows, big endian: 1 to the taker's maxFrameBytes
 *   u8    type
 *   ...   payload
 *
 * | type       | from   | payload                                                                              |
 * |------------|--------|--------------------------------------------------------------------------------------|
 * | hello 1    | client | u8 version, u8 codec (0 MessagePack, 1 JSON), `user:password` in UTF-8, or nothing   |
 * | welcome 2  | server | u8 version, u8 flags (1: restricted), i32 handle, u32 maxFrameBytes, u32 maxOutstanding |
 * | refused 3  | server | an error; the connection ends                                                        |
 * | sync 4     | client | u32 id, body                                                                         |
 * | async 5    | client | body                                                                                 |
 * | response 6 | server | u32 id, body                                                                         |
 * | error 7    | server | u32 id, an error                                                                     |
 * | goodbye 8  | server | an error: why the connection ends                                                    |
 *
 * Errors are JSON, whatever the bodies are: `{"code","message","status"?}`. The side of a client that ends ends the
 * connection.
 */
import { HookringError } from '../../contracts/index.js'

export const PROTOCOL_VERSION = 1

export const FRAME = {
  hello: 1,
  welcome: 2,
  refused: 3,
  sync: 4,
  async: 5,
  response: 6,
  error: 7,
  goodbye: 8,
} as const

/** Of the frames before the connection is open: a name and a password of 255 bytes each, and some. */
export const MAX_HANDSHAKE_BYTES = 1024
/** With the event around it, a frame of this size is below the 1 MiB that engines take by default. */
export const DEFAULT_MAX_FRAME_BYTES = 1_000_000

export interface Frame {
  readonly type: number
  readonly payload: Buffer
}

export interface FrameReader {
  /** The next bytes of the stream. */
  feed(chunk: Buffer): void
  /** The next whole frame, or null. @throws HookringError FRAME_INVALID, FRAME_TOO_LARGE */
  next(): Frame | null
  /** A frame has begun and is not whole. */
  readonly isWithin: boolean
  maxBytes: number
}

/** The first room for a frame that comes in pieces; it doubles, so that a frame costs its sender as much as its taker. */
const FIRST_PIECES_BYTES = 4096

export function createFrameReader(maxBytes: number): FrameReader {
  let rest: Buffer | null = null
  // The frame that comes in pieces, its length included.
  let pieces = Buffer.alloc(0)
  let used = 0

  function wanted(head: Buffer): number {
    const length = head.readUInt32BE(0)
    if (length === 0) throw new HookringError('FRAME_INVALID', 'a frame without a type')
    if (length > reader.maxBytes) {
      throw new HookringError('FRAME_TOO_LARGE', `a frame of ${length} bytes; at most ${reader.maxBytes} are taken`)
    }
    return 4 + length
  }

  /** Moves bytes from `rest` until `count` of the frame are there. */
  function gather(count: number): boolean {
    if (rest === null) return used >= count
    const taken = Math.min(count - used, rest.byteLength)
    if (used + taken > pieces.byteLength) {
      const larger = Buffer.allocUnsafe(Math.min(count, Math.max(FIRST_PIECES_BYTES, (used + taken) * 2)))
      pieces.copy(larger, 0, 0, used)
      pieces = larger
    }
    rest.copy(pieces, used, 0, taken)
    used += taken
    rest = taken === rest.byteLength ? null : rest.subarray(taken)
    return used >= count
  }

  function take(whole: Buffer): Frame {
    return { type: whole[4] as number, payload: whole.subarray(5) }
  }

  const reader: FrameReader = {
    maxBytes,
    get isWithin() {
      return used > 0
    },
    feed(chunk) {
      rest = rest === null ? chunk : Buffer.concat([rest, chunk])
    },
    next() {
      if (used === 0 && rest !== null && rest.byteLength >= 4) {
        const bytes = wanted(rest)
        if (rest.byteLength >= bytes) {
          const frame = take(rest.subarray(0, bytes))
          rest = rest.byteLength === bytes ? null : rest.subarray(bytes)
          return frame
        }
      }
      if (rest === null) return null
      if (used < 4 && !gather(4)) return null
      const bytes = wanted(pieces)
      if (!gather(bytes)) return null
      const frame = take(pieces.subarray(0, bytes))
      pieces = Buffer.alloc(0)
      used = 0
      return frame
    },
  }
  return reader
}

export function frameOf(type: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + payload.byteLength)
  frame.writeUInt32BE(1 + payload.byteLength, 0)
  frame[4] = type
  frame.set(payload, 5)
  return frame
}

/** sync, response and error. */
export function numberedFrameOf(type: number, id: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(9 + payload.byteLength)
  frame.writeUInt32BE(5 + payload.byteLength, 0)
  frame[4] = type
  frame.writeUInt32BE(id, 5)
  frame.set(payload, 9)
  return frame
}

/** The number and the rest of a numbered frame. @throws HookringError FRAME_INVALID */
export function readNumbered({ type, payload }: Frame): { id: number; rest: Buffer } {
  if (payload.byteLength < 4) throw new HookringError('FRAME_INVALID', `a frame of type ${type} without its number`)
  return { id: payload.readUInt32BE(0), rest: payload.subarray(4) }
}
