/** Frames on their way out of the lane: gathered while its turn lasts, and written in one go. The lane's thread only. */
import type { Duplex } from 'node:stream'
import { HEAD_BYTES, writeHead } from './frames.js'

/** Some dozens of small events. */
const GATHER_BYTES = 64 * 1024

export class OutQueue {
  readonly #pipe: Duplex
  #gathered = Buffer.allocUnsafeSlow(GATHER_BYTES)
  #length = 0
  #isLeaving = false
  #isClosed = false
  readonly #leave = () => this.#write()

  constructor(pipe: Duplex) {
    this.#pipe = pipe
  }

  /** The memory that frames are written to; another one after each `room`. */
  get bytes(): Buffer {
    return this.#gathered
  }

  /** Where a frame of so many bytes is to be written, now: it leaves with the others of this turn. */
  room(bytes: number): number {
    const at = this.#length
    if (at + bytes > this.#gathered.length) {
      const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(at + bytes)))
      this.#gathered.copy(larger, 0, 0, at)
      this.#gathered = larger
    }
    this.#length += bytes
    if (!this.#isLeaving) {
      this.#isLeaving = true
      queueMicrotask(this.#leave)
    }
    return at
  }

  /** A frame written here. */
  send(what: number, head: { index?: number; id?: number }, payload?: Uint8Array): void {
    const bytes = HEAD_BYTES + (payload?.length ?? 0)
    const at = this.room(bytes)
    writeHead(this.#gathered, at, { ...head, what, bytes })
    if (payload !== undefined) this.#gathered.set(payload, at + HEAD_BYTES)
  }

  /** What has not left never will. */
  close(): void {
    this.#isClosed = true
  }

  #write(): void {
    this.#isLeaving = false
    const frames = this.#gathered.subarray(0, this.#length)
    this.#length = 0
    if (this.#isClosed) return
    this.#pipe.write(frames)
    // The pipe still reads from this memory if the kernel did not take all of it at once.
    const isHeld = this.#pipe.writableLength > 0
    if (isHeld || this.#gathered.length > GATHER_BYTES) this.#gathered = Buffer.allocUnsafeSlow(GATHER_BYTES)
  }
}
