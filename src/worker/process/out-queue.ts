/** Frames on their way out of the lane: gathered while its turn lasts, and written in one go. The lane's thread only. */
import type { Duplex } from 'node:stream'
import { HEAD_BYTES, writeHead } from './frames.js'

/** Some dozens of small events. */
const GATHER_BYTES = 64 * 1024

export interface OutQueue {
  /** The memory that frames are written to; another one after each `room`. */
  bytes(): Buffer
  /** Where a frame of so many bytes is to be written, now: it leaves with the others of this turn. */
  room(bytes: number): number
  /** A frame written here. */
  send(what: number, head: { index?: number; id?: number }, payload?: Uint8Array): void
  /** What has not left never will. */
  close(): void
}

export function createOutQueue(pipe: Duplex): OutQueue {
  let gathered = Buffer.allocUnsafeSlow(GATHER_BYTES)
  let length = 0
  let isLeaving = false
  let isClosed = false

  function room(bytes: number): number {
    const at = length
    if (at + bytes > gathered.length) {
      const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(at + bytes)))
      gathered.copy(larger, 0, 0, at)
      gathered = larger
    }
    length += bytes
    if (!isLeaving) {
      isLeaving = true
      queueMicrotask(leave)
    }
    return at
  }

  function leave(): void {
    isLeaving = false
    const frames = gathered.subarray(0, length)
    length = 0
    if (isClosed) return
    pipe.write(frames)
    // What the kernel did not take at once is still to be read from it.
    if (pipe.writableLength > 0 || gathered.length > GATHER_BYTES) gathered = Buffer.allocUnsafeSlow(GATHER_BYTES)
  }

  return {
    bytes: () => gathered,
    room,
    send(what, head, payload) {
      const bytes = HEAD_BYTES + (payload?.length ?? 0)
      const at = room(bytes)
      writeHead(gathered, at, { ...head, what, bytes })
      if (payload !== undefined) gathered.set(payload, at + HEAD_BYTES)
    },
    close() {
      isClosed = true
    },
  }
}
