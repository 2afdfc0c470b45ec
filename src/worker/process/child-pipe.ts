/**
 * The child's end of the pipe, and how it waits on it, in one of two ways, as lanes do:
 *
 *   a read that blocks   while no plugin has anything of its own going on: lowest latency, no event loop
 *   a socket             once a hook's promise is pending, or a plugin made anything that may call back later: for good
 *
 * The child's main thread.
 */
import { readSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { type Frame, HEAD_BYTES, type Head, PIPE_FD, PipeFrameReader, writeHead } from './frames.js'

/** Many small events at once; a large one gets memory of its own. */
const CHUNK_BYTES = 256 * 1024

/** Takes a frame; a promise when what follows has to wait for it. */
export type TakeFrame = (frame: Frame) => void | Promise<void>

export interface SendContent extends Omit<Head, 'what' | 'bytes'> {
  readonly payload?: Uint8Array
}

export class ChildPipe {
  #room = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #socket: Socket | null = null

  /** Leaves at once: what runs next may never return. */
  send(what: number, { payload, ...head }: SendContent): void {
    const bytes = HEAD_BYTES + (payload?.length ?? 0)
    const frame = this.room(bytes)
    if (payload !== undefined) frame.set(payload, HEAD_BYTES)
    this.sendRoom({ ...head, what, bytes })
  }

  /** Memory for a frame that is written in place: the payload from HEAD_BYTES on. Valid until the next frame is sent. */
  room(bytes: number): Buffer {
    if (bytes > this.#room.length) this.#room = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(bytes)))
    return this.#room
  }

  /** Sends what stands in `room`. */
  sendRoom(head: Head): void {
    writeHead(this.#room, 0, head)
    this.#write(head.bytes)
  }

  /** Serves until the other end closes, which ends the process. @param loop `turn` is a turn of the event loop */
  async serve(take: TakeFrame, loop: { turn(): Promise<void>; needsLoop(): boolean }): Promise<void> {
    let work: Promise<void> | undefined
    // The lane is believed: its frames have no bound.
    const reader = new PipeFrameReader(
      () => Number.POSITIVE_INFINITY,
      (frame) => {
        work = take(frame) ?? work
      },
    )
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
    do {
      const got = readSync(PIPE_FD, chunk, 0, chunk.length, null)
      if (got === 0) end()
      reader.push(chunk.subarray(0, got))
      if (work !== undefined) await work
      work = undefined
      // Promises, timers that are due and immediates that hooks left behind run before the process sleeps.
      await loop.turn()
    } while (!loop.needsLoop())
    this.#serveInLoop(reader)
  }

  #serveInLoop(reader: PipeFrameReader): void {
    this.#socket = new Socket({ fd: PIPE_FD, readable: true, writable: true })
    this.#socket.on('data', (bytes: Buffer) => reader.push(bytes))
    this.#socket.on('close', end)
    this.#socket.on('error', end)
  }

  #write(bytes: number): void {
    const room = this.#room
    // A copy: the room is written again before what the kernel did not take at once has left.
    if (this.#socket !== null) this.#socket.write(Buffer.from(room.subarray(0, bytes)))
    else for (let at = 0; at < bytes; ) at += writeSync(PIPE_FD, room, at, bytes - at)
  }
}

/** The lane is gone, or has let go: nothing that runs here matters to anyone. */
function end(): void {
  process.kill(process.pid, 'SIGKILL')
}
