/**
 * What a lane and its child process say to each other, and how it lies in the pipe. Pure; used on both ends.
 *
 *   byte 0   u32  bytes of the frame, this head included      byte 4   u8   what it is: one of TO_CHILD or FROM_CHILD
 *   byte 5   u8   plugin, by its index; or a flag             byte 6   u16  hookpoint, by its index
 *   byte 8   u32  id of a call or question                    byte 12  u32  bytes of the trace id; or the code of a reject
 *   byte 16  f64  deadline, monotonic milliseconds            byte 24       payload
 *
 * The child believes the lane. The lane believes nothing: a frame that is too long, unknown, or an answer to nothing that
 * was asked, is the child's end.
 */
export const HEAD_BYTES = 24

/** The descriptor of the pipe in the child. */
export const PIPE_FD = 3

const BYTES_AT = 0
const WHAT_AT = 4
const INDEX_AT = 5
const POINT_AT = 6
const ID_AT = 8
const EXTRA_AT = 12
const DEADLINE_AT = 16

export const TO_CHILD = {
  /** Payload: a LoadOrder, serialised by v8. */
  load: 1,
  /** Payload: the trace id, then the event. */
  call: 2,
  /** Index: 0 at the deadline, 1 by the caller. */
  abort: 3,
  /** The lines of the last batch are taken: the next may come. */
  logTaken: 4,
  shutdown: 5,
  destroy: 6,
  ping: 7,
} as const

export const FROM_CHILD = {
  ready: 16,
  /** Payload: a LoadAnswer, as JSON. */
  loaded: 17,
  continues: 18,
  /** Index: 1 when there is a code. Payload: the reason. */
  rejects: 19,
  replaces: 20,
  responds: 21,
  /** Payload: what was thrown, in a line. */
  fails: 22,
  /** Payload: why it is no verdict. */
  invalid: 23,
  /** The runtime stopped the hook at its deadline, or the call came too late to be begun. */
  stopped: 24,
  /** The hook has returned a promise: what comes behind it in the pipe is run meanwhile. */
  pends: 25,
  /** Payload: a log batch, as JSON. */
  log: 26,
  /** A question of the plugin's life is answered. Index: 1 when it failed. Payload: with what. */
  done: 27,
  pong: 28,
  /** It exits by its own will, with this code. Told because the kernel takes its time to. */
  leaves: 29,
} as const

/** Reasons, and what was thrown: more of it than this tells nothing new. */
export const MAX_TEXT_BYTES = 16 * 1024
/** Log lines of one frame. More lines take more frames, each of which waits for the one before it to be taken. */
export const MAX_LOG_BYTES = 128 * 1024
/** A plugin's name, the indexes of its hookpoints, or why it was refused. */
const MAX_LOADED_BYTES = 64 * 1024
/** Objects and arrays inside each other in a frame of JSON: the batch, its lines, a line, its fields, and eight in a field. */
export const MAX_JSON_DEPTH = 12

/**
 * The most bytes of a child's frame, its head included, by what it is. Checked when the head has arrived, before anything is
 * made for the rest of it. What is unknown has no bytes besides its head.
 */
export function mostBytesFromChild(what: number, maxReplyBytes: number): number {
  switch (what) {
    case FROM_CHILD.replaces:
    case FROM_CHILD.responds:
      return HEAD_BYTES + maxReplyBytes
    case FROM_CHILD.rejects:
    case FROM_CHILD.fails:
    case FROM_CHILD.invalid:
    case FROM_CHILD.done:
      return HEAD_BYTES + MAX_TEXT_BYTES
    case FROM_CHILD.log:
      return HEAD_BYTES + MAX_LOG_BYTES
    case FROM_CHILD.loaded:
      return HEAD_BYTES + MAX_LOADED_BYTES
    default:
      return HEAD_BYTES
  }
}

export interface Head {
  readonly what: number
  readonly bytes: number
  readonly index?: number
  readonly point?: number
  readonly id?: number
  readonly extra?: number
  readonly deadlineMs?: number
}

