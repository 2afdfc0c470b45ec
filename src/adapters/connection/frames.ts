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
 * | message 9  | server | body: a message that answers none of the client's                                    |
 * | cancel 10  | client | u32 id of a sync whose answer is not wanted any more; none follows                   |
 * | flush 11   | client | u32 id                                                                               |
 * | flushed 12 | server | u32 id: what the client sent before that flush has been handled                      |
 *
 * Errors are JSON, whatever the bodies are: `{"code","message","status"?}`. A client that ends its side has said
 * all: what it sent is handled and answered, then the server ends its own.
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
  message: 9,
  cancel: 10,
  flush: 11,
  flushed: 12,
} as const

/** Of the frames before the connection is open: a name and a password of 255 bytes each, and some. */
export const MAX_HANDSHAKE_BYTES = 1024
/** With the event around it, a frame of this size is below the 1 MiB that engines take by default. */
export const DEFAULT_MAX_FRAME_BYTES = 1_000_000

export interface Frame {
  readonly type: number
  readonly payload: Buffer
}

/** The first room for a frame that comes in pieces; it doubles, so that a frame costs its sender as much as its taker. */
const FIRST_PIECES_BYTES = 4096

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  maxBytes: number
  #rest: Buffer | null = null
  /** The frame that comes in pieces, its length included. */
  #pieces = Buffer.alloc(0)
  #used = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** A frame has begun and is not whole. */
  get isWithin(): boolean {
    return this.#used > 0
  }

  /** The next bytes of the stream. */
  feed(chunk: Buffer): void {
    this.#rest = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
  }

  /** The next whole frame, or null. @throws HookringError FRAME_INVALID, FRAME_TOO_LARGE */
  next(): Frame | null {
    const whole = this.#used === 0 ? this.#takeWhole() : null
    return whole ?? this.#takePieces()
  }

  /** The common case: a frame that lies in one chunk is not copied. */
  #takeWhole(): Frame | null {
    const rest = this.#rest
    if (rest === null || rest.byteLength < 4) return null
    const bytes = this.#wanted(rest)
    if (rest.byteLength < bytes) return null
    this.#rest = rest.byteLength === bytes ? null : rest.subarray(bytes)
    return frameIn(rest.subarray(0, bytes))
  }

  #takePieces(): Frame | null {
    if (this.#rest === null) return null
    if (this.#used < 4 && !this.#gather(4)) return null
    const bytes = this.#wanted(this.#pieces)
    if (!this.#gather(bytes)) return null
    const frame = frameIn(this.#pieces.subarray(0, bytes))
    this.#pieces = Buffer.alloc(0)
    this.#used = 0
    return frame
  }

  #wanted(head: Buffer): number {
    const length = head.readUInt32BE(0)
    if (length === 0) throw new HookringError('FRAME_INVALID', 'a frame without a type')
    if (length > this.maxBytes) {
      throw new HookringError('FRAME_TOO_LARGE', `a frame of ${length} bytes; at most ${this.maxBytes} are taken`)
    }
    return 4 + length
  }

  /** Moves bytes from the rest until `count` of the frame are there. */
  #gather(count: number): boolean {
    const rest = this.#rest
    if (rest === null) return this.#used >= count
    const taken = Math.min(count - this.#used, rest.byteLength)
    if (this.#used + taken > this.#pieces.byteLength) {
      const larger = Buffer.allocUnsafe(Math.min(count, Math.max(FIRST_PIECES_BYTES, (this.#used + taken) * 2)))
      this.#pieces.copy(larger, 0, 0, this.#used)
      this.#pieces = larger
    }
    rest.copy(this.#pieces, this.#used, 0, taken)
    this.#used += taken
    this.#rest = taken === rest.byteLength ? null : rest.subarray(taken)
    return this.#used >= count
  }
}

function frameIn(whole: Buffer): Frame {
  return { type: whole[4] as number, payload: whole.subarray(5) }
}

export function frameOf(type: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + payload.byteLength)
  frame.writeUInt32BE(1 + payload.byteLength, 0)
  frame[4] = type
  frame.set(payload, 5)
  return frame
}

/** Frames whose payload begins with a number. */
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