export function writeHead(
  frame: Buffer,
  at: number,
  { what, bytes, index = 0, point = 0, id = 0, extra = 0, deadlineMs = 0 }: Head,
): void {
  frame.writeUInt32LE(bytes, at + BYTES_AT)
  frame[at + WHAT_AT] = what
  frame[at + INDEX_AT] = index
  frame.writeUInt16LE(point, at + POINT_AT)
  frame.writeUInt32LE(id, at + ID_AT)
  frame.writeUInt32LE(extra, at + EXTRA_AT)
  frame.writeDoubleLE(deadlineMs, at + DEADLINE_AT)
}

/** One whole frame, standing at `at` in `buffer`: valid while it is being taken, unless the reader says otherwise. */
export class Frame {
  readonly buffer: Buffer
  readonly at: number
  readonly bytes: number

  constructor(buffer: Buffer, at: number, bytes: number) {
    this.buffer = buffer
    this.at = at
    this.bytes = bytes
  }

  get what(): number {
    return this.buffer[this.at + WHAT_AT] as number
  }

  get index(): number {
    return this.buffer[this.at + INDEX_AT] as number
  }

  get point(): number {
    return this.buffer.readUInt16LE(this.at + POINT_AT)
  }

  get id(): number {
    return this.buffer.readUInt32LE(this.at + ID_AT)
  }

  get extra(): number {
    return this.buffer.readUInt32LE(this.at + EXTRA_AT)
  }

  get deadlineMs(): number {
    return this.buffer.readDoubleLE(this.at + DEADLINE_AT)
  }

  get payload(): Buffer {
    return this.buffer.subarray(this.at + HEAD_BYTES, this.at + this.bytes)
  }
}

/** What is wrong with a stream of frames; its end. */
export class BadFrame extends Error {}

/** The most bytes of a frame, its head included, by what it is. */
export type MostBytes = (what: number) => number

/** Cuts a stream of bytes into frames. */
export class PipeFrameReader {
  /** Of frames whose head has not been read yet. */
  mostBytes: MostBytes
  readonly #take: (frame: Frame) => void
  /** The beginning of a frame that has not arrived whole: `#filled` bytes of it. */
  #gathered: Buffer | null = null
  #filled = 0

  constructor(mostBytes: MostBytes, take: (frame: Frame) => void) {
    this.mostBytes = mostBytes
    this.#take = take
  }

  /** @throws BadFrame for one that is too long */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      at = this.#gathered === null ? this.#next(chunk, at) : this.#more(this.#gathered, chunk, at)
    }
  }

  /** Takes a frame that has arrived whole, or makes room for one that has not. */
  #next(chunk: Buffer, at: number): number {
    const left = chunk.length - at
    const bytes = left < HEAD_BYTES ? HEAD_BYTES : this.#bytesOf(chunk, at)
    if (left >= bytes) {
      this.#take(new Frame(chunk, at, bytes))
      return at + bytes
    }
    this.#gathered = Buffer.allocUnsafeSlow(bytes)
    this.#filled = 0
    return at
  }

  #more(gathered: Buffer, chunk: Buffer, at: number): number {
    const copied = chunk.copy(gathered, this.#filled, at, Math.min(chunk.length, at + gathered.length - this.#filled))
    this.#filled += copied
    if (this.#filled === gathered.length) this.#filledUp(gathered)
    return at + copied
  }

  #filledUp(gathered: Buffer): void {
    const bytes = this.#bytesOf(gathered, 0)
    if (bytes > gathered.length) {
      // Only the head was known to be coming.
      this.#gathered = Buffer.allocUnsafeSlow(bytes)
      gathered.copy(this.#gathered)
      return
    }
    this.#gathered = null
    this.#take(new Frame(gathered, 0, bytes))
  }

  #bytesOf(head: Buffer, at: number): number {
    const bytes = head.readUInt32LE(at + BYTES_AT)
    const what = head[at + WHAT_AT] as number
    const most = this.mostBytes(what)
    if (bytes >= HEAD_BYTES && bytes <= most) return bytes
    throw new BadFrame(`a frame of kind ${what} with ${bytes} bytes; ${HEAD_BYTES} to ${most} are allowed`)
  }
}
